"""`aitui setup unit` over SSH, with the systemd of a real login."""

import socket

import pytest

from cli.command_line import CommandLine
from e2e.service.installed import CONFIG
from e2e.service.user_manager import UNIT, UserManager
from host.test_unit_file import GUIDE

pytestmark = [pytest.mark.real_server("systemd"), pytest.mark.real_server("openssh-server")]


async def test_the_guides_unit_becomes_one_that_runs(
    aitui: CommandLine, machine: UserManager
) -> None:
    machine.write_config(CONFIG)
    guide = GUIDE.replace("/home/ai-server", "/mnt/home").replace("8080", str(machine.port))
    machine.write_unit(guide)

    done = await aitui.run("setup", "unit", "--apply", "--yes")

    assert "-User=ai-server" in done.err
    assert "✔ service: llama-swap.service is running and starts at boot" in done.err
    machine.until_it_answers()
    assert machine.systemctl("is-enabled", UNIT) == "enabled\n"
    kept = set(guide.splitlines()) & set(machine.unit_file.read_text().splitlines())
    assert len(kept) == len(set(guide.splitlines())) - 4
    backups = list(machine.unit_file.parent.glob(f"{UNIT}.*.aitui"))
    assert [backup.read_text() for backup in backups] == [guide]
    # There is no logind on this machine: the way out is named, and the exit status says so.
    assert "sudo loginctl enable-linger" in done.err
    assert done.status == 1


async def test_without_a_unit_there_is_one_afterwards(
    aitui: CommandLine, machine: UserManager
) -> None:
    machine.write_config(CONFIG)
    await aitui.run("setup", "unit", "--apply", "--yes")
    machine.until_it_answers()
    verified = machine.run("systemd-analyze", "--user", "verify", UNIT)
    assert verified == ""
    again = await aitui.run("setup", "unit")
    assert "needs no change" in again.err


async def test_what_is_printed_does_the_same(aitui: CommandLine, machine: UserManager) -> None:
    machine.write_config(CONFIG)
    printed = await aitui.run("setup", "unit")
    assert printed.status == 0
    assert not machine.unit_file.exists()
    script = printed.out.replace("loginctl", "true")
    machine.run("sh", "-ec", script)
    machine.until_it_answers()


async def test_a_unit_that_does_not_stay_up_is_explained(
    aitui: CommandLine, machine: UserManager
) -> None:
    machine.write_config("models: [")
    done = await aitui.run("setup", "unit", "--apply", "--yes")
    assert done.status == 1
    assert "its config file was rejected" in done.err


async def test_nothing_is_written_without_a_yes(aitui: CommandLine, machine: UserManager) -> None:
    done = await aitui.run("setup", "unit", "--apply")
    assert done.status == 6
    assert "pass --yes to confirm" in done.err
    assert not machine.unit_file.exists()


async def test_a_port_that_is_in_use_is_left_to_its_owner(
    aitui: CommandLine, machine: UserManager
) -> None:
    with socket.create_server(("127.0.0.1", machine.port)):
        done = await aitui.run("setup", "unit", "--apply", "--yes")
    assert done.status == 6
    assert f"something that isn't this unit listens at {machine.port}" in done.err
    assert not machine.unit_file.exists()
