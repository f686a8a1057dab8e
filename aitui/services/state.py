"""Everything known of one server, and the models that follow from it."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from aitui.domain.clients import THIS_CHAT, ClientNames, client_name
from aitui.domain.events import (
    Event,
    ModelStatusChanged,
    ProfileChanged,
    RequestEnded,
    RequestsCounted,
    RequestsFinished,
    RequestsListed,
    RequestUpdated,
)
from aitui.domain.hues import Hues, assign_hues
from aitui.domain.merge import ModelFacts, count_models, merge_models
from aitui.domain.models import (
    MAX_MODELS,
    MOST_REQUESTS,
    MOST_REQUESTS_COUNTED,
    ActiveRequest,
    ActiveRequests,
    ClientUnload,
    Eviction,
    FinishedRequest,
    IdleUnload,
    ListedModel,
    LoadFailure,
    Model,
    ModelStatus,
    RunningModel,
    RunState,
)
from aitui.domain.sanitize import sanitize_line
from aitui.services.activity import OwnReply, RequestLog

if TYPE_CHECKING:
    from aitui.domain.memory.footprint import Footprint
    from aitui.domain.snapshot import Clock

_T = TypeVar("_T")


def _remember(table: dict[str, _T], name: str, value: _T) -> None:
    """Set an entry of a table by names that the server chooses; of too many the oldest goes."""
    table.pop(name, None)
    table[name] = value
    if len(table) > MAX_MODELS:
        del table[next(iter(table))]


SWAP_WINDOW = 30.0
"""Seconds between a model's unloading and the load that evicted it; stopping takes a while."""


class EvictionTracker:
    """Pairs models that stopped with the load that began after it. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._states: Mapping[str, RunState] = {}
        self._left: dict[str, float] = {}

    def update_states(self, states: Mapping[str, RunState], now: float) -> None:
        """Take over the states of an event or of `/running`; whichever comes first counts."""
        for model_id, before in self._states.items():
            now_state = states.get(model_id, RunState.STOPPED)
            if before is RunState.READY and now_state in {RunState.STOPPED, RunState.STOPPING}:
                _remember(self._left, model_id, now)
        self._states = dict(states)

    def forget(self, model_id: str) -> None:
        """Leave a model out: no load has evicted it."""
        self._left.pop(model_id, None)

    def take_victims(self, started: str, now: float, on_purpose: Iterable[str]) -> tuple[str, ...]:
        """Return the models that a load evicted, each once; those unloaded by aitui don't count."""
        spared = {started, *on_purpose}
        gone = tuple(
            model_id
            for model_id, left in self._left.items()
            if now - left <= SWAP_WINDOW and model_id not in spared
        )
        self._left.clear()
        return gone


class Transitions(Struct, frozen=True):
    """What one poll or one event showed to have changed.

    `started` are loads that began; `loaded` pairs a model with the seconds its load took;
    `vanished` were starting and are gone, `ended` were ready and stop.
    """

    changed: bool = False
    started: tuple[str, ...] = ()
    loaded: tuple[tuple[str, float], ...] = ()
    vanished: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()


class _PendingLoad(Struct):
    at: float
    seen_running: bool


