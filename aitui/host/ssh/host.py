"""A machine over SSH as the host: one connection for all calls, opened when first needed."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from msgspec.structs import replace

from aitui.aio import shield
from aitui.domain.sanitize import sanitize_line
from aitui.errors import HostError, HostTimedOut, HostUnreachable
from aitui.host.base import CommandResult, FileInfo
from aitui.host.ssh.address import SshAddress, SshConfigPaths, SshUser

if TYPE_CHECKING:
    from aitui.host.ssh.connection import SshConnection
    from aitui.host.ssh.files import SshFiles

FILE_SECONDS = 30.0
_CLEANUP_SECONDS = 5.0

_T = TypeVar("_T")


class SshHost:
    """The protocol `Host` over SSH, for the address in `ssh_host`.

    After a lost connection the next call opens a new one; calls that only read are repeated once.
    Raises HostError for an invalid address.
    """

    def __init__(self, address: str, user: SshUser, *, file_seconds: float = FILE_SECONDS) -> None:
        self._address = SshAddress.read(address)
        self.label = sanitize_line(address, 100)
        self._user = user
        self._file_seconds = file_seconds
        self._connection: SshConnection | None = None
        self._opening: asyncio.Task[SshConnection] | None = None
        self._remember_in: dict[str, Path | None] = {}
        self._is_closed = False

    @property
    def ssh_config(self) -> SshConfigPaths:
        """The SSH configuration that it uses."""
        return self._user.ssh_config

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connection, or stop opening it."""
        self._is_closed = True
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait({self._opening})
        await self._close_connection(self._connection)

    async def remember_host_key(self, line: str) -> None:
        """Trust a key from now on: the `line` of a HostKeyRefused, after the user compared it.

        It is added to the user's known_hosts file, unless the config keeps none. Raises HostError.
        """
        if line not in self._remember_in:
            raise HostError("That host key was not confirmed")
        self._user = replace(self._user, remembered=(*self._user.remembered, line))
        path = self._remember_in.pop(line)
        if path is None:
            return
        from aitui.host.ssh.known_hosts import append_line

        try:
            await asyncio.to_thread(append_line, path, line)
        except OSError as error:
            raise HostError(
                f"The host key can't be saved in {sanitize_line(str(path), 300)}",
                why=sanitize_line(error.strerror or str(error), 200),
                remedy="it is trusted until aitui ends",
            ) from error

    async def host_key(self) -> str:
        """Connect if necessary, and return the accepted host key: `algorithm SHA256:…`."""
        return (await self._get_connection()).host_key

    async def run(
        self, words: Sequence[str], *, seconds: float = 30.0, largest: int = 1 << 20
    ) -> CommandResult:
        """Run a command; the machine needs `sh`, which reads it from its standard input."""
        program = sanitize_line(words[0], 100)
        if any("\0" in word for word in words):
            raise HostError(f"Can't start {program}", why="a word contains a NUL")
        connection = await self._get_connection()
        try:
            async with asyncio.timeout(seconds):
                return await connection.translate_errors(
                    lambda connection: connection.run(words, largest)
                )
        except TimeoutError as error:
            raise HostTimedOut(
                f"{program} did not end within {seconds:g} seconds", why="it was stopped"
            ) from error
        except HostUnreachable:
            await self._close_connection(connection)
            raise

    async def facts(self, path: str) -> FileInfo:
        return await self._read_with_retry(path, lambda files: files.facts(path))

    async def resolve(self, path: str) -> str:
        return await self._read_with_retry(path, lambda files: files.resolve(path))

    async def read(self, path: str, *, start: int = 0, largest: int = 1 << 22) -> bytes:
        return await self._read_with_retry(path, lambda files: files.read(path, start, largest))

    async def list(self, folder: str) -> tuple[FileInfo, ...]:
        return await self._read_with_retry(folder, lambda files: files.list(folder))

    async def create(
        self, path: str, content: bytes, *, mode: int, belongs_to: tuple[int, int] | None = None
    ) -> None:
        await self._run_on_files(path, lambda files: files.create(path, content, mode, belongs_to))

    async def rename(self, path: str, onto: str) -> None:
        await self._run_on_files(onto, lambda files: files.rename(path, onto))

    async def remove(self, path: str) -> None:
        await self._run_on_files(path, lambda files: files.remove(path))

    async def _read_with_retry(self, path: str, work: Callable[["SshFiles"], Awaitable[_T]]) -> _T:
        """Do work that changes nothing, and repeat it once if an old connection was dead."""
        connection = self._connection
        try:
            return await self._run_on_files(path, work)
        except HostTimedOut:
            raise
        except HostUnreachable:
            if connection is None or self._connection is connection or self._is_closed:
                raise
        return await self._run_on_files(path, work)

    async def _run_on_files(self, path: str, work: Callable[["SshFiles"], Awaitable[_T]]) -> _T:
        async def with_files(connection: "SshConnection") -> _T:
            return await work(await connection.files())

        connection = await self._get_connection()
        task = asyncio.ensure_future(connection.translate_errors(with_files))
        try:
            done, _ = await asyncio.wait({task}, timeout=self._file_seconds)
        except asyncio.CancelledError:
            task.cancel()
            await shield(self._await_end(task, connection, _CLEANUP_SECONDS))
            raise
        if not done:
            await shield(self._await_end(task, connection, 0.0))
            raise HostTimedOut(
                f"{self.label} does not respond",
                why=f"no data about {sanitize_line(path, 300)} for {self._file_seconds:g} seconds",
            )
        try:
            return task.result()
        except HostUnreachable:
            await self._close_connection(connection)
            raise

    async def _await_end(
        self, task: "asyncio.Task[_T]", connection: "SshConnection", seconds: float
    ) -> None:
        """Give a task time to clean up, then close the connection, which ends anything that waits.

        The request may still be running over there, so the connection isn't used again.
        """
        _, pending = await asyncio.wait({task}, timeout=seconds)
        if pending:
            await self._close_connection(connection)
            task.cancel()
            await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # retrieved: the caller gets another error

    async def _get_connection(self) -> "SshConnection":
        """Return the connection, opened if there is none; concurrent calls share the opening."""
        while self._opening is None:
            if self._is_closed:
                raise HostUnreachable(f"The connection to {self.label} is closed")
            connection = self._connection
            if connection is not None and connection.is_open:
                return connection
            if connection is None:
                self._opening = asyncio.create_task(self._open(), name=f"ssh {self.label}")
                self._opening.add_done_callback(self._store_connection)
            else:
                await self._close_connection(connection)
        return await asyncio.shield(self._opening)

    async def _open(self) -> "SshConnection":
        # asyncssh costs as much to import as Textual: the screen would freeze.
        await asyncio.to_thread(import_module, "aitui.host.ssh.connection")
        from aitui.host.ssh.connection import HostKeyUnknown, open_connection

        try:
            return await open_connection(self._address, self._user, self.label)
        except HostKeyUnknown as error:
            if error.refusal.line:
                self._remember_in[error.refusal.line] = error.remember_in
            raise error.refusal from error

    def _store_connection(self, opening: "asyncio.Task[SshConnection]") -> None:
        self._opening = None
        if not opening.cancelled() and opening.exception() is None:
            self._connection = opening.result()

    async def _close_connection(self, connection: "SshConnection | None") -> None:
        if connection is None:
            return
        if self._connection is connection:
            self._connection = None
        await connection.close()
