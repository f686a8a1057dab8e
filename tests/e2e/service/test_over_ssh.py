"""The whole way: a login over SSH, its file, its unit, and the server that takes the change up."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator

import pytest

from aitui.domain.snapshot import Clock
from aitui.host.config_file import ConfigFile
from aitui.host.service import SystemdService
from aitui.host.ssh.address import SshConfigPaths, SshUser
from aitui.host.ssh.host import SshHost
from e2e.service.installed import CONFIG
from e2e.service.user_manager import ACCOUNT, UNIT, UserManager, user_manager

pytestmark = [pytest.mark.real_server("systemd"), pytest.mark.real_server("openssh-server")]

PATH = "~/.config/llama-swap/config.yaml"


def over_ssh(machine: UserManager) -> SshHost:
    folder = machine.folder / "user" / ".ssh"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config").write_text(
        f"Host box\n  HostName 127.0.0.1\n  Port {machine.ssh_port}\n  User {ACCOUNT}\n"
        f"  IdentityFile {machine.identity}\n  UserKnownHostsFile {machine.known_hosts}\n"
    )
    place = SshConfigPaths(folder.parent, folder / "config", system=None)
    return SshHost("box", SshUser(place, {}))


@pytest.fixture
async def box(machine: UserManager) -> AsyncIterator[SshHost]:
    async with over_ssh(machine) as host:
        yield host


@pytest.fixture(scope="module")
def sessionless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserManager]:
    """A machine whose SSH logins are told nothing of their systemd."""
    with user_manager(tmp_path_factory.mktemp("sessionless") / "machine", session=False) as machine:
        yield machine


def answer(machine: UserManager, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"{machine.url}{path}", timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def log_of(machine: UserManager, model: str) -> str:
    """The history of a model's log; its stream has no end."""
    with urllib.request.urlopen(f"{machine.url}/logs/stream/{model}", timeout=10) as stream:
        return str(stream.read1(8192).decode())


def loaded(machine: UserManager) -> list[str]:
    return [entry["cmd"] for entry in json.loads(answer(machine, "/running")[1])["running"]]


async def until_reloaded(machine: UserManager, times: int) -> None:
    async with asyncio.timeout(10):
        while answer(machine, "/logs")[1].count("configuration reloaded") < times:
            await asyncio.sleep(0.02)


async def test_a_changed_file_is_taken_up_and_undone(box: SshHost, machine: UserManager) -> None:
    config = ConfigFile(box, PATH, clock=Clock(lambda: 0.0, lambda: 1_800_000_000.0))
    reading = await config.read()
    changed = reading.content.replace(b"65536", b"131072")
    written = await config.write(reading, changed)
    assert machine.config.read_bytes() == changed
    await SystemdService(box, UNIT).reload()
    await until_reloaded(machine, 1)
    assert answer(machine, "/upstream/small/health")[0] == 200
    assert "--ctx-size 131072" in loaded(machine)[0]
    assert written.backup
    await config.write(await config.read(), CONFIG.encode())
    assert machine.config.read_bytes() == CONFIG.encode()


async def test_a_value_that_kills_the_model_is_seen_in_its_log(
    box: SshHost, machine: UserManager
) -> None:
    machine.write_config(CONFIG.replace("65536", "262144"))
    await SystemdService(box, UNIT).reload()
    await until_reloaded(machine, 1)
    assert answer(machine, "/upstream/small/health")[0] == 500
    assert loaded(machine) == []
    assert "cudaMalloc failed: out of memory" in log_of(machine, "small")


async def test_the_unit_is_seen_and_restarted(box: SshHost) -> None:
    service = SystemdService(box, UNIT)
    before = await service.facts()
    assert before.config_path == "/mnt/home/.config/llama-swap/config.yaml"
    assert (await service.restart()).main_pid not in {0, before.main_pid}


async def test_a_login_that_is_told_nothing_finds_its_systemd(sessionless: UserManager) -> None:
    async with over_ssh(sessionless) as host:
        assert b"XDG_RUNTIME_DIR" not in (await host.run(("env",))).stdout
        service = SystemdService(host, UNIT)
        assert (await service.facts()).running
        await service.reload()
        await until_reloaded(sessionless, 1)
        assert any("reloading config" in line for line in await service.journal())