class LoadTracker:
    """Follows loads from beginning to end. Times are monotonic seconds.

    Events report at once when a load begins, also loads too short for any poll; `/running` has the
    last word on how a load ended.
    """

    def __init__(self) -> None:
        self._pending_loads: dict[str, _PendingLoad] = {}
        self._running_states: Mapping[str, RunState] | None = None
        self._event_states: Mapping[str, RunState] | None = None
        self._ready_since_poll: set[str] = set()

    def forget_times(self) -> None:
        """Measure no load that is under way: the clocks can't be trusted."""
        self._pending_loads.clear()

    def clear_event_states(self) -> None:
        """Forget the states of events: what the next one reports began at an unknown moment."""
        self._event_states = None

    def apply_event_states(self, states: Mapping[str, RunState], now: float) -> Transitions:
        """Take over the states of an event."""
        before, self._event_states = self._event_states, states
        self._ready_since_poll.update(id_ for id_ in states if states[id_] is RunState.READY)
        if before is None:
            return Transitions()
        started: list[str] = []
        vanished: list[str] = []
        for model_id, state in states.items():
            was = before.get(model_id)
            if was is state and model_id not in self._pending_loads:
                continue
            if state is RunState.STARTING:
                if was is not RunState.STARTING and model_id not in self._pending_loads:
                    _remember(self._pending_loads, model_id, _PendingLoad(now, seen_running=False))
                    started.append(model_id)
            elif state in {RunState.STOPPED, RunState.STOPPING}:
                begun = self._pending_loads.get(model_id)
                if begun is not None and not begun.seen_running:
                    del self._pending_loads[model_id]
                    if state is RunState.STOPPED:
                        vanished.append(model_id)
        return Transitions(started=tuple(started), vanished=tuple(vanished))

    def apply_running_states(
        self, states: Mapping[str, RunState], now: float, requested: Mapping[str, float]
    ) -> Transitions:
        """Take over the states of `/running`; a model that it doesn't list is stopped.

        `requested` has loads that count from their request if their beginning was not observed.
        """
        before, self._running_states = self._running_states, states
        first = before is None
        was = before or {}
        started: list[str] = []
        loaded: list[tuple[str, float]] = []
        for model_id, state in states.items():
            if state is RunState.STARTING:
                # One that was starting at the first poll began at an unknown moment.
                if not first and was.get(model_id) is not RunState.STARTING:
                    if model_id not in self._pending_loads:
                        self._pending_loads[model_id] = _PendingLoad(now, seen_running=True)
                        started.append(model_id)
                    self._pending_loads[model_id].seen_running = True
                continue
            begun = self._pending_loads.get(model_id)
            if begun is not None and (begun.seen_running or state is RunState.READY):
                del self._pending_loads[model_id]
            if state is RunState.READY and was.get(model_id) is not RunState.READY:
                at = begun.at if begun is not None else requested.get(model_id)
                if at is not None:
                    loaded.append((model_id, now - at))
        # Between two polls an event may have reported a model as ready.
        was_ready, self._ready_since_poll = self._ready_since_poll, set()
        last = {**was, **dict.fromkeys(was_ready & was.keys(), RunState.READY)}
        vanished = _ids_that_went(last, states, RunState.STARTING, RunState.STOPPED)
        ended = _ids_that_went(last, states, RunState.READY, RunState.STOPPED, RunState.STOPPING)
        for model_id in (*vanished, *ended):
            self._pending_loads.pop(model_id, None)
        changed = not first and _without_stopped(was) != _without_stopped(states)
        return Transitions(changed, tuple(started), tuple(loaded), vanished, ended)


def _ids_that_went(
    before: Mapping[str, RunState], now: Mapping[str, RunState], left: RunState, *to: RunState
) -> tuple[str, ...]:
    states = {id_: now.get(id_, RunState.STOPPED) for id_, was in before.items() if was is left}
    return tuple(id_ for id_, state in states.items() if state in to)


def _without_stopped(states: Mapping[str, RunState]) -> dict[str, RunState]:
    return {id_: state for id_, state in states.items() if state is not RunState.STOPPED}


def _resident_ids(models: Iterable[Model]) -> set[str]:
    return {model.id for model in models if model.resident}


QUEUE_GRACE = 2.0
"""Seconds within which a load of unobserved beginning can't have waited for others."""

POLLS_UNTIL_LISTED = 2
"""Polls of `/running` that may miss a model which an event reported as ready."""


