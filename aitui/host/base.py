"""What aitui asks of the machine behind the server, wherever that is."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Protocol, Self

LARGEST_FOLDER = 20_000


@dataclass(frozen=True, slots=True)
class CommandResult:
    """A command that ran to its end. `output` and `complaint` are what it wrote, as bytes.

    `status` is its exit status, 128 + the signal's number where a signal ended it. `cut` is set
    where it wrote more than was asked for; the rest was thrown away.
    """

    status: int
    stdout: bytes = b""
    stderr: bytes = b""
    is_truncated: bool = False


class FileKind(Enum):
    """What stands at a path."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "symbolic link"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file, not followed where it is a symbolic link. `modified` is Unix time in seconds."""

    name: str
    kind: FileKind
    size: int
    mode: int
    owner: int
    group: int
    modified: float


class Host(Protocol):
    """One machine. Paths are absolute, or start with `~/`, which means the login's home there.

    Every call has a time limit and raises HostError: HostUnreachable where the connection is lost
    or can't be made, HostFileError where the machine refuses. Calls may run side by side. A
    cancelled call leaves nothing running there.
    """

    @property
    def label(self) -> str:
        """What messages call it: `user@host`, or `this machine`."""

    async def __aenter__(self) -> Self:
        """Nothing is connected before something is asked."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""

    async def run(
        self,
        words: Sequence[str],
        *,
        seconds: float = 30.0,
        given: bytes = b"",
        largest: int = 1 << 20,
    ) -> CommandResult:
        """Run a command given as words, none of which a shell interprets; `given` is its input.

        At most `largest` bytes of each of its two outputs are kept. After `seconds` it is ended
        with all that it started in its process group, and HostTimedOut raised. A program that
        isn't there has the status 127, as in a shell.
        """

    async def facts(self, path: str) -> FileInfo:
        """What stands at a path. Raises NoSuchFile."""

    async def resolve(self, path: str) -> str:
        """The absolute path with `~/` and all symbolic links followed. Raises NoSuchFile."""

    async def read(self, path: str, *, start: int = 0, largest: int = 1 << 22) -> bytes:
        """At most `largest` bytes of a regular file, from byte `start` on."""

    async def list(self, folder: str) -> tuple[FileInfo, ...]:
        """What is in a folder, by name. HostFileError where that is more than LARGEST_FOLDER."""

    async def create(
        self, path: str, content: bytes, *, mode: int, belongs_to: tuple[int, int] | None = None
    ) -> None:
        """Write a file that must not exist yet, with that mode, and bring it to the disk.

        `belongs_to` are the numbers of its owner and its group, else the login's own. Raises
        FileInTheWay, and FilePermissionDenied where they can't be given. A call that fails leaves
        no file, as long as the connection stands.
        """

    async def rename(self, path: str, onto: str) -> None:
        """Put a file in the place of another one, at once and whole, and bring that to the disk.

        A machine that can't bring a folder to the disk does the rest.
        """

    async def remove(self, path: str) -> None:
        """Remove one file. Raises NoSuchFile."""


_LARGEST_NUMBER = (1 << 31) - 1
"""Of a process (`pid_t`): `kill` takes larger ones for others."""
_LONGEST_NUMBER = 20


def new_mark() -> str:
    """Text that nothing can put into an output unless it knows it."""
    return f"aitui-{secrets.token_hex(16)}"


class BoundedOutput:
    """The first `largest` bytes of an output."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._content = bytearray()
        self.is_truncated = False

    @property
    def content(self) -> bytes:
        """The bytes."""
        return bytes(self._content)

    def add(self, data: bytes) -> None:
        """Some more output."""
        room = self._largest - len(self._content)
        self._content += data[: max(room, 0)]
        self.is_truncated = self.is_truncated or len(data) > room


class MarkedOutput(BoundedOutput):
    """The output after the mark, the number of the command's process and the end of that line.

    Where these don't come, all of the output counts: the command wasn't started. `number` is None
    too where it can't be that of a command: as a group, 0 is the killer's own, 1 and -1 are every
    process.
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
        """Some more output."""
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
        self.number = _number_of_command(int(start[1]))
        self._content.clear()
        self.is_truncated = False
        super().add(seen[start.end() :])


def _number_of_command(number: int) -> int | None:
    return number if 1 < number <= _LARGEST_NUMBER else None
