"""The server's unit on a real systemd, each line of the check-up provoked to fail by itself."""

import asyncio
import os
import time

import pytest
from msgspec.structs import replace

from aitui.domain.checks import CheckStatus, exit_code
from aitui.domain.snapshot import Server
from e2e.service.user_manager import ACCOUNT, UNIT, UNIT_TEXT, UserManager
from services.doctor.examined import examined
from services.doctor.machine_examined import machine_of

pytestmark = [pytest.mark.real_server("systemd"), pytest.mark.real_server("openssh-server")]

LINES = (
    *("unit", "unit as written", "unit active", "unit enabled", "linger"),
    *("unit's config file", "watches its config file", "config file in force"),
)
HOUR = 3600.0


def linger(machine: UserManager) -> None:
    (machine.there / "var/lib/systemd/linger" / ACCOUNT).touch()


def change_at(machine: UserManager, wall: float) -> None:
    """Have the config file changed at a time (Unix time)."""
    os.utime(machine.config, (wall, wall))


async def test_nothing_is_wrong_with_a_machine_that_works(
    served: Server, machine: UserManager
) -> None:
    linger(machine)
    change_at(machine, time.time() - HOUR)
    report = await examined(served)
    assert report.failed == []
    assert exit_code(report.checks) == 0
    assert [name for name in LINES if report.status(name) is not CheckStatus.PASSED] == [
        "watches its config file"
    ]
    assert report["config file's models"].seen == "2 models, as the server lists them"
    assert "/.config/systemd/user/llama-swap.service" in report["unit"].seen
    assert report["unit active"].seen.startswith("process ")


async def test_it_changes_nothing_there(served: Server, machine: UserManager) -> None:
    before = machine.systemctl("show", "-p", "MainPID,NRestarts,ActiveEnterTimestamp", UNIT)
    await machine_of(served)
    after = machine.systemctl("show", "-p", "MainPID,NRestarts,ActiveEnterTimestamp", UNIT)
    assert before == after


async def test_a_missing_unit_is_reported_with_the_one_that_runs_llama_swap(
    served: Server,
) -> None:
    report = await machine_of(replace(served, service_unit="llamaswap"))
    assert report.status("unit") is CheckStatus.FAILED
    assert "There is no unit llamaswap.service" in report["unit"].seen
    assert f"{UNIT} runs llama-swap" in report["unit"].seen
    assert report["unit"].remedy.startswith(f"export AI_SERVER_SERVICE_UNIT={UNIT}, or ")
    assert report.status("unit active") is CheckStatus.OPEN
    assert report.status("linger") is CheckStatus.FAILED


async def test_units_are_found_by_their_commands_and_the_active_one_comes_first(
    served: Server, machine: UserManager
) -> None:
    machine.write_unit("[Service]\nExecStart=/bin/sleep 1\n", "llama-swop.service")
    machine.write_unit("[Service]\nExecStart=%h/bin/llama-swap -listen :1\n", "brain.service")
    check = (await machine_of(replace(served, service_unit="llama-swop2")))["unit"]
    assert f"{UNIT}, brain.service run llama-swap" in check.seen
    unit = check.remedy.partition("=")[2].partition(",")[0]
    assert (await machine_of(replace(served, service_unit=unit)))["unit"].seen.startswith(UNIT)


async def test_a_name_that_no_unit_can_have(served: Server) -> None:
    report = await machine_of(replace(served, service_unit="*"))
    assert report.status("unit") is CheckStatus.FAILED
    assert "is not a valid unit name" in report["unit"].seen
    assert {report.status(name) for name in LINES[1:]} == {CheckStatus.OPEN}


async def test_a_unit_that_was_stopped(served: Server, machine: UserManager) -> None:
    machine.systemctl("stop", UNIT)
    report = await machine_of(served)
    assert report.status("unit") is CheckStatus.PASSED
    assert report.status("unit active") is CheckStatus.FAILED
    assert f"{UNIT} isn't running" in report["unit active"].seen
    assert report.status("config file in force") is CheckStatus.OPEN


