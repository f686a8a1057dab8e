"""How long loads took, for each model of each server: what the next load is measured against."""

import asyncio
import math
from pathlib import Path
from typing import Annotated

import msgspec

from aitui.store.json_store import FileFormat, JsonStore

FILE_NAME = "load-times.json"
VALUES_KEPT = 5
MODELS_KEPT = 2000
SERVERS_KEPT = 200

_Seconds = tuple[Annotated[float, msgspec.Meta(ge=0)], ...]


_FORMAT: FileFormat[_Seconds, float] = FileFormat(
    name="load times",
    version=1,
    decoder=msgspec.json.Decoder(dict[str, dict[str, _Seconds]]),
    empty=(),
    add=lambda known, seconds: (*known, seconds)[-VALUES_KEPT:],
    models_kept=MODELS_KEPT,
    servers_kept=SERVERS_KEPT,
)


class LoadTimes:
    """The load times of all servers, in memory and in one file."""

    def __init__(self, path: Path) -> None:
        self._store = JsonStore(path, _FORMAT)

    @classmethod
    async def open(cls, path: Path) -> "LoadTimes":
        """Read the file, which need not exist. What goes wrong becomes a warning."""
        times = cls(path)
        await asyncio.to_thread(times._store.open)
        return times

    def expected(self, server_identity: str, model_id: str) -> float | None:
        """Seconds that a load of this model probably takes: the median of its last loads."""
        seconds = self._store.of_model(server_identity, model_id)[-VALUES_KEPT:]
        if not seconds:
            return None
        from statistics import median  # 2.5 ms, with fractions and decimal

        return median(seconds)

    async def record(self, server_identity: str, model_id: str, seconds: float) -> None:
        """Record the seconds that a load took. What goes wrong with the file becomes a warning.

        Raises ValueError for seconds that are negative or no number, and for lone surrogates in a
        name. A call that is cancelled may still write.
        """
        if not math.isfinite(seconds) or seconds < 0:
            raise ValueError(f"a load can't take {seconds} seconds")
        f"{server_identity}{model_id}".encode()  # a lone surrogate can't be written
        await asyncio.to_thread(self._store.add, server_identity, model_id, float(seconds))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What went wrong with the file, each failure once, in words for the user."""
        return self._store.warnings
