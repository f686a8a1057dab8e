"""What is known of a server's memory, and what follows for a load."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from aitui.domain.hardware.history import History
from aitui.domain.hardware.host_facts import HostFacts
from aitui.domain.hardware.sample import Gpu
from aitui.domain.memory.fit import Fit, Verdict
from aitui.domain.memory.footprint import Footprint
from aitui.domain.memory.forecast import forecast, usable_cards, will_fit
from aitui.domain.memory.known_model import ModelMemory
from aitui.domain.memory.picture import MemoryPicture
from aitui.domain.memory.spill import Spill


@dataclass(frozen=True, slots=True, eq=False)
class Hardware:
    """The memory of one server as it stands.

    `heard` is when the last sample came (monotonic seconds), None before the first. `trouble` says
    in words why nothing is known. `models` has what is remembered or read of each model, `facts`
    what the machine is.
    """

    picture: MemoryPicture = field(default_factory=MemoryPicture)
    history: History = field(default_factory=History)
    models: Mapping[str, ModelMemory] = field(default_factory=dict)
    spills: tuple[Spill, ...] = ()
    heard: float | None = None
    trouble: str = ""
    facts: HostFacts = field(default_factory=HostFacts)

    @property
    def last_contexts(self) -> dict[str, int]:
        """The context sizes that models were last measured with."""
        found = ((name, memory.known.last_context) for name, memory in self.models.items())
        return {name: tokens for name, tokens in found if tokens is not None}

    def fit(self, model_id: str, context_size: int, leaving: Iterable[str] = ()) -> Fit:
        """Whether that model will fit at a context size once those that are leaving have gone."""
        model = self.models.get(model_id)
        if model is None:
            reason = "" if self.picture.source is None else "it has not been measured yet"
            return Fit(Verdict.UNKNOWN, free=self.picture.free_bytes, reason=reason)
        return will_fit(
            self.picture, model.known, model.setup, context_size, model.header, leaving=leaving
        )

    def longest_context(self, model_id: str) -> int | None:
        """As many tokens as the model was made for, None where nobody told."""
        model = self.models.get(model_id)
        return model.header.context_length if model is not None and model.header else None

    def spill(self, model_id: str) -> Spill | None:
        """How that model became slower, None where it didn't."""
        return next((one for one in self.spills if one.model == model_id), None)


def expected_memory(model: ModelMemory, context_size: int, gpus: Sequence[Gpu]) -> Footprint | None:
    """What a model that doesn't run will take, of the cards or of the machine."""
    cards = usable_cards(gpus, model.known, model.setup)
    return forecast(model.known, model.setup, context_size, model.header, has_gpu=bool(cards))