async def test_a_unit_that_does_not_come_up_by_itself(served: Server, machine: UserManager) -> None:
    machine.systemctl("disable", UNIT)
    report = await machine_of(served)
    assert report.status("unit enabled") is CheckStatus.FAILED
    assert report["unit enabled"].remedy == f"on box: systemctl --user enable {UNIT}"
    assert report.status("unit active") is CheckStatus.PASSED
    machine.systemctl("enable", UNIT)


async def test_a_login_that_doesnt_linger(served: Server) -> None:
    check = (await machine_of(served))["linger"]
    assert check.status is CheckStatus.FAILED
    assert "stops at logout" in check.seen
    assert check.remedy == "on box: loginctl enable-linger $USER"


async def test_a_unit_as_a_guide_prints_it(served: Server, machine: UserManager) -> None:
    text = UNIT_TEXT.format(port=machine.port)
    machine.write_unit(text.replace("LimitNOFILE=1024", "User=nobody\nLimitMEMLOCK_BYTES=1"))
    check = (await machine_of(served))["unit as written"]
    assert check.status is CheckStatus.FAILED
    assert "User=nobody is set in a user unit" in check.seen
    assert "no setting LimitMEMLOCK_BYTES=" in check.seen
    assert "remove that line" in check.remedy
    assert "aitui setup unit --apply" in check.remedy


async def test_a_setting_that_systemd_passes_over_is_told_and_no_fault(
    served: Server, machine: UserManager
) -> None:
    text = UNIT_TEXT.format(port=machine.port)
    machine.write_unit(text.replace("LimitNOFILE=1024", "LimitMEMLOCK_BYTES=1"))
    assert (await machine_of(served))["unit as written"].status is CheckStatus.OPEN


async def test_a_unit_whose_file_has_changed_since_systemd_read_it(
    served: Server, machine: UserManager
) -> None:
    later = time.time() + HOUR
    os.utime(machine.unit_file, (later, later))
    check = (await machine_of(served))["unit as written"]
    assert check.status is CheckStatus.OPEN
    assert "daemon-reload" in check.remedy


async def test_a_unit_that_reads_another_file(served: Server, machine: UserManager) -> None:
    other = machine.config.with_name("other.yaml")
    other.write_text(machine.config.read_text())
    os.chown(other, machine.number, machine.number)
    path = "~/.config/llama-swap/other.yaml"
    check = (await machine_of(replace(served, preset_path=path)))["unit's config file"]
    assert check.status is CheckStatus.FAILED
    assert check.seen == (
        f"it reads /mnt/home/.config/llama-swap/config.yaml, but aitui would change {path}"
    )
    assert "AI_SERVER_PRESET_PATH" in check.remedy


async def test_a_server_that_watches_its_file(served: Server, machine: UserManager) -> None:
    text = UNIT_TEXT.format(port=machine.port).replace(
        "config.yaml\n", "config.yaml -watch-config\n"
    )
    machine.write_unit(text)
    machine.systemctl("restart", UNIT)
    change_at(machine, time.time() + HOUR)
    report = await machine_of(served)
    assert report.status("watches its config file") is CheckStatus.PASSED
    assert report.status("config file in force") is CheckStatus.PASSED


async def test_a_server_that_doesnt_watch_its_file_is_no_fault(served: Server) -> None:
    check = (await machine_of(served))["watches its config file"]
    assert check.status is CheckStatus.OPEN
    assert "-watch-config" in check.remedy


async def test_a_file_newer_than_what_the_server_runs(served: Server, machine: UserManager) -> None:
    change_at(machine, time.time() + HOUR)
    check = (await machine_of(served))["config file in force"]
    assert check.status is CheckStatus.FAILED
    assert "its journal shows no reload since" in check.seen
    assert "aitui reload" in check.shell_remedy


async def test_a_newer_file_that_the_server_has_reloaded_is_in_force(
    served: Server, machine: UserManager
) -> None:
    await asyncio.sleep(2.2)  # what differs by less, in whole seconds, is no difference
    change_at(machine, time.time())
    machine.systemctl("kill", "-s", "HUP", UNIT)
    async with asyncio.timeout(15):
        while (check := (await machine_of(served))["config file in force"]).status is (
            CheckStatus.FAILED
        ):
            await asyncio.sleep(0.1)
    assert check.status is CheckStatus.PASSED, check
    assert "it has reloaded since" in check.seen
