"""A change of the config file takes effect, by each of the ways there are, on a real systemd."""

import asyncio
import json
import time
import urllib.request
from collections.abc import Callable

import pytest

from aitui.host.service import SystemdService
from e2e.service.inside import Inside
from e2e.service.installed import CONFIG, UNIT_TEXT
from e2e.service.user_manager import ACCOUNT, UNIT, UserManager

pytestmark = [pytest.mark.real_server("systemd"), pytest.mark.real_server("openssh-server")]


def running_command(machine: UserManager) -> str:
    with urllib.request.urlopen(f"{machine.url}/upstream/small/health", timeout=10) as answer:
        assert answer.status == 200
    with urllib.request.urlopen(f"{machine.url}/running", timeout=10) as answer:
        (model,) = json.load(answer)["running"]
    return str(model["cmd"])


def proxy_log(machine: UserManager) -> str:
    with urllib.request.urlopen(f"{machine.url}/logs", timeout=10) as answer:
        return str(answer.read().decode())


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not await asyncio.to_thread(holds):
            await asyncio.sleep(0.02)


async def test_the_facts_are_those_of_the_running_unit(
    service: SystemdService, machine: UserManager
) -> None:
    facts = await service.facts()
    assert (facts.unit, facts.load_state, facts.active_state, facts.sub_state) == (
        UNIT,
        "loaded",
        "active",
        "running",
    )
    assert facts.running
    assert facts.enabled
    assert facts.main_pid == int(machine.systemctl("show", "-p", "MainPID", "--value", UNIT))
    assert facts.exec_start[-4:] == (
        "-listen",
        f"127.0.0.1:{machine.port}",
        "-config",
        "/mnt/home/.config/llama-swap/config.yaml",
    )
    assert facts.config_path == "/mnt/home/.config/llama-swap/config.yaml"
    assert facts.watches_config is False
    assert facts.fragment_path == f"/mnt/home/.config/systemd/user/{UNIT}"
    assert facts.started_at is not None
    assert abs(time.time() - facts.started_at) < 60


async def test_a_reload_puts_the_new_value_into_the_running_command(
    service: SystemdService, machine: UserManager
) -> None:
    before = (await service.facts()).main_pid
    machine.write_config(CONFIG.replace("65536", "131072"))
    await service.reload()
    await until(lambda: "configuration reloaded" in proxy_log(machine))
    assert "--ctx-size 131072" in await asyncio.to_thread(running_command, machine)
    assert (await service.facts()).main_pid == before


async def test_a_reload_of_invalid_yaml_keeps_the_old_values(
    service: SystemdService, machine: UserManager
) -> None:
    machine.write_config("models: [")
    await service.reload()
    await until(lambda: "failed to reload config" in proxy_log(machine))
    assert "--ctx-size 65536" in await asyncio.to_thread(running_command, machine)


async def test_a_restart_starts_another_process_with_the_new_value(
    service: SystemdService, machine: UserManager
) -> None:
    before = (await service.facts()).main_pid
    machine.write_config(CONFIG.replace("65536", "32768"))
    after = await service.restart()
    assert after.main_pid not in {0, before}
    await until(machine.answers)
    assert "--ctx-size 32768" in await asyncio.to_thread(running_command, machine)


async def test_a_server_that_watches_its_file_says_so_and_needs_no_signal(
    service: SystemdService, machine: UserManager
) -> None:
    machine.write_unit(UNIT_TEXT.replace("config.yaml", "config.yaml -watch-config"))
    await service.restart()
    await until(machine.answers)
    assert (await service.facts()).watches_config is True
    machine.write_config(CONFIG.replace("65536", "8192"))
    await until(lambda: "configuration reloaded" in proxy_log(machine))
    assert "--ctx-size 8192" in await asyncio.to_thread(running_command, machine)


async def test_invalid_yaml_ends_a_restart_and_the_journal_says_why(
    service: SystemdService, machine: UserManager
) -> None:
    machine.write_config("models:\n  small: [")
    await service.restart()
    async with asyncio.timeout(10):
        while (trouble := await service.find_failure()) is None:
            await asyncio.sleep(0.02)
    assert "systemd keeps restarting it" in trouble.what
    assert "its config file was rejected" in trouble.why
    assert "yaml: line 2" in trouble.why
    assert any("Error loading config" in line for line in trouble.journal)


async def test_a_login_without_a_session_finds_its_systemd(
    machine: UserManager, lonely: Inside
) -> None:
    service = SystemdService(lonely, UNIT)
    assert (await service.facts()).running
    await service.reload()
    await until(lambda: "configuration reloaded" in proxy_log(machine))
    assert await service.journal()


async def test_a_wrong_runtime_directory_is_set_right(machine: UserManager) -> None:
    astray = Inside(machine, session=False, surroundings=("XDG_RUNTIME_DIR=/nowhere",))
    assert (await SystemdService(astray, UNIT).facts()).running


async def test_the_suffix_of_a_service_may_be_left_out(machine: UserManager, host: Inside) -> None:
    assert (await SystemdService(host, "llama-swap").facts()).running


async def test_the_journal_has_the_last_lines_and_no_more(service: SystemdService) -> None:
    assert len(await service.journal(1)) == 1
    assert any("llama-swap listening on" in line for line in await service.journal(50))


async def test_what_a_process_said_before_the_journal_looked_for_its_unit_is_not_lost(
    machine: UserManager, service: SystemdService
) -> None:
    machine.run("systemd-cat", "--identifier=llama-swap", "echo", "said and gone")
    machine.run("systemd-cat", "--identifier=somebody-else", "echo", "said by another")
    async with asyncio.timeout(10):
        while "said and gone" not in (lines := await service.journal(50)):
            await asyncio.sleep(0.02)
    assert "said by another" not in lines


async def test_hostile_lines_of_the_journal_are_made_harmless(
    machine: UserManager, host: Inside
) -> None:
    (machine.home / "noise").write_text("printf '\\033]0;title\\007[red]\\n'; sleep 100\n")
    machine.write_unit("[Service]\nExecStart=/bin/sh /mnt/home/noise\n", "noisy.service")
    noisy = SystemdService(host, "noisy.service")
    await noisy.restart()
    async with asyncio.timeout(10):
        while not (lines := [line for line in await noisy.journal() if "[red]" in line]):
            await asyncio.sleep(0.02)
    assert "\x1b" not in "".join(lines)
    machine.systemctl("stop", "noisy.service")


async def test_lingering_is_told(machine: UserManager, service: SystemdService) -> None:
    assert (await service.facts()).linger is False
    (machine.there / "var/lib/systemd/linger" / ACCOUNT).touch()
    assert (await service.facts()).linger is True


async def test_a_unit_that_changed_since_it_was_read_is_stale(
    machine: UserManager, service: SystemdService
) -> None:
    assert not (await service.facts()).stale
    machine.unit_file.write_text(machine.unit_file.read_text() + "# another line\n")
    assert (await service.facts()).stale


async def test_words_stay_readable_in_a_login_of_another_language(machine: UserManager) -> None:
    german = Inside(
        machine, surroundings=("LANG=de_DE.UTF-8", "LC_ALL=de_DE.UTF-8", "TZ=Asia/Tokyo")
    )
    facts = await SystemdService(german, UNIT).facts()
    assert facts.started_at is not None
    assert abs(time.time() - facts.started_at) < 60
