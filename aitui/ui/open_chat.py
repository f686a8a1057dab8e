"""The chats of one server: opens them, sends prompts, and shows what comes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from aitui.chat.chat import Chat
from aitui.commands.chat import explained, may_chat, question_before_chat
from aitui.commands.session import Ask, Session
from aitui.domain.answer import Answer, Phase
from aitui.domain.attachments import Attachment
from aitui.domain.snapshot import Snapshot
from aitui.domain.turn import Role
from aitui.errors import AituiError, ContextExceeded, LoadFailed
from aitui.paths import Paths
from aitui.store.history import History
from aitui.ui.answer_words import ended_elsewhere, failure_words
from aitui.ui.asking import offer_evicted
from aitui.ui.prompt import DRAFT_AFTER, KeptPrompts, Prompt
from aitui.ui.served_chats import ServedChats
from aitui.ui.shown_conversation import ShownConversation
from aitui.ui.widgets.chat_pane import ChatPane

if TYPE_CHECKING:
    from aitui.ui.comfort import ComfortApp

Beside = Callable[[Coroutine[Any, Any, None], str], None]
_COMING = {Phase.THINKING, Phase.STREAMING}
LONG_ANSWER = 10.0
"""Seconds after which whoever waits for an answer may well be elsewhere."""


class OpenChat:
    """Belongs to the app; `beside` runs a deed of a group and tells what goes wrong in it.

    `load` begins to load a model. A wait for it would end with the chat that began it.

    Every model has a conversation of its own, which stays when another one is shown.
    """

    def __init__(
        self,
        app: "ComfortApp",
        pane: Callable[[], ChatPane],
        ask: Ask,
        beside: Beside,
        load: Callable[[str], None],
    ) -> None:
        self._app = app
        self._pane = pane
        self._ask = ask
        self._beside = beside
        self._load = load
        self._served: ServedChats | None = None
        self._shown: ShownConversation | None = None
        self._agreed: set[str] = set()
        self._asking: set[str] = set()
        self._drafts: dict[str, Prompt] = {}
        self._failed: dict[str, str] = {}
        self._kept = KeptPrompts(self._tell)
        self.chat: Chat | None = None
        self.attachments: tuple[Attachment, ...] = ()
        self.editing = ""

    @property
    def busy(self) -> bool:
        """Whether the answer that is shown is under way."""
        return self.chat is not None and self.chat.busy

    @property
    def any_busy(self) -> bool:
        """Whether any answer is under way."""
        return self._served is not None and self._served.any_busy

    @property
    def served(self) -> ServedChats:
        """The chats of the server that is open. Raises AituiError where none is."""
        if self._served is None:
            raise AituiError("There is no server yet", remedy="S chooses one")
        return self._served

    @property
    def session(self) -> Session:
        """The session of the server that is open. Raises AituiError where none is."""
        return self.served.session

    @property
    def history(self) -> History | None:
        """Earlier conversations, where they can be kept."""
        return None if self._served is None else self._served.history

    @asynccontextmanager
    async def serving(self, session: Session, paths: Paths) -> AsyncIterator[None]:
        """Chat with this server within the block; at its end every answer is stopped and kept."""
        served = self._served = ServedChats(session, paths, self._changed, self._tell)
        self.chat = self._shown = None
        self._agreed, self._asking = set(), set()
        self._drafts, self._failed = {}, {}
        watching = asyncio.create_task(served.watch_sleep(), name="watch for sleeps")
        try:
            yield
        finally:
            watching.cancel()
            # The next server may be open already: the one before takes its time to go.
            if self._served is served:
                self._served = self.chat = None
            await self._keep_written(served)
            await served.close()

    def put_away(self) -> None:
        """Keep what is written for the conversation that is shown: another one comes."""
        if self.chat is not None:
            self._drafts[self.chat.conversation.id] = self._taken(self._pane().prompt.text)
            self.chat = None
            self._pane().prompt.put("")

    async def open(self, model_id: str) -> None:
        """Show the conversation with that model, a new one where there is none."""
        chat = await self.served.with_model(model_id)
        await self._recall(chat)
        self.show(chat)

    async def begin_anew(self, model_id: str) -> None:
        """Begin a new conversation with that model. Raises ValueError where that cuts an answer."""
        chat = await self.served.begin(model_id)
        await self._recall(chat)
        self.put_away()
        self.show(chat)

    async def resume(self, conversation_id: str) -> None:
        """Go on with an earlier conversation. Raises ValueError where that cuts an answer."""
        chat = await self.served.resume(conversation_id)
        await self._recall(chat)
        self.put_away()
        self.show(chat)
        for turn in chat.conversation.path:
            if turn.role is Role.USER:
                self._pane().prompt.remember(turn.text)

    async def move(self, chat: Chat, model_id: str) -> None:
        """Go on with another model. Raises ValueError where that cuts an answer."""
        await self.served.move(chat, model_id)
        self.show(chat)

    async def forget(self, conversation_id: str) -> None:
        """Delete a conversation. Raises AituiError where it is being answered."""
        before = self.served.opened(conversation_id)
        after = await self.served.forget(conversation_id)
        if after is not None and before is self.chat:
            self.show(after)

    def show(self, chat: Chat) -> None:
        """Bring a chat onto the pane."""
        pane = self._pane()
        draft = self._drafts.pop(chat.conversation.id, None)
        self.chat = chat
        if draft is not None and draft.text and pane.prompt.text:
            pane.prompt.remember(draft.text)
        elif draft is not None and not pane.prompt.text:
            self._put(draft)
        self._shown = ShownConversation(pane.transcript)
        self._shown.show(chat.conversation, chat.answer)
        pane.model_id, pane.heading = chat.conversation.model, chat.conversation.title
        pane.transcript.empty_text = "Nothing was asked yet; /help lists what the prompt takes"
        pane.status.answer = chat.answer if _in_sight(chat) else None
        pane.status.trouble = self._failed.get(chat.conversation.id, "")
        pane.answering = chat.busy
        self.snapshot_came(self.session.snapshot)

    def snapshot_came(self, snapshot: Snapshot) -> None:
        """The server's state has changed: answers that wait want to know of their model."""
        if self._served is None:
            return
        for model_id, chat in self._served.by_model.items():
            model = snapshot.model(model_id)
            if model is not None:
                self._served.slots.model_is(model)
                if chat.busy:
                    chat.model_is(model.state)
        self._show_sizes(snapshot)

    def send(self, text: str) -> None:
        """Ask the model of the conversation that is shown."""
        chat, prompt = self.chat, self._taken(text)
        self.remember(text)
        if chat is None:
            self._put(prompt)
            self._tell("No conversation is open: ⏎ on a model opens one")
        elif prompt.editing in chat.conversation.turns:
            self.run(chat, lambda: chat.edit(prompt.editing, text), prompt)
        else:
            self.run(chat, lambda: chat.send(text, prompt.attachments), prompt)

    def remember(self, text: str) -> None:
        """Keep a prompt among the earlier ones, here and for the next time."""
        self._pane().prompt.remember(text)
        if self.history is not None:
            self._app.run_worker(self._kept.add(self.history, text), exit_on_error=False)

    def written(self, text: str) -> None:
        """What is being written is that now: it is kept a little later."""
        served, chat = self._served, self.chat
        if served is None or chat is None:
            return
        if self._kept.written(chat, Prompt(text, editing=self.editing)):
            keep = partial(self._keep_written, served)
            self._app.set_timer(DRAFT_AFTER, lambda: self._beside(keep(), "keep what is written"))

    def run(
        self, chat: Chat, ask: Callable[[], Awaitable[Answer]], prompt: Prompt | None = None
    ) -> None:
        """Have something answered beside the screen; `prompt` comes back where nothing came."""
        conversation_id, prompt = chat.conversation.id, prompt or Prompt()
        if chat.busy or conversation_id in self._asking:
            self._give_back(chat, prompt)
            self._tell("An answer is under way: ^c stops it")
            return
        self._asking.add(conversation_id)
        self._beside(self._run(chat, ask, prompt), f"chat {conversation_id}")

    def stop(self) -> None:
        """Stop the answer that is shown: what came stays."""
        if self.chat is not None:
            self.chat.stop()

    async def _run(self, chat: Chat, ask: Callable[[], Awaitable[Answer]], prompt: Prompt) -> None:
        try:
            await self._ask_and_tell(chat, ask, prompt)
        finally:
            self._asking.discard(chat.conversation.id)

    async def _ask_and_tell(
        self, chat: Chat, ask: Callable[[], Awaitable[Answer]], prompt: Prompt
    ) -> None:
        session, model_id = self.session, chat.conversation.model
        if not await self._may_ask(chat, prompt):
            return
        self._failed_for(chat, "")
        ready_before = {model.id for model in session.snapshot.ready}
        try:
            answer = await ask()
        except ValueError as error:
            self._give_back(chat, prompt)
            raise AituiError(str(error)) from error
        for warning in chat.warnings:
            self._tell(warning)
        self._call_back(chat, answer)
        if isinstance(answer.error, ContextExceeded) and answer.error.context_size:
            self.served.slots.told(model_id, answer.error.context_size)
        if answer.phase is Phase.STOPPED and not answer.text and not answer.reasoning:
            self._give_back(chat, prompt)
        if answer.phase is not Phase.FAILED or answer.error is None:
            return
        self._give_back(chat, prompt)
        told = await explained(session, model_id, answer.error)
        # Of a load it is known already which it was.
        why = told.why if isinstance(told, LoadFailed) else ""
        self._failed_for(chat, why or told.what)
        if isinstance(told, LoadFailed):
            ready_now = {model.id for model in session.snapshot.ready}
            told.evicted = tuple(sorted(ready_before - ready_now - {model_id}))
            if told.evicted:
                await offer_evicted(told, self._ask, self._load)
                return
        can_change = bool(session.server.ssh_host) and not session.server.read_only
        words = failure_words(told, model_id, can_change=can_change)
        raise AituiError(told.what, why=words, remedy=told.remedy)

    async def _may_ask(self, chat: Chat, prompt: Prompt) -> bool:
        """Whether it may cost what it costs: asked once a conversation."""
        session, model_id = self.session, chat.conversation.model
        if chat.conversation.id in self._agreed:
            return True
        costs = question_before_chat(model_id, session.snapshot).needed
        try:
            may = await may_chat(session, model_id, self._ask)
        except AituiError:
            self._give_back(chat, prompt)
            raise
        if not may:
            self._give_back(chat, prompt)
        elif costs:
            self._agreed.add(chat.conversation.id)
        return may

    async def _recall(self, chat: Chat) -> None:
        """Bring back what was being written, and asked, when aitui ended."""
        history, conversation = self.history, chat.conversation
        if history is not None:
            self._pane().prompt.recall(await self._kept.earlier(history))
            if conversation.id not in self._drafts and chat is not self.chat:
                self._drafts[conversation.id] = await self._kept.recall(history, conversation)

    async def _keep_written(self, served: ServedChats) -> None:
        if served.history is not None:
            await self._kept.keep(served.history)

    def _failed_for(self, chat: Chat, why: str) -> None:
        self._failed[chat.conversation.id] = why.partition("\n")[0]
        if chat is self.chat:
            self._pane().status.trouble = self._failed[chat.conversation.id]

    def _call_back(self, chat: Chat, answer: Answer) -> None:
        words = ended_elsewhere(answer)
        if not words:
            return
        pane = self._pane()
        if chat is not self.chat or not pane.display:
            self._app.notify(words, markup=False)
        if (answer.ended_at or 0.0) - answer.asked >= LONG_ANSWER:
            self._app.call_back(words)

    def _changed(self, chat: Chat, answer: Answer) -> None:
        served = self._served
        if served is not None and answer.phase in _COMING and served.slots.wants(answer.model):
            self._beside(self._learn_slot_size(served, answer.model), f"slots {answer.model}")
        if chat is not self.chat or self._shown is None:
            return
        self._shown.grow(chat.conversation, answer)
        pane = self._pane()
        pane.status.answer, pane.answering = answer, chat.busy

    def _taken(self, text: str) -> Prompt:
        prompt = Prompt(text, self.attachments, self.editing)
        self.attachments, self.editing = (), ""
        return prompt

    def _put(self, prompt: Prompt) -> None:
        self.attachments, self.editing = prompt.attachments, prompt.editing
        self._pane().prompt.put(prompt.text)

    def _give_back(self, chat: Chat, prompt: Prompt) -> None:
        """Nothing typed is lost: it goes back into the prompt, or is the one before a new one."""
        if not prompt.text:
            return
        if chat is not self.chat:
            self._drafts.setdefault(chat.conversation.id, prompt)
        elif not self._pane().prompt.text:
            self._put(prompt)

    async def _learn_slot_size(self, served: ServedChats, model_id: str) -> None:
        await served.learn_slot_size(model_id)
        if served is self._served:
            self._show_sizes(served.session.snapshot)

    def _show_sizes(self, snapshot: Snapshot) -> None:
        if self.chat is not None:
            model = snapshot.model(self.chat.conversation.model)
            status = self._pane().status
            status.context_size = None if model is None else self.served.slots.of(model)
            status.expected_load = None if model is None else model.expected_load

    def _tell(self, words: str) -> None:
        self._app.notify(words, severity="warning", markup=False)


def _in_sight(chat: Chat) -> bool:
    """Whether the last answer is on the branch that is shown; one that failed is nowhere."""
    answer, conversation = chat.answer, chat.conversation
    if answer is None or answer.turn_id not in conversation.turns:
        return True
    return any(turn.id == answer.turn_id for turn in conversation.path)
