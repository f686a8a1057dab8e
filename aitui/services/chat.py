"""One conversation with a model: sending, editing, regenerating, and the reply that streams."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from aitui.aio import cancel_and_wait, shield
from aitui.domain.chat import conversation as edits
from aitui.domain.chat.conversation import (
    Attachment,
    Conversation,
    Role,
    SamplingParameters,
    Turn,
    TurnState,
    build_chat_request,
)
from aitui.domain.chat.reply import (
    Delta,
    GenerationFinished,
    GenerationTimings,
    GrowingText,
    LoadProgress,
    LoadQueued,
    PromptProgress,
    RateMeter,
    ReasoningDelta,
    Reply,
    ReplyPhase,
    ResponseStarted,
    TextDelta,
    TokenUsage,
    ToolCalled,
)
from aitui.domain.models import RunState
from aitui.domain.snapshot import Clock
from aitui.errors import AituiError, ReplyInterrupted, without_frames
from aitui.services.chat_saving import ConversationSaver
from aitui.store.history import ConversationHistory

if TYPE_CHECKING:
    from aitui.llamaswap.chat import ChatClient


_MOST_TOOLS = 8
_WAITING = {ReplyPhase.QUEUED, ReplyPhase.LOADING}
_STATES = {ReplyPhase.DONE: TurnState.DONE, ReplyPhase.STOPPED: TurnState.STOPPED}


class ReplyBuilder:
    """queued → loading → prefill → thinking → streaming → stopped, cut, failed or done.

    `now` is monotonic seconds everywhere. A turn that has text already is continued.
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
        """Return the phase of the reply."""
        return self._reply.phase

    @property
    def is_empty(self) -> bool:
        """Return whether nothing has come since the request."""
        came = len(self._text) + len(self._reasoning)
        return came == len(self._turn.text) + len(self._turn.reasoning)

    def apply(self, batch: Iterable[Delta], now: float) -> None:
        """Apply an event of the stream."""
        for delta in batch:
            self._apply(delta, now)

    def update_model_state(self, state: RunState, now: float) -> None:
        """Update the model's state, which decides the phase while nothing streams."""
        self._state = state
        if self.phase in _WAITING:
            starting = state is RunState.STARTING
            self._set_phase(ReplyPhase.LOADING if starting else ReplyPhase.QUEUED, now)

    def end(self, now: float, phase: ReplyPhase, error: AituiError | None = None) -> None:
        """End the reply as `DONE`, `STOPPED`, or `CUT`, which is `FAILED` for an empty reply."""
        if phase is ReplyPhase.CUT and self.is_empty:
            phase = ReplyPhase.FAILED
        self._set_phase(phase, now)
        kept = None if error is None else without_frames(error)
        self._reply = replace(self._reply, error=kept, ended_at=now)

    def view(self, now: float) -> Reply:
        """Return the reply at this moment."""
        return replace(
            self._reply,
            text=self._text.view(),
            reasoning=self._reasoning.view(),
            rates=self._meter.read(self._reply.ended_at or now),
        )

    def build_turn(self, now: float) -> Turn:
        """Return the turn that the reply became; `now` is Unix time."""
        answer = self._reply
        ended = now
        if answer.ended_at is not None and self._turn.began and not self._turn.text:
            # How long it took, whatever was done to the wall clock meanwhile.
            ended = self._turn.began + answer.ended_at - answer.asked
        trouble = (
            self.view(answer.phase_since).empty_text if answer.error is None else str(answer.error)
        )
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
            case ToolCalled() if len(self._reply.tools) < _MOST_TOOLS:
                self._reply = replace(self._reply, tools=(*self._reply.tools, delta.name))
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


SILENCE_AFTER_SUSPEND = 5.0
"""Seconds that a reply has to continue if its connection outlived a suspend."""


