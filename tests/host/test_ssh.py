"""The user's own SSH set-up against a real sshd: logins, ways, lost connections."""

import asyncio
import getpass
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import asyncssh
import pytest

from aitui.domain.server import Server
from aitui.errors import (
    FilePermissionDenied,
    HostError,
    HostFileError,
    HostKeyRefused,
    HostLoginRefused,
    HostTimedOut,
    HostUnreachable,
    SshKeyPassphraseNeeded,
)
from aitui.host.local import LocalHost
from aitui.host.opening import open_host
from aitui.host.ssh import SshHost
from aitui.host.ssh_user import Limits, SshPlace, SshUser
from host.conftest import make_place
from host.cutting import CuttingForwarder
from host.sshd import Sshd
from host.writing import NEW, OLD, config_on, names_in

pytestmark = pytest.mark.real_server("openssh-server")


def host_of(place: SshPlace, name: str = "box", **passphrases: str) -> SshHost:
    return SshHost(name, SshUser(place, passphrases))


def add_to_config(place: SshPlace, text: str) -> None:
    place.config.write_text(text + place.config.read_text())


async def is_there(host: SshHost) -> bool:
    return (await host.run(["echo", "there"])).output == b"there\n"


def logins(sshd: Sshd) -> int:
    return sshd.log.count("Accepted publickey")


Variant = Callable[..., AbstractAsyncContextManager[SshHost]]


@pytest.fixture
def variant(tmp_path: Path) -> Variant:
    """Starts another sshd that is set up in another way."""

    @asynccontextmanager
    async def start(**how: str) -> AsyncIterator[SshHost]:
        with Sshd(tmp_path / "other sshd".replace(" ", "-"), **how) as other:  # type: ignore[arg-type]
            async with host_of(make_place(tmp_path / "other-user", other)) as host:
                yield host

    (tmp_path / "other-sshd").mkdir()
    return start


async def test_an_alias_of_the_config_is_reached(place: SshPlace) -> None:
    async with host_of(place) as host:
        assert await is_there(host)


async def test_an_address_is_reached(place: SshPlace, sshd: Sshd) -> None:
    add_to_config(place, f"IdentityFile {sshd.key}\n")
    async with host_of(place, f"{getpass.getuser()}@127.0.0.1:{sshd.port}") as host:
        assert await is_there(host)


async def test_a_default_key_is_found(place: SshPlace, sshd: Sshd) -> None:
    (place.home / ".ssh" / "id_ed25519").write_bytes(sshd.key.read_bytes())
    async with host_of(place, f"{getpass.getuser()}@127.0.0.1:{sshd.port}") as host:
        assert await is_there(host)


async def test_all_calls_share_one_connection(place: SshPlace, sshd: Sshd, folder: Path) -> None:
    before = logins(sshd)
    async with host_of(place) as host:
        await asyncio.gather(*(host.run(["true"]) for _ in range(5)), host.list(str(folder)))
        await host.list(str(folder))
    assert logins(sshd) == before + 1


async def test_a_key_that_is_not_accepted(place: SshPlace, tmp_path: Path) -> None:
    other = tmp_path / "other_key"
    other.touch(mode=0o600)
    other.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    place.config.write_text(place.config.read_text().partition("  IdentityFile")[0])
    add_to_config(place, f"IdentityFile {other}\n")
    async with host_of(place) as host:
        with pytest.raises(HostLoginRefused) as caught:
            await host.run(["true"])
    assert "ssh-copy-id" in caught.value.remedy
    assert not isinstance(caught.value, SshKeyPassphraseNeeded)


async def test_too_many_keys_are_told(variant: Variant, tmp_path: Path) -> None:
    async with variant(more="MaxAuthTries 1") as host:
        config = tmp_path / "other-user" / ".ssh" / "config"
        for number in range(2):
            wrong = tmp_path / f"wrong {number}"
            wrong.touch(mode=0o600)
            wrong.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
            config.write_text(f'IdentityFile "{wrong}"\n{config.read_text()}')
        with pytest.raises(HostLoginRefused, match="too many keys"):
            await host.run(["true"])


@pytest.fixture
def locked_key(place: SshPlace, sshd: Sshd, tmp_path: Path) -> Path:
    """The key that logs in, encrypted, in the place of the plain one."""
    path = tmp_path / "locked_key"
    path.touch(mode=0o600)
    key = asyncssh.read_private_key(sshd.key)
    path.write_bytes(key.export_private_key(passphrase="right", rounds=16, ignore_few_rounds=True))
    place.config.write_text(place.config.read_text().replace(str(sshd.key), str(path)))
    return path


async def test_an_encrypted_key_asks_for_its_passphrase(place: SshPlace, locked_key: Path) -> None:
    async with host_of(place) as host:
        with pytest.raises(SshKeyPassphraseNeeded) as caught:
            await host.run(["true"])
    assert caught.value.path == str(locked_key)


async def test_an_encrypted_key_logs_in_with_its_passphrase(
    place: SshPlace, locked_key: Path
) -> None:
    async with SshHost("box", SshUser(place, {str(locked_key): "right"})) as host:
        assert await is_there(host)


