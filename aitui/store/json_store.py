"""Files of the state directory that several instances share: locked, and replaced whole."""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct

from aitui.domain.sanitize import sanitize_line
from aitui.store.files import (
    lock_file,
    make_private_directory,
    read_bounded,
    replace_atomically,
    set_aside,
)

LARGEST_FILE = 32 << 20
WAITING_KEPT = 1000


_Value = TypeVar("_Value")
_Observation = TypeVar("_Observation")
_Servers = dict[str, dict[str, _Value]]
"""Values by server identity and model id; on each level, the least recently changed first."""


class _JsonFile(msgspec.Struct):
    version: int
    servers: msgspec.Raw = msgspec.Raw(b"{}")


class _UnusableFile(Exception):
    """The file was not written by aitui."""


class FileFormat(Struct, Generic[_Value, _Observation], frozen=True):
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
        self._display_path = sanitize_line(str(path))
        self._form = form
        self._waiting: deque[tuple[str, str, _Observation]] = deque(maxlen=WAITING_KEPT)
        self._writing = threading.Lock()
        self._has_complained = False
        self._warnings: list[str] = []
        self._servers: _Servers[_Value] = {}

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return sentences about errors with the file, each once."""
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
                f"the file was renamed to {aside.name}, and a new one was started"
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
                f"{name} can't be saved in {self._display_path} ({_error_text(error)}): "
                "they are kept until aitui ends"
            )


def _error_text(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) else None
    return sanitize_line(reason or str(error), 200)
