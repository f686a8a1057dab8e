"""The values of a change to a file: what was read, the steps, and what came of it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256

from aitui.host.base import FileInfo

LARGEST_CONFIG = 1 << 20
"""Bytes."""


class WriteStep(Enum):
    """The steps of a write, in their order; the words go with "while"."""

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
"""Raises where the text must not be written. Called in a thread."""

OnStep = Callable[[WriteStep], object]
"""Told when a step begins; the one before has ended well then."""


@dataclass(frozen=True, slots=True)
class FileSnapshot:
    """A file as it was read. `real_path` is where `path` leads through symbolic links.

    `digest` is that of the content, `facts` are those of the real file.
    """

    path: str
    real_path: str
    content: bytes
    digest: str
    facts: FileInfo


@dataclass(frozen=True, slots=True)
class WriteResult:
    """The new file is in its place.

    `before` and `after` are digests, of the old content and of ours. `proven` is False where it
    couldn't be read back. `changed_after` is set where something else stood there already when it
    was read back: `difference` is the unified diff from ours to that. `warnings` are sentences:
    what couldn't be tidied up, whose lock was taken over.
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
    """Which file is in its place after a write that nobody saw the end of. Each of them is whole."""

    OLD = "the old file"
    NEW = "the new file"
    OTHER = "a file that somebody else wrote"


@dataclass(frozen=True, slots=True)
class RecoveryResult:
    """What was found and put in order after a write that broke off.

    `removed` are the temporary files and locks that it had left.
    """

    state: FileVersion
    removed: tuple[str, ...] = ()


def digest_of(content: bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return sha256(content).hexdigest()


def ignore(_: object) -> None:
    """Neither check nor tell."""