async def test_a_wrong_passphrase_is_told(place: SshPlace, locked_key: Path) -> None:
    async with SshHost("box", SshUser(place, {str(locked_key): "wrong"})) as host:
        with pytest.raises(SshKeyPassphraseNeeded, match="passphrase is wrong"):
            await host.run(["true"])


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Path]:
    """A real agent without keys."""
    path = tmp_path / "agent"
    with subprocess.Popen(
        ["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            while not path.exists():
                assert process.poll() is None
            yield path
        finally:
            process.terminate()


@pytest.mark.parametrize("identities_only", [False, True])
async def test_a_key_of_the_agent_logs_in(
    place: SshPlace, sshd: Sshd, locked_key: Path, agent: Path, identities_only: bool
) -> None:
    key = asyncssh.read_private_key(sshd.key)
    async with asyncssh.connect_agent(str(agent)) as connected:
        await connected.add_keys([key])
    if identities_only:
        add_to_config(place, "IdentitiesOnly yes\n")
        Path(f"{locked_key}.pub").write_bytes(key.export_public_key())
    with_agent = SshPlace(place.home, place.config, str(agent), ())
    async with host_of(with_agent) as host:
        assert await is_there(host)


async def test_a_machine_is_reached_over_another(
    place: SshPlace, sshd: Sshd, tmp_path: Path
) -> None:
    with Sshd(make(tmp_path / "inner")) as inner:
        add_to_config(
            place,
            f"Host inner\n  HostName 127.0.0.1\n  Port {inner.port}\n  ProxyJump box\n"
            f"  User {getpass.getuser()}\n  IdentityFile {inner.key}\n",
        )
        known = place.home / ".ssh" / "known_hosts"
        known.write_text(f"{known.read_text()}{inner.known_line}\n")
        before = logins(sshd)
        async with host_of(place, "inner") as host:
            assert await is_there(host)
            assert (logins(sshd), logins(inner)) == (before + 1, 1)


async def test_the_host_key_of_a_machine_on_the_way_is_checked(
    place: SshPlace, sshd: Sshd, tmp_path: Path
) -> None:
    add_to_config(place, "Host inner\n  HostName 127.0.0.1\n  Port 9\n  ProxyJump box\n")
    (place.home / ".ssh" / "known_hosts").write_text("")
    async with host_of(place, "inner") as host:
        with pytest.raises(HostKeyRefused) as caught:
            await host.run(["true"])
        await host.remember_host_key(caught.value.line)
        with pytest.raises(HostUnreachable, match="The way to"):
            await host.run(["true"])


async def test_machines_that_lead_to_each_other_are_given_up(place: SshPlace) -> None:
    place.config.write_text("Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n")
    async with host_of(place, "a") as host:
        with pytest.raises(HostError, match="too many machines"):
            await host.run(["true"])


async def test_a_proxy_command_is_the_way(place: SshPlace, tmp_path: Path) -> None:
    relay = tmp_path / "relay.py"
    relay.write_text(
        "import os, socket, sys, threading\n"
        "s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "def back():\n"
        "    while data := s.recv(65536): os.write(1, data)\n"
        "    os._exit(0)\n"
        "threading.Thread(target=back, daemon=True).start()\n"
        "while data := os.read(0, 65536): s.sendall(data)\n"
    )
    add_to_config(place, f"ProxyCommand {sys.executable} {relay} %h %p\n")
    async with host_of(place) as host:
        assert await is_there(host)


async def test_a_lost_connection_is_opened_again(place: SshPlace, folder: Path) -> None:
    async with host_of(place) as host:
        with pytest.raises(HostUnreachable):
            await host.run(["sh", "-c", "kill -s KILL $PPID; sleep 20"])
        assert await host.list(str(folder)) == ()


async def test_looking_goes_on_where_the_connection_died_unnoticed(
    place: SshPlace, folder: Path
) -> None:
    (folder / "file").write_bytes(b"content")
    async with host_of(place) as host:
        number = int((await host.run(["sh", "-c", "echo $PPID"])).output)
        await host.list(str(folder))
        os.kill(number, signal.SIGKILL)
        assert await host.read(f"{folder}/file") == b"content"


async def test_a_server_that_is_gone_is_told_in_time(tmp_path: Path, folder: Path) -> None:
    with Sshd(make(tmp_path / "other")) as other:
        place = make_place(tmp_path / "other-user", other)
    async with host_of(place) as host:
        with pytest.raises(HostUnreachable, match="refuses the connection"):
            await host.list(str(folder))


async def test_a_server_that_never_speaks_is_given_up(place: SshPlace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"me@127.0.0.1:{listener.getsockname()[1]}"
        user = SshUser(place, {}, limits=Limits(connect=0.5, login=0.5))
        async with SshHost(address, user) as host:
            with pytest.raises(HostUnreachable):
                await host.run(["true"])


async def test_a_name_that_nobody_has_is_told(place: SshPlace) -> None:
    async with host_of(place, "me@no-such-machine.invalid") as host:
        with pytest.raises(HostUnreachable, match="There is no machine called"):
            await host.run(["true"])


async def test_a_cancelled_caller_leaves_the_connection_to_the_others(
    place: SshPlace, folder: Path
) -> None:
    async with host_of(place) as host:
        first = asyncio.create_task(host.list(str(folder)))
        second = asyncio.create_task(host.list(str(folder)))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == ()


async def test_a_closed_host_opens_nothing(place: SshPlace) -> None:
    host = host_of(place)
    async with host:
        pass
    with pytest.raises(HostUnreachable, match="closed"):
        await host.run(["true"])


async def test_closing_ends_an_opening(place: SshPlace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with host_of(place, f"me@127.0.0.1:{listener.getsockname()[1]}") as host:
            asked = asyncio.create_task(host.run(["true"]))
            await asyncio.sleep(0.1)
        with pytest.raises(asyncio.CancelledError):
            await asked


async def test_a_file_call_without_answer_is_given_up(place: SshPlace, folder: Path) -> None:
    async with SshHost("box", SshUser(place, {}), file_seconds=0.3) as host:
        await host.list(str(folder))
        number = int((await host.run(["sh", "-c", "echo $PPID"])).output)
        os.kill(number, signal.SIGSTOP)
        try:
            with pytest.raises(HostTimedOut):
                await host.list(str(folder))
            assert await host.list(str(folder)) == ()
        finally:
            os.kill(number, signal.SIGCONT)


async def test_a_command_over_a_line_that_fell_silent_is_given_up(
    place: SshPlace, sshd: Sshd
) -> None:
    async with CuttingForwarder(sshd.port, stalls=True) as line:
        for path in (place.config, place.home / ".ssh" / "known_hosts"):
            path.write_text(path.read_text().replace(str(sshd.port), str(line.port)))
        async with host_of(place) as host:
            await host.run(["true"])
            line.limit = line.passed
            with pytest.raises(HostTimedOut):
                await host.run(["true"], seconds=0.3)


async def test_a_server_without_sftp_still_runs_commands(variant: Variant, folder: Path) -> None:
    async with variant(sftp="") as host:
        with pytest.raises(HostError, match="has no SFTP"):
            await host.list(str(folder))
        assert await is_there(host)


@pytest.mark.parametrize("missing", ["posix-rename", "fsync"])
async def test_a_server_that_cannot_replace_a_file_is_refused(
    variant: Variant, folder: Path, missing: str
) -> None:
    path = folder / "config.yaml"
    path.write_bytes(OLD)
    async with variant(sftp=f"Subsystem sftp internal-sftp -P {missing}") as host:
        file = config_on(host, path)
        reading = await file.read()
        with pytest.raises(HostFileError) as caught:
            await file.write(reading, NEW)
    assert "internal-sftp" in caught.value.remedy
    assert path.read_bytes() == OLD
    assert names_in(folder) == {"config.yaml"}


async def test_a_server_that_only_reads_is_told(variant: Variant, folder: Path) -> None:
    path = folder / "config.yaml"
    path.write_bytes(OLD)
    async with variant(sftp="Subsystem sftp internal-sftp -R") as host:
        file = config_on(host, path)
        with pytest.raises(FilePermissionDenied, match="locking the file"):
            await file.write(await file.read(), NEW)
    assert path.read_bytes() == OLD


async def test_what_the_start_of_a_shell_writes_is_no_output(variant: Variant) -> None:
    noisy = 'ForceCommand sh -c \'echo "Welcome!"; eval "$SSH_ORIGINAL_COMMAND"\''
    async with variant(more=noisy) as host:
        assert (await host.run(["echo", "there"])).output == b"there\n"


async def test_a_config_that_can_not_be_read_is_told(place: SshPlace) -> None:
    place.config.write_text("Host box\n  Port many\n")
    async with host_of(place) as host:
        with pytest.raises(HostError, match="line 2"):
            await host.run(["true"])


@pytest.mark.parametrize("option", ["RevokedHostKeys /etc/revoked", "KnownHostsCommand /bin/x"])
async def test_what_must_not_be_overlooked_is_refused(place: SshPlace, option: str) -> None:
    add_to_config(place, f"  {option}\n")
    async with host_of(place) as host:
        with pytest.raises(HostError, match=option.partition(" ")[0]):
            await host.run(["true"])


async def test_what_must_not_be_overlooked_is_found_in_included_files(place: SshPlace) -> None:
    add_to_config(place, "Include conf.d/*.conf\n")
    (place.home / ".ssh" / "conf.d").mkdir()
    (place.home / ".ssh" / "conf.d" / "a.conf").write_text("RevokedHostKeys /etc/revoked\n")
    async with host_of(place) as host:
        with pytest.raises(HostError, match="RevokedHostKeys"):
            await host.run(["true"])


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_settings_without_a_host_lead_nowhere() -> None:
    assert open_host(Server("http://x", "x")) is None


def test_local_is_this_machine() -> None:
    assert isinstance(open_host(Server("http://x", "x", ssh_host="local")), LocalHost)


def test_anything_else_is_an_address() -> None:
    opened = open_host(Server("http://x", "x", ssh_host="me@there:2222"))
    assert isinstance(opened, SshHost)
    assert opened.label == "me@there:2222"
