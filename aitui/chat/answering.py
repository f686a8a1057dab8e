"""One answer as it comes: from what the stream says to the state that is shown."""

from collections.abc import Iterable
from dataclasses import replace

from aitui.domain.answer import Answer, Phase
from aitui.domain.deltas import (
    Begun,
    Delta,
    Finished,
    Loading,
    PromptProgress,
    Queued,
    ReasoningDelta,
    TextDelta,
    Timings,
    Usage,
)
from aitui.domain.growing_text import GrowingText
from aitui.domain.model import RunState
from aitui.domain.rates import Meter
from aitui.domain.turn import Turn, TurnState
from aitui.errors import AituiError

_WAITING = {Phase.QUEUED, Phase.LOADING}
_STATES = {Phase.DONE: TurnState.DONE, Phase.STOPPED: TurnState.STOPPED}


class Answering:
    """queued → loading → prefill → thinking → streaming → stopped, cut, failed or done.

    `now` is monotonic seconds everywhere. A turn that has text already is gone on with.
    """

    def __init__(self, turn: Turn, prompt: str, now: float) -> None:
        self._turn = turn
        self._text = GrowingText(turn.text)
        self._reasoning = GrowingText(turn.reasoning)
        self._meter = Meter(now)
        self._thought = turn.thought or 0.0
        self._state: RunState | None = None
        self._answer = Answer(
            turn.id, turn.model, asked=now, phase_since=now, thought=turn.thought, prompt=prompt
        )

    @property
    def phase(self) -> Phase:
        """What the answer is at."""
        return self._answer.phase

    @property
    def is_empty(self) -> bool:
        """Whether nothing came since it was asked for."""
        came = len(self._text) + len(self._reasoning)
        return came == len(self._turn.text) + len(self._turn.reasoning)

    def apply(self, batch: Iterable[Delta], now: float) -> None:
        """The stream has said this."""
        for delta in batch:
            self._apply(delta, now)

    def model_is(self, state: RunState, now: float) -> None:
        """The server's list has said what the model is at, which counts while nothing streams."""
        self._state = state
        if self.phase in _WAITING:
            starting = state is RunState.STARTING
            self._become(Phase.LOADING if starting else Phase.QUEUED, now)

    def end(self, now: float, phase: Phase, error: AituiError | None = None) -> None:
        """The stream is over: `DONE`, `STOPPED`, or `CUT`, which is `FAILED` of an empty answer."""
        if phase is Phase.CUT and self.is_empty:
            phase = Phase.FAILED
        self._become(phase, now)
        self._answer = replace(self._answer, error=error, ended_at=now)

    def view(self, now: float) -> Answer:
        """The answer at this moment."""
        return replace(
            self._answer,
            text=self._text.view(),
            reasoning=self._reasoning.view(),
            rates=self._meter.read(self._answer.ended_at or now),
        )

    def turn(self, ended: float) -> Turn:
        """The turn that it has become; `ended` is Unix time."""
        answer = self._answer
        trouble = "" if answer.error is None else str(answer.error)
        return replace(
            self._turn,
            text=str(self._text.view()),
            reasoning=str(self._reasoning.view()),
            state=_STATES.get(answer.phase, TurnState.CUT),
            finish=answer.finish,
            trouble=trouble,
            ended=ended,
            first_token=self._meter.read(answer.phase_since).first_token,
            thought=answer.thought,
            usage=answer.usage,
            timings=answer.timings,
        )

    def _apply(self, delta: Delta, now: float) -> None:
        match delta:
            case TextDelta():
                self._grow(self._text, delta, Phase.STREAMING, now)
            case ReasoningDelta():
                self._grow(self._reasoning, delta, Phase.THINKING, now)
            case Timings():
                self._meter.timings(now, delta)
                self._answer = replace(self._answer, timings=delta)
            case PromptProgress():
                self._answer = replace(self._answer, progress=delta)
                self._begin_prefill(now)
            case Usage():
                self._answer = replace(self._answer, usage=delta)
            case Finished():
                self._answer = replace(self._answer, finish=delta.reason)
            case _:
                self._wait(delta, now)

    def _wait(self, delta: Delta, now: float) -> None:
        match delta:
            case Begun():
                if self._state in {None, RunState.READY}:
                    self._begin_prefill(now)
            case Queued():
                self._become(Phase.QUEUED, now)
                self._answer = replace(self._answer, position=delta.position)
            case Loading():
                self._become(Phase.LOADING, now)
                self._answer = replace(self._answer, words=delta.words, position=0)
            case _:
                pass

    def _grow(
        self, text: GrowingText, delta: TextDelta | ReasoningDelta, phase: Phase, now: float
    ) -> None:
        text.append(delta.text)
        self._meter.count(now, delta.pieces)
        self._become(phase, now)

    def _begin_prefill(self, now: float) -> None:
        if self.phase in _WAITING:
            self._become(Phase.PREFILL, now)

    def _become(self, phase: Phase, now: float) -> None:
        before = self._answer
        if phase is before.phase:
            return
        if before.phase is Phase.THINKING:
            self._thought += now - before.phase_since
            before = replace(before, thought=self._thought)
        self._answer = replace(before, phase=phase, phase_since=now)
