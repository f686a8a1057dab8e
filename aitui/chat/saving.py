"""Keeping a conversation while it happens, without ever standing in its way."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

from aitui.domain.answer import Reply
from aitui.domain.conversation import Conversation
from aitui.domain.turn import Turn
from aitui.errors import HistoryError
from aitui.store.history import ConversationHistory

SAVE_INTERVAL = 0.3
"""Seconds between two writes of a running answer; at most a second of it may be lost."""


class ConversationSaver:
    """Writes to the history where there is one. What goes wrong becomes a warning, each once."""

    def __init__(self, history: ConversationHistory | None) -> None:
        self._history = history
        self._warnings: list[str] = []

    @property
    def warnings(self) -> tuple[str, ...]:
        """What couldn't be kept, and why."""
        return tuple(self._warnings)

    async def save(self, conversation: Conversation) -> None:
        """Write what has changed."""
        if self._history is not None:
            with self._collect_warnings():
                await self._history.save(conversation)

    async def remember_settings(self, conversation: Conversation) -> None:
        """Keep the system prompt and the parameters for the model's next conversation."""
        if self._history is not None:
            with self._collect_warnings():
                await self._history.remember_settings(
                    conversation.server,
                    conversation.model,
                    conversation.system,
                    conversation.sampling,
                )

    async def rename(self, conversation: Conversation) -> None:
        """Write the title."""
        if self._history is not None:
            with self._collect_warnings():
                await self._history.rename(conversation.id, conversation.title)

    async def release(self, conversation: Conversation) -> None:
        """Let others go on with it."""
        if self._history is not None:
            with self._collect_warnings():
                await self._history.release(conversation.id)

    @asynccontextmanager
    async def save_while_streaming(
        self, conversation: Conversation, turn: Turn, view: Callable[[], Reply]
    ) -> AsyncIterator[None]:
        """Write the conversation, and what that turn of it grows by, while the block runs."""
        if self._history is None:
            yield
            return
        writing = asyncio.create_task(
            self._save_periodically(self._history, conversation, turn, view), name="save the answer"
        )
        try:
            yield
        finally:
            writing.cancel()
            await asyncio.wait({writing})

    async def _save_periodically(
        self,
        history: ConversationHistory,
        conversation: Conversation,
        turn: Turn,
        view: Callable[[], Reply],
    ) -> None:
        await self.save(conversation)
        text, reasoning = len(turn.text), len(turn.reasoning)
        while True:
            await asyncio.sleep(SAVE_INTERVAL)
            answer = view()
            if len(answer.text) == text and len(answer.reasoning) == reasoning:
                continue
            with self._collect_warnings():
                await history.append(
                    answer.turn_id, answer.text.since(text), answer.reasoning.since(reasoning)
                )
                text, reasoning = len(answer.text), len(answer.reasoning)

    @contextlib.contextmanager
    def _collect_warnings(self) -> Iterator[None]:
        try:
            yield
        except HistoryError as error:
            if str(error) not in self._warnings:
                self._warnings.append(str(error))
