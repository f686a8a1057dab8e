"""The chats with the models of one server, for as long as it is open."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from aitui.chat.chat import ChatSession
from aitui.chat.slot_sizes import SlotSizeCache
from aitui.commands.chat import begin_conversation, import_chat_client, new_id
from aitui.commands.session import Session
from aitui.domain.answer import Reply
from aitui.domain.conversation import Conversation
from aitui.errors import AituiError, HistoryError
from aitui.monitor.sleep_watch import detect_suspends
from aitui.paths import Paths
from aitui.store.history import FILE_NAME, ConversationHistory

if TYPE_CHECKING:
    from aitui.swap.chat import ChatClient


class ChatSessions:
    """Every model has one conversation that is open, and which stays when another is shown.

    What would cut an answer raises ValueError, with words for a person.
    """

    def __init__(
        self,
        session: Session,
        paths: Paths,
        on_change: Callable[[ChatSession, Reply], None],
        tell: Callable[[str], None],
    ) -> None:
        self.session = session
        self.by_model: dict[str, ChatSession] = {}
        self.history: ConversationHistory | None = None
        self.slots = SlotSizeCache()
        self._paths = paths
        self._on_change = on_change
        self._warn = tell
        self._client: ChatClient | None = None

    @property
    def any_busy(self) -> bool:
        """Whether any answer is under way."""
        return any(chat.busy for chat in self.by_model.values())

    async def watch_sleep(self) -> None:
        """After each sleep of the machine, cut what doesn't go on; until it is cancelled."""
        async for _ in detect_suspends(self.session.clock):
            for chat in self.by_model.values():
                chat.check_after_suspend()

    async def close(self) -> None:
        """Stop every answer and keep what came."""
        async with AsyncExitStack() as closing:
            if self.history is not None:
                closing.push_async_callback(self.history.close)
            if self._client is not None:
                closing.push_async_callback(self._client.aclose)
            for chat in self.by_model.values():
                closing.push_async_callback(chat.close)

    async def open_model(self, model_id: str) -> ChatSession:
        """The conversation with that model, a new one where none is open."""
        return self.by_model.get(model_id) or await self.begin(model_id)

    async def begin(self, model_id: str) -> ChatSession:
        """Begin a new conversation with that model; the one before is closed."""
        self._require_idle(model_id)
        history = await self._open_history()
        return await self._open_chat(await begin_conversation(self.session, model_id, history))

    async def resume(self, conversation_id: str) -> ChatSession:
        """Go on with a conversation of the history, or with a copy where another aitui has it."""
        here = self.find_open(conversation_id)
        history = await self._open_history()
        if here is not None:
            return here
        if history is None:
            raise ValueError("there is no history")
        opened = await history.resume(conversation_id, new_id)
        try:
            chat = await self._open_chat(opened.conversation)
        except ValueError:
            await history.release(opened.conversation.id)
            raise
        if opened.forked:
            self._warn("Another aitui writes that conversation: this is a copy of it")
        return chat

    async def switch_model(self, chat: ChatSession, model_id: str) -> None:
        """Have a conversation go on with another model, whose own is closed."""
        before = chat.conversation.model
        if model_id == before:
            return
        there = self.by_model.get(model_id)
        self._require_idle(model_id)
        await chat.set_model(model_id)
        if there is not None:
            await there.close()
        self.by_model[model_id] = self.by_model.pop(before, chat)

    async def delete_conversation(self, conversation_id: str) -> ChatSession | None:
        """Delete a conversation; where it was open, a new one takes its place."""
        here = self.find_open(conversation_id)
        if here is not None and here.busy:
            raise AituiError("That conversation is being answered", remedy="^c stops it there")
        history = await self._open_history()
        if history is not None:
            await history.delete(conversation_id)
        return None if here is None else await self.begin(here.conversation.model)

    def find_open(self, conversation_id: str) -> ChatSession | None:
        """The chat with that conversation, where it is open here."""
        chats = self.by_model.values()
        return next((chat for chat in chats if chat.conversation.id == conversation_id), None)

    async def learn_slot_size(self, model_id: str) -> None:
        """Ask a model that is answering for the size of its slots."""
        if self._client is not None:
            await self.slots.fetch(self._client, model_id)

    async def _open_chat(self, conversation: Conversation) -> ChatSession:
        self._require_idle(conversation.model)
        if self._client is None:
            client_class = await import_chat_client()
            self._client = client_class(self.session.server)
        before = self.by_model.get(conversation.model)
        if before is not None:
            await before.close()
        chat = ChatSession(
            self._client,
            conversation,
            clock=self.session.clock,
            new_id=new_id,
            history=self.history,
            on_change=lambda answer: self._on_change(chat, answer),
        )
        self.by_model[conversation.model] = chat
        return chat

    def _require_idle(self, model_id: str) -> None:
        chat = self.by_model.get(model_id)
        if chat is not None and chat.busy:
            raise ValueError(f"{model_id} is answering: ^c in its chat stops it")

    async def _open_history(self) -> ConversationHistory | None:
        if self.history is None:
            try:
                self.history = await ConversationHistory.open(self._paths.data / FILE_NAME)
            except HistoryError as error:
                self._warn(f"Conversations are not kept: {error}")
        return self.history
