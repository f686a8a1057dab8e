"""The chats of one server: opens them, sends prompts, and shows what comes."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from aitui.chat.chat import Chat
from aitui.commands.chat import begin_conversation, explained, import_chat_client, may_chat, new_id
from aitui.commands.session import Ask, Session
from aitui.domain.answer import Answer, Phase
from aitui.domain.attachments import Attachment
from aitui.domain.command_line import parallel_slots
from aitui.domain.conversation import Conversation
from aitui.domain.model import Model
from aitui.domain.snapshot import Snapshot
from aitui.domain.turn import Role
from aitui.errors import AituiError, ContextExceeded
from aitui.paths import Paths
from aitui.store.history import FILE_NAME, History
from aitui.ui.answer_words import failure_words
from aitui.ui.shown_conversation import ShownConversation
from aitui.ui.widgets.chat_pane import ChatPane

if TYPE_CHECKING:
    from textual.app import App

    from aitui.swap.chat import ChatClient

Beside = Callable[[Coroutine[Any, Any, None], str], None]


class OpenChat:
    """Belongs to the app; `beside` runs a deed of a group and tells what goes wrong in it.

    Every model has a conversation of its own, which stays when another one is shown.
    """

    def __init__(
        self, app: "App[None]", pane: Callable[[], ChatPane], ask: Ask, beside: Beside
    ) -> None:
        self._app = app
        self._pane = pane
        self._ask = ask
        self._beside = beside
        self._session: Session | None = None
        self._paths: Paths | None = None
        self._client: ChatClient | None = None
        self._shown: ShownConversation | None = None
        self._slot_size: dict[str, int] = {}
        self._agreed: set[str] = set()
        self.chats: dict[str, Chat] = {}
        self.chat: Chat | None = None
        self.history: History | None = None
        self.attachments: tuple[Attachment, ...] = ()

    @property
    def busy(self) -> bool:
        """Whether the answer that is shown is under way."""
        return self.chat is not None and self.chat.busy

    @property
    def any_busy(self) -> bool:
        """Whether any answer is under way."""
        return any(chat.busy for chat in self.chats.values())

    @property
    def session(self) -> Session:
        """The session of the server that is open. Raises AituiError where none is."""
        if self._session is None:
            raise AituiError("There is no server yet", remedy="S chooses one")
        return self._session

    @asynccontextmanager
    async def serving(self, session: Session, paths: Paths) -> AsyncIterator[None]:
        """Chat with this server within the block; at its end every answer is stopped and kept."""
        self._session, self._paths = session, paths
        try:
            yield
        finally:
            async with AsyncExitStack() as closing:
                if self.history is not None:
                    closing.push_async_callback(self.history.close)
                if self._client is not None:
                    closing.push_async_callback(self._client.aclose)
                for chat in self.chats.values():
                    closing.push_async_callback(chat.close)
                self._session = self._client = self.history = self.chat = None
                self.chats, self._shown = {}, None

    async def open(self, model_id: str) -> None:
        """Show the conversation with that model, a new one where there is none."""
        if model_id not in self.chats:
            await self.begin(model_id)
        self.show(self.chats[model_id])
        self._pane().prompt.focus()

    async def begin(self, model_id: str) -> Chat:
        """Begin a new conversation with that model."""
        await self._open_history()
        conversation = await begin_conversation(self.session, model_id, self.history)
        return await self.take(model_id, lambda client: self._chat(client, conversation))

    async def take(self, model_id: str, make: "Callable[[ChatClient], Chat]") -> Chat:
        """Have that chat be the one with a model; the one before is closed."""
        if self._client is None:
            client_class = await import_chat_client()
            self._client = client_class(self.session.server)
        before = self.chats.get(model_id)
        if before is not None:
            await before.close()
        self.chats[model_id] = make(self._client)
        return self.chats[model_id]

    async def resume(self, conversation_id: str) -> None:
        """Go on with a conversation of the history, or with a copy where another aitui has it."""
        await self._open_history()
        if self.history is None:
            return
        opened = await self.history.resume(conversation_id, new_id)
        conversation = opened.conversation
        chat = await self.take(conversation.model, lambda client: self._chat(client, conversation))
        self.show(chat)
        if opened.forked:
            self._tell("Another aitui writes that conversation: this is a copy of it")

    def show(self, chat: Chat) -> None:
        """Bring a chat onto the pane."""
        pane = self._pane()
        self.chat = chat
        self._shown = ShownConversation(pane.transcript)
        self._shown.show(chat.conversation, chat.answer)
        pane.model_id, pane.heading = chat.conversation.model, chat.conversation.title
        pane.transcript.empty_text = "Nothing was asked yet"
        pane.status.answer = chat.answer
        for turn in chat.conversation.path:
            if turn.role is Role.USER:
                pane.prompt.remember(turn.text)
        self.snapshot_came(self.session.snapshot)

    def snapshot_came(self, snapshot: Snapshot) -> None:
        """The server's state has changed: answers that wait want to know of their model."""
        for model_id, chat in self.chats.items():
            model = snapshot.model(model_id)
            if model is not None and chat.busy:
                chat.model_is(model.state)
        if self.chat is not None:
            model = snapshot.model(self.chat.conversation.model)
            status = self._pane().status
            status.context_size = None if model is None else self._slot(model)
            status.expected_load = None if model is None else model.expected_load

    def send(self, text: str) -> None:
        """Ask the model of the conversation that is shown."""
        chat = self.chat
        if chat is None:
            return
        attachments, self.attachments = self.attachments, ()
        self._pane().prompt.remember(text)
        self.run(chat, lambda: chat.send(text, attachments), text)

    def run(self, chat: Chat, ask: Callable[[], Awaitable[Answer]], prompt: str = "") -> None:
        """Have something answered beside the screen; `prompt` comes back where nothing came."""
        self._beside(self._run(chat, ask, prompt), f"chat {chat.conversation.id}")

    def stop(self) -> None:
        """Stop the answer that is shown: what came stays."""
        if self.chat is not None:
            self.chat.stop()

    async def _run(self, chat: Chat, ask: Callable[[], Awaitable[Answer]], prompt: str) -> None:
        session, model_id = self.session, chat.conversation.model
        if chat.busy:
            self._give_back(chat, prompt)
            raise AituiError("An answer is under way", remedy="^c stops it")
        if chat.conversation.id not in self._agreed:
            if not await may_chat(session, model_id, self._ask):
                self._give_back(chat, prompt)
                return
            self._agreed.add(chat.conversation.id)
        try:
            answer = await ask()
        except ValueError as error:
            self._give_back(chat, prompt)
            raise AituiError(str(error)) from error
        for warning in chat.warnings:
            self._tell(warning)
        if isinstance(answer.error, ContextExceeded) and answer.error.context_size:
            self._slot_size[model_id] = answer.error.context_size
        if answer.phase is Phase.FAILED and answer.error is not None:
            self._give_back(chat, prompt)
            told = await explained(session, model_id, answer.error)
            raise AituiError(told.what, why=failure_words(told), remedy=told.remedy)

    def _chat(self, client: "ChatClient", conversation: Conversation) -> Chat:
        chat = Chat(
            client,
            conversation,
            clock=self.session.clock,
            new_id=new_id,
            history=self.history,
            on_change=lambda answer: self._changed(chat, answer),
        )
        return chat

    def _changed(self, chat: Chat, answer: Answer) -> None:
        if chat is not self.chat or self._shown is None:
            return
        self._shown.grow(chat.conversation, answer)
        self._pane().status.answer = answer

    def _give_back(self, chat: Chat, prompt: str) -> None:
        """Nothing typed is lost: it goes back into the prompt, unless something new is there."""
        if prompt and chat is self.chat and not self._pane().prompt.text:
            self._pane().prompt.put(prompt)

    def _slot(self, model: Model) -> int:
        """Tokens that one conversation may have: slots share the context between them."""
        told = self._slot_size.get(model.id)
        slots = parallel_slots(model.command) or 1
        return told or model.context.tokens // max(1, slots)

    async def _open_history(self) -> None:
        if self.history is None and self._paths is not None:
            self.history = await History.open(self._paths.data / FILE_NAME)

    def _tell(self, words: str) -> None:
        self._app.notify(words, severity="warning", markup=False)
