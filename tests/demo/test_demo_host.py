"""The machine behind the demo's server, over SSH and as aitui itself reaches it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import asyncssh
import pytest

from aitui.demo.catalogue import QWEN
from aitui.demo.configuration import parse_configuration
from aitui.demo.fake_flags import read_flags
from aitui.demo.unit import CONFIG_PATH, UNIT
from aitui.demo.world import DemoEnvironment, demo_world
from aitui.errors import (
    FilePermissionDenied,
    HostError,
    HostLoginRefused,
    NoSuchFile,
    ServiceFailed,
)
from aitui.host.sampler import HostSampler, read_host_info, read_model_header
from aitui.host.service import SystemdService
from aitui.host.ssh.address import SshConfigPaths, SshUser
from aitui.host.ssh.host import SshHost
from demo.test_stand_in_life import client_context

CONFIG = """\
startPort: 5800
models:
  small:
    cmd: llama-server --port ${PORT} --ctx-size 4096 --memory-mib 1000 --fail-oom-above 8192
"""


@pytest.fixture
async def world() -> AsyncIterator[DemoEnvironment]:
    async with demo_world(config_text=CONFIG) as there:
        yield there


def user_of(world: DemoEnvironment) -> SshUser:
    set_up = world.ssh_setup
    return SshUser(SshConfigPaths(set_up.home, set_up.config, system=None), {})


@pytest.fixture
async def host(world: DemoEnvironment) -> AsyncIterator[SshHost]:
    async with SshHost(world.ssh_host, user_of(world)) as there:
        yield there


async def command(world: DemoEnvironment) -> str:
    pair = world.certificates.client_cert, world.certificates.client_key
    connector = aiohttp.TCPConnector(ssl=client_context(world.certificates.root_ca, pair))
    async with aiohttp.ClientSession(world.url, connector=connector) as session:
        async with session.get("/upstream/small/health") as response:
            await response.read()
        async with session.get("/running") as response:
            running = (await response.json(content_type=None))["running"]
    return str(running[0]["cmd"]) if running else ""


async def test_the_config_file_is_where_aitui_looks_for_it(
    world: DemoEnvironment, host: SshHost
) -> None:
    assert await host.resolve("~/.config/llama-swap/config.yaml") == CONFIG_PATH
    assert (await host.read("~/.config/llama-swap/config.yaml")).decode() == CONFIG
    assert world.config_file.read_text() == CONFIG


async def test_the_config_file_can_be_replaced_whole(world: DemoEnvironment, host: SshHost) -> None:
    await host.create(f"{CONFIG_PATH}.tmp", b"models: {}\n", mode=0o640)
    await host.rename(f"{CONFIG_PATH}.tmp", CONFIG_PATH)
    assert world.config_file.read_bytes() == b"models: {}\n"
    assert (await host.facts(CONFIG_PATH)).mode == 0o640


@pytest.mark.parametrize("path", ["/etc/passwd", "~/../../../../etc/passwd", "/../../etc/hosts"])
async def test_nothing_outside_of_the_demo_is_seen(host: SshHost, path: str) -> None:
    with pytest.raises(NoSuchFile):
        await host.read(path)


async def test_a_link_leads_nowhere_outside(world: DemoEnvironment, host: SshHost) -> None:
    (world.config_file.parent / "link").symlink_to("/etc/passwd")
    with pytest.raises((NoSuchFile, FilePermissionDenied)):
        await host.resolve("~/.config/llama-swap/link")


async def test_the_unit_is_up_and_runs_that_file(host: SshHost) -> None:
    facts = await SystemdService(host, UNIT).facts()
    assert facts.running
    assert facts.enabled
    assert facts.linger is True
    assert facts.config_path == CONFIG_PATH
    assert facts.watches_config is False
    assert facts.started_at is not None
    assert await SystemdService(host, UNIT).faults() == ()


async def test_a_reload_brings_the_new_value(world: DemoEnvironment, host: SshHost) -> None:
    service = SystemdService(host, UNIT)
    before = (await service.facts()).main_pid
    world.config_file.write_text(CONFIG.replace("4096", "8192"))
    await service.reload()
    assert "--ctx-size 8192" in await command(world)
    assert (await service.facts()).main_pid == before


async def test_a_reload_of_invalid_yaml_keeps_the_old_value(
    world: DemoEnvironment, host: SshHost
) -> None:
    service = SystemdService(host, UNIT)
    world.config_file.write_text("models: [")
    await service.reload()
    assert "--ctx-size 4096" in await command(world)
    assert any("failed to reload config" in line for line in await service.journal(50))


async def test_a_value_above_the_limit_kills_the_model(
    world: DemoEnvironment, host: SshHost
) -> None:
    world.config_file.write_text(CONFIG.replace("4096", "16384"))
    await SystemdService(host, UNIT).reload()
    assert await command(world) == ""


async def test_a_restart_starts_another_process(world: DemoEnvironment, host: SshHost) -> None:
    service = SystemdService(host, UNIT)
    before = (await service.facts()).main_pid
    world.config_file.write_text(CONFIG.replace("4096", "2048"))
    after = await service.restart()
    assert after.main_pid not in {0, before}
    assert "--ctx-size 2048" in await command(world)


async def test_a_restart_on_invalid_yaml_stays_down_until_it_is_mended(
    world: DemoEnvironment, host: SshHost
) -> None:
    service = SystemdService(host, UNIT)
    world.config_file.write_text("models: [")
    with pytest.raises(ServiceFailed) as failed:
        await service.restart()
    assert "its config file was rejected" in failed.value.why
    assert any("Error loading config" in line for line in failed.value.journal)
    with pytest.raises(ServiceFailed, match="isn't running"):
        await service.reload()
    with pytest.raises(aiohttp.ClientConnectionError):
        await command(world)
    world.config_file.write_text(CONFIG)
    assert (await service.restart()).running
    assert "--ctx-size 4096" in await command(world)


async def test_a_wrong_unit_is_explained_as_on_a_real_machine(host: SshHost) -> None:
    with pytest.raises(ServiceFailed, match=r"There is no unit llamaswap\.service") as failed:
        await SystemdService(host, "llamaswap").restart()
    assert failed.value.why == f"{UNIT} runs llama-swap"


async def test_a_command_that_is_not_known_is_not_found(host: SshHost) -> None:
    finished = await host.run(("rm", "-rf", "/"))
    assert finished.status == 127
    assert b"not found" in finished.stderr


async def test_the_hardware_is_that_of_the_demo(world: DemoEnvironment, host: SshHost) -> None:
    await command(world)
    sample = await HostSampler(host).sample((5800,))
    assert [card.name.partition(" ")[0] for card in sample.sample.gpus] == ["NVIDIA", "NVIDIA"]
    held = sample.usage_at_port(5800)
    assert held is not None
    assert held.gpu_bytes == 1000 << 20
    assert sample.whole
    assert sample.errors == ()


async def test_the_machine_tells_what_it_is(host: SshHost) -> None:
    found = await read_host_info(host, 1e9)
    assert found.system.startswith("Debian")
    assert (found.sockets, found.cores, found.nvidia_driver) == (1, 32, "580.142")


async def test_nobody_else_is_let_in(world: DemoEnvironment, host: SshHost) -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    world.ssh_setup.identity.write_bytes(stranger.export_private_key())
    with pytest.raises(HostLoginRefused):
        await host.run(("id", "-u"))


async def test_the_host_is_known_and_no_other_set_up_is_read(world: DemoEnvironment) -> None:
    world.ssh_setup.known_hosts.write_text("")
    async with SshHost(world.ssh_host, user_of(world)) as host:
        with pytest.raises(HostError, match="not known yet"):
            await host.run(("id", "-u"))


async def test_the_world_ends_with_connections_open() -> None:
    before = asyncio.all_tasks()
    async with demo_world(config_text=CONFIG) as world:
        host = SshHost(world.ssh_host, user_of(world))
        await host.run(("id", "-u"))
    await host.__aexit__(None, None, None)
    async with asyncio.timeout(5):
        while asyncio.all_tasks() != before:
            await asyncio.sleep(0.01)


async def test_the_model_files_are_on_its_disk_with_headers_that_can_be_read() -> None:
    async with demo_world() as world, SshHost(world.ssh_host, user_of(world)) as host:
        models = parse_configuration(world.config_file.read_text()).models
        names = {facts.name for facts in await host.list("/srv/models")}
        model = read_flags(models[QWEN])
        header = await read_model_header(host, model.model_file)
    assert header.layers == 48
    assert abs(header.weights.total - model.weights * 2**20) < 2**20
    assert (
        len(names - {read_flags(known).model_file.rpartition("/")[2] for known in models.values()})
        == 3
    )
