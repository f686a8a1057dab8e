"""The SSH server of the demo's machine, which breaks the steps that a fault names.

It is asyncssh's own server: commands on channels, SFTP with real files. A step is one call of
either, or a connection.
"""

import asyncio
import inspect
import os
import re
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from asyncssh import SFTPFailure, SFTPServer, SSHServerChannel, SSHServerProcess
from msgspec.structs import replace

from aitui.demo.shell_commands import ShellResult
from aitui.demo.ssh_host import CommandHandler, DemoSshServer, SshSetup, _write_key
from aitui.demo.unit import HOME


@dataclass(frozen=True)
class Step:
    """One call of the client, and what does it for real."""

    gateway: "HostGateway"
    line: str
    perform: Callable[[], Awaitable[Any]]
    process: SSHServerProcess[bytes] | None = None
    perform_half: Callable[[], Awaitable[Any]] | None = None
    """Does half of it, of what has halves."""

    async def hold(self) -> NoReturn:
        """Do nothing more; a connection meets instead what is done to all of them by now."""
        if self.line != "connect":
            await self.gateway.hold()
        if self.gateway.is_listening:
            await self.perform()
        raise SFTPFailure("it was broken")


Fault = Callable[[Step], Awaitable[Any]]


class HostGateway(DemoSshServer):
    """Lists what it is asked in `asked`; `file` is the config file, as this machine has it."""

    def __init__(self, folder: Path, root: Path, answer: CommandHandler, file: Path) -> None:
        super().__init__(folder, root, answer)
        self.file = file
        self.asked: list[str] = []
        self.broken = 0
        """How many steps met the fault."""
        self.is_full = False
        self._pattern: re.Pattern[str] | None = None
        self._fault: Fault | None = None
        self._greeting: Callable[[socket.socket], Awaitable[None]] | None = None
        self._held = asyncio.Event()
        self._true_setup: SshSetup | None = None

    async def __aexit__(self, *error: object) -> None:
        """Heal what a test left broken: a port that is closed can't be closed."""
        self.heal()
        await super().__aexit__(*error)

    @property
    def is_listening(self) -> bool:
        """Whether its port is open."""
        return self._socket is not None and self._socket.fileno() >= 0

    def break_steps(self, pattern: str, fault: Fault) -> None:
        """Break the steps that match from now on."""
        self._pattern, self._fault, self.broken = re.compile(pattern), fault, 0

    def heal(self) -> None:
        """Do everything again, on new connections."""
        self._pattern = self._fault = self._greeting = None
        self.is_full = False
        self._held.set()
        self._held = asyncio.Event()
        if self._true_setup is not None:
            self.setup, self._true_setup = self._true_setup, None
        if not self.is_listening:
            self._listen_again()

    def age_locks(self, seconds: float) -> None:
        """Let locks be as old as the idle time that has passed: their age is that of files."""
        for lock in self.file.parent.glob(".*-lock"):
            modified = lock.stat().st_mtime - seconds
            os.utime(lock, (modified, modified))

    async def hold(self) -> NoReturn:
        """Do nothing until everything is healed, and never the step."""
        await self._held.wait()
        raise SFTPFailure("it was broken")

    async def drop(self) -> None:
        """Break every connection."""
        for connection in list(self._connections):
            connection.abort()
        await asyncio.sleep(0)

    async def refuse(self) -> None:
        """Close the port, and every connection."""
        assert self._socket is not None
        self._port = self._socket.getsockname()[1]
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        await self.drop()

    async def greet(self, how: Callable[[socket.socket], Awaitable[None]]) -> None:
        """Break every connection, and treat new ones in that way instead of as SSH does."""
        self._greeting = how
        await self.drop()

    async def change_keys(self, *, host: bool) -> None:
        """Break every connection; present another host key, or accept another login only."""
        self._true_setup = self.setup
        other = self.setup.home.parent / "another_key"
        if not other.exists():
            _write_key(other)
        self.setup = (
            replace(self.setup, host_key=other) if host else replace(self.setup, identity=other)
        )
        await self.drop()

    async def step(self, step: Step) -> Any:
        """Do a step, or break it."""
        self.asked.append(step.line)
        if self._fault is None or not self._pattern or not self._pattern.match(step.line):
            return await step.perform()
        self.broken += 1
        return await self._fault(step)

    def _listen_again(self) -> None:
        self._socket = listening = socket.create_server(("127.0.0.1", self._port), backlog=16)
        listening.setblocking(False)
        asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    async def _serve(self, caller: socket.socket) -> None:
        try:
            if self._greeting is not None:
                await self._greeting(caller)
            else:
                await self.step(Step(self, "connect", lambda: self._serve_as_it_is(caller)))
        except (OSError, SFTPFailure):
            pass  # the client had enough of it, or it is healed
        finally:
            if caller in self._callers:
                self._callers.discard(caller)
                caller.close()

    async def _serve_as_it_is(self, caller: socket.socket) -> None:
        if self._greeting is not None:
            await self._greeting(caller)
        else:
            await super()._serve(caller)

    async def _run(self, process: SSHServerProcess[bytes]) -> None:
        command = process.command or ""
        if command == "exec sh":
            command = (await process.stdin.read()).decode()
        step = Step(self, f"run {command}", lambda: self._run_command(command), process)
        with suppress(BrokenPipeError, ConnectionError, SFTPFailure):
            reply: ShellResult = await self.step(step)
            process.stdout.write(reply.stdout.encode())
            process.stderr.write(reply.stderr.encode())
            process.exit(reply.status)

    def _files(self, channel: SSHServerChannel[bytes]) -> SFTPServer:
        return SteppedFiles(channel, str(self._root).encode(), self)


