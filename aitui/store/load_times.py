"""How long loads took, for each model on each server: what the next load is measured against."""

import asyncio
import math
import threading
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Annotated

import msgspec

from aitui.domain.clean import clean_line
from aitui.store.private_file import (
    locked,
    make_private_directory,
    read_bounded,
    replace_whole,
    set_aside,
)

FILE_NAME = "load-times.json"
VALUES_KEPT = 5
MODELS_KEPT = 2000
SERVERS_KEPT = 200
LARGEST_FILE = 32 << 20

_VERSION = 1
_WAITING_KEPT = 1000

Times = dict[str, dict[str, list[float]]]
"""Server identity, model id, seconds. The oldest first on each level."""


class _Header(msgspec.Struct):
    version: int


class _Stored(_Header):
    servers: dict[str, dict[str, list[Annotated[float, msgspec.Meta(ge=0)]]]] = {}


class _Unusable(Exception):
    """What stands in the file's place isn't one of ours."""


class LoadTimes:
    """The load times of all servers, in memory and in one file.

    Several processes may write the file: each adds its own values to what it finds there. What
    can't be written stays in memory and goes out with the next value.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._times: Times = {}
        self._waiting: deque[tuple[str, str, float]] = deque(maxlen=_WAITING_KEPT)
        self._writing = threading.Lock()
        self._warnings: list[str] = []
        self._has_complained = False

    @classmethod
    async def open(cls, path: Path) -> "LoadTimes":
        """Read the file, which need not exist. What goes wrong becomes a warning."""
        times = cls(path)
        await asyncio.to_thread(times._open)
        return times

    def expected(self, server_identity: str, model_id: str) -> float | None:
        """Seconds that a load of this model probably takes: the median of its last loads."""
        seconds = self._times.get(server_identity, {}).get(model_id)
        return median(seconds) if seconds else None

    async def record(self, server_identity: str, model_id: str, seconds: float) -> None:
        """Keep the seconds that a load took. What goes wrong with the file becomes a warning.

        Raises ValueError for seconds that are negative or no number, and for lone surrogates in a
        name. A call that is cancelled may still write.
        """
        if not math.isfinite(seconds) or seconds < 0:
            raise ValueError(f"a load can't take {seconds} seconds")
        _require_text(server_identity, model_id)
        await asyncio.to_thread(self._record, server_identity, model_id, float(seconds))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What went wrong with the file so far, each once, in words for the user."""
        return tuple(self._warnings)

    def _open(self) -> None:
        with self._writing:
            try:
                self._times = self._decoded()
            except _Unusable:
                self._open_anew()
            except OSError as error:
                self._complain(error)

    def _open_anew(self) -> None:
        """Look again with the lock: another process may have put a good file there by now."""
        try:
            with locked(self._path):
                self._times = self._read()
        except OSError as error:
            self._complain(error)

    def _record(self, server: str, model: str, seconds: float) -> None:
        with self._writing:
            self._times = _with(self._times, [(server, model, seconds)])
            self._waiting.append((server, model, seconds))
            try:
                make_private_directory(self._path.parent)
                with locked(self._path):
                    merged = _with(self._read(), self._waiting)
                    replace_whole(self._path, msgspec.json.encode(_Stored(_VERSION, merged)))
            except OSError as error:
                self._complain(error)
            else:
                self._times = merged
                self._waiting.clear()

    def _read(self) -> Times:
        """What the file says. What is no such file is set aside, never overwritten.

        Wants the lock. Raises OSError.
        """
        try:
            return self._decoded()
        except _Unusable as error:
            aside = set_aside(self._path)
            self._warnings.append(
                f"The load times in {_shown(self._path)} can't be read ({error}): "
                f"the file is now {aside.name}, and a new one begins"
            )
            return {}

    def _decoded(self) -> Times:
        """What the file says. Raises _Unusable, and OSError also for a file of a newer aitui."""
        try:
            content = read_bounded(self._path, LARGEST_FILE)
            if msgspec.json.decode(content, type=_Header).version > _VERSION:
                raise OSError(f"{self._path.name} was written by a newer aitui")
            return _bounded(msgspec.json.decode(content, type=_Stored).servers)
        except FileNotFoundError:
            return {}
        except (PermissionError, IsADirectoryError) as error:
            raise _Unusable(_why(error)) from error
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise _Unusable(_why(error)) from error

    def _complain(self, error: OSError) -> None:
        """Say it once: it will be the same at every load, and nothing is lost before the end."""
        if not self._has_complained:
            self._has_complained = True
            self._warnings.append(
                f"Load times can't be kept in {_shown(self._path)} ({_why(error)}): "
                "aitui remembers them until it ends"
            )


def _with(times: Times, added: Iterable[tuple[str, str, float]]) -> Times:
    """The same with new values at the end, a new dictionary as far as it differs."""
    merged = dict(times)
    for server, model, seconds in added:
        models = dict(merged.pop(server, {}))
        values = [*models.pop(model, []), seconds]
        models[model] = values
        merged[server] = models
    return _bounded(merged)


def _bounded(times: Times) -> Times:
    return {
        server: {
            model: values[-VALUES_KEPT:] for model, values in list(models.items())[-MODELS_KEPT:]
        }
        for server, models in list(times.items())[-SERVERS_KEPT:]
    }


def _require_text(*names: str) -> None:
    """Lone surrogates can't be written. Raises UnicodeEncodeError, a ValueError."""
    for name in names:
        name.encode()


def _shown(path: Path) -> str:
    return clean_line(str(path))


def _why(error: Exception) -> str:
    words = error.strerror if isinstance(error, OSError) else None
    return clean_line(words or str(error), 200)
