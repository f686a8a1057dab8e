"""Files of the state directory that several instances share: locked, and replaced whole."""

import os
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from aitui.domain.sanitize import sanitize_line

LOCK_SECONDS = 2.0
_POLL_SECONDS = 0.02
LARGEST_FILE = 32 << 20
WAITING_KEPT = 1000
THEME_FILE = "theme"
_LONGEST_THEME = 100


def make_private_directory(path: Path) -> None:
    """Make a directory with mode 0700 if it doesn't exist. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def lock_file(path: Path, patience: float = LOCK_SECONDS) -> Iterator[None]:
    """Lock out every other process that locks the same file. Blocks for up to `patience` seconds.

    Raises TimeoutError if another process keeps the lock, OSError if the directory isn't writable.
    """
    # 20 ms, and the first frame needs read_theme only.
    import filelock

    # The lock is on a neighbor, because the file itself is replaced. The kernel releases it when a
    # process dies.
    lock = filelock.FileLock(path.with_name(f"{path.name}.lock"), mode=0o600)
    try:
        held = lock.acquire(timeout=patience, poll_interval=_POLL_SECONDS)
    except filelock.Timeout as error:
        raise TimeoutError(f"{path.name} is locked by another process") from error
    with held:
        yield


def read_bounded(path: Path, limit: int) -> bytes:
    """Return the whole file. Raises ValueError if it is larger than `limit` bytes, and OSError."""
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"larger than {limit} bytes")
    return content


def replace_atomically(path: Path, content: bytes) -> None:
    """Replace a file by one with mode 0600. Raises OSError, and leaves the old file then."""
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
    """Rename an unusable file to a free name and return that. Raises OSError."""
    for number in range(1, 1000):
        aside = path.with_name(f"{path.name}.broken{'' if number == 1 else f'-{number}'}")
        if not os.path.lexists(aside):
            return path.rename(aside)
    raise FileExistsError(f"there are too many broken files beside {path.name}")


def read_theme(state: Path) -> str:
    """Return the name of the saved theme, empty if none is readable. Blocks on the disk."""
    try:
        return read_bounded(state / THEME_FILE, _LONGEST_THEME).decode("ascii").strip()
    except (OSError, ValueError):
        # Without it aitui looks as it did at first, which is no reason to complain at a start.
        return ""


def save_theme(state: Path, name: str) -> None:
    """Save the theme's name. Blocks on the disk. Raises OSError."""
    make_private_directory(state)
    replace_atomically(state / THEME_FILE, f"{sanitize_line(name, _LONGEST_THEME - 1)}\n".encode())


_Value = TypeVar("_Value")
_Observation = TypeVar("_Observation")
_Servers = dict[str, dict[str, _Value]]
"""Values by server identity and model id; on each level, the least recently changed first."""


class _JsonFile(msgspec.Struct):
    version: int
    servers: msgspec.Raw = msgspec.Raw(b"{}")


class _UnusableFile(Exception):
    """What is in the file's place wasn't written by aitui."""


@dataclass(frozen=True, slots=True)
class FileFormat(Generic[_Value, _Observation]):
    """What a file holds for each model of each server, and how one more observation is added."""

    name: str
    version: int
    decoder: msgspec.json.Decoder[dict[str, dict[str, _Value]]]
    empty: _Value
    add: Callable[[_Value, _Observation], _Value]
    models_kept: int
    servers_kept: int


class JsonStore(Generic[_Value, _Observation]):
    """A value for each model of each server, in memory and in one file. Every method blocks.

    Every process adds its observations to what it finds in the file; what can't be written stays in
    memory and is written with the next one.
    """

    def __init__(self, path: Path, form: FileFormat[_Value, _Observation]) -> None:
        self._path = path
        self._form = form
        self._waiting: deque[tuple[str, str, _Observation]] = deque(maxlen=WAITING_KEPT)
        self._writing = threading.Lock()
        self._has_complained = False
        self._warnings: list[str] = []
        self._servers: _Servers[_Value] = {}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What went wrong with the file, each failure once, in words for the user."""
        return tuple(self._warnings)

    def of_model(self, server_identity: str, model_id: str) -> _Value:
        """Return what is known of a model, the empty value if that is nothing."""
        return self._servers.get(server_identity, {}).get(model_id, self._form.empty)

    def open(self) -> None:
        """Read the file, which need not exist. What goes wrong becomes a warning."""
        with self._writing:
            try:
                self._servers = self._decode_file()
            except _UnusableFile:
                self._reopen_locked()
            except OSError as error:
                self._warn_once(error)

    def add(self, server_identity: str, model_id: str, observation: _Observation) -> None:
        """Add an observation. What goes wrong with the file becomes a warning."""
        added = (server_identity, model_id, observation)
        with self._writing:
            self._servers = self._merge(self._servers, [added])
            self._waiting.append(added)
            try:
                make_private_directory(self._path.parent)
                with lock_file(self._path):
                    merged = self._merge(self._read(), self._waiting)
                    file = _JsonFile(self._form.version, msgspec.Raw(msgspec.json.encode(merged)))
                    replace_atomically(self._path, msgspec.json.encode(file))
            except OSError as error:
                self._warn_once(error)
            else:
                self._servers = merged
                self._waiting.clear()

    def _merge(
        self, servers: _Servers[_Value], added: Iterable[tuple[str, str, _Observation]]
    ) -> _Servers[_Value]:
        form = self._form
        merged = dict(servers)
        for server, model, observation in added:
            models = dict(merged.pop(server, {}))
            # Popped and set: what was changed last is last, and the first ones are dropped.
            models[model] = form.add(models.pop(model, form.empty), observation)
            merged[server] = dict(list(models.items())[-form.models_kept :])
        return dict(list(merged.items())[-form.servers_kept :])

    def _reopen_locked(self) -> None:
        """Look again with the lock: another process may have put a good file there by now."""
        try:
            with lock_file(self._path):
                self._servers = self._read()
        except OSError as error:
            self._warn_once(error)

    def _read(self) -> _Servers[_Value]:
        """Read the file, or set it aside if it is unusable. Needs the lock. Raises OSError."""
        try:
            return self._decode_file()
        except _UnusableFile as error:
            aside = set_aside(self._path)
            self._warnings.append(
                f"The {self._form.name} in {self._display_path} can't be read ({error}): "
                f"the file is now {aside.name}, and a new one begins"
            )
            return {}

    def _decode_file(self) -> _Servers[_Value]:
        """Raises _UnusableFile, and OSError also for a file of a newer aitui."""
        try:
            content = read_bounded(self._path, LARGEST_FILE)
            file = msgspec.json.decode(content, type=_JsonFile)
            if file.version > self._form.version:
                raise OSError(f"{self._path.name} was written by a newer aitui")
            return self._form.decoder.decode(file.servers)
        except FileNotFoundError:
            return {}
        except (PermissionError, IsADirectoryError) as error:
            raise _UnusableFile(_error_text(error)) from error
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise _UnusableFile(_error_text(error)) from error

    def _warn_once(self, error: OSError) -> None:
        """Warn once: it is the same error each time, and nothing is lost before the end."""
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
    reason = error.strerror if isinstance(error, OSError) else None
    return sanitize_line(reason or str(error), 200)
