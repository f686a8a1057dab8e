"""Store a conversation while it continues, without delaying it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aitui.aio import background_task
from aitui.domain.chat.conversation import Conversation, Turn
from aitui.domain.chat.reply import Reply
from aitui.domain.models import Model, RunState
from aitui.errors import HistoryError
from aitui.store.history import ConversationHistory

SAVE_INTERVAL = 0.3
"""Seconds between two writes of a streaming reply; at most a second of it may be lost."""


class ConversationSaver:
    """Writes to the history, if there is one. Each error becomes a warning once."""

    def __init__(self, history: ConversationHistory | None) -> None:
        self.history = history
        self.warnings: tuple[str, ...] = ()
        self.has_failed = history is None
        """Whether there is no history, or the last write to it failed."""

    async def save(self, conversation: Conversation) -> None:
        """Write what has changed."""
        await self._write(lambda history: history.save(conversation))

    async def remember_settings(self, of: Conversation) -> None:
        """Store the system prompt and the parameters for the model's next conversation."""
        await self._write(
            lambda history: history.remember_settings(of.server, of.model, of.system, of.sampling)
        )

    async def rename(self, conversation: Conversation) -> None:
        """Write the title."""
        await self._write(lambda history: history.rename(conversation.id, conversation.title))

    async def release(self, conversation: Conversation) -> None:
        """Release the conversation for others."""
        await self._write(lambda history: history.release(conversation.id))

    @asynccontextmanager
    async def save_while_streaming(
        self, conversation: Conversation, turn: Turn, view: Callable[[], Reply]
    ) -> AsyncIterator[None]:
        """Write the conversation, and the growing text of that turn, while the block runs."""
        if self.history is None:
            yield
            return
        saving = self._save_periodically(conversation, turn, view)
        async with background_task(saving, "save the reply"):
            yield

    async def _save_periodically(
        self, conversation: Conversation, turn: Turn, view: Callable[[], Reply]
    ) -> None:
        await self.save(conversation)
        text, reasoning = len(turn.text), len(turn.reasoning)
        while True:
            await asyncio.sleep(SAVE_INTERVAL)
            answer = view()
            if len(answer.text) == text and len(answer.reasoning) == reasoning:
                continue
            more = answer.text.since(text), answer.reasoning.since(reasoning)
            if await self._write(lambda history: history.append(answer.turn_id, *more)):  # noqa: B023
                text, reasoning = len(answer.text), len(answer.reasoning)

    async def _write(self, work: Callable[[ConversationHistory], Awaitable[object]]) -> bool:
        """Write to the history, if there is one; return whether that worked."""
        if self.history is None:
            return False
        try:
            await work(self.history)
        except HistoryError as error:
            if str(error) not in self.warnings:
                self.warnings += (str(error),)
            self.has_failed = True
            return False
        self.has_failed = False
        return True


class SlotSizeCache:
    """The slot sizes that models reported when they refused a prompt, as long as they stay loaded."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}
        self._seen_ready: set[str] = set()

    def size_for(self, model: Model, logged: int) -> int:
        """Return the tokens of one slot: as the model reported or `logged` it, else by its command.

        No model is asked: one that has died since would be loaded again.
        """
        by_command = model.context.tokens // model.command_line.context_parts
        return self._sizes.get(model.id) or logged or by_command

    def record(self, model_id: str, tokens: int) -> None:
        """Store what the model reported."""
        self._sizes[model_id] = tokens

    def update_model(self, model: Model) -> None:
        """Forget a model that was unloaded: it may come back with other slots.

        Lists lag behind: a model that was never seen ready may be replying already.
        """
        if model.state is RunState.READY:
            self._seen_ready.add(model.id)
        elif model.id in self._seen_ready:
            self._seen_ready.discard(model.id)
            self._sizes.pop(model.id, None)
