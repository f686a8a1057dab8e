"""The memory of one server as it stands: part of every snapshot.

How a forecast comes about is imported with the first one.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from aitui.domain.hardware.info import HostInfo
from aitui.domain.hardware.sample import (
    HISTORY_SECONDS,
    HOLD_SECONDS,
    MOST_SAMPLES,
    SampleHistory,
)
from aitui.domain.memory.usage import MemoryUsage

if TYPE_CHECKING:
    from aitui.domain.hardware.host_sample import GpuProcess
    from aitui.domain.memory.forecast import FitForecast, ModelMemory, OffloadSlowdown


class MemoryRecord(Struct, frozen=True):
    """What each model had of each card from `began` to `ended` (Unix time), unchanged.

    `cards` has bytes by card and model. `loading` are the models that weren't ready yet.
    """

    began: float
    ended: float
    cards: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    loading: frozenset[str] = frozenset()


def record_usage(
    records: tuple[MemoryRecord, ...], usage: MemoryUsage, loading: frozenset[str]
) -> tuple[MemoryRecord, ...]:
    """Return the records of the last hour with what is used now; what didn't change is extended."""
    last = records[-1] if records else None
    if usage.source is None or (last is not None and usage.at <= last.ended):
        return records
    cards = {
        card.gpu.key: {share.model: share.used_bytes for share in card.models}
        for card in usage.cards
    }
    known = {model for shares in cards.values() for model in shares}
    new = MemoryRecord(usage.at, usage.at, cards, loading & known)
    same = last is not None and (last.cards, last.loading) == (new.cards, new.loading)
    if last is not None and usage.at - last.ended <= HOLD_SECONDS:
        # It holds until the next one, as a sample does.
        records = (*records[:-1], replace(last, ended=usage.at))
    if not same or usage.at > records[-1].ended:
        records = (*records, new)
    start = usage.at - HISTORY_SECONDS
    return tuple(record for record in records if record.ended >= start)[-MOST_SAMPLES:]


class HardwareState(Struct, frozen=True, eq=False):
    """The memory of one server.

    `last_sample_at` is when the last sample came (monotonic seconds), None before the first.
    `error` says in words why nothing is known. `models` has what is remembered or read of each
    model, `slot_sizes` the tokens of a slot by the logs of the ready models, `facts` what the machine is, `records` what was seen of the models' memory so far.
    """

    usage: MemoryUsage = field(default_factory=MemoryUsage)
    history: SampleHistory = field(default_factory=SampleHistory)
    models: Mapping[str, "ModelMemory"] = field(default_factory=dict)
    slot_sizes: Mapping[str, int] = field(default_factory=dict)
    slowdowns: tuple["OffloadSlowdown", ...] = ()
    last_sample_at: float | None = None
    error: str = ""
    facts: HostInfo = field(default_factory=HostInfo)
    records: tuple[MemoryRecord, ...] = ()
    processes: tuple["GpuProcess", ...] = ()

    @property
    def last_contexts(self) -> dict[str, int]:
        """The context sizes that models were last measured with."""
        found = ((name, memory.known.last_context) for name, memory in self.models.items())
        return {name: tokens for name, tokens in found if tokens is not None}

    def fit(self, model_id: str, context_size: int, evicted: Iterable[str] = ()) -> "FitForecast":
        """Forecast whether that model will fit at a context size once the evicted ones have gone."""
        from aitui.domain.memory.forecast import FitForecast, FitVerdict, forecast_fit

        model = self.models.get(model_id)
        if model is None:
            reason = "" if self.usage.source is None else "nothing is known of its memory yet"
            return FitForecast(FitVerdict.UNKNOWN, free=self.usage.free_bytes, reason=reason)
        known, profile, header = model.known, model.launch_profile, model.header
        return forecast_fit(self.usage, known, profile, context_size, header, evicted=evicted)

    def longest_context(self, model_id: str) -> int | None:
        """Return as many tokens as the model was made for, None if that isn't known."""
        model = self.models.get(model_id)
        return model.header.context_length if model is not None and model.header else None
