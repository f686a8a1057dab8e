"""One answer as it comes: from what the stream says to the state that is shown."""

from collections.abc import Iterable
from dataclasses import replace

from aitui.domain.answer import Reply, ReplyPhase
from aitui.domain.deltas import (
    Delta,
    GenerationFinished,
    GenerationTimings,
    LoadProgress,
    LoadQueued,
    PromptProgress,
    ReasoningDelta,
    ResponseStarted,
    TextDelta,
    TokenUsage,
)
from aitui.domain.growing_text import GrowingText
from aitui.domain.model import RunState
from aitui.domain.rates import RateMeter
from aitui.domain.turn import Turn, TurnState
from aitui.errors import AituiError

_WAITING = {ReplyPhase.QUEUED, ReplyPhase.LOADING}
_STATES = {ReplyPhase.DONE: TurnState.DONE, ReplyPhase.STOPPED: TurnState.STOPPED}


class ReplyBuilder:
    """queued → loading → prefill → thinking → streaming → stopped, cut, failed or done.

    `now` is monotonic seconds everywhere. A turn that has text already is gone on with.
    """

    def __init__(self, turn: Turn, prompt: str, now: float) -> None:
        self._turn = turn
        self._text = GrowingText(turn.text)
        self._reasoning = GrowingText(turn.reasoning)
        self._meter = RateMeter(now)
        self._thought = turn.thought or 0.0
        self._state: RunState | None = None
        self._reply = Reply(
            turn.id, turn.model, asked=now, phase_since=now, thought=turn.thought, prompt=prompt
        )

    @property
    def phase(self) -> ReplyPhase:
        """What the answer is at."""
        return self._reply.phase

    @property
    def is_empty(self) -> bool:
        """Whether nothing came since it was asked for."""
        came = len(self._text) + len(self._reasoning)
        return came == len(self._turn.text) + len(self._turn.reasoning)

    def apply(self, batch: Iterable[Delta], now: float) -> None:
        """The stream has said this."""
        for delta in batch:
            self._apply(delta, now)

    def update_model_state(self, state: RunState, now: float) -> None:
        """The server's list has said what the model is at, which counts while nothing streams."""
        self._state = state
        if self.phase in _WAITING:
            starting = state is RunState.STARTING
            self._set_phase(ReplyPhase.LOADING if starting else ReplyPhase.QUEUED, now)

    def end(self, now: float, phase: ReplyPhase, error: AituiError | None = None) -> None:
        """The stream is over: `DONE`, `STOPPED`, or `CUT`, which is `FAILED` of an empty answer."""
        if phase is ReplyPhase.CUT and self.is_empty:
            phase = ReplyPhase.FAILED
        self._set_phase(phase, now)
        self._reply = replace(self._reply, error=error, ended_at=now)

    def view(self, now: float) -> Reply:
        """The answer at this moment."""
        return replace(
            self._reply,
            text=self._text.view(),
            reasoning=self._reasoning.view(),
            rates=self._meter.read(self._reply.ended_at or now),
        )

    def build_turn(self, ended: float) -> Turn:
        """The turn that it has become; `ended` is Unix time."""
        answer = self._reply
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
                self._append_text(self._text, delta, ReplyPhase.STREAMING, now)
            case ReasoningDelta():
                self._append_text(self._reasoning, delta, ReplyPhase.THINKING, now)
            case GenerationTimings():
                self._meter.apply_timings(now, delta)
                self._reply = replace(self._reply, timings=delta)
            case PromptProgress():
                self._reply = replace(self._reply, progress=delta)
                self._begin_prefill(now)
            case TokenUsage():
                self._reply = replace(self._reply, usage=delta)
            case GenerationFinished():
                self._reply = replace(self._reply, finish=delta.reason)
            case _:
                self._apply_waiting(delta, now)

    def _apply_waiting(self, delta: Delta, now: float) -> None:
        match delta:
            case ResponseStarted():
                if self._state in {None, RunState.READY}:
                    self._begin_prefill(now)
            case LoadQueued():
                self._set_phase(ReplyPhase.QUEUED, now)
                self._reply = replace(self._reply, position=delta.position)
            case LoadProgress():
                self._set_phase(ReplyPhase.LOADING, now)
                self._reply = replace(self._reply, words=delta.words, position=0)
            case _:
                pass

    def _append_text(
        self, text: GrowingText, delta: TextDelta | ReasoningDelta, phase: ReplyPhase, now: float
    ) -> None:
        text.append(delta.text)
        self._meter.count_tokens(now, delta.pieces)
        self._set_phase(phase, now)

    def _begin_prefill(self, now: float) -> None:
        if self.phase in _WAITING:
            self._set_phase(ReplyPhase.PREFILL, now)

    def _set_phase(self, phase: ReplyPhase, now: float) -> None:
        before = self._reply
        if phase is before.phase:
            return
        if before.phase is ReplyPhase.THINKING:
            self._thought += now - before.phase_since
            before = replace(before, thought=self._thought)
        self._reply = replace(before, phase=phase, phase_since=now)
