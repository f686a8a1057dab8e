"""`aitui setup unit` over SSH, with the systemd of a real login."""

import socket
import subprocess
from collections.abc import Iterator

import pytest

from cli.command_line import CommandLine
from e2e.service.installed import CONFIG
from e2e.service.user_manager import ACCOUNT, UNIT, UserManager
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


LOGIND = """\
mkdir -p /run/dbus /run/systemd/seats /run/systemd/users /run/systemd/sessions
dbus-daemon --system --nofork --nopidfile & daemons=$!
# A logind that finds no bus ends.
tries=200; until busctl --system status || [ $((tries -= 1)) = 0 ]; do sleep 0.05; done
/usr/lib/polkit-1/polkitd --no-debug & daemons="$daemons $!"
/lib/systemd/systemd-logind & daemons="$daemons $!"
until busctl --system status org.freedesktop.PolicyKit1 && loginctl list-users; do
  [ $((tries -= 1)) -gt 0 ] || break
  sleep 0.05
done
[ "$tries" -gt 0 ] && echo ready >&2 && read -r _
kill $daemons
"""


@pytest.fixture
def logind(machine: UserManager) -> Iterator[None]:
    """A logind on that machine, which asks polkit who may let a systemd outlive its sessions."""
    shell = (*machine.entrance, "sh", "-c", LOGIND)
    with subprocess.Popen(
        shell, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as running:
        assert running.stdin is not None
        assert running.stderr is not None
        assert any(line == b"ready\n" for line in running.stderr)
        yield
        running.stdin.close()
        running.stderr.read()


@pytest.mark.deployment
@pytest.mark.real_server("polkitd")
async def test_without_a_unit_there_is_one_afterwards(
    aitui: CommandLine, machine: UserManager, logind: None
) -> None:
    machine.write_config(CONFIG)
    done = await aitui.run("setup", "unit", "--apply", "--yes")
    assert done.status == 0, done.err
    assert "✔ linger: on: it runs without a login" in done.err
    assert (machine.there / "var/lib/systemd/linger" / ACCOUNT).exists()
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
    script = printed.out.replace("loginctl", "true")  # none is there
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
