"""The way to the machine over SSH, each step provoked to fail by itself."""

import asyncio
import getpass
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh
import pytest
from msgspec.structs import replace

from aitui.domain.checks import CheckStatus, exit_code
from aitui.domain.snapshot import Server
from aitui.host.ssh.address import SshConfigPaths
from host.conftest import make_place
from host.sshd import Sshd
from services.doctor.examined import examined
from services.doctor.machine_examined import machine_of

pytestmark = pytest.mark.real_server("openssh-server")

STEPS = ("SSH config", "SSH host name", "SSH port", "SSH host key", "SSH login", "SFTP")
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def lead_to(place: SshConfigPaths, lines: str) -> None:
    """Make the SSH config's `box` something else."""
    place.config.write_text(f"Host box\n{lines}")


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[int]:
    """A port where something else than sshd answers."""
    serving: set[asyncio.Task[None]] = set()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        await serve(reader, writer)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(served, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.wait_for(asyncio.gather(*serving), 10)


def children() -> set[str]:
    """The processes that were started from here and are still there."""
    return {
        number
        for path in Path("/proc/self/task").glob("*/children")
        for number in path.read_text().split()
    }


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def greeting_alone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-Hung\r\n")
    await silent(reader, writer)


async def web(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def known_hosts(place: SshConfigPaths) -> Path:
    return place.home / ".ssh" / "known_hosts"


async def test_a_good_way_is_described(box: Server, sshd: Sshd, user: SshConfigPaths) -> None:
    report = await machine_of(box)
    assert [report.status(name) for name in STEPS] == [CheckStatus.PASSED] * len(STEPS)
    assert report["SSH config"].seen == f"box is {getpass.getuser()}@127.0.0.1"
    assert report["SSH host name"].seen == "127.0.0.1 is 127.0.0.1"
    assert f"port {sshd.port} answers SSH-2.0-OpenSSH" in report["SSH port"].seen
    shown = sshd.host_key.get_fingerprint()
    assert report["SSH host key"].seen == f"known: ssh-ed25519 {shown}"
    assert f"keys tried: {sshd.key}; no agent" in report["SSH login"].seen
    assert str(sshd.home) in report["SFTP"].seen


async def test_one_connection_does_for_all_of_it(box: Server, sshd: Sshd) -> None:
    before = sshd.log.count("Accepted publickey")
    await machine_of(box)
    assert sshd.log.count("Accepted publickey") == before + 1


async def test_an_address_that_is_none(box: Server) -> None:
    report = await machine_of(replace(box, ssh_host="-oProxyCommand=x"))
    assert report.failed == ["machine"]
    assert "is not an SSH address" in report["machine"].seen


async def test_an_ssh_config_that_must_not_be_overlooked(box: Server, user: SshConfigPaths) -> None:
    user.config.write_text("KnownHostsCommand /bin/true\n")
    report = await machine_of(box)
    assert report.failed == ["SSH config"]
    assert "KnownHostsCommand is not supported" in report["SSH config"].seen
    assert {report.status(name) for name in STEPS[1:]} == {CheckStatus.OPEN}
    assert report.status("config file") is CheckStatus.OPEN
    assert report.status("unit") is CheckStatus.OPEN


async def test_a_name_that_nobody_knows(box: Server, user: SshConfigPaths) -> None:
    lead_to(user, "  HostName no-such-host.invalid\n")
    report = await machine_of(box)
    assert report.failed == ["SSH host name"]
    assert "There is no host named no-such-host.invalid" in report["SSH host name"].seen
    assert "HostName in ~/.ssh/config" in report["SSH host name"].remedy
    assert exit_code(report.checks) == 3


async def test_a_port_where_no_sshd_listens(box: Server, user: SshConfigPaths) -> None:
    lead_to(user, "  HostName 127.0.0.1\n  Port 9\n")
    report = await machine_of(box)
    assert report.failed == ["SSH port"]
    assert "127.0.0.1 port 9 refuses connections" in report["SSH port"].seen


async def test_a_port_where_something_else_listens(box: Server, user: SshConfigPaths) -> None:
    async with listening(web) as port:
        lead_to(user, f"  HostName 127.0.0.1\n  Port {port}\n")
        report = await machine_of(box)
    assert report.failed == ["SSH port"]
    assert "does not speak SSH" in report["SSH port"].seen


async def test_a_machine_that_hangs_before_its_greeting(box: Server, user: SshConfigPaths) -> None:
    async with listening(silent) as port:
        lead_to(user, f"  HostName 127.0.0.1\n  Port {port}\n")
        report = await machine_of(box, seconds=1.5)
    assert report.failed == ["SSH port"]
    assert "does not answer" in report["SSH port"].seen


async def test_a_machine_that_hangs_behind_its_greeting(box: Server, user: SshConfigPaths) -> None:
    async with listening(greeting_alone) as port:
        lead_to(user, f"  HostName 127.0.0.1\n  Port {port}\n")
        report = await machine_of(box, seconds=1.5)
    assert report["SSH port"].seen.endswith("answers SSH-2.0-Hung")
    assert report.status("SSH host key") is CheckStatus.OPEN
    assert report.failed == ["SSH login"]
    assert "box does not answer" in report["SSH login"].seen
    assert "box does not answer" in report["config file"].seen
    assert "box does not answer" in report["unit"].seen


async def test_an_unknown_host_key_is_told_and_not_remembered(
    box: Server, user: SshConfigPaths, sshd: Sshd
) -> None:
    known_hosts(user).write_text("")
    report = await machine_of(box)
    assert report.failed == ["SSH host key"]
    assert "is not known yet" in report["SSH host key"].seen
    assert sshd.host_key.get_fingerprint() in report["SSH host key"].seen
    assert "ssh box adds it" in report["SSH host key"].remedy
    assert known_hosts(user).read_text() == ""
    assert exit_code(report.checks) == 4


async def test_a_changed_host_key_is_told_apart(
    box: Server, user: SshConfigPaths, sshd: Sshd
) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    known_hosts(user).write_text(f"[127.0.0.1]:{sshd.port} {other}")
    report = await machine_of(box)
    assert report.failed == ["SSH host key"]
    assert "has CHANGED" in report["SSH host key"].seen
    assert "ssh-keygen -R" in report["SSH host key"].remedy
    assert report.status("SSH login") is CheckStatus.OPEN


async def test_a_login_that_accepts_none_of_our_keys(
    box: Server, user: SshConfigPaths, sshd: Sshd, tmp_path: Path
) -> None:
    strange = tmp_path / "strange"
    strange.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    lead_to(user, f"  HostName 127.0.0.1\n  Port {sshd.port}\n  IdentityFile {strange}\n")
    report = await machine_of(box)
    assert report.status("SSH host key") is CheckStatus.PASSED
    assert report.failed == ["SSH login"]
    assert "accepts none of your SSH keys" in report["SSH login"].seen
    assert f"keys tried: {strange}; no agent" in report["SSH login"].seen
    assert report["SSH login"].remedy == "ssh-copy-id box"


async def test_a_key_with_a_passphrase_is_told_and_not_asked_for(
    box: Server, user: SshConfigPaths, sshd: Sshd, tmp_path: Path
) -> None:
    locked = tmp_path / "locked"
    key = asyncssh.read_private_key(sshd.key)
    locked.write_bytes(key.export_private_key(passphrase="secret"))
    lead_to(user, f"  HostName 127.0.0.1\n  Port {sshd.port}\n  IdentityFile {locked}\n")
    report = await machine_of(box)
    assert report.failed == ["SSH login"]
    assert f"not tried because they need a passphrase: {locked}" in report["SSH login"].seen
    assert f"ssh-add {locked}" in report["SSH login"].remedy


async def test_an_agent_that_does_not_answer_is_named(
    box: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "gone"))
    report = await machine_of(box)
    assert f"the agent {tmp_path}/gone does not answer" in report["SSH login"].seen


async def test_a_machine_without_file_transfer(
    box: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bare"
    folder.mkdir()
    with Sshd(folder, sftp="") as bare:
        monkeypatch.setenv("HOME", str(tmp_path / "other user"))
        make_place(tmp_path / "other user", bare)
        report = await machine_of(box)
    assert report.status("SSH login") is CheckStatus.PASSED
    assert report.failed == ["SFTP"]
    assert "Subsystem sftp internal-sftp" in report["SFTP"].remedy


async def test_over_another_machine_the_first_one_is_looked_at(
    box: Server, user: SshConfigPaths, sshd: Sshd
) -> None:
    user.config.write_text(
        f"{user.config.read_text()}Host inner\n  HostName 127.0.0.1\n  Port {sshd.port}\n"
        f"  ProxyJump box\n  User {getpass.getuser()}\n  IdentityFile {sshd.key}\n"
    )
    report = await machine_of(replace(box, ssh_host="inner"))
    assert report["SSH config"].seen.endswith("127.0.0.1, via box")
    assert report.status("SSH port") is CheckStatus.PASSED
    assert report.status("SFTP") is CheckStatus.PASSED


async def test_behind_a_command_nothing_is_looked_at_before_the_login(
    box: Server, user: SshConfigPaths, sshd: Sshd
) -> None:
    with user.config.open("a") as config:
        config.write("  ProxyCommand sh -c 'exec 3<>/dev/null'\n")
    before = children()
    report = await machine_of(box, seconds=5)
    async with asyncio.timeout(10):
        while children() - before:
            await asyncio.sleep(0.02)
    assert report.status("SSH host name") is CheckStatus.OPEN
    assert "ProxyCommand" in report["SSH port"].seen
    assert report.failed == ["SSH login"]


async def test_on_this_machine_there_is_no_way_to_look_at(local: Server) -> None:
    report = await machine_of(local)
    assert not [name for name in STEPS if name in report]
    assert report.status("config file") is CheckStatus.PASSED


async def test_without_a_host_one_line_says_how_to_set_it(server: Server) -> None:
    report = await examined(server)
    assert report.status("machine") is CheckStatus.OPEN
    assert "AI_SERVER_SSH_HOST" in report["machine"].remedy
    assert "config file" not in report
    assert "unit" not in report
