"""Which ready models had to go because another one was loaded."""

from collections.abc import Iterable, Mapping

from aitui.domain.model import RunState

SWAP_WINDOW = 30.0
"""Seconds between a model's going and the start of the one it went for; stopping takes a while."""


class EvictionTracker:
    """Pairs models that left with the load that began after it. Times in monotonic seconds."""

    def __init__(self) -> None:
        self._states: Mapping[str, RunState] = {}
        self._left: dict[str, float] = {}

    def update_states(self, states: Mapping[str, RunState], now: float) -> None:
        """Take in what an event or an answer of `/running` tells: whichever comes first counts."""
        for model_id, before in self._states.items():
            if before is not RunState.READY:
                continue
            if states.get(model_id, RunState.STOPPED) in {RunState.STOPPED, RunState.STOPPING}:
                self._left[model_id] = now
        self._states = dict(states)

    def take_victims(self, started: str, now: float, on_purpose: Iterable[str]) -> tuple[str, ...]:
        """The models that went for that load: not those that somebody unloaded from here.

        Each is named once.
        """
        gone = tuple(
            model_id
            for model_id, left in self._left.items()
            if now - left <= SWAP_WINDOW and model_id != started
        )
        self._left.clear()
        purposely = set(on_purpose)
        return tuple(model_id for model_id in gone if model_id not in purposely)