async def _await(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


class SteppedFiles(SFTPServer):
    """SFTP below one folder, each call of which is a step."""

    def __init__(self, channel: SSHServerChannel[bytes], root: bytes, gateway: HostGateway) -> None:
        super().__init__(channel, chroot=root)
        self._gateway = gateway
        self._names: dict[int, str] = {}
        self._opened: list[Any] = []

    def exit(self) -> None:
        """Close every file, also one of which the client never heard."""
        for file in self._opened:
            file.close()

    def map_path(self, path: bytes) -> bytes:
        """Resolve a relative path at the home directory."""
        return super().map_path(HOME.encode() + b"/" + path if not path.startswith(b"/") else path)

    async def _step(
        self,
        line: str,
        method: Callable[..., Any],
        *arguments: Any,
        half: tuple[Any, ...] | None = None,
    ) -> Any:
        async def perform() -> Any:
            return await _await(method(*arguments))

        async def perform_half() -> Any:
            return await _await(method(*(half or arguments)))

        step = Step(self._gateway, line, perform, perform_half=perform_half if half else None)
        return await self._gateway.step(step)

    async def lstat(self, path: bytes) -> Any:
        return await self._step(f"lstat {path.decode()}", super().lstat, path)

    async def stat(self, path: bytes) -> Any:
        return await self._step(f"stat {path.decode()}", super().stat, path)

    async def realpath(self, path: bytes) -> Any:
        return await self._step(f"realpath {path.decode()}", super().realpath, path)

    async def open(self, path: bytes, pflags: int, attrs: Any) -> Any:
        kind = "create" if pflags & 0x08 else "open"
        opening = super().open

        def open_noted(*arguments: Any) -> Any:
            self._opened.append(opening(*arguments))
            return self._opened[-1]

        file = await self._step(f"{kind} {path.decode()}", open_noted, path, pflags, attrs)
        self._names[id(file)] = path.decode()
        return file

    async def read(self, file_obj: Any, offset: int, size: int) -> Any:
        line = f"read {self._names.get(id(file_obj), '')}"
        return await self._step(
            line, super().read, file_obj, offset, size, half=(file_obj, offset, 100)
        )

    async def write(self, file_obj: Any, offset: int, data: bytes) -> Any:
        line = f"write {self._names.get(id(file_obj), '')}"
        half = (file_obj, offset, data[: len(data) // 2])
        return await self._step(line, super().write, file_obj, offset, data, half=half)

    async def fsync(self, file_obj: Any) -> Any:
        return await self._step(
            f"fsync {self._names.get(id(file_obj), '')}", super().fsync, file_obj
        )

    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> Any:
        line = f"rename {oldpath.decode()} {newpath.decode()}"
        return await self._step(line, super().posix_rename, oldpath, newpath)

    async def remove(self, path: bytes) -> Any:
        return await self._step(f"remove {path.decode()}", super().remove, path)

    async def statvfs(self, path: bytes) -> Any:
        found = await _await(super().statvfs(path))
        if not self._gateway.is_full:
            return found
        return os.statvfs_result((*found[:3], 0, 0, *found[5:], found.f_fsid))
