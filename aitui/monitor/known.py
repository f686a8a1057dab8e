"""What has been learnt of one server so far, and the models that follow from it."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from aitui.domain.clients import client_name
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
from aitui.domain.memory.footprint import Footprint
from aitui.domain.merge import Facts, Merging
from aitui.domain.model import (
    Evicted,
    FailedLoad,
    FinishedRequest,
    ListedModel,
    Model,
    ModelStatus,
    Requests,
    RunningModel,
    RunningRequest,
    RunState,
)
from aitui.monitor.evictions import Evictions
from aitui.monitor.starts import Starts, Transitions

NOT_QUEUED = 2.0
"""Seconds in which a load that nobody saw starting can't have waited for others."""

LOOKS_UNTIL_LISTED = 2
"""Answers of `/running` that may miss a model which was told to be ready."""


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
        self._configured_context: Mapping[str, int] = {}
        self._last_context: Mapping[str, int] = {}
        self._memory: Mapping[str, Footprint] = {}
        self._requests: dict[str, RunningRequest] | None = None
        self._request_total: int | None = None
        self._rates: dict[str, float] = {}
        self._evicted: dict[str, Evicted] = {}
        self._evictions = Evictions()
        self._starts = Starts()
        self._coming_up: dict[str, int] = {}
        self._stale = True
        self._merging = Merging()
        self.companions: frozenset[frozenset[str]] = frozenset()
        self.lists_only_ready = False

    @property
    def models(self) -> tuple[Model, ...]:
        """The models as of the last `merge`."""
        return self._merging.models

    @property
    def requests(self) -> Requests:
        """The requests under way."""
        if self._requests is None:
            return Requests(total=self._request_total)
        return Requests(total=len(self._requests), running=tuple(self._requests.values()))

    @property
    def in_transit(self) -> bool:
        """Whether a model is about to change its state, or is waited for."""
        return bool(self._requested) or any(model.in_transit for model in self.models)

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

    def config_read(self, contexts: Mapping[str, int]) -> None:
        """What the config file says of context sizes, in tokens, takes the place of what it said."""
        if contexts != self._configured_context:
            self._configured_context = contexts
            self._stale = True

    def memory_told(self, memory: Mapping[str, Footprint], last_context: Mapping[str, int]) -> None:
        """What each model takes, or would, and the context sizes that they were measured with."""
        if (memory, last_context) != (self._memory, self._last_context):
            self._memory, self._last_context = memory, last_context
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
        self._starts.events_ended()
        if self.lists_only_ready:
            self._statuses = ()
        self._stale = True

    def running(self, models: tuple[RunningModel, ...]) -> Transitions:
        """Take in an answer of `/running`, and say what it shows to have changed."""
        if models != self._running:
            self._running = models
            self._stale = True
        self._give_up_those_that_never_came()
        self.merge()
        self._remember_companions()
        now = self._clock.monotonic()
        unseen = {
            model_id: at
            for model_id, at in self._requested.items()
            if self.lists_only_ready or now - at < NOT_QUEUED
        }
        states = {
            model.id: model.state for model in self.models if model.state is not RunState.STOPPED
        }
        self._evictions.seen(states, now)
        return self._noted(self._starts.seen(states, now, unseen))

    def statuses(self, event: StatusChanged) -> Transitions:
        """Take in the states that an event tells; `changed` where `/running` should be asked."""
        before = {status.id: status.state for status in self._statuses}
        states = {status.id: status.state for status in event.models}
        told = self._with_those_that_come_up(event.models)
        if told != self._statuses:
            self._statuses = told
            self._stale = True
        now = self._clock.monotonic()
        self._evictions.seen(states, now)
        transitions = self._starts.told(states, now)
        return self._noted(replace(transitions, changed=before != states))

    def apply(self, event: Event) -> None:
        """Take in an event of any other kind."""
        match event:
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
                self.requests_ended(requests)
            case _:
                return
        self._stale = True

    def requests_ended(self, requests: tuple[FinishedRequest, ...]) -> None:
        """Requests ended: their models were in use until then, and this fast."""
        now, wall = self._clock.monotonic(), self._clock.wall()
        for request in sorted(requests, key=lambda request: request.at or wall):
            age = 0.0 if request.at is None else max(0.0, wall - request.at)
            used = self._last_used.get(request.model, now - age)
            self._last_used[request.model] = max(used, now - age)
            if request.rate is not None:
                self._rates[request.model] = request.rate
        self._stale = True

    def went_for(self, started: str, on_purpose: Collection[str]) -> None:
        """A load began: the ready models that left just before had to go for it."""
        now = self._clock.monotonic()
        for victim in self._evictions.victims(started, now, on_purpose):
            self._evicted[victim] = Evicted(self._clock.wall(), started, self._whose(started))
            self._stale = True

    def merge(self) -> tuple[Model, ...]:
        """The models that follow from everything known; unchanged ones are the same objects."""
        if not self._stale:
            return self.models
        self._stale = False
        return self._merging.merge(
            Facts(
                listed=self._listed,
                running=self._running,
                statuses=self._statuses,
                configured_context=self._configured_context,
                last_context=self._last_context,
                seen_reasoning={},
                failures=dict(self._failures),
                requests=self.requests,
                last_used=dict(self._last_used),
                expected_load=dict(self._expected_load),
                requested=dict(self._requested),
                rates=dict(self._rates),
                evicted=dict(self._evicted),
                memory=self._memory,
                running_lists_only_ready=self.lists_only_ready,
            ),
            self._clock.monotonic(),
        )

    def shift_clock(self, seconds: float) -> None:
        """The machine slept that long while the monotonic clock stood still: ages grow by it."""
        self._last_used = {key: used - seconds for key, used in self._last_used.items()}
        self._merging.start_from(
            tuple(replace(model, since=model.since - seconds) for model in self.models)
        )
        self._starts.forget_times()
        self._stale = True

    def _with_those_that_come_up(
        self, statuses: tuple[ModelStatus, ...]
    ) -> tuple[ModelStatus, ...]:
        """v217 lists only ready models: one that is told to be so is still starting until then."""
        if not self.lists_only_ready:
            return statuses
        listed = {model.id for model in self._running}
        starting = {status.id for status in self._statuses if status.state is RunState.STARTING}
        coming = {
            status.id
            for status in statuses
            if status.state is RunState.READY and status.id in starting - listed
        }
        self._coming_up = {
            model_id: self._coming_up.get(model_id, LOOKS_UNTIL_LISTED) for model_id in coming
        }
        return tuple(
            replace(status, state=RunState.STARTING) if status.id in coming else status
            for status in statuses
        )

    def _give_up_those_that_never_came(self) -> None:
        listed = {model.id for model in self._running}
        self._coming_up = {
            model_id: looks - 1
            for model_id, looks in self._coming_up.items()
            if model_id not in listed
        }
        given_up = {model_id for model_id, looks in self._coming_up.items() if looks <= 0}
        if given_up:
            self._statuses = tuple(
                replace(status, state=RunState.READY) if status.id in given_up else status
                for status in self._statuses
            )
            self._stale = True

    def _request_ended(self, request_id: str) -> None:
        ended = (self._requests or {}).get(request_id)
        if ended is None or self._requests is None:
            return
        self._requests = {
            key: request for key, request in self._requests.items() if key != request_id
        }
        self._last_used[ended.model] = self._clock.monotonic()

    def _remember_companions(self) -> None:
        ready = sorted(model.id for model in self.models if model.state is RunState.READY)
        if 2 <= len(ready) <= 32:
            pairs = {frozenset((a, b)) for a in ready for b in ready if a < b}
            if not pairs <= self.companions:
                self.companions |= pairs

    def _noted(self, transitions: Transitions) -> Transitions:
        """A failure or an eviction is over once the model is loaded again, by whomever."""
        for model_id in (*transitions.started, *(model_id for model_id, _ in transitions.loaded)):
            for over in (self._failures, self._evicted):
                if over.pop(model_id, None) is not None:
                    self._stale = True
        return transitions

    def _whose(self, model_id: str) -> str:
        """Who wanted that model: aitui's own user, or the client that asks for it."""
        if model_id in self._requested:
            return "you"
        wanted = next((use for use in self.requests.running or () if use.model == model_id), None)
        return "" if wanted is None else client_name(wanted)
