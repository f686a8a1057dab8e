"""What is learnt over time, in memory and in one file that several processes may write."""

import fcntl
import os
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from aitui.domain.sanitize import sanitize_line

LOCK_SECONDS = 2.0
_PAUSE = 0.02


def make_private_directory(path: Path) -> None:
    """Make a directory with mode 0700 where there is none. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def lock_file(path: Path, patience: float = LOCK_SECONDS) -> Iterator[None]:
    """Keep every other process out that locks the same file. Blocks for up to `patience` seconds.

    The lock is on a file beside it, because the file itself is replaced. Raises TimeoutError where
    another process keeps it, OSError where the directory can't be written.
    """
    descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _wait_for_lock(descriptor, path, patience)
        yield
    finally:
        os.close(descriptor)


def _wait_for_lock(descriptor: int, path: Path, patience: float) -> None:
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= end:
                raise TimeoutError(f"{path.name} is locked by another process") from error
            time.sleep(_PAUSE)
        else:
            return


def read_bounded(path: Path, limit: int) -> bytes:
    """The whole file. Raises ValueError where it is larger than `limit` bytes, and OSError."""
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"larger than {limit} bytes")
    return content


def replace_atomically(path: Path, content: bytes) -> None:
    """Put a new file with mode 0600 in the place of the old one, which stays until then.

    Raises OSError, and leaves the old file as it was.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def set_aside(path: Path) -> Path:
    """Rename a file that can't be used, to a name that is free, and return that. Raises OSError."""
    for number in range(1, 1000):
        aside = path.with_name(f"{path.name}.broken{'' if number == 1 else f'-{number}'}")
        if not os.path.lexists(aside):
            return path.rename(aside)
    raise FileExistsError(f"there are too many broken files beside {path.name}")


LARGEST_FILE = 32 << 20
WAITING_KEPT = 1000

_All = TypeVar("_All")
_One = TypeVar("_One")


class _Header(msgspec.Struct):
    version: int


class _UnusableFile(Exception):
    """What stands in the file's place isn't one of ours."""


@dataclass(frozen=True, slots=True)
class FileFormat(Generic[_All, _One]):
    """What a file holds: its name in messages, its version, and how it is read, written, added to.

    `decode` raises msgspec.DecodeError or ValueError for what is no such file.
    """

    name: str
    version: int
    empty: _All
    decode: Callable[[bytes], _All]
    encode: Callable[[_All], bytes]
    add: Callable[[_All, Iterable[_One]], _All]


class JsonStore(Generic[_All, _One]):
    """Everything known, and the file. Every process adds its own to what it finds there.

    What can't be written stays in memory and goes out with the next one. All of it blocks.
    """

    def __init__(self, path: Path, form: FileFormat[_All, _One]) -> None:
        self._path = path
        self._form = form
        self._waiting: deque[_One] = deque(maxlen=WAITING_KEPT)
        self._writing = threading.Lock()
        self._has_complained = False
        self._warnings: list[str] = []
        self.content = form.empty

    @property
    def warnings(self) -> tuple[str, ...]:
        """What went wrong with the file so far, each once, in words for the user."""
        return tuple(self._warnings)

    def open(self) -> None:
        """Read the file, which need not exist. What goes wrong becomes a warning."""
        with self._writing:
            try:
                self.content = self._decode_file()
            except _UnusableFile:
                self._reopen_locked()
            except OSError as error:
                self._warn_once(error)

    def add(self, one: _One) -> None:
        """Keep one more. What goes wrong with the file becomes a warning."""
        with self._writing:
            self.content = self._form.add(self.content, [one])
            self._waiting.append(one)
            try:
                make_private_directory(self._path.parent)
                with lock_file(self._path):
                    merged = self._form.add(self._read(), self._waiting)
                    replace_atomically(self._path, self._form.encode(merged))
            except OSError as error:
                self._warn_once(error)
            else:
                self.content = merged
                self._waiting.clear()

    def _reopen_locked(self) -> None:
        """Look again with the lock: another process may have put a good file there by now."""
        try:
            with lock_file(self._path):
                self.content = self._read()
        except OSError as error:
            self._warn_once(error)

    def _read(self) -> _All:
        """What the file says. What is no such file is set aside, never overwritten.

        Wants the lock. Raises OSError.
        """
        try:
            return self._decode_file()
        except _UnusableFile as error:
            aside = set_aside(self._path)
            self._warnings.append(
                f"The {self._form.name} in {self._display_path} can't be read ({error}): "
                f"the file is now {aside.name}, and a new one begins"
            )
            return self._form.empty

    def _decode_file(self) -> _All:
        """What the file says. Raises _Unusable, and OSError also for a file of a newer aitui."""
        try:
            content = read_bounded(self._path, LARGEST_FILE)
            if msgspec.json.decode(content, type=_Header).version > self._form.version:
                raise OSError(f"{self._path.name} was written by a newer aitui")
            return self._form.decode(content)
        except FileNotFoundError:
            return self._form.empty
        except (PermissionError, IsADirectoryError) as error:
            raise _UnusableFile(_error_text(error)) from error
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise _UnusableFile(_error_text(error)) from error

    def _warn_once(self, error: OSError) -> None:
        """Say it once: it will be the same each time, and nothing is lost before the end."""
        if not self._has_complained:
            self._has_complained = True
            name = f"{self._form.name[0].upper()}{self._form.name[1:]}"
            self._warnings.append(
                f"{name} can't be kept in {self._display_path} ({_error_text(error)}): "
                "aitui remembers them until it ends"
            )

    @property
    def _display_path(self) -> str:
        return sanitize_line(str(self._path))


def _error_text(error: Exception) -> str:
    words = error.strerror if isinstance(error, OSError) else None
    return sanitize_line(words or str(error), 200)


FILE_NAME = "theme"
_LONGEST = 100


def read_theme(state: Path) -> str:
    """The theme's name, empty where none was kept or it can't be read. Blocks on the disk."""
    try:
        return read_bounded(state / FILE_NAME, _LONGEST).decode("ascii").strip()
    except (OSError, ValueError):
        # Without it aitui looks as it did at first, which is no reason to complain at a start.
        return ""


def save_theme(state: Path, name: str) -> None:
    """Keep the theme's name. Blocks on the disk. Raises OSError."""
    make_private_directory(state)
    replace_atomically(state / FILE_NAME, f"{sanitize_line(name, _LONGEST - 1)}\n".encode())
