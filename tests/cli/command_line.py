"""Runs aitui as its users do: a process of its own, against a server on a real socket."""

import asyncio
import contextlib
import os
import pty
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aitui.domain.snapshot import Server

LIMIT = 30.0


@dataclass(frozen=True)
class Outcome:
    """How a process ended, and what it said."""

    status: int
    out: str
    err: str


@dataclass
class CommandLine:
    """A home of its own, and the settings of one server in the environment."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def towards(cls, server: Server, home: Path) -> "CommandLine":
        """A user whose environment describes that server."""
        files = {
            "AI_SERVER_CA": server.ca,
            "AI_SERVER_CLIENT_CERT": server.client_cert,
            "AI_SERVER_CLIENT_KEY": server.client_key,
        }
        variables = {name: str(path) for name, path in files.items() if path is not None}
        return cls(home, {"AI_SERVER_URL": server.url, **variables})

    async def start(self, *arguments: str, stdout: int = PIPE) -> Process:
        """Start aitui; nobody sits at its standard input."""
        return await self._start(arguments, stdin=DEVNULL, stdout=stdout, stderr=PIPE)

    async def _start(
        self,
        arguments: Sequence[str],
        *,
        stdin: int,
        stdout: int,
        stderr: int,
        program: Sequence[str] = ("-W", "default", "-m", "aitui"),
    ) -> Process:
        inherited = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *program,
            *arguments,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env={**inherited, "HOME": str(self.home), **self.environment},
            start_new_session=True,
        )

    @contextlib.asynccontextmanager
    async def at_terminal(
        self, *arguments: str, program: Sequence[str] = ("-W", "default", "-m", "aitui")
    ) -> AsyncIterator[tuple[Process, int]]:
        """Start aitui on a pseudo-terminal; yields the process and the terminal's other end.

        `program` is what Python runs instead of it.
        """
        ours, theirs = pty.openpty()
        process = await self._start(
            arguments, stdin=theirs, stdout=PIPE, stderr=theirs, program=program
        )
        os.close(theirs)
        try:
            yield process, ours
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()
            os.close(ours)

    async def run(self, *arguments: str) -> Outcome:
        """Run aitui to its end."""
        return await finish(await self.start(*arguments))


async def finish(process: Process) -> Outcome:
    """Wait for the end of a process; kill it when that takes too long."""
    try:
        async with asyncio.timeout(LIMIT):
            out, err = await process.communicate()
    except BaseException:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    assert process.returncode is not None
    return Outcome(process.returncode, (out or b"").decode(), err.decode())


def interrupt(process: Process) -> None:
    """What ^C does."""
    process.send_signal(signal.SIGINT)


async def read_until(terminal: int, text: str) -> str:
    """What the terminal shows, up to and including that text."""
    loop = asyncio.get_running_loop()
    shown = ""
    async with asyncio.timeout(LIMIT):
        while text not in shown:
            there = asyncio.Event()
            loop.add_reader(terminal, there.set)
            try:
                await there.wait()
            finally:
                loop.remove_reader(terminal)
            shown += os.read(terminal, 65536).decode()
    return shown


async def status_of(process: Process) -> int:
    """How a process ends that is about to."""
    async with asyncio.timeout(LIMIT):
        return await process.wait()
