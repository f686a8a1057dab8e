"""The machine behind a server: the protocol, its values, and bounded output of commands."""

import asyncio
import posixpath
import re
import secrets
import stat
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from enum import Enum
from hashlib import sha256
from typing import Any, Protocol, Self, TypeVar

from msgspec import Struct

from aitui.aio import shield
from aitui.domain.sanitize import sanitize_line
from aitui.errors import HostFileError

WRITE_REMEDY = "give that login permission, or log in as the file's owner (ssh_host in config.toml)"
PATH_REMEDY = "check preset_path in config.toml"

LARGEST_FOLDER = 20_000
_LARGEST_PID = (1 << 31) - 1
"""`pid_t` has 32 bits: `kill` takes larger numbers for others."""
_LONGEST_NUMBER = 20
_LONGEST_REASON = 400

_T = TypeVar("_T")


class CommandResult(Struct, frozen=True):
    """A command that ran to its end.

    `status` is its exit status, 128 + the signal's number if a signal ended it. `is_truncated` is
    set if it wrote more than was asked for; the rest was dropped.
    """

    status: int
    stdout: bytes = b""
    stderr: bytes = b""
    is_truncated: bool = False

    @property
    def last_line(self) -> str:
        """The last line of its errors, else of its output, safe to show."""
        text = (self.stderr or self.stdout).decode("utf-8", "replace").strip()
        return sanitize_line(text.rpartition("\n")[2], _LONGEST_REASON)


class FileKind(Enum):
    """The kinds of files."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "symbolic link"
    OTHER = "other"


class FileInfo(Struct, frozen=True):
    """A file, not followed if it is a symbolic link. `modified` is Unix time in seconds."""

    name: str
    kind: FileKind
    size: int
    mode: int
    owner: int
    group: int
    modified: float


class Host(Protocol):
    """One machine. Paths are absolute, or start with `~/` for the login's home there.

    Every call has a time limit and raises HostError: HostUnreachable if the connection is lost
    or can't be made, HostFileError if the machine refuses. Calls may run side by side. A
    cancelled call leaves nothing running there.
    """

    @property
    def label(self) -> str:
        """Return the host's name in messages: `user@host`, or `this machine`."""

    async def __aenter__(self) -> Self:
        """Connects nothing: the first call does."""

    async def __aexit__(self, *_: object) -> None:
        """Close the connection."""

    async def run(
        self, words: Sequence[str], *, seconds: float = 30.0, largest: int = 1 << 20
    ) -> CommandResult:
        """Run a command; no shell interprets its words, and its input is empty.

        At most `largest` bytes of each of its two outputs are kept. After `seconds` its process
        group is killed and HostTimedOut raised. A missing program has the status 127, as in a
        shell.
        """

    async def facts(self, path: str) -> FileInfo:
        """Return what is at a path. Raises NoSuchFile."""

    async def resolve(self, path: str) -> str:
        """Return the absolute path, symbolic links resolved. Raises NoSuchFile."""

    async def read(self, path: str, *, start: int = 0, largest: int = 1 << 22) -> bytes:
        """Return at most `largest` bytes of a regular file from byte `start` on."""

    async def list(self, folder: str) -> tuple[FileInfo, ...]:
        """Return a folder's entries by name. HostFileError for more than LARGEST_FOLDER."""

    async def create(
        self, path: str, content: bytes, *, mode: int, belongs_to: tuple[int, int] | None = None
    ) -> None:
        """Write a file that must not exist yet, with that mode, and sync it.

        `belongs_to` are the numbers of its owner and its group, else the login's own. Raises
        FileAlreadyExists, and FilePermissionDenied if the owner can't be set. A call that fails
        leaves no file, as long as the connection holds.
        """

    async def rename(self, path: str, onto: str) -> None:
        """Replace a file by another one atomically, and sync the folder if the machine can."""

    async def remove(self, path: str) -> None:
        """Remove one file. Raises NoSuchFile."""


def file_kind(mode: int) -> FileKind:
    """Return the kind of file from the upper bits of a mode."""
    kinds = {
        stat.S_IFREG: FileKind.FILE,
        stat.S_IFDIR: FileKind.FOLDER,
        stat.S_IFLNK: FileKind.LINK,
    }
    return kinds.get(stat.S_IFMT(mode), FileKind.OTHER)


def digest_of(content: bytes) -> str:
    """Return the SHA-256 in hexadecimal digits."""
    return sha256(content).hexdigest()


def disk_full_error(what: str) -> HostFileError:
    """Return the error for a full disk or an exhausted quota."""
    return HostFileError(
        what, why="the disk is full", remedy="free some space there, then try again"
    )


def display_path(path: str) -> str:
    """Return a path as messages show it."""
    return sanitize_line(path, 300)


async def expand_home(host: Host, path: str) -> str:
    """Return a path with the login's home directory for `~/`; it need not exist."""
    if path != "~" and not path.startswith("~/"):
        return path
    return posixpath.join(await host.resolve("~/"), path[2:])


async def start_or_undo(
    start: Coroutine[Any, Any, _T], undo: Callable[[_T], Awaitable[None]], seconds: float
) -> _T:
    """Await a start. A cancelled call undoes what was started by then, or is within `seconds`."""
    starting = asyncio.ensure_future(start)

    async def abort() -> None:
        await asyncio.wait({starting}, timeout=seconds)
        if not starting.done():
            starting.cancel()
        elif not starting.cancelled() and starting.exception() is None:
            await undo(starting.result())

    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await shield(abort())
        raise


def new_mark() -> str:
    """Return text that can't be in an output by chance or by guess."""
    return f"aitui-{secrets.token_hex(16)}"


class BoundedOutput:
    """The first `largest` bytes of an output."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._content = bytearray()
        self.is_truncated = False

    @property
    def content(self) -> bytes:
        """Return the collected output."""
        return bytes(self._content)

    def add(self, data: bytes) -> None:
        """Add output."""
        room = self._largest - len(self._content)
        self._content += data[: max(room, 0)]
        self.is_truncated = self.is_truncated or len(data) > room


class MarkedOutput(BoundedOutput):
    """The output after a line with the mark and the number of the command's process.

    Without that line all of the output counts: the command wasn't started. `number` is None if it
    can't be a command's: as a group, 0 is the killer's own, 1 and -1 are every process.
    """

    def __init__(self, mark: str, largest: int) -> None:
        super().__init__(largest)
        written = re.escape(mark.encode())
        # What a login's start-up files wrote before may not have ended its line.
        self._start = re.compile(rb"%b ([+-]?\d{1,%d})\r?\n" % (written, _LONGEST_NUMBER))
        self._longest = len(mark) + _LONGEST_NUMBER + len(" +\r\n")
        self._last = b""
        self.is_started = False
        self.number: int | None = None

    def add(self, data: bytes) -> None:
        """Add output."""
        if self.is_started:
            super().add(data)
            return
        seen = self._last + data
        start = self._start.search(seen)
        if start is None:
            self._last = seen[-self._longest :]
            super().add(data)
            return
        self.is_started = True
        number = int(start[1])
        self.number = number if 1 < number <= _LARGEST_PID else None
        self._content.clear()
        self.is_truncated = False
        super().add(seen[start.end() :])
