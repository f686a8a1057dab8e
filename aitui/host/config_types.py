"""The values of a config write: what was read, the steps, the result."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256

from aitui.host.base import FileInfo

LARGEST_CONFIG = 1 << 20
"""Bytes."""


class WriteStep(Enum):
    """The steps of a write, in their order; messages put "while" before them."""

    CHECK = "checking the new text"
    LOCK = "locking the file"
    COMPARE = "comparing it with what was read"
    BACK_UP = "backing it up"
    WRITE = "writing the new file beside it"
    COMPARE_AGAIN = "comparing it once more"
    REPLACE = "putting the new file in its place"
    VERIFY = "reading it back"
    TIDY = "tidying up"


Check = Callable[[bytes], object]
"""Raises if the text must not be written. Runs in a thread."""

OnStep = Callable[[WriteStep], object]
"""Called when a step begins; the one before has succeeded then."""


@dataclass(frozen=True, slots=True)
class FileSnapshot:
    """A file as it was read. `real_path` is `path` with symbolic links resolved."""

    path: str
    real_path: str
    content: bytes
    digest: str
    facts: FileInfo


@dataclass(frozen=True, slots=True)
class WriteResult:
    """The new file is in its place.

    `before` and `after` are digests, of the old content and of ours. `verified` is False if it
    couldn't be read back. `changed_after` is set if the file was already another one when it was
    read back: `difference` is the unified diff from ours to that. `warnings` are sentences: what
    couldn't be cleaned up, which lock was taken over.
    """

    path: str
    real_path: str
    backup: str
    before: str
    after: str
    verified: bool
    changed_after: bool = False
    difference: str = ""
    warnings: tuple[str, ...] = ()


class FileVersion(Enum):
    """Which file, always a complete one, is in place after a write with an unknown outcome."""

    OLD = "the old file"
    NEW = "the new file"
    OTHER = "a file that somebody else wrote"


@dataclass(frozen=True, slots=True)
class RecoveryResult:
    """What recovery found after an interrupted write, and the files that it removed."""

    state: FileVersion
    removed: tuple[str, ...] = ()


def digest_of(content: bytes) -> str:
    """Return the SHA-256 in hexadecimal digits."""
    return sha256(content).hexdigest()


def ignore(_: object) -> None:
    """Do nothing: the default check and step callback."""
