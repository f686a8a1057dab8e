"""What a login's shell writes by itself decides neither whom a kill reaches nor what comes back."""

import asyncio
import os
import re
import shlex
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncssh
import pytest
from asyncssh import SSHServerProcess

from aitui.errors import HostTimedOut
from aitui.host.base import Host, MarkedOutput
from aitui.host.ssh.address import SshConfigPaths, SshUser
from aitui.host.ssh.host import SshHost

FORMER_MARK = "aitui-started-4f1c9d"
_MARK = re.compile(r'echo "([^"$]+) \$\$"')


class TalkativeServer:
    """An SSH server that runs commands in a real shell, after what `says` makes of each.

    A kill is kept in `kills` and never run: before it was mended it would have ended this machine's
    every process. `replaces` puts something in the place of the number that the shell tells.
    """

    def __init__(self) -> None:
        self.says: Callable[[str], str] = lambda _: ""
        self.replaces: str | None = None
        self.kills: list[list[str]] = []
        self.marks: list[str] = []
        self.running: dict[int, asyncio.Task[None]] = {}

    async def serve(self, process: SSHServerProcess[bytes]) -> None:
        """Answer one command."""
        command = process.command or ""
        if "kill " in command:
            self.kills.append(shlex.split(command))
            process.exit(0)
            return
        assert command == "exec sh"
        command = (await process.stdin.read()).decode()
        mark = _MARK.search(command)
        assert mark is not None
        self.marks.append(mark[1])
        process.stdout.write(self.says(mark[1]).encode())
        if self.replaces is not None:
            command = command.replace("$$", self.replaces)
        local = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.running[local.pid] = asyncio.create_task(_relay(local, process))

    async def end(self) -> None:
        """End what no kill has ended."""
        for group, relaying in self.running.items():
            if not relaying.done():
                os.killpg(group, signal.SIGKILL)
            await relaying


async def _relay(local: asyncio.subprocess.Process, process: SSHServerProcess[bytes]) -> None:
    assert local.stdout is not None
    while data := await local.stdout.read(1 << 16):
        with suppress(BrokenPipeError):  # the other side has had enough
            process.stdout.write(data)
    status = await local.wait()
    process.exit(max(status, 0))


@pytest.fixture
def server() -> TalkativeServer:
    return TalkativeServer()


@pytest.fixture
async def host(server: TalkativeServer, tmp_path: Path) -> AsyncIterator[Host]:
    async with reached(server, tmp_path) as there:
        yield there


@asynccontextmanager
async def reached(server: TalkativeServer, home: Path) -> AsyncIterator[SshHost]:
    folder = home / ".ssh"
    folder.mkdir(mode=0o700)
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    login = asyncssh.generate_private_key("ssh-ed25519")
    identity = folder / "login"
    identity.touch(mode=0o600)
    identity.write_bytes(login.export_private_key())
    public = folder / "login.pub"
    public.write_bytes(login.export_public_key())
    listening = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[host_key],
        authorized_client_keys=str(public),
        process_factory=server.serve,
        encoding=None,
    )
    port = listening.get_port()
    (folder / "config").write_text(
        f"Host box\n  HostName 127.0.0.1\n  Port {port}\n  User somebody\n"
        f"  IdentityFile {identity}\n"
    )
    (folder / "known_hosts").write_text(
        f"[127.0.0.1]:{port} {host_key.export_public_key().decode()}"
    )
    place = SshConfigPaths(home, folder / "config", agent="", system=None)
    try:
        async with SshHost("box", SshUser(place, {})) as there:
            yield there
    finally:
        await server.end()
        listening.close()
        await listening.wait_closed()


async def run_too_long(host: Host) -> None:
    with pytest.raises(HostTimedOut):
        await host.run(["sleep", "600"], seconds=0.5)


BANNERS = [
    "",
    "Welcome!\n",
    "Last login: never",
    f"{FORMER_MARK} 1\n",
    f"{FORMER_MARK} 1\n{FORMER_MARK} 4711\n",
    f"{FORMER_MARK} 0\n",
    "x" * 200_000,
    "\0\xff\r\n\r",
]


@pytest.mark.parametrize("banner", BANNERS, ids=range(len(BANNERS)))
async def test_a_kill_reaches_the_command_and_nobody_else(
    host: Host, server: TalkativeServer, banner: str
) -> None:
    server.says = lambda _: banner
    await run_too_long(host)
    (group,) = server.running
    assert [kill[-1].rpartition("-")[2] for kill in server.kills] == [str(group)]


@pytest.mark.parametrize("banner", BANNERS, ids=range(len(BANNERS)))
async def test_what_the_shell_writes_before_the_command_is_no_output(
    host: Host, server: TalkativeServer, banner: str
) -> None:
    server.says = lambda _: banner
    finished = await host.run(["id", "-u"])
    assert finished.stdout == f"{os.getuid()}\n".encode()
    assert not finished.is_truncated


@pytest.mark.parametrize(
    "number", ["1", "0", "-1", "-4711", "00", "0001", "+1", "2147483648", "9" * 40, "1e3", ""]
)
async def test_a_number_that_no_command_has_is_never_killed(
    host: Host, server: TalkativeServer, number: str
) -> None:
    server.replaces = number
    await run_too_long(host)
    assert server.kills == []


async def test_a_cancelled_command_is_not_ended_by_a_forged_number(
    host: Host, server: TalkativeServer
) -> None:
    server.says = lambda _: f"{FORMER_MARK} 1\n"
    running = asyncio.create_task(host.run(["sleep", "600"]))
    while not server.running:
        await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [kill[-1].rpartition("-")[2] for kill in server.kills] == [
        str(group) for group in server.running
    ]


async def test_a_number_that_is_not_killed_is_no_output(
    host: Host, server: TalkativeServer
) -> None:
    server.replaces = "1"
    assert (await host.run(["echo", "there"])).stdout == b"there\n"


async def test_each_command_has_a_mark_of_its_own(host: Host, server: TalkativeServer) -> None:
    for _ in range(3):
        await host.run(["true"])
    assert len(set(server.marks)) == 3
    assert all(re.search(r"[0-9a-f]{32}", mark) for mark in server.marks)


async def test_a_command_that_writes_what_marks_look_like_is_left_alone(host: Host) -> None:
    said = f"{FORMER_MARK} 1\n"
    assert (await host.run(["printf", "%s", said])).stdout == said.encode()


async def test_a_shell_that_does_not_start_the_command_is_quoted(
    host: Host, server: TalkativeServer
) -> None:
    # As nologin has it, which writes to its output and never runs anything.
    server.says = lambda _: "This account is not available"
    server.replaces = "$(exit)"
    assert b"not available" in (await host.run(["true"])).stdout


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_a_mark_is_found_however_it_is_cut(size: int) -> None:
    started = MarkedOutput("mark-1", 100)
    output = b"noise mark-1 mark-1 4711\r\nout\nmark-1 1\n"
    for start in range(0, len(output), size):
        started.add(output[start : start + size])
    assert started.number == 4711
    assert started.content == b"out\nmark-1 1\n"


def test_what_comes_without_a_mark_takes_no_more_room_than_is_kept() -> None:
    started = MarkedOutput("mark-1", 100)
    for _ in range(1000):
        started.add(b"n" * 10_000)
    assert started.content == b"n" * 100
    assert started.is_truncated
    started.add(b"mark-1 4711\nout")
    assert (started.number, started.content, started.is_truncated) == (4711, b"out", False)
