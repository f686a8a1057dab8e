"""The memory that models took in real runs, by server, model, launch profile and context size."""

import asyncio
from pathlib import Path

import msgspec

from aitui.domain.memory.measurement import MemoryRecord, MemoryRecords
from aitui.store.json_store import FileFormat, JsonStore

FILE_NAME = "memory.json"
MODELS_KEPT = 1000
SERVERS_KEPT = 100

_FORMAT: FileFormat[MemoryRecords, MemoryRecord] = FileFormat(
    name="memory measurements",
    version=1,
    decoder=msgspec.json.Decoder(dict[str, dict[str, MemoryRecords]]),
    empty=MemoryRecords(),
    add=MemoryRecords.with_record,
    models_kept=MODELS_KEPT,
    servers_kept=SERVERS_KEPT,
)


class Measurements:
    """The measurements of all models of all servers, in memory and in one file."""

    def __init__(self, path: Path) -> None:
        self._store = JsonStore(path, _FORMAT)

    @classmethod
    async def open(cls, path: Path) -> "Measurements":
        """Read the file, which need not exist. What goes wrong becomes a warning."""
        measurements = cls(path)
        await asyncio.to_thread(measurements._store.open)
        return measurements

    def of_model(self, server_identity: str, model_id: str) -> MemoryRecords:
        """Return everything that is remembered of a model."""
        return self._store.of_model(server_identity, model_id)

    async def record(self, server_identity: str, model_id: str, seen: MemoryRecord) -> None:
        """Record what a load took, that it failed, or its speed. File errors become a warning.

        Raises ValueError for lone surrogates in a name and for impossible figures. A call that
        is cancelled may still write.
        """
        f"{server_identity}{model_id}{seen.setup}".encode()  # a lone surrogate can't be written
        msgspec.convert(msgspec.to_builtins(seen), type(seen))
        await asyncio.to_thread(self._store.add, server_identity, model_id, seen)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return sentences about errors with the file, each once."""
        return self._store.warnings
