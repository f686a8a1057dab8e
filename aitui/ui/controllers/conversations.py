"""The list of conversations: opened by a key or a command, and what is done in it."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aitui.domain.chat.conversation import ListedConversation
from aitui.errors import AituiError
from aitui.services.history import (
    deletion_confirmation,
    list_conversations,
    preview_conversation,
    search_conversations,
)
from aitui.ui.screens.history import HistoryScreen

if TYPE_CHECKING:
    from aitui.ui.context import ServerContext
    from aitui.ui.controllers.chat import ChatController


class ConversationsController:
    """Lists, finds, renames and deletes the conversations of the history.

    `show_chat` brings the chat into sight before one of them is opened.
    """

    def __init__(
        self,
        context: "ServerContext",
        chats: "ChatController",
        show_chat: Callable[[], Awaitable[None]],
    ) -> None:
        self._app = context.app
        self._ask = context.ask
        self._tasks = context.tasks
        self._clock = context.app_context.clock
        self._chats = chats
        self._show_chat = show_chat
        self._screen: HistoryScreen | None = None

    def choose(self, words: str = "") -> None:
        """Show the list at once, so that what is typed ahead is its own."""
        self._screen = HistoryScreen(words, self, self._clock.wall())
        self._app.push_screen(self._screen, self._open)
        self._tasks.run_in_background(self._list(), "list conversations")

    async def list(self) -> tuple[ListedConversation, ...]:
        """List the conversations, the latest first; none if they can't be read."""
        history = await self._chats.open_history()
        return () if history is None else await list_conversations(history)

    async def resume(self, conversation_id: str) -> None:
        """Show a conversation in the chat, to go on with it. Raises AituiError."""
        await self._show_chat()
        try:
            await self._chats.resume(conversation_id)
        except ValueError as error:
            raise AituiError(str(error)) from error

    async def resume_last(self) -> None:
        """Show the one that an empty chat offers."""
        if last := self._chats.offered_conversation:
            await self.resume(last)

    def search(self, words: str) -> None:
        self._tasks.run_in_background(self._search(words), "search conversations")

    def preview(self, conversation: ListedConversation) -> None:
        self._tasks.run_in_background(self._preview(conversation.id), "preview conversation")

    def rename(self, conversation: ListedConversation, title: str) -> None:
        work = self._rename(conversation.id, title)
        self._tasks.run_in_background(work, "rename conversation", exclusive=False)

    def delete(self, conversation: ListedConversation) -> None:
        self._tasks.run_in_background(self._delete(conversation), "delete conversation")

    def _open(self, conversation_id: str | None) -> None:
        self._screen = None
        if conversation_id:
            self._tasks.run_in_background(self.resume(conversation_id), "open conversation")

    async def _list(self) -> None:
        found = await self.list()
        if self._screen is not None:
            self._screen.show_all(found)

    async def _search(self, words: str) -> None:
        history = await self._chats.open_history()
        found = {} if history is None else await search_conversations(history, words)
        if self._screen is not None:
            self._screen.show_found(words, found)

    async def _preview(self, conversation_id: str) -> None:
        history = await self._chats.open_history()
        if history is not None:
            texts = await preview_conversation(history, conversation_id)
            if self._screen is not None:
                self._screen.show_preview(conversation_id, texts)

    async def _rename(self, conversation_id: str, title: str) -> None:
        await self._chats.rename_conversation(conversation_id, title)
        await self._list()

    async def _delete(self, conversation: ListedConversation) -> None:
        if await self._ask(lambda _: deletion_confirmation(conversation)):
            await self._chats.delete_conversation(conversation.id)
            await self._list()
