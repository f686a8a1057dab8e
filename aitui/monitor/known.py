"""What has been learnt of one server so far, and the models that follow from it."""

from dataclasses import dataclass, replace

from aitui.domain.clock import Clock
from aitui.domain.events import (
    Event,
    ModelsUsed,
    RequestEnded,
    RequestsCounted,
    RequestsListed,
    RequestUpdated,
    StatusChanged,
)
from aitui.domain.merge import Facts, merge
from aitui.domain.model import (
    FailedLoad,
    ListedModel,
    Model,
    ModelStatus,
    Requests,
    RunningModel,
    RunningRequest,
    RunState,
)

NOT_QUEUED = 2.0
"""Seconds in which a load that nobody saw starting can't have waited for others."""


@dataclass(frozen=True, slots=True)
class Transitions:
    """What one look at the server showed to have changed.

    `loaded` pairs a model with the seconds its load took; `vanished` were starting and are gone.
    """

    changed: bool = False
    loaded: tuple[tuple[str, float], ...] = ()
    vanished: tuple[str, ...] = ()


class Known:
    """The facts about one server, gathered from its answers and its events."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._listed: tuple[ListedModel, ...] = ()
        self._running: tuple[RunningModel, ...] = ()
        self._statuses: tuple[ModelStatus, ...] = ()
        self._failures: dict[str, FailedLoad] = {}
        self._requested: dict[str, float] = {}
        self._last_used: dict[str, float] = {}
        self._expected_load: dict[str, float] = {}
        self._requests: dict[str, RunningRequest] | None = None
        self._request_total: int | None = None
        self._seen_to_start: dict[str, float] = {}
        self._asked_before = False
        self._stale = True
        self._models: tuple[Model, ...] = ()
        self.companions: frozenset[frozenset[str]] = frozenset()
        self.lists_only_ready = False

    @property
    def models(self) -> tuple[Model, ...]:
        """The models as of the last `merge`."""
        return self._models

    @property
    def requests(self) -> Requests:
        """The requests under way."""
        if self._requests is None:
            return Requests(total=self._request_total)
        return Requests(total=len(self._requests), running=tuple(self._requests.values()))

    @property
    def in_transit(self) -> bool:
        """Whether a model is about to change its state, or is waited for."""
        return bool(self._requested) or any(model.in_transit for model in self._models)

    @property
    def model_ids(self) -> frozenset[str]:
        """The ids that the last event named; empty where no event came."""
        return frozenset(status.id for status in self._statuses)

    def listed(self, models: tuple[ListedModel, ...]) -> None:
        """Take in an answer of `/v1/models`."""
        if models != self._listed:
            self._listed = models
            self._stale = True

    def expect_load(self, model_id: str, seconds: float) -> None:
        """Remember how long a load of that model is expected to take."""
        if self._expected_load.get(model_id) != seconds:
            self._expected_load[model_id] = seconds
            self._stale = True

    def load_requested(self, model_id: str) -> None:
        """aitui waits for that model from now on; an earlier failure is forgotten."""
        self._requested.setdefault(model_id, self._clock.monotonic())
        self._failures.pop(model_id, None)
        self._stale = True

    def load_settled(self, model_id: str) -> None:
        """aitui no longer waits for that model."""
        self._requested.pop(model_id, None)
        self._stale = True

    def load_failed(self, model_id: str, failed: FailedLoad) -> None:
        """Remember why a load failed, until the model is tried again."""
        self._failures[model_id] = failed
        self._stale = True

    def events_ended(self) -> None:
        """The event stream ended: what only events tell is unknown until it is back."""
        self._requests = None
        self._request_total = None
        if self.lists_only_ready:
            self._statuses = ()
        self._stale = True

    def running(self, models: tuple[RunningModel, ...]) -> Transitions:
        """Take in an answer of `/running`, and say what it shows to have changed."""
        before = {model.id: model.state for model in self._models}
        if models != self._running:
            self._running = models
            self._stale = True
        self.merge()
        after = {model.id: model.state for model in self._models}
        self._remember_companions()
        loaded = tuple(self._loads_ended(before, after))
        vanished = tuple(
            model_id
            for model_id, state in before.items()
            if state is RunState.STARTING and after.get(model_id) is RunState.STOPPED
        )
        changed = self._asked_before and {
            model_id: state for model_id, state in before.items() if state is not RunState.STOPPED
        } != {model_id: state for model_id, state in after.items() if state is not RunState.STOPPED}
        self._asked_before = True
        return Transitions(changed, loaded, vanished)

    def apply(self, event: Event) -> bool:
        """Take in an event; True where `/running` should be asked because of it."""
        match event:
            case StatusChanged(models):
                return self._statuses_told(models)
            case RequestsCounted(total):
                self._request_total = total
            case RequestsListed(requests):
                self._requests = {request.id: request for request in requests}
            case RequestUpdated(request):
                self._requests = {**(self._requests or {}), request.id: request}
                self._last_used[request.model] = self._clock.monotonic()
            case RequestEnded(request_id):
                self._request_ended(request_id)
            case ModelsUsed(requests):
                self._models_used(requests)
            case _:
                return False
        self._stale = True
        return False

    def merge(self) -> tuple[Model, ...]:
        """The models that follow from everything known; unchanged ones are the same objects."""
        if not self._stale:
            return self._models
        self._stale = False
        self._models = merge(
            Facts(
                listed=self._listed,
                running=self._running,
                statuses=self._statuses,
                configured_context={},
                seen_reasoning={},
                failures=self._failures,
                requests=self.requests,
                last_used=self._last_used,
                expected_load=self._expected_load,
                requested=self._requested,
                running_lists_only_ready=self.lists_only_ready,
            ),
            self._models,
            self._clock.monotonic(),
        )
        return self._models

    def shift_clock(self, seconds: float) -> None:
        """The machine slept that long while the monotonic clock stood still: ages grow by it."""
        self._last_used = {key: used - seconds for key, used in self._last_used.items()}
        self._models = tuple(replace(model, since=model.since - seconds) for model in self._models)
        self._seen_to_start.clear()
        self._stale = True

    def _statuses_told(self, statuses: tuple[ModelStatus, ...]) -> bool:
        before = {status.id: status.state for status in self._statuses}
        if statuses != self._statuses:
            self._statuses = statuses
            self._stale = True
        return before != {status.id: status.state for status in statuses}

    def _request_ended(self, request_id: str) -> None:
        ended = (self._requests or {}).get(request_id)
        if ended is None or self._requests is None:
            return
        self._requests = {
            key: request for key, request in self._requests.items() if key != request_id
        }
        self._last_used[ended.model] = self._clock.monotonic()

    def _models_used(self, requests: tuple[tuple[str, float | None], ...]) -> None:
        now, wall = self._clock.monotonic(), self._clock.wall()
        for model_id, at in requests:
            age = 0.0 if at is None else max(0.0, wall - at)
            self._last_used[model_id] = max(self._last_used.get(model_id, now - age), now - age)

    def _requested_shortly_before(self, model_id: str, now: float) -> float | None:
        """When a load that was never seen to start was asked for, unless it may have queued."""
        requested = self._requested.get(model_id)
        if requested is None or self.lists_only_ready or now - requested < NOT_QUEUED:
            return requested
        return None

    def _remember_companions(self) -> None:
        ready = sorted(model.id for model in self._models if model.state is RunState.READY)
        if 2 <= len(ready) <= 32:
            pairs = {frozenset((a, b)) for a in ready for b in ready if a < b}
            if not pairs <= self.companions:
                self.companions |= pairs

    def _loads_ended(
        self, before: dict[str, RunState], after: dict[str, RunState]
    ) -> list[tuple[str, float]]:
        now = self._clock.monotonic()
        ended: list[tuple[str, float]] = []
        for model_id, state in after.items():
            was = before.get(model_id)
            if state is RunState.STARTING:
                # One that was starting already at the first look began at an unknown moment.
                if was is not RunState.STARTING and self._asked_before:
                    self._seen_to_start[model_id] = now
                continue
            began = self._seen_to_start.pop(model_id, None)
            if state is RunState.READY and was is not RunState.READY:
                self._failures.pop(model_id, None)
                self._stale = True
                if began is None:
                    began = self._requested_shortly_before(model_id, now)
                if began is not None:
                    ended.append((model_id, now - began))
        return ended
