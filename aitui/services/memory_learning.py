"""Learn from loads: the memory of each, failures for lack of memory, slow models."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from aitui.domain.memory.measurement import Measurement, MemoryRecords, OutOfMemory, UsualRate
from aitui.domain.memory.usage import MemoryUsage, build_measurement, footprint_by_difference
from aitui.domain.models import ContextSource, LoadFailure, Model, RunState

if TYPE_CHECKING:
    from aitui.domain.hardware.sample import HardwareSample
    from aitui.domain.memory.footprint import Footprint
    from aitui.domain.memory.forecast import ModelMemory, OffloadSlowdown
    from aitui.domain.memory.launch_profile import LaunchProfile

OUT_OF_MEMORY = "out of memory"
"""The first words of the reason of a load that certainly failed for lack of memory."""
LONGEST_SAMPLE_GAP = 1800.0
"""Seconds at most between two samples that measure a load by their difference."""
RATE_SAMPLES = 20
LEAST_RATE_CHANGE = 0.1
"""The share by which a rate must differ from the stored one to replace it."""
SETTLING_RATES = 5
"""Stored at once until the usual rate has settled."""
MODELS_KEPT = 1000
BASELINES_KEPT = 32
LEAST_GROWTH = 1.02


class MemoryObservation(Struct, frozen=True):
    """Something to store of one model."""

    model: str
    observation: Measurement | OutOfMemory | UsualRate


class MemoryLearner:
    """Learns from models and samples.

    `wall` returns Unix time, `setup_of` the launch profile of a model's command, `known_of` its
    records.
    """

    def __init__(
        self,
        wall: Callable[[], float],
        setup_of: Callable[[str, str], "LaunchProfile"],
        known_of: Callable[[str], MemoryRecords],
    ) -> None:
        self._wall = wall
        self._launch_profile_of = setup_of
        self._known_of = known_of
        self._commands: dict[str, str] = {}
        self._failures: dict[str, LoadFailure] = {}
        self._recorded: dict[str, tuple[str, int]] = {}
        self._rates: dict[str, tuple[str, deque[float]]] = {}
        self._last_rates: dict[str, float] = {}
        self._baselines: dict[frozenset[str], HardwareSample] = {}
        self._residents: frozenset[tuple[str, str]] = frozenset()
        self._samples_since = 0
        self._last_at = float("-inf")

    def observe_models(
        self, models: tuple[Model, ...], commands: Mapping[str, str]
    ) -> tuple[MemoryObservation, ...]:
        """Learn from the models; `commands` are those of the config file."""
        lessons: list[MemoryObservation] = []
        for model in models:
            if model.in_transit:
                self._recorded.pop(model.id, None)
            if model.state is RunState.STARTING and model.command:
                self._commands[model.id] = model.command
            elif model.state is RunState.READY or (model.requested and not model.resident):
                # A load that fails before any poll sees it runs what the config file says by then.
                self._commands.pop(model.id, None)
            lessons += self._failure_lessons(model, commands)
            lessons += self._rate_lessons(model)
        residents = frozenset((model.id, model.state.value) for model in models if model.resident)
        if residents != self._residents:
            self._residents, self._samples_since = residents, 0
        of_models = (self._commands, self._failures, self._recorded, self._rates, self._last_rates)
        for known in of_models:
            while len(known) > MODELS_KEPT:
                known.pop(next(iter(known)))
        return tuple(lessons)

    def observe_sample(
        self, sample: "HardwareSample | None", models: tuple[Model, ...], picture: MemoryUsage
    ) -> tuple[MemoryObservation, ...]:
        """Learn from a sample, and from the memory that each running model was seen to take.

        The server's clock may differ from ours: the second sample after a model started is the first
        that was certainly taken after that.
        """
        if sample is not None and sample.at > self._last_at:
            self._last_at = sample.at
            self._samples_since += 1
        ready = [model for model in models if model.state is RunState.READY]
        settled = self._samples_since >= 2 and len(ready) == len(self._residents)
        lessons = []
        for model in ready:
            found = picture.footprints.get(model.id)
            if model.id not in picture.observed_now:
                found = self._footprint_by_difference(model, sample, ready) if settled else None
            if found is not None:
                lessons += self._measurement_lessons(model, found)
        if settled and sample is not None:
            names = frozenset(model.id for model in ready)
            self._baselines.pop(names, None)
            self._baselines[names] = sample
            while len(self._baselines) > BASELINES_KEPT:
                self._baselines.pop(next(iter(self._baselines)))
        return tuple(lessons)

    def slowdowns(
        self, models: tuple[Model, ...], picture: MemoryUsage, known: Mapping[str, "ModelMemory"]
    ) -> tuple["OffloadSlowdown", ...]:
        """Return the ready models that are much slower than with their smaller context before."""
        if not known:
            return ()
        from aitui.domain.memory.forecast import find_slowdown

        found = (
            find_slowdown(
                model.id,
                known[model.id],
                model.context.tokens,
                self._current_rate(model),
                picture.footprints.get(model.id) if model.id in picture.observed_now else None,
            )
            for model in models
            if model.state is RunState.READY and model.id in known
        )
        return tuple(spill for spill in found if spill is not None)

    def _failure_lessons(
        self, model: Model, commands: Mapping[str, str]
    ) -> list[MemoryObservation]:
        failed = model.failed
        if failed is None or self._failures.get(model.id) == failed:
            return []
        self._failures[model.id] = failed
        if failed.crashed or not failed.reason.startswith(OUT_OF_MEMORY):
            return []
        command = self._commands.get(model.id) or model.command or commands.get(model.id, "")
        profile = self._launch_profile_of(model.id, command)
        size = profile.context_size or model.context.known_tokens
        if not size:
            return []
        fingerprint = profile.fingerprint
        return [MemoryObservation(model.id, OutOfMemory(size, fingerprint, failed.at))]

    def _footprint_by_difference(
        self, model: Model, sample: "HardwareSample | None", ready: list[Model]
    ) -> "Footprint | None":
        others = frozenset(other.id for other in ready if other.id != model.id)
        before = self._baselines.get(others)
        if sample is None or before is None or sample.at - before.at > LONGEST_SAMPLE_GAP:
            return None
        return footprint_by_difference(model.context.tokens, before, sample)

    def _measurement_lessons(self, model: Model, found: "Footprint") -> list[MemoryObservation]:
        if model.context.source is ContextSource.FALLBACK or not model.command:
            return []
        fingerprint = self._launch_profile_of(model.id, model.command).fingerprint
        key = f"{fingerprint} {found.context_size}"
        kept = self._recorded.get(model.id)
        if kept is not None and kept[0] == key and found.needed <= kept[1] * LEAST_GROWTH:
            return []
        seen = build_measurement(found, fingerprint, self._wall())
        if seen is None:
            return []
        self._recorded[model.id] = key, found.needed
        return [MemoryObservation(model.id, seen)]

    def _rate_lessons(self, model: Model) -> list[MemoryObservation]:
        if model.rate is None or model.state is not RunState.READY or not model.command:
            return []
        if self._last_rates.get(model.id) == model.rate:
            return []
        self._last_rates[model.id] = model.rate
        key, rates = self._rates.get(model.id, ("", deque[float]()))
        fingerprint = self._launch_profile_of(model.id, model.command).fingerprint
        size = model.context.tokens
        if key != f"{fingerprint} {size}":
            rates = deque(maxlen=RATE_SAMPLES)
            self._rates[model.id] = f"{fingerprint} {size}", rates
        rates.append(model.rate)
        from statistics import median  # 2.5 ms, with fractions and decimal

        usual = median(rates)
        kept = self._known_of(model.id).usual_rate(fingerprint, size)
        other = 0.0 if len(rates) <= SETTLING_RATES else LEAST_RATE_CHANGE
        if kept is not None and abs(usual - kept.rate) <= kept.rate * other:
            return []
        if not size or model.context.source is ContextSource.FALLBACK:
            return []
        return [MemoryObservation(model.id, UsualRate(size, usual, fingerprint, self._wall()))]

    def _current_rate(self, model: Model) -> float | None:
        """Return the last rate with the present context; an earlier one doesn't count."""
        key, rates = self._rates.get(model.id, ("", deque[float]()))
        fingerprint = self._launch_profile_of(model.id, model.command).fingerprint
        return rates[-1] if rates and key == f"{fingerprint} {model.context.tokens}" else None
