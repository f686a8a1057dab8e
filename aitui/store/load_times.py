"""How long loads took, for each model on each server: what the next load is measured against."""

import asyncio
import math
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Annotated

import msgspec

from aitui.store.json_store import FileFormat, JsonStore

FILE_NAME = "load-times.json"
VALUES_KEPT = 5
MODELS_KEPT = 2000
SERVERS_KEPT = 200

_VERSION = 1

Times = dict[str, dict[str, list[float]]]
"""Server identity, model id, seconds. The oldest first on each level."""


class _LoadTimesFile(msgspec.Struct):
    version: int
    servers: dict[str, dict[str, list[Annotated[float, msgspec.Meta(ge=0)]]]] = {}


class LoadTimes:
    """The load times of all servers, in memory and in one file."""

    def __init__(self, path: Path) -> None:
        form: FileFormat[Times, tuple[str, str, float]] = FileFormat(
            "load times", _VERSION, {}, _decode, _encode, _merge
        )
        self._file = JsonStore(path, form)

    @classmethod
    async def open(cls, path: Path) -> "LoadTimes":
        """Read the file, which need not exist. What goes wrong becomes a warning."""
        times = cls(path)
        await asyncio.to_thread(times._file.open)
        return times

    def expected(self, server_identity: str, model_id: str) -> float | None:
        """Seconds that a load of this model probably takes: the median of its last loads."""
        seconds = self._file.content.get(server_identity, {}).get(model_id)
        return median(seconds) if seconds else None

    async def record(self, server_identity: str, model_id: str, seconds: float) -> None:
        """Keep the seconds that a load took. What goes wrong with the file becomes a warning.

        Raises ValueError for seconds that are negative or no number, and for lone surrogates in a
        name. A call that is cancelled may still write.
        """
        if not math.isfinite(seconds) or seconds < 0:
            raise ValueError(f"a load can't take {seconds} seconds")
        _require_text(server_identity, model_id)
        await asyncio.to_thread(self._file.add, (server_identity, model_id, float(seconds)))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What went wrong with the file so far, each once, in words for the user."""
        return self._file.warnings


def _decode(content: bytes) -> Times:
    return _limit_size(msgspec.json.decode(content, type=_LoadTimesFile).servers)


def _encode(times: Times) -> bytes:
    return msgspec.json.encode(_LoadTimesFile(_VERSION, times))


def _merge(times: Times, added: Iterable[tuple[str, str, float]]) -> Times:
    """The same with new values at the end, a new dictionary as far as it differs."""
    merged = dict(times)
    for server, model, seconds in added:
        models = dict(merged.pop(server, {}))
        values = [*models.pop(model, []), seconds]
        models[model] = values
        merged[server] = models
    return _limit_size(merged)


def _limit_size(times: Times) -> Times:
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
