"""The memory that models were seen to take, by server, model, setup and context size."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec

from aitui.domain.memory.measurement import Measurement, MemoryRecords, OutOfMemory, UsualRate
from aitui.store.json_store import FileFormat, JsonStore

FILE_NAME = "memory.json"
MODELS_KEPT = 1000
SERVERS_KEPT = 100

_VERSION = 1

Observation = Measurement | OutOfMemory | UsualRate
_All = dict[str, dict[str, MemoryRecords]]
_Bytes = Annotated[int, msgspec.Meta(ge=0, le=1 << 52)]
_Key = Annotated[str, msgspec.Meta(max_length=200)]
_Cards = Annotated[tuple[tuple[_Key, _Bytes], ...], msgspec.Meta(max_length=64)]
_Rate = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
_Tokens = Annotated[int, msgspec.Meta(ge=1, le=1 << 40)]


class _Measurement(msgspec.Struct, omit_defaults=True):
    context_size: _Tokens
    gpu: _Bytes
    host: _Bytes | None = None
    weights: _Bytes | None = None
    cache: _Bytes | None = None
    compute: _Bytes | None = None
    setup: str = ""
    at: float = 0.0
    cards: _Cards = ()


class _OutOfMemory(msgspec.Struct, omit_defaults=True):
    context_size: _Tokens
    setup: str = ""
    at: float = 0.0


class _UsualRate(msgspec.Struct, omit_defaults=True):
    context_size: _Tokens
    rate: _Rate
    setup: str = ""
    at: float = 0.0


class _MemoryRecords(msgspec.Struct, omit_defaults=True):
    measurements: list[_Measurement] = []
    failures: list[_OutOfMemory] = []
    rates: list[_UsualRate] = []


class _MeasurementsFile(msgspec.Struct):
    version: int
    servers: dict[str, dict[str, _MemoryRecords]] = {}


class Measurements:
    """What is known of all models of all servers, in memory and in one file."""

    def __init__(self, path: Path) -> None:
        form: FileFormat[_All, tuple[str, str, Observation]] = FileFormat(
            "memory measurements", _VERSION, {}, _decode, _encode, _merge
        )
        self._file = JsonStore(path, form)

    @classmethod
    async def open(cls, path: Path) -> "Measurements":
        """Read the file, which need not exist. What goes wrong becomes a warning."""
        measurements = cls(path)
        await asyncio.to_thread(measurements._file.open)
        return measurements

    def of_model(self, server_identity: str, model_id: str) -> MemoryRecords:
        """Everything that is remembered of a model."""
        return self._file.content.get(server_identity, {}).get(model_id, MemoryRecords())

    async def record(self, server_identity: str, model_id: str, seen: Observation) -> None:
        """Keep what a load took, that it died, or how fast it is. What goes wrong becomes a warning.

        Raises ValueError for lone surrogates in a name and for figures that can't be. A call that
        is cancelled may still write.
        """
        for name in (server_identity, model_id, seen.setup):
            name.encode()
        _to_stored(_with_observation(MemoryRecords(), seen))
        await asyncio.to_thread(self._file.add, (server_identity, model_id, seen))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What went wrong with the file so far, each once, in words for the user."""
        return self._file.warnings


def _decode(content: bytes) -> _All:
    stored = msgspec.json.decode(content, type=_MeasurementsFile).servers
    return {
        server: {model: _from_stored(known) for model, known in models.items()}
        for server, models in stored.items()
    }


def _merge(everything: _All, added: Iterable[tuple[str, str, Observation]]) -> _All:
    """The same with what was seen, a new dictionary as far as it differs."""
    merged = dict(everything)
    for server, model, seen in added:
        models = dict(merged.pop(server, {}))
        models[model] = _with_observation(models.pop(model, MemoryRecords()), seen)
        merged[server] = models
    return {
        server: dict(list(models.items())[-MODELS_KEPT:])
        for server, models in list(merged.items())[-SERVERS_KEPT:]
    }


def _with_observation(known: MemoryRecords, seen: Observation) -> MemoryRecords:
    match seen:
        case Measurement():
            return known.with_measurement(seen)
        case OutOfMemory():
            return known.with_failure(seen)
        case UsualRate():
            return known.with_rate(seen)


def _encode(everything: _All) -> bytes:
    servers = {
        server: {model: _to_stored(known) for model, known in models.items()}
        for server, models in everything.items()
    }
    return msgspec.json.encode(_MeasurementsFile(_VERSION, servers))


def _to_stored(known: MemoryRecords) -> _MemoryRecords:
    """As the file has it. Raises msgspec.ValidationError, a ValueError."""
    measurements = msgspec.convert(known.measurements, list[_Measurement], from_attributes=True)
    failures = msgspec.convert(known.failures, list[_OutOfMemory], from_attributes=True)
    rates = msgspec.convert(known.rates, list[_UsualRate], from_attributes=True)
    return _MemoryRecords(measurements, failures, rates)


def _from_stored(stored: _MemoryRecords) -> MemoryRecords:
    return MemoryRecords(
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
                cards=one.cards,
            )
            for one in stored.measurements
        ),
        tuple(OutOfMemory(one.context_size, one.setup, one.at) for one in stored.failures),
        tuple(UsualRate(one.context_size, one.rate, one.setup, one.at) for one in stored.rates),
    )
