"""The user's own SSH set-up against a real sshd: logins, ways, lost connections."""

import asyncio
import getpass
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from aitui.domain.snapshot import Server
from aitui.errors import HostError, HostKeyRefused, HostTimedOut, HostUnreachable
from aitui.host.local import LocalHost
from aitui.host.open import open_host
from aitui.host.ssh.address import SshConfigPaths, SshTimeouts, SshUser
from aitui.host.ssh.host import SshHost
from aitui.host.ssh.route import resolve_route
from host.conftest import make_place
from host.cutting import CuttingForwarder
from host.reaching import add_to_config, host_of, is_there
from host.sshd import Sshd

pytestmark = pytest.mark.real_server("openssh-server")


def logins(sshd: Sshd) -> int:
    return sshd.log.count("Accepted publickey")


async def test_an_alias_of_the_config_is_reached(place: SshConfigPaths) -> None:
    async with host_of(place) as host:
        assert await is_there(host)


async def test_an_address_is_reached(place: SshConfigPaths, sshd: Sshd) -> None:
    add_to_config(place, f"IdentityFile {sshd.key}\n")
    async with host_of(place, f"{getpass.getuser()}@127.0.0.1:{sshd.port}") as host:
        assert await is_there(host)


async def test_a_default_key_is_found(place: SshConfigPaths, sshd: Sshd) -> None:
    (place.home / ".ssh" / "id_ed25519").write_bytes(sshd.key.read_bytes())
    async with host_of(place, f"{getpass.getuser()}@127.0.0.1:{sshd.port}") as host:
        assert await is_there(host)


async def test_all_calls_share_one_connection(
    place: SshConfigPaths, sshd: Sshd, folder: Path
) -> None:
    before = logins(sshd)
    async with host_of(place) as host:
        await asyncio.gather(*(host.run(["true"]) for _ in range(5)), host.list(str(folder)))
        await host.list(str(folder))
    assert logins(sshd) == before + 1


async def test_a_machine_is_reached_over_another(
    place: SshConfigPaths, sshd: Sshd, tmp_path: Path
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
    place: SshConfigPaths, sshd: Sshd, tmp_path: Path
) -> None:
    add_to_config(place, "Host inner\n  HostName 127.0.0.1\n  Port 9\n  ProxyJump box\n")
    (place.home / ".ssh" / "known_hosts").write_text("")
    async with host_of(place, "inner") as host:
        with pytest.raises(HostKeyRefused) as caught:
            await host.run(["true"])
        await host.remember_host_key(caught.value.line)
        with pytest.raises(HostUnreachable, match="The route to"):
            await host.run(["true"])


async def test_machines_that_lead_to_each_other_are_given_up(place: SshConfigPaths) -> None:
    place.config.write_text("Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n")
    async with host_of(place, "a") as host:
        with pytest.raises(HostError, match="too many hops"):
            await host.run(["true"])


async def test_a_proxy_command_is_the_way(place: SshConfigPaths, tmp_path: Path) -> None:
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


async def test_a_lost_connection_is_opened_again(place: SshConfigPaths, folder: Path) -> None:
    async with host_of(place) as host:
        with pytest.raises(HostUnreachable):
            await host.run(["sh", "-c", "kill -s KILL $PPID; sleep 20"])
        assert await host.list(str(folder)) == ()


async def test_looking_goes_on_where_the_connection_died_unnoticed(
    place: SshConfigPaths, folder: Path
) -> None:
    (folder / "file").write_bytes(b"content")
    async with host_of(place) as host:
        number = int((await host.run(["sh", "-c", "echo $PPID"])).stdout)
        await host.list(str(folder))
        os.kill(number, signal.SIGKILL)
        assert await host.read(f"{folder}/file") == b"content"


async def test_a_server_that_is_gone_is_told_in_time(tmp_path: Path, folder: Path) -> None:
    with Sshd(make(tmp_path / "other")) as other:
        place = make_place(tmp_path / "other-user", other)
    async with host_of(place) as host:
        with pytest.raises(HostUnreachable, match="refuses the connection"):
            await host.list(str(folder))


