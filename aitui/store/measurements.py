"""The memory that models were seen to take, by server, model, setup and context size."""

import asyncio
import threading
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec

from aitui.domain.clean import clean_line
from aitui.domain.memory.measurement import Known, Measurement, OutOfMemory
from aitui.store.private_file import (
    locked,
    make_private_directory,
    read_bounded,
    replace_whole,
    set_aside,
)

FILE_NAME = "memory.json"
MODELS_KEPT = 1000
SERVERS_KEPT = 100
LARGEST_FILE = 32 << 20

_VERSION = 1
_WAITING_KEPT = 500

Seen = Measurement | OutOfMemory
_All = dict[str, dict[str, Known]]
_Bytes = Annotated[int, msgspec.Meta(ge=0, le=1 << 52)]
_Tokens = Annotated[int, msgspec.Meta(ge=1, le=1 << 40)]


class _Header(msgspec.Struct):
    version: int


class _Measurement(msgspec.Struct, omit_defaults=True):
    context_size: _Tokens
    gpu: _Bytes
    host: _Bytes | None = None
    weights: _Bytes | None = None
    cache: _Bytes | None = None
    compute: _Bytes | None = None
    setup: str = ""
    at: float = 0.0


class _OutOfMemory(msgspec.Struct, omit_defaults=True):
    context_size: _Tokens
    setup: str = ""
    at: float = 0.0


class _Known(msgspec.Struct, omit_defaults=True):
    measurements: list[_Measurement] = []
    failures: list[_OutOfMemory] = []


class _Stored(_Header):
    servers: dict[str, dict[str, _Known]] = {}


class _Unusable(Exception):
    """What stands in the file's place isn't one of ours."""


class Measurements:
    """What is known of all models of all servers, in memory and in one file.

    Several processes may write the file: each adds what it has seen to what it finds there. What
    can't be written stays in memory and goes out with the next one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._all: _All = {}
        self._waiting: deque[tuple[str, str, Seen]] = deque(maxlen=_WAITING_KEPT)
        self._writing = threading.Lock()
        self._warnings: list[str] = []

    @classmethod
    async def open(cls, path: Path) -> "Measurements":
        """Read the file, which need not exist. What goes wrong becomes a warning."""
        measurements = cls(path)
        await asyncio.to_thread(measurements._open)
        return measurements

    def known(self, server_identity: str, model_id: str) -> Known:
        """Everything that is remembered of a model."""
        return self._all.get(server_identity, {}).get(model_id, Known())

    async def record(self, server_identity: str, model_id: str, seen: Seen) -> None:
        """Keep what a load took, or that it died. What goes wrong becomes a warning.

        Raises ValueError for lone surrogates in a name and for figures that can't be. A call that
        is cancelled may still write.
        """
        for name in (server_identity, model_id, seen.setup):
            name.encode()
        _stored(_seen_anew(Known(), seen))
        await asyncio.to_thread(self._record, server_identity, model_id, seen)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What went wrong with the file so far, each once, in words for the user."""
        return tuple(self._warnings)

    def _open(self) -> None:
        with self._writing:
            try:
                self._all = self._decoded()
            except _Unusable:
                self._open_anew()
            except OSError as error:
                self._complain(error)

    def _open_anew(self) -> None:
        """Look again with the lock: another process may have put a good file there by now."""
        try:
            with locked(self._path):
                self._all = self._read()
        except OSError as error:
            self._complain(error)

    def _record(self, server: str, model: str, seen: Seen) -> None:
        with self._writing:
            self._all = _with(self._all, [(server, model, seen)])
            self._waiting.append((server, model, seen))
            try:
                make_private_directory(self._path.parent)
                with locked(self._path):
                    merged = _with(self._read(), self._waiting)
                    replace_whole(self._path, _encoded(merged))
            except OSError as error:
                self._complain(error)
            else:
                self._all = merged
                self._waiting.clear()

    def _read(self) -> _All:
        """What the file says. What is no such file is set aside, never overwritten.

        Wants the lock. Raises OSError.
        """
        try:
            return self._decoded()
        except _Unusable as error:
            aside = set_aside(self._path)
            self._warn(
                f"The memory measurements in {clean_line(str(self._path))} can't be read "
                f"({error}): the file is now {aside.name}, and a new one begins"
            )
            return {}

    def _decoded(self) -> _All:
        """What the file says. Raises _Unusable, and OSError also for a file of a newer aitui."""
        try:
            content = read_bounded(self._path, LARGEST_FILE)
            if msgspec.json.decode(content, type=_Header).version > _VERSION:
                raise OSError(f"{self._path.name} was written by a newer aitui")
            stored = msgspec.json.decode(content, type=_Stored).servers
        except FileNotFoundError:
            return {}
        except (PermissionError, IsADirectoryError) as error:
            raise _Unusable(_why(error)) from error
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise _Unusable(_why(error)) from error
        return {
            server: {model: _value(known) for model, known in models.items()}
            for server, models in stored.items()
        }

    def _complain(self, error: OSError) -> None:
        self._warn(
            f"Memory measurements can't be kept in {clean_line(str(self._path))} "
            f"({_why(error)}): aitui remembers them until it ends"
        )

    def _warn(self, warning: str) -> None:
        if warning not in self._warnings and len(self._warnings) < 20:
            self._warnings.append(warning)


def _with(everything: _All, added: Iterable[tuple[str, str, Seen]]) -> _All:
    """The same with what was seen, a new dictionary as far as it differs."""
    merged = dict(everything)
    for server, model, seen in added:
        models = dict(merged.pop(server, {}))
        models[model] = _seen_anew(models.pop(model, Known()), seen)
        merged[server] = models
    return {
        server: dict(list(models.items())[-MODELS_KEPT:])
        for server, models in list(merged.items())[-SERVERS_KEPT:]
    }


def _seen_anew(known: Known, seen: Seen) -> Known:
    if isinstance(seen, Measurement):
        return known.with_measurement(seen)
    return known.with_failure(seen)


def _encoded(everything: _All) -> bytes:
    servers = {
        server: {model: _stored(known) for model, known in models.items()}
        for server, models in everything.items()
    }
    return msgspec.json.encode(_Stored(_VERSION, servers))


def _stored(known: Known) -> _Known:
    """As the file has it. Raises msgspec.ValidationError, a ValueError."""
    measurements = msgspec.convert(known.measurements, list[_Measurement], from_attributes=True)
    failures = msgspec.convert(known.failures, list[_OutOfMemory], from_attributes=True)
    return _Known(measurements, failures)


def _value(stored: _Known) -> Known:
    return Known(
        tuple(
            Measurement(
                context_size=one.context_size,
                gpu=one.gpu,
                host=one.host,
                weights=one.weights,
                cache=one.cache,
                compute=one.compute,
                setup=one.setup,
                at=one.at,
            )
            for one in stored.measurements
        ),
        tuple(OutOfMemory(one.context_size, one.setup, one.at) for one in stored.failures),
    )


def _why(error: Exception) -> str:
    words = error.strerror if isinstance(error, OSError) else None
    return clean_line(words or str(error), 200)
