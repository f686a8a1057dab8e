"""This machine as the host: the server runs where aitui runs."""

import asyncio
import errno
import os
import signal
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self, TypeVar

from aitui.aio import shield
from aitui.domain.sanitize import sanitize_line
from aitui.errors import (
    FileAlreadyExists,
    FilePermissionDenied,
    HostError,
    HostFileError,
    HostTimedOut,
    NoSuchFile,
)
from aitui.host.base import (
    LARGEST_FOLDER,
    PATH_REMEDY,
    WRITE_REMEDY,
    BoundedOutput,
    CommandResult,
    FileInfo,
    disk_full_error,
    display_path,
    file_kind,
)

FILE_SECONDS = 30.0
_MISSING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})

_T = TypeVar("_T")


class LocalHost:
    """The protocol `Host` on this machine; `home` is what `~/` means."""

    def __init__(self, home: Path | None = None, *, file_seconds: float = FILE_SECONDS) -> None:
        self._home = Path.home() if home is None else home
        self._file_seconds = file_seconds

        self.label = "this machine"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close nothing: nothing is open."""

    async def run(
        self, words: Sequence[str], *, seconds: float = 30.0, largest: int = 1 << 20
    ) -> CommandResult:
        program = sanitize_line(words[0], 100)
        try:
            return await _run_subprocess(words, self._home, seconds, largest)
        except TimeoutError as error:
            raise HostTimedOut(
                f"{program} did not end within {seconds:g} seconds", why="it was stopped"
            ) from error
        except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
            if error.filename == str(self._home):
                raise _start_error(program, error) from error
            # The statuses that a shell would return.
            status = 126 if isinstance(error, PermissionError) else 127
            stderr = f"{words[0]}: {error.strerror}\n".encode(errors="replace")
            return CommandResult(status, stderr=stderr)
        except (OSError, ValueError) as error:
            raise _start_error(program, error) from error

    async def facts(self, path: str) -> FileInfo:
        expanded = self._expand_path(path)
        return await self._run_in_thread(
            "look at", path, lambda: file_facts(expanded.name, expanded.lstat())
        )

    async def resolve(self, path: str) -> str:
        expanded = self._expand_path(path)
        try:
            return await self._run_in_thread(
                "find", path, lambda: os.path.realpath(expanded, strict=True)
            )
        except NoSuchFile as error:
            if expanded != self._home:
                raise
            raise NoSuchFile(
                f"There is no home directory {display_path(str(self._home))}",
                why=error.why,
                remedy="set HOME to a directory that exists",
            ) from error

    async def read(self, path: str, *, start: int = 0, largest: int = 1 << 22) -> bytes:
        expanded = self._expand_path(path)
        return await self._run_in_thread("read", path, lambda: read_part(expanded, start, largest))

    async def list(self, folder: str) -> tuple[FileInfo, ...]:
        expanded = self._expand_path(folder)
        return await self._run_in_thread("list", folder, lambda: list_folder(expanded))

    async def create(
        self, path: str, content: bytes, *, mode: int, belongs_to: tuple[int, int] | None = None
    ) -> None:
        expanded = self._expand_path(path)
        await self._run_in_thread(
            "write", path, lambda: create_file(expanded, content, mode, belongs_to)
        )

    async def rename(self, path: str, onto: str) -> None:
        source, target = self._expand_path(path), self._expand_path(onto)
        await self._run_in_thread("replace", onto, lambda: rename_file(source, target))

    async def remove(self, path: str) -> None:
        expanded = self._expand_path(path)
        await self._run_in_thread("remove", path, expanded.unlink)

    def _expand_path(self, path: str) -> Path:
        if path == "~" or path.startswith("~/"):
            return self._home / path[2:]
        if not path.startswith("/"):
            raise HostFileError(f"{display_path(path)} is neither absolute nor below ~/")
        return Path(path)

    async def _run_in_thread(self, verb: str, path: str, work: Callable[[], _T]) -> _T:
        """Work in a thread, and raise its OSError as HostFileError.

        A cancelled call waits for the thread, so that nothing is written after it has returned;
        a call is abandoned if the disk doesn't answer within the time limit.
        """

        def translate_errors() -> _T:
            try:
                return work()
            except OSError as error:
                raise file_error(verb, path, error) from error
            except ValueError as error:
                why = sanitize_line(str(error), 200)
                raise HostFileError(f"Can't {verb} {display_path(path)}", why=why) from error

        task = asyncio.ensure_future(asyncio.to_thread(translate_errors))
        # Retrieved: asyncio reports the exception of a task that is no longer awaited.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            done, _ = await asyncio.wait({task}, timeout=self._file_seconds)
        except asyncio.CancelledError:
            await asyncio.wait({task}, timeout=self._file_seconds)
            raise
        if not done:
            raise HostTimedOut(
                f"Can't {verb} {display_path(path)}",
                why=f"the disk did not answer within {self._file_seconds:g} seconds",
            )
        return task.result()


def file_error(verb: str, path: str, error: OSError) -> HostFileError:
    """Return the error with the reason that the system gave."""
    what = f"Can't {verb} {display_path(path)}"
    why = sanitize_line(error.strerror or str(error), 200)
    if error.errno in _MISSING:
        return NoSuchFile(what, why=why, remedy=PATH_REMEDY)
    if error.errno == errno.EEXIST:
        return FileAlreadyExists(what, why=why)
    if error.errno in _DENIED:
        return FilePermissionDenied(what, why=why, remedy=WRITE_REMEDY)
    if error.errno in _NO_ROOM:
        return disk_full_error(what)
    return HostFileError(what, why=why)


def file_facts(name: str, status: os.stat_result) -> FileInfo:
    """Convert the result of `lstat`."""
    return FileInfo(
        name=name,
        kind=file_kind(status.st_mode),
        size=status.st_size,
        mode=stat.S_IMODE(status.st_mode),
        owner=status.st_uid,
        group=status.st_gid,
        modified=status.st_mtime,
    )


def read_part(path: Path, start: int, largest: int) -> bytes:
    """Read part of a regular file. Raises OSError."""
    # Without O_NONBLOCK a pipe in the file's place would block the thread for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "It is not a regular file")
        file.seek(start)
        return file.read(largest)


def list_folder(folder: Path) -> tuple[FileInfo, ...]:
    """List a folder by name, without entries that vanish meanwhile. Raises OSError."""
    found: list[FileInfo] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if len(found) == LARGEST_FOLDER:
                raise OSError(errno.EOVERFLOW, f"There are more than {LARGEST_FOLDER} files in it")
            try:
                found.append(file_facts(entry.name, entry.stat(follow_symlinks=False)))
            except FileNotFoundError:
                continue
    return tuple(sorted(found, key=lambda facts: facts.name))


def create_file(path: Path, content: bytes, mode: int, belongs_to: tuple[int, int] | None) -> None:
    """Write and sync a new file; leave none on failure. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if belongs_to is not None:
                _set_owner(descriptor, *belongs_to)
            os.fchmod(descriptor, mode)  # last: a change of owner clears bits
            os.fsync(descriptor)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _set_owner(descriptor: int, owner: int, group: int) -> None:
    status = os.fstat(descriptor)
    if (status.st_uid, status.st_gid) == (owner, group):
        return
    try:
        os.fchown(descriptor, owner, group)
    except PermissionError as error:
        raise PermissionError(
            error.errno, f"It would no longer belong to user {owner}, group {group}"
        ) from error


