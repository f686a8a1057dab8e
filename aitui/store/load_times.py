"""The durations of loads by model and context size, to predict the next one."""

import asyncio
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from aitui.store.json_store import FileFormat, JsonStore

FILE_NAME = "load-times.json"
VALUES_KEPT = 5
CONTEXTS_KEPT = 8
MODELS_KEPT = 2000
SERVERS_KEPT = 200

_Seconds = Annotated[float, msgspec.Meta(ge=0)]
_Tokens = Annotated[int, msgspec.Meta(ge=0)]


class _Load(msgspec.Struct, array_like=True, frozen=True):
    context_size: _Tokens
    seconds: _Seconds


# Version 1 had the seconds alone. A tuple in the place of the Struct is a MemoryError (msgspec 0.22).
_Loads = tuple[_Load | _Seconds, ...]


def _add(known: _Loads, load: _Load) -> _Loads:
    same = [one for one in known if _context_size(one) == load.context_size]
    others = [one for one in known if _context_size(one) != load.context_size]
    return (*others, *same[1 - VALUES_KEPT :], load)[-VALUES_KEPT * CONTEXTS_KEPT :]


def _context_size(load: _Load | float) -> int:
    return load.context_size if isinstance(load, _Load) else 0


_FORMAT: FileFormat[_Loads, _Load] = FileFormat(
    name="load times",
    version=2,
    decoder=msgspec.json.Decoder(dict[str, dict[str, _Loads]]),
    empty=(),
    add=_add,
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

    def expected(self, server_identity: str, model_id: str) -> Mapping[int, float]:
        """Return the seconds that a load probably takes, by context size in tokens.

        Each is the median of the last loads; that of 0 is for a context size that isn't known.
        """
        loads = self._store.of_model(server_identity, model_id)
        if not loads:
            return {}
        from statistics import median  # 2.5 ms, with fractions and decimal

        times: dict[int, list[float]] = {}
        for load in loads:
            seconds = load.seconds if isinstance(load, _Load) else load
            for size in {0, _context_size(load)}:
                times.setdefault(size, []).append(seconds)
        return {size: median(seconds[-VALUES_KEPT:]) for size, seconds in times.items()}

    async def record(
        self, server_identity: str, model_id: str, seconds: float, context_size: int = 0
    ) -> None:
        """Record the seconds that a load took with that context size, 0 if it isn't known.

        What goes wrong with the file becomes a warning. Raises ValueError for seconds that are
        negative or no number, and for lone surrogates in a name. A call that is cancelled may still
        write.
        """
        if not math.isfinite(seconds) or seconds < 0:
            raise ValueError(f"a load can't take {seconds} seconds")
        f"{server_identity}{model_id}".encode()  # a lone surrogate can't be written
        load = _Load(context_size, float(seconds))
        await asyncio.to_thread(self._store.add, server_identity, model_id, load)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return sentences about errors with the file, each once."""
        return self._store.warnings
