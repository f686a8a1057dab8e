"""The open chats of one server, of each model one, and the history that keeps them."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from aitui.domain.chat.conversation import Conversation
from aitui.domain.chat.reply import Reply
from aitui.errors import AituiError, HistoryError
from aitui.services.chat import ChatSession
from aitui.services.chat_saving import SlotSizeCache
from aitui.services.chat_setup import begin_conversation, import_chat_client, new_id
from aitui.services.monitor import detect_suspends
from aitui.store.history import FILE_NAME, ConversationHistory
from aitui.ui.keymap import APP

if TYPE_CHECKING:
    from aitui.llamaswap.chat import ChatClient
    from aitui.paths import Paths
    from aitui.services.session import Session

_STOP = APP.sign("interrupt")


class ChatSessions:
    """Every model has one conversation that is open, and which stays when another is shown.

    What would cut an answer raises ValueError, with words for a person.
    """

    def __init__(
        self,
        session: "Session",
        paths: "Paths",
        on_change: Callable[[ChatSession, Reply], None],
        warn: Callable[[str], None],
    ) -> None:
        self.session = session
        self.by_model: dict[str, ChatSession] = {}
        self.history: ConversationHistory | None = None
        self.slots = SlotSizeCache()
        self._paths = paths
        self._on_change = on_change
        self._warn = warn
        self._client: ChatClient | None = None
        self._unsaved_because = ""

    @property
    def any_busy(self) -> bool:
        """Whether any answer is under way."""
        return any(chat.busy for chat in self.by_model.values())

    async def watch_sleep(self) -> None:
        """After each suspend of the machine, cut replies that don't continue; runs until cancelled."""
        async for _ in detect_suspends(self.session.clock):
            for chat in self.by_model.values():
                chat.check_after_suspend()

    async def close(self) -> None:
        """Stop every reply and keep the text received."""
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
        """Start a new conversation with that model, and close the previous one."""
        self._require_idle(model_id)
        history = await self.open_history()
        return await self._open_chat(await begin_conversation(self.session, model_id, history))

    async def resume(self, conversation_id: str) -> ChatSession:
        """Continue a conversation of the history, or a copy if another aitui uses it."""
        here = self.find_open(conversation_id)
        history = await self.open_history()
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
            self._warn("Another aitui is using that conversation: this is a copy")
        return chat

    async def switch_model(self, chat: ChatSession, model_id: str) -> None:
        """Continue a conversation with another model, and close that model's own."""
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
        """Delete a conversation; if it was open, start a new one."""
        here = self.find_open(conversation_id)
        if here is not None and here.busy:
            raise AituiError(
                "A reply is running in that conversation", remedy=f"{_STOP} in its chat stops it"
            )
        history = await self.open_history()
        if history is not None:
            await history.delete(conversation_id)
        return None if here is None else await self.begin(here.conversation.model)

    def find_open(self, conversation_id: str) -> ChatSession | None:
        """Return the chat with that conversation if it is open here."""
        chats = self.by_model.values()
        return next((chat for chat in chats if chat.conversation.id == conversation_id), None)

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
            on_change=self._on_change,
        )
        self.by_model[conversation.model] = chat
        return chat

    def _require_idle(self, model_id: str) -> None:
        chat = self.by_model.get(model_id)
        if chat is not None and chat.busy:
            raise ValueError(
                f"a reply of {model_id} is still running: {_STOP} in its chat stops it"
            )

    async def open_history(self) -> ConversationHistory | None:
        """Open the history with its first use; None, with a warning, if it can't be kept.

        Chats that began without it are stored as soon as it can be opened.
        """
        if self.history is None:
            try:
                self.history = await ConversationHistory.open(
                    self._paths.data / FILE_NAME, on_warning=self._warn
                )
            except HistoryError as error:
                if self._unsaved_because != str(error):
                    self._warn(f"Conversations are not saved: {error}")
                self._unsaved_because = str(error)
            else:
                for chat in self.by_model.values():
                    await chat.store_in(self.history)
        return self.history