def rename_file(path: Path, onto: Path) -> None:
    """Rename a file onto another one and sync the folder. Raises OSError."""
    path.replace(onto)
    descriptor = os.open(onto.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems can't sync a folder, and the rename is done.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(descriptor)


def _start_error(program: str, error: Exception) -> HostError:
    return HostError(f"Can't start {program}", why=sanitize_line(str(error), 200))


class OutputCollector(asyncio.SubprocessProtocol):
    """Keeps at most `largest` bytes of each output; `ended` is done after the last byte."""

    def __init__(self, largest: int) -> None:
        self._outputs = {1: BoundedOutput(largest), 2: BoundedOutput(largest)}
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Add output."""
        self._outputs[fd].add(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Called when the process has ended and all its pipes are closed."""
        if not self.ended.done():
            self.ended.set_result(None)

    def result(self, status: int) -> CommandResult:
        """Return the output, with the status that a shell would report."""
        return CommandResult(
            status if status >= 0 else 128 - status,
            self._outputs[1].content,
            self._outputs[2].content,
            is_truncated=self._outputs[1].is_truncated or self._outputs[2].is_truncated,
        )


async def _run_subprocess(
    words: Sequence[str], folder: Path, seconds: float, largest: int
) -> CommandResult:
    """Run a command in a session of its own. Raises TimeoutError, OSError and ValueError.

    Its process group is killed after `seconds`, and if the call is cancelled. A daemon that left
    the group goes on.
    """
    starting = asyncio.ensure_future(
        asyncio.get_running_loop().subprocess_exec(
            lambda: OutputCollector(largest),
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            cwd=folder,
            start_new_session=True,
        )
    )
    try:
        # Shielded: if cancelled while it starts, asyncio kills the process and none of its children.
        transport, collector = await asyncio.shield(starting)
        async with asyncio.timeout(seconds):
            await asyncio.shield(collector.ended)
        return collector.result(transport.get_returncode() or 0)
    finally:
        await shield(_terminate(starting))


async def _terminate(
    starting: "asyncio.Future[tuple[asyncio.SubprocessTransport, OutputCollector]]",
) -> None:
    await asyncio.wait({starting})
    if starting.exception() is not None:
        return
    transport, collector = starting.result()
    if not collector.ended.done():
        with suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(transport.get_pid(), signal.SIGKILL)
    transport.close()
    await collector.ended
