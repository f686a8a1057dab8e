"""The memory of one server as it stands: part of every snapshot.

How a forecast comes about is imported with the first one.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field

from aitui.domain.hardware.info import HostInfo
from aitui.domain.hardware.sample import SampleHistory
from aitui.domain.memory.usage import MemoryUsage

if TYPE_CHECKING:
    from aitui.domain.memory.forecast import FitForecast, ModelMemory, OffloadSlowdown


class HardwareState(Struct, frozen=True, eq=False):
    """The memory of one server.

    `last_sample_at` is when the last sample came (monotonic seconds), None before the first.
    `error` says in words why nothing is known. `models` has what is remembered or read of each
    model, `facts` what the machine is.
    """

    usage: MemoryUsage = field(default_factory=MemoryUsage)
    history: SampleHistory = field(default_factory=SampleHistory)
    models: Mapping[str, "ModelMemory"] = field(default_factory=dict)
    slowdowns: tuple["OffloadSlowdown", ...] = ()
    last_sample_at: float | None = None
    error: str = ""
    facts: HostInfo = field(default_factory=HostInfo)

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
            reason = "" if self.usage.source is None else "this model has not been loaded yet"
            return FitForecast(FitVerdict.UNKNOWN, free=self.usage.free_bytes, reason=reason)
        known, profile, header = model.known, model.launch_profile, model.header
        return forecast_fit(self.usage, known, profile, context_size, header, evicted=evicted)

    def longest_context(self, model_id: str) -> int | None:
        """Return as many tokens as the model was made for, None if that isn't known."""
        model = self.models.get(model_id)
        return model.header.context_length if model is not None and model.header else None
