"""What loads teach about memory: what each took, which died of it, and which became slow."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from aitui.domain.command_line import context_size
from aitui.domain.hardware.sample import Sample
from aitui.domain.memory.footprint import Footprint
from aitui.domain.memory.hardware import Spill
from aitui.domain.memory.measurement import Measurement, OutOfMemory, spills
from aitui.domain.memory.picture import MemoryPicture
from aitui.domain.memory.seen import by_difference, measurement
from aitui.domain.memory.setup import Setup
from aitui.domain.model import ContextSource, Model, RunState

OUT_OF_MEMORY = "out of memory"
"""What the reason of a failed load says of memory, as `domain.load_failure` words it."""
COMPARABLE = 1800.0
"""Seconds between two samples whose difference still counts as a load's."""
RATES_KEPT = 20
MODELS_KEPT = 1000
RESIDENTS_KEPT = 32
GROWN = 1.02


@dataclass(frozen=True, slots=True)
class Lesson:
    """Something to be kept of one model."""

    model: str
    seen: Measurement | OutOfMemory


@dataclass(slots=True)
class _Rates:
    """Tokens a second at one context size, of one model."""

    context_size: int
    rates: deque[float] = field(default_factory=lambda: deque(maxlen=RATES_KEPT))
    before: "_Rates | None" = None


class MemoryLearning:
    """Watches models and samples.

    `wall` gives Unix time, `setup_of` what the command of a model decides.
    """

    def __init__(self, wall: Callable[[], float], setup_of: Callable[[str, str], Setup]) -> None:
        self._wall = wall
        self._setup_of = setup_of
        self._commands: dict[str, str] = {}
        self._failures: dict[str, float] = {}
        self._kept: dict[str, tuple[str, int]] = {}
        self._rates: dict[str, _Rates] = {}
        self._told: dict[str, float] = {}
        self._baselines: dict[frozenset[str], Sample] = {}
        self._residents: frozenset[tuple[str, str]] = frozenset()
        self._samples_since = 0
        self._last_at = float("-inf")

    def models_came(
        self, models: tuple[Model, ...], commands: Mapping[str, str]
    ) -> tuple[Lesson, ...]:
        """Take in the models; `commands` are those of the config file."""
        lessons: list[Lesson] = []
        for model in models:
            if model.resident and model.command:
                self._commands[model.id] = model.command
                if model.in_transit:
                    self._kept.pop(model.id, None)
            lessons += self._failed(model, commands)
            self._heed_rate(model)
        residents = frozenset((model.id, model.state.value) for model in models if model.resident)
        if residents != self._residents:
            self._residents, self._samples_since = residents, 0
        for known in (self._commands, self._failures, self._kept, self._rates, self._told):
            while len(known) > MODELS_KEPT:
                known.pop(next(iter(known)))
        return tuple(lessons)

    def sample_came(
        self, sample: Sample | None, models: tuple[Model, ...], picture: MemoryPicture
    ) -> tuple[Lesson, ...]:
        """Take in how things stand, and what each running model was seen to take by now.

        The server's clock is not ours: the second sample after a model came is the first that was
        surely measured after that.
        """
        if sample is not None and sample.at > self._last_at:
            self._last_at = sample.at
            self._samples_since += 1
        ready = [model for model in models if model.state is RunState.READY]
        settled = self._samples_since >= 2 and len(ready) == len(self._residents)
        lessons = []
        for model in ready:
            found = picture.footprints.get(model.id)
            if model.id not in picture.seen_now:
                found = self._difference(model, sample, ready) if settled else None
            if found is not None:
                lessons += self._took(model, found)
        if settled and sample is not None:
            names = frozenset(model.id for model in ready)
            self._baselines.pop(names, None)
            self._baselines[names] = sample
            while len(self._baselines) > RESIDENTS_KEPT:
                self._baselines.pop(next(iter(self._baselines)))
        return tuple(lessons)

    def spills(self, models: tuple[Model, ...], picture: MemoryPicture) -> tuple[Spill, ...]:
        """The ready models that are much slower than with the smaller context they had before."""
        found = (self._spill(model, picture) for model in models if model.state is RunState.READY)
        return tuple(spill for spill in found if spill is not None)

    def _failed(self, model: Model, commands: Mapping[str, str]) -> list[Lesson]:
        failed = model.failed
        if failed is None or self._failures.get(model.id) == failed.at:
            return []
        self._failures[model.id] = failed.at
        if OUT_OF_MEMORY not in failed.reason:
            return []
        command = self._commands.get(model.id) or model.command or commands.get(model.id, "")
        size = context_size(command) or _told_context(model)
        if not size:
            return []
        return [
            Lesson(
                model.id,
                OutOfMemory(size, self._setup_of(model.id, command).fingerprint, failed.at),
            )
        ]

    def _difference(
        self, model: Model, sample: Sample | None, ready: list[Model]
    ) -> Footprint | None:
        others = frozenset(other.id for other in ready if other.id != model.id)
        before = self._baselines.get(others)
        if sample is None or before is None or sample.at - before.at > COMPARABLE:
            return None
        return by_difference(model.context.tokens, before, sample)

    def _took(self, model: Model, found: Footprint) -> list[Lesson]:
        if model.context.source is ContextSource.FALLBACK or not model.command:
            return []
        fingerprint = self._setup_of(model.id, model.command).fingerprint
        key = f"{fingerprint} {found.context_size}"
        kept = self._kept.get(model.id)
        if kept is not None and kept[0] == key and found.needed <= kept[1] * GROWN:
            return []
        seen = measurement(found, fingerprint, self._wall())
        if seen is None:
            return []
        self._kept[model.id] = key, found.needed
        return [Lesson(model.id, seen)]

    def _heed_rate(self, model: Model) -> None:
        if model.rate is None or model.state is not RunState.READY:
            return
        if self._told.get(model.id) == model.rate:
            return
        self._told[model.id] = model.rate
        size = model.context.tokens
        now = self._rates.get(model.id)
        if now is None or now.context_size != size:
            before = now if now is None or now.context_size < size else None
            if before is not None:
                before.before = None
            now = self._rates[model.id] = _Rates(size, before=before)
        now.rates.append(model.rate)

    def _spill(self, model: Model, picture: MemoryPicture) -> Spill | None:
        now = self._rates.get(model.id)
        before = now.before if now is not None else None
        if now is None or before is None or now.context_size != model.context.tokens:
            return None
        footprint = picture.footprints.get(model.id)
        on_gpu = footprint.gpu if footprint is not None else 0
        if not spills(now.rates[-1], tuple(before.rates), on_gpu, None):
            return None
        usual = sorted(before.rates)[len(before.rates) // 2]
        return Spill(model.id, now.context_size, before.context_size, now.rates[-1], usual)


def _told_context(model: Model) -> int:
    return 0 if model.context.source is ContextSource.FALLBACK else model.context.tokens