class ServerState:
    """The facts about one server, gathered from its answers and its events.

    `models` are those of the last merge, `total_models` counts them with those it left out.
    `generation_rate` is the tokens per second that all clients get now, None if unknown, `profile` the
    active profile, "" for none.
    """

    def __init__(
        self,
        clock: "Clock",
        names: ClientNames | None = None,
        llama_servers: frozenset[str] = frozenset(),
    ) -> None:
        self._clock = clock
        self._names = names or ClientNames()
        self._log = RequestLog(self._names)
        self._facts = ModelFacts(llama_servers=llama_servers)
        self._requests: dict[str, ActiveRequest] = {}
        self._further_requests: set[str] = set()
        self._active_requests = ActiveRequests()
        self._evictions = EvictionTracker()
        self._starts = LoadTracker()
        self._pending_ready: dict[str, int] = {}
        self._idle_polls = 0
        self._stale = True
        self.models: tuple[Model, ...] = ()
        self.hues = Hues()
        self.total_models = 0
        self.companions: frozenset[frozenset[str]] = frozenset()
        self.lists_only_ready = False
        self.generation_rate: float | None = None
        self.on_finished: Callable[[tuple[FinishedRequest, ...]], None] = lambda _: None
        """Called with requests that ended and were not known yet, the oldest first."""
        self.profile = ""

    @property
    def requests(self) -> ActiveRequests:
        """Return the active requests."""
        return self._active_requests

    @property
    def finished_requests(self) -> tuple[FinishedRequest, ...]:
        """Return the requests that have ended, the newest first."""
        return self._log.finished

    @property
    def in_transit(self) -> bool:
        """Return whether a model is about to change its state, or is waited for."""
        waited_for = self._facts.requested or self._facts.queued
        return bool(waited_for) or any(model.in_transit for model in self.models)

    @property
    def model_ids(self) -> frozenset[str]:
        """Return the ids that the last event named; empty if none came."""
        return frozenset(status.id for status in self._facts.statuses)

    def update_listing(self, *, only_ready: bool) -> None:
        """Take over whether `/running` lists only ready models."""
        self._stale |= only_ready != self.lists_only_ready
        self.lists_only_ready = only_ready

    def update_models(self, models: tuple[ListedModel, ...]) -> None:
        """Take over the list of `/v1/models`."""
        if models != self._facts.listed:
            self._facts.listed = models
            self._stale = True

    def set_expected_loads(self, model_id: str, seconds: Mapping[int, float]) -> None:
        """Remember how long loads of that model are expected to take, by context size."""
        if self._facts.expected_loads.get(model_id, {}) != seconds:
            _remember(self._facts.expected_loads, model_id, seconds)
            self._stale = True

    def begin_load(self, model_id: str) -> None:
        """Mark a model as loading for aitui, and forget an earlier failure."""
        self._facts.requested.setdefault(model_id, self._clock.monotonic())
        self._facts.queued.pop(model_id, None)
        self._facts.failures.pop(model_id, None)
        self._stale = True

    def update_config(
        self, contexts: Mapping[str, int], blocks: Mapping[str, tuple[str, ...]]
    ) -> None:
        """Replace the context sizes, in tokens, that the config file sets, and its blocks."""
        if (contexts, blocks) != (self._facts.configured_context, self._facts.configured):
            self._facts.configured_context, self._facts.configured = contexts, blocks
            self._stale = True

    def update_memory(
        self, memory: Mapping[str, "Footprint"], last_context: Mapping[str, int]
    ) -> None:
        """Take over the memory of each model, and the context sizes that it was measured with."""
        if (memory, last_context) != (self._facts.memory, self._facts.last_context):
            self._facts.memory, self._facts.last_context = memory, last_context
            self._stale = True

    def end_load(self, model_id: str, *, queued: bool = False) -> None:
        """Mark a model as no longer loading for aitui, but as `queued` if the server may go on."""
        self._facts.requested.pop(model_id, None)
        self._facts.queued.pop(model_id, None)
        if queued:
            self._facts.queued[model_id] = self._clock.monotonic()
            self._idle_polls = 0
        self._stale = True

    def record_failure(self, model_id: str, failed: LoadFailure) -> None:
        """Remember why a load failed, until the model is tried again."""
        _remember(self._facts.failures, model_id, failed)
        self._stale = True

    def record_idle_unload(self, model_id: str, unload: IdleUnload) -> None:
        """Remember that the idle timeout unloaded a model: no other model evicted it."""
        _remember(self._facts.timed_out, model_id, unload)
        self._facts.evicted.pop(model_id, None)
        self._evictions.forget(model_id)
        self._stale = True

    def record_client_unload(self, model_id: str, at: float, address: str, agent: str) -> None:
        """Remember that a client had a model unloaded, unless a load has evicted it meanwhile."""
        if model_id in self._facts.evicted:
            return
        label = sanitize_line(self._names.label(address, agent), 80)
        client = "another aitui" if label == THIS_CHAT else label
        _remember(self._facts.unloaded, model_id, ClientUnload(at, client))
        self._stale = True

    def clear_event_state(self) -> None:
        """Forget what only events report, since their stream ended."""
        self._list_requests(())
        self._active_requests = ActiveRequests()
        self.generation_rate = None
        self._starts.clear_event_states()
        self._facts.statuses = tuple(
            replace(status, progress=None, progress_note="")
            for status in (() if self.lists_only_ready else self._facts.statuses)
        )
        self._stale = True

    def update_running(self, models: tuple[RunningModel, ...]) -> Transitions:
        """Take over `/running`, and return what it shows to have changed."""
        if models != self._facts.running:
            self._facts.running = models
            self._stale = True
        self._expire_pending_ready()
        self.merge()
        self._expire_queued()
        self._remember_companions()
        now = self._clock.monotonic()
        unseen = {
            model_id: at
            for model_id, at in self._facts.requested.items()
            if self.lists_only_ready or now - at < QUEUE_GRACE
        }
        states = {
            model.id: model.state for model in self.models if model.state is not RunState.STOPPED
        }
        self._evictions.update_states(states, now)
        return self._forget_resolved(self._starts.apply_running_states(states, now, unseen))

    def update_statuses(self, event: ModelStatusChanged) -> Transitions:
        """Take over the states of an event; `changed` asks for a poll of `/running`."""
        before = {status.id: status.state for status in self._facts.statuses}
        states = {status.id: status.state for status in event.models}
        statuses = self._hold_back_ready(event.models)
        if statuses != self._facts.statuses:
            self._facts.statuses = statuses
            self._stale = True
        now = self._clock.monotonic()
        self._evictions.update_states(states, now)
        transitions = self._starts.apply_event_states(states, now)
        return self._forget_resolved(replace(transitions, changed=before != states))

    def apply_event(self, event: Event) -> None:
        """Take over an event of any other kind."""
        match event:
            case RequestsCounted(total):
                if self._active_requests.running is None:
                    self._active_requests = ActiveRequests(total)
                    self._sum_rates()
            case RequestsListed(requests):
                self._list_requests(requests)
            case RequestUpdated(request):
                self._put_request(request)
                self._show_requests()
                _remember(self._facts.last_used, request.model, self._clock.monotonic())
            case RequestEnded(request_id):
                self._remove_request(request_id)
            case ProfileChanged(active):
                self.profile = active
            case RequestsFinished(requests):
                self.record_finished_requests(requests)
            case _:
                return
        self._stale = True

    def update_own_reply(self, reply: OwnReply | None) -> None:
        """Take over what is known of the reply in our own chat, None if there is none."""
        self._log.own_reply = reply
        for request in tuple(self._requests.values()):
            if request.who == THIS_CHAT:
                self._put_request(request)
        if self._active_requests.running is not None:
            self._show_requests()
        self._sum_rates()

    def record_finished_requests(self, requests: tuple[FinishedRequest, ...]) -> None:
        """Record finished requests: their models were in use until then, at this rate."""
        if new := self._log.record(requests, self._clock.monotonic()):
            self.on_finished(new)
        now, wall = self._clock.monotonic(), self._clock.wall()
        for request in sorted(requests, key=lambda request: request.at or wall):
            age = 0.0 if request.at is None else max(0.0, wall - request.at)
            used = self._facts.last_used.get(request.model, now - age)
            _remember(self._facts.last_used, request.model, max(used, now - age))
            if request.rate is not None:
                _remember(self._facts.rates, request.model, request.rate)
        self._stale = True

    def record_evictions(self, started: str, on_purpose: Collection[str]) -> None:
        """Record the ready models that stopped just before a load as evicted by it."""
        now = self._clock.monotonic()
        for victim in self._evictions.take_victims(started, now, on_purpose):
            eviction = Eviction(self._clock.wall(), started, self._requester(started))
            _remember(self._facts.evicted, victim, eviction)
            self._facts.unloaded.pop(victim, None)
            self._stale = True

    def merge(self) -> tuple[Model, ...]:
        """Return the models that follow from everything known; unchanged ones are the same objects."""
        if not self._stale:
            return self.models
        self._stale = False
        facts = self._facts
        facts.requests, facts.running_lists_only_ready = self.requests, self.lists_only_ready
        now = self._clock.monotonic()
        before, self.models = self.models, merge_models(facts, self.models, now)
        if _resident_ids(before) != _resident_ids(self.models):
            self.hues = assign_hues(self.hues, before, self.models, now)
        count = len(self.models)
        self.total_models = count_models(facts) if count >= MAX_MODELS else count
        return self.models

    def shift_clock(self, seconds: float) -> None:
        """Add a suspend to all ages: the monotonic clock stood still meanwhile."""
        self._facts.last_used = {key: used - seconds for key, used in self._facts.last_used.items()}
        self.models = tuple(replace(model, since=model.since - seconds) for model in self.models)
        self._facts.statuses = tuple(
            replace(status, ready_at=None if (at := status.ready_at) is None else at - seconds)
            for status in self._facts.statuses
        )
        self._starts.forget_times()
        self._stale = True

    def _hold_back_ready(self, statuses: tuple[ModelStatus, ...]) -> tuple[ModelStatus, ...]:
        """Keep a model starting until `/running` lists it: v217 lists only ready models."""
        if not self.lists_only_ready:
            return statuses
        listed = {model.id for model in self._facts.running}
        starting = {
            status.id for status in self._facts.statuses if status.state is RunState.STARTING
        }
        coming = {
            status.id
            for status in statuses
            if status.state is RunState.READY and status.id in starting - listed
        }
        self._pending_ready = {
            model_id: self._pending_ready.get(model_id, POLLS_UNTIL_LISTED) for model_id in coming
        }
        return tuple(
            replace(status, state=RunState.STARTING) if status.id in coming else status
            for status in statuses
        )

    def _expire_pending_ready(self) -> None:
        listed = {model.id for model in self._facts.running}
        self._pending_ready = {
            model_id: looks - 1
            for model_id, looks in self._pending_ready.items()
            if model_id not in listed
        }
        given_up = {model_id for model_id, looks in self._pending_ready.items() if looks <= 0}
        if given_up:
            self._facts.statuses = tuple(
                replace(status, state=RunState.READY) if status.id in given_up else status
                for status in self._facts.statuses
            )
            self._stale = True

    def _expire_queued(self) -> None:
        """Forget requests that can't be in the server's queue any more: it began, or is idle."""
        queued = self._facts.queued
        if not queued:
            return
        resident = {model.id: model.in_transit for model in self.models if model.resident}
        is_idle = not resident or (self.requests.total == 0 and not any(resident.values()))
        self._idle_polls = self._idle_polls + 1 if is_idle else 0
        for model_id in tuple(queued):
            if model_id in resident or self._idle_polls > POLLS_UNTIL_LISTED:
                del queued[model_id]
                self._stale = True

    def _list_requests(self, requests: tuple[ActiveRequest, ...]) -> None:
        self._requests.clear()
        self._further_requests.clear()
        for request in requests:
            self._put_request(request)
        self._log.forget_streams(self._requests)
        self._show_requests()

    def _put_request(self, request: ActiveRequest) -> None:
        if request.id in self._requests or len(self._requests) < MOST_REQUESTS:
            seen = self._log.observe(request)
            if (before := self._requests.get(request.id)) is not None:
                # Its age is 0 until the response begins.
                seen = replace(seen, started=min(seen.started, before.started))
            self._requests[request.id] = self._log.measure(seen, self._clock.monotonic())
            self._further_requests.discard(request.id)
        elif len(self._further_requests) < MOST_REQUESTS_COUNTED:
            self._further_requests.add(request.id)

    def _show_requests(self) -> None:
        running = tuple(self._requests.values())
        self._active_requests = ActiveRequests(len(running) + len(self._further_requests), running)
        self._sum_rates()

    def _sum_rates(self) -> None:
        """Find out what all clients get together: nothing, if one of them gets it's unknown what."""
        requests, own = self._active_requests, self._log.own_reply
        rates = [request.rate for request in requests.running or () if request.replied is not None]
        if requests.running is None:
            rates = [own.rate] if own is not None and requests.total in {None, 1} else [None]
        if requests.total == 0:
            rates = [0.0]
        known = [rate for rate in rates if rate is not None]
        self.generation_rate = sum(known) if len(known) == len(rates) else None

    def _remove_request(self, request_id: str) -> None:
        ended = self._requests.pop(request_id, None)
        self._further_requests.discard(request_id)
        self._show_requests()
        if ended is not None:
            if completed := self._log.observe_end(ended, self._clock.monotonic()):
                self.on_finished(completed)
            _remember(self._facts.last_used, ended.model, self._clock.monotonic())

    def _remember_companions(self) -> None:
        ready = sorted(model.id for model in self.models if model.state is RunState.READY)
        if 2 <= len(ready) <= 32:
            pairs = {frozenset((a, b)) for a in ready for b in ready if a < b}
            if not pairs <= self.companions:
                # Of too many only the last: a guess is all that they are for.
                known = self.companions if len(self.companions) < MAX_MODELS else frozenset()
                self.companions = known | pairs

    def _forget_resolved(self, transitions: Transitions) -> Transitions:
        """Forget a failure or an eviction once the model is loaded again."""
        for model_id in (*transitions.started, *(model_id for model_id, _ in transitions.loaded)):
            facts = self._facts
            for over in (facts.failures, facts.evicted, facts.timed_out, facts.unloaded):
                if over.pop(model_id, None) is not None:
                    self._stale = True
        return transitions

    def _requester(self, model_id: str) -> str:
        if model_id in self._facts.requested:
            return "you"
        wanted = next((use for use in self.requests.running or () if use.model == model_id), None)
        return "" if wanted is None else client_name(wanted)
