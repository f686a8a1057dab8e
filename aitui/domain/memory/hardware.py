"""What is known of a server's memory, and what follows for a load."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from aitui.domain.hardware.history import SampleHistory
from aitui.domain.hardware.host_facts import HostInfo
from aitui.domain.hardware.sample import Gpu
from aitui.domain.memory.fit import FitForecast, FitVerdict
from aitui.domain.memory.footprint import Footprint
from aitui.domain.memory.forecast import forecast_fit, forecast_memory, placement_cards
from aitui.domain.memory.known_model import ModelMemory
from aitui.domain.memory.picture import MemoryUsage
from aitui.domain.memory.spill import OffloadSlowdown


@dataclass(frozen=True, slots=True, eq=False)
class HardwareState:
    """The memory of one server as it stands.

    `heard` is when the last sample came (monotonic seconds), None before the first. `trouble` says
    in words why nothing is known. `models` has what is remembered or read of each model, `facts`
    what the machine is.
    """

    usage: MemoryUsage = field(default_factory=MemoryUsage)
    history: SampleHistory = field(default_factory=SampleHistory)
    models: Mapping[str, ModelMemory] = field(default_factory=dict)
    slowdowns: tuple[OffloadSlowdown, ...] = ()
    last_sample_at: float | None = None
    error: str = ""
    facts: HostInfo = field(default_factory=HostInfo)

    @property
    def last_contexts(self) -> dict[str, int]:
        """The context sizes that models were last measured with."""
        found = ((name, memory.known.last_context) for name, memory in self.models.items())
        return {name: tokens for name, tokens in found if tokens is not None}

    def fit(self, model_id: str, context_size: int, leaving: Iterable[str] = ()) -> FitForecast:
        """Whether that model will fit at a context size once those that are leaving have gone."""
        model = self.models.get(model_id)
        if model is None:
            reason = "" if self.usage.source is None else "it has not been measured yet"
            return FitForecast(FitVerdict.UNKNOWN, free=self.usage.free_bytes, reason=reason)
        return forecast_fit(
            self.usage,
            model.known,
            model.launch_profile,
            context_size,
            model.header,
            leaving=leaving,
        )

    def longest_context(self, model_id: str) -> int | None:
        """As many tokens as the model was made for, None where nobody told."""
        model = self.models.get(model_id)
        return model.header.context_length if model is not None and model.header else None

    def slowdown(self, model_id: str) -> OffloadSlowdown | None:
        """How that model became slower, None where it didn't."""
        return next((one for one in self.slowdowns if one.model == model_id), None)


def expected_memory(model: ModelMemory, context_size: int, gpus: Sequence[Gpu]) -> Footprint | None:
    """What a model that doesn't run will take, of the cards or of the machine."""
    cards = placement_cards(gpus, model.known, model.launch_profile)
    return forecast_memory(
        model.known, model.launch_profile, context_size, model.header, has_gpu=bool(cards)
    )