class ChatSession:
    """Sends, streams, measures and stores, one reply at a time.

    `on_change` is called in the event loop with it and each new state of the reply: a frozen value, of which
    the latest counts. What is impossible now raises ValueError with a sentence. What goes wrong with a
    reply is in its `error`, and what can't be stored in `warnings`: neither raises.

    `conversation` is the tree, `reply` the latest state of the streaming reply or of the last one; a
    streaming turn gets its text when it ends.
    """

    def __init__(
        self,
        client: "ChatClient",
        conversation: Conversation,
        *,
        clock: Clock,
        new_id: Callable[[], str],
        history: ConversationHistory | None = None,
        on_change: Callable[["ChatSession", Reply], None] | None = None,
    ) -> None:
        self._client = client
        self.conversation = conversation
        self._clock = clock
        self._new_id = new_id
        self._saving = ConversationSaver(history)
        self._on_change = on_change
        self._reply_builder: ReplyBuilder | None = None
        self.reply: Reply | None = None
        self._stream: asyncio.Task[None] | None = None
        self._suspend_check: asyncio.Task[None] | None = None
        self._was_suspended = False
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def busy(self) -> bool:
        """Return whether a reply streams."""
        return self._reply_builder is not None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return sentences about what couldn't be stored."""
        return self._saving.warnings

    @property
    def is_saved(self) -> bool:
        """Return whether the last that was to be stored is stored."""
        return not self._saving.has_failed

    async def store_in(self, history: ConversationHistory) -> None:
        """Store the conversation there from now on, with what it has by now."""
        self._saving.history = history
        if self.conversation.turns and not self.busy:
            await self._saving.save(self.conversation)

    async def send(
        self,
        text: str,
        attachments: Sequence[Attachment] = (),
        *,
        sampling: SamplingParameters | None = None,
    ) -> Reply:
        """Send a prompt, and return when the reply has ended, well or not.

        `sampling` overrides the conversation's parameters this once. If nothing came, the prompt is
        removed from the tree too: it is in the reply's `prompt`. Cancelling stops the reply like `stop`.
        """
        self._require_idle()
        before, now = self.conversation, self._clock.wall()
        prompted = edits.add_prompt(
            before, self._new_id(), _replace_surrogates(text), now, attachments
        )
        parameters = before.sampling.with_values(sampling or SamplingParameters())
        after = edits.with_reply(prompted, self._new_id(), now, parameters)
        return await self._run(after, before, text)

    async def edit(
        self, turn_id: str, text: str, attachments: Sequence[Attachment] | None = None
    ) -> Reply:
        """Replace a prompt, and its attachments if any are given; the old one stays on its branch."""
        self._require_idle()
        before, now = self.conversation, self._clock.wall()
        prompted = edits.edit_prompt(
            before, turn_id, self._new_id(), _replace_surrogates(text), now
        )
        if attachments is not None:
            turn = prompted.turns[prompted.shown]
            prompted = prompted.with_turn(replace(turn, attachments=tuple(attachments)))
        return await self._run(edits.with_reply(prompted, self._new_id(), now), before, text)

    async def regenerate(self, turn_id: str) -> Reply:
        """Generate another reply; the old one stays on its branch."""
        self._require_idle()
        before = self.conversation
        after = edits.add_alternative_reply(
            before, turn_id, self._new_id(), self._clock.wall(), before.sampling
        )
        return await self._run(after, before)

    async def resume(self, turn_id: str, *, sampling: SamplingParameters | None = None) -> Reply:
        """Continue a reply that was cut, stopped or at its limit; one without text begins again."""
        self._require_idle()
        before = self.conversation
        turn = before.turns.get(turn_id)
        if turn is not None and not turn.text:
            return await self.regenerate(turn_id)
        parameters = before.sampling.with_values(sampling or SamplingParameters())
        return await self._run(edits.reopen_reply(before, turn_id, parameters), before)

    def stop(self) -> None:
        """Stop the reply: the connection closes, what came stays."""
        if self._stream is not None:
            self._stream.cancel()

    def check_after_suspend(self) -> None:
        """After a suspend, cut a reply that doesn't continue: its connection is dead."""
        answer = self.reply
        if self._stream is not None and answer is not None and answer.phase.is_generating:
            self._suspend_check = asyncio.create_task(
                self._cut_if_silent(self._stream, answer), name="look after a sleep"
            )

    def update_model_state(self, state: RunState) -> None:
        """Update the model's state, which distinguishes a load from a queue while no text arrives."""
        builder = self._reply_builder
        if builder is not None and builder.phase in _WAITING:
            builder.update_model_state(state, self._clock.monotonic())
            self._publish(builder)

    async def delete(self, turn_id: str) -> None:
        """Delete a turn and all that follows it."""
        await self._change(edits.delete_turn(self.conversation, turn_id))

    async def switch_branch(self, turn_id: str, step: int) -> None:
        """Show the branch that is `step` places from a turn's."""
        await self._change(edits.switch_branch(self.conversation, turn_id, step))

    async def drop_oldest_turns(self, turns: int = 2) -> None:
        """Leave out that many more turns from now on."""
        await self._change(edits.drop_oldest_turns(self.conversation, turns))

    async def set_model(self, model: str) -> None:
        """Continue with another model."""
        await self._change(replace(self.conversation, model=model))

    async def set_system(self, text: str) -> None:
        """Set the system prompt, for this model's next conversations too."""
        await self._change(replace(self.conversation, system=_replace_surrogates(text)))
        await self._saving.remember_settings(self.conversation)

    async def set_sampling(self, sampling: SamplingParameters) -> None:
        """Set the parameters, for this model's next conversations too."""
        await self._change(replace(self.conversation, sampling=sampling))
        await self._saving.remember_settings(self.conversation)

    async def rename(self, title: str) -> None:
        """Give the conversation a title, "" for none of its own."""
        self.conversation = replace(self.conversation, title=_replace_surrogates(title))
        await self._saving.rename(self.conversation)

    async def close(self) -> None:
        """Stop the reply, and release the conversation for another aitui."""
        self.stop()
        await self._idle.wait()
        await self._saving.release(self.conversation)

    async def _change(self, conversation: Conversation) -> None:
        self._require_idle()
        self.conversation = conversation
        if conversation.turns:
            await self._saving.save(conversation)

    async def _run(self, asking: Conversation, before: Conversation, prompt: str = "") -> Reply:
        """Fill the last shown reply; if no text arrived, restore the previous state."""
        self._running += 1
        self._idle.clear()
        try:
            return await self._fill_reply(asking, before, prompt)
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    async def _fill_reply(self, asking: Conversation, before: Conversation, prompt: str) -> Reply:
        turn = asking.turns[asking.shown]
        self.conversation = asking
        builder = self._reply_builder = ReplyBuilder(turn, prompt, self._clock.monotonic())
        self._publish(builder)
        self._was_suspended = False
        self._stream = asyncio.create_task(
            self._stream_reply(builder, turn), name="stream an answer"
        )
        stream = self._stream
        try:
            await asyncio.wait({stream})
        finally:
            # What has come is kept and saved, also when the caller is cancelled.
            await shield(self._finish_reply(builder, stream, before))
        if not stream.cancelled() and not isinstance(stream.exception(), AituiError):
            stream.result()
        return builder.view(self._clock.monotonic())

    async def _stream_reply(self, builder: ReplyBuilder, turn: Turn) -> None:
        conversation = self.conversation
        request = build_chat_request(conversation, turn.id)
        async with (
            self._saving.save_while_streaming(conversation, turn, self._view),
            self._client.stream(request) as batches,
        ):
            async for batch in batches:
                builder.apply(batch, self._clock.monotonic())
                self._publish(builder)

    async def _finish_reply(
        self, builder: ReplyBuilder, stream: "asyncio.Task[None]", before: Conversation
    ) -> None:
        await cancel_and_wait(stream)
        self._stream = None
        if self._suspend_check is not None:
            self._suspend_check.cancel()
        now = self._clock.monotonic()
        if stream.cancelled() and self._was_suspended:
            error = ReplyInterrupted(
                "The reply was cut off",
                why="this machine slept, and the stream did not resume",
                remedy="continue it, or retry",
            )
            builder.end(now, ReplyPhase.CUT, error)
        elif stream.cancelled():
            builder.end(now, ReplyPhase.STOPPED)
        elif stream.exception() is None:
            builder.end(now, ReplyPhase.DONE)
        else:
            cause = stream.exception()
            builder.end(now, ReplyPhase.CUT, cause if isinstance(cause, AituiError) else None)
        if builder.is_empty and builder.phase is not ReplyPhase.DONE:
            self.conversation = before
        else:
            filled = self.conversation.with_turn(builder.build_turn(self._clock.wall()))
            self.conversation = replace(filled, changed=self._clock.wall())
        self._reply_builder = None
        self._publish(builder)
        await self._saving.save(self.conversation)

    async def _cut_if_silent(self, stream: "asyncio.Task[None]", before: Reply) -> None:
        await asyncio.sleep(SILENCE_AFTER_SUSPEND)
        now = self._view()
        if (len(now.text), len(now.reasoning)) == (len(before.text), len(before.reasoning)):
            self._was_suspended = True
            stream.cancel()

    def _view(self) -> Reply:
        assert self.reply is not None
        return self.reply

    def _publish(self, builder: ReplyBuilder) -> None:
        self.reply = builder.view(self._clock.monotonic())
        if self._on_change is not None:
            self._on_change(self, self.reply)

    def _require_idle(self) -> None:
        if self._reply_builder is not None:
            raise ValueError("a reply is still running: stop it first")


def last_reply(conversation: Conversation) -> Turn | None:
    """Return the last reply of the path that is shown."""
    answers = (turn for turn in reversed(conversation.path) if turn.role is Role.ASSISTANT)
    return next(answers, None)


def _replace_surrogates(text: str) -> str:
    """Replace lone surrogates, which come from terminals in other encodings and are invalid in JSON."""
    return text.encode("utf-8", "replace").decode()
