"""What aitui asks of the machine behind the server, wherever that is."""

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