async def test_a_server_that_never_speaks_is_given_up(place: SshConfigPaths) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"me@127.0.0.1:{listener.getsockname()[1]}"
        user = SshUser(place, {}, limits=SshTimeouts(connect=0.5, login=0.5))
        async with SshHost(address, user) as host:
            with pytest.raises(HostUnreachable):
                await host.run(["true"])


async def test_a_name_that_nobody_has_is_told(place: SshConfigPaths) -> None:
    async with host_of(place, "me@no-such-machine.invalid") as host:
        with pytest.raises(HostUnreachable, match="There is no host named"):
            await host.run(["true"])


async def test_a_cancelled_caller_leaves_the_connection_to_the_others(
    place: SshConfigPaths, folder: Path
) -> None:
    async with host_of(place) as host:
        first = asyncio.create_task(host.list(str(folder)))
        second = asyncio.create_task(host.list(str(folder)))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == ()


async def test_a_closed_host_opens_nothing(place: SshConfigPaths) -> None:
    host = host_of(place)
    async with host:
        pass
    with pytest.raises(HostUnreachable, match="closed"):
        await host.run(["true"])


async def test_closing_ends_an_opening(place: SshConfigPaths) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with host_of(place, f"me@127.0.0.1:{listener.getsockname()[1]}") as host:
            asked = asyncio.create_task(host.run(["true"]))
            await asyncio.sleep(0.1)
        with pytest.raises(asyncio.CancelledError):
            await asked


async def test_a_file_call_without_answer_is_given_up(place: SshConfigPaths, folder: Path) -> None:
    async with SshHost("box", SshUser(place, {}), file_seconds=0.3) as host:
        await host.list(str(folder))
        number = int((await host.run(["sh", "-c", "echo $PPID"])).stdout)
        os.kill(number, signal.SIGSTOP)
        try:
            with pytest.raises(HostTimedOut):
                await host.list(str(folder))
            assert await host.list(str(folder)) == ()
        finally:
            os.kill(number, signal.SIGCONT)


async def test_a_command_over_a_line_that_fell_silent_is_given_up(
    place: SshConfigPaths, sshd: Sshd
) -> None:
    async with CuttingForwarder(sshd.port, stalls=True) as line:
        for path in (place.config, place.home / ".ssh" / "known_hosts"):
            path.write_text(path.read_text().replace(str(sshd.port), str(line.port)))
        async with host_of(place) as host:
            await host.run(["true"])
            line.limit = line.passed
            with pytest.raises(HostTimedOut):
                await host.run(["true"], seconds=0.3)


async def test_a_config_that_can_not_be_read_is_told(place: SshConfigPaths) -> None:
    place.config.write_text("Host box\n  Port many\n")
    async with host_of(place) as host:
        with pytest.raises(HostError, match="line 2"):
            await host.run(["true"])


async def test_the_final_pass_leads_to_the_same_machine(place: SshConfigPaths, sshd: Sshd) -> None:
    place.config.write_text(
        "Host gpu # the barn\n  HostName 127.0.0.1 # by cable\n"
        f"Match final host 127.0.0.1 # whoever\n  Port {sshd.port} # not 22\n"
        f"  IdentityFile {sshd.key} # mine\n"
    )
    route = await resolve_route(f"{getpass.getuser()}@gpu", place)
    assert (route.port, route.keys) == (sshd.port, (str(sshd.key),))
    async with host_of(place, f"{getpass.getuser()}@gpu") as host:
        assert await is_there(host)


@pytest.mark.parametrize("option", ["RevokedHostKeys /etc/revoked", "KnownHostsCommand /bin/x"])
async def test_what_must_not_be_overlooked_is_refused(place: SshConfigPaths, option: str) -> None:
    add_to_config(place, f"  {option}\n")
    async with host_of(place) as host:
        with pytest.raises(HostError, match=option.partition(" ")[0]):
            await host.run(["true"])


async def test_what_must_not_be_overlooked_is_found_in_included_files(
    place: SshConfigPaths,
) -> None:
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
