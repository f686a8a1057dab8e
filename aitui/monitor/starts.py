"""Which loads began and how they ended, told by `/running` and by events together."""

from collections.abc import Mapping
from dataclasses import dataclass

from aitui.domain.model import RunState


@dataclass(frozen=True, slots=True)
class Transitions:
    """What one look at the server, or one event, showed to have changed.

    `started` are loads that began; `loaded` pairs a model with the seconds its load took;
    `vanished` were starting and are gone.
    """

    changed: bool = False
    started: tuple[str, ...] = ()
    loaded: tuple[tuple[str, float], ...] = ()
    vanished: tuple[str, ...] = ()


@dataclass(slots=True)
class _PendingLoad:
    at: float
    seen_running: bool


class LoadTracker:
    """Follows loads from their beginning to their end. Times in monotonic seconds.

    Events tell at once when a load begins, and of loads too short for any poll; `/running` has the
    last word on how a load ended that it has shown.
    """

    def __init__(self) -> None:
        self._pending_loads: dict[str, _PendingLoad] = {}
        self._running_states: Mapping[str, RunState] | None = None
        self._event_states: Mapping[str, RunState] | None = None

    def forget_times(self) -> None:
        """The clocks are not to be trusted: no load that is under way is measured."""
        self._pending_loads.clear()

    def clear_event_states(self) -> None:
        """What the next event tells first began at an unknown moment."""
        self._event_states = None

    def apply_event_states(self, states: Mapping[str, RunState], now: float) -> Transitions:
        """Take in the states of an event."""
        before, self._event_states = self._event_states, states
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
                    self._pending_loads[model_id] = _PendingLoad(now, seen_running=False)
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
        """Take in the states of an answer of `/running`; a model that it doesn't list is stopped.

        `requested` has loads that count from when they were asked for if nobody saw them begin.
        """
        before, self._running_states = self._running_states, states
        first = before is None
        was = before or {}
        started: list[str] = []
        loaded: list[tuple[str, float]] = []
        for model_id, state in states.items():
            if state is RunState.STARTING:
                # One that was starting already at the first look began at an unknown moment.
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
        vanished = tuple(
            model_id
            for model_id, state in was.items()
            if state is RunState.STARTING
            and states.get(model_id, RunState.STOPPED) is RunState.STOPPED
        )
        for model_id in vanished:
            self._pending_loads.pop(model_id, None)
        changed = not first and _without_stopped(was) != _without_stopped(states)
        return Transitions(changed, tuple(started), tuple(loaded), vanished)


def _without_stopped(states: Mapping[str, RunState]) -> dict[str, RunState]:
    return {id_: state for id_, state in states.items() if state is not RunState.STOPPED}
