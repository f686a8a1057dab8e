"""The chats of one server: opens them, sends prompts, and shows what comes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from aitui.domain.chat.conversation import (
    LONGEST_IN_PROMPT,
    TEXT_TYPE,
    Attachment,
    Conversation,
    Role,
)
from aitui.domain.chat.reply import Reply, ReplyPhase, TokenUsage
from aitui.domain.slash import larger_context
from aitui.domain.units import format_age
from aitui.errors import (
    AituiError,
    ContextExceeded,
    ImageRefused,
    LoadFailed,
    ServerError,
)
from aitui.services.activity import OwnReply
from aitui.services.chat import ChatSession
from aitui.services.chat_setup import (
    chat_confirmation,
    confirm_chat,
    diagnose_error,
    explain_stop,
    needed_context,
)
from aitui.services.history import list_conversations
from aitui.store.history import ConversationHistory
from aitui.ui.controllers.chat_sessions import ChatSessions
from aitui.ui.controllers.models import offer_evicted_models
from aitui.ui.controllers.prompts import PromptDraft, PromptStore
from aitui.ui.controllers.transcript_sync import TranscriptPresenter
from aitui.ui.keymap import APP, CHAT_PANE, MODELS, PROMPT
from aitui.ui.reply_text import completion_notice, failure_text
from aitui.ui.terminal.external_editor import edit_text
from aitui.ui.theme import hue_of
from aitui.ui.widgets.chat_status import WARNING_SHARE, SentFacts

if TYPE_CHECKING:
    from aitui.domain.snapshot import Snapshot
    from aitui.ui.context import ServerContext
    from aitui.ui.widgets.chat_pane import ChatPane


DRAFT_SAVE_DELAY = 0.5
"""Seconds after which what was written is kept."""
EMPTY_TEXT = "Start typing. / lists commands."
_CONTENT_TOO_LARGE = 413
_EARLIER_IMAGE_REMEDY = (
    "/model switches to a model that sees images, /clear starts a new conversation"
)
LONG_REPLY = 10.0
"""Seconds of a reply after which its end is announced by a notification."""


class ChatController:
    """Chats with the models of one session on the pane.

    Every model has a conversation of its own, which stays when another one is shown. `load` begins
    to load a model: a wait for it in here would end with the chat that began it.
    """

    def __init__(
        self,
        context: "ServerContext",
        pane: "ChatPane",
        prompts: PromptStore,
        load: Callable[[str], None],
    ) -> None:
        self._app = context.app
        self.session = context.session
        self._tasks = context.tasks
        self._ask = context.ask
        self._notifier = context.notifier
        self.pane = pane
        self._prompts = prompts
        self._load = load
        self._sessions = ChatSessions(
            self.session, context.paths, self._handle_reply_change, self._warn
        )
        self._presenter = TranscriptPresenter(pane.transcript)
        self._confirmed_chats: set[str] = set()
        self._pending_requests: set[str] = set()
        self._drafts: dict[str, PromptDraft] = {}
        self._queues: dict[str, tuple[PromptDraft, ...]] = {}
        self._failures: dict[str, str] = {}
        self._needed_contexts: dict[str, int] = {}
        self._dropped_edit = PromptDraft()
        self._own_reply: OwnReply | None = None
        self._image_paths: dict[str, str] = {}
        self.chat: ChatSession | None = None
        self.editing = ""
        self._opened = asyncio.Event()
        self._opened.set()
        self._watching = asyncio.create_task(self._sessions.watch_sleep(), name="watch for sleeps")

    @property
    def busy(self) -> bool:
        """Whether the answer that is shown is under way."""
        return self.chat is not None and self.chat.busy

    @property
    def any_busy(self) -> bool:
        """Whether any answer is under way."""
        return self._sessions.any_busy

    @property
    def history(self) -> ConversationHistory | None:
        """Earlier conversations, if they can be kept."""
        return self._sessions.history

    async def close(self) -> None:
        """Stop every reply, and keep its text."""
        self._watching.cancel()
        # The pane may belong to the next server already: this one takes its time to close.
        self.chat = None
        await self._save_prompts()
        await self._save_drafts()
        self._queues.clear()
        await self._sessions.close()

    def leave_chat(self) -> None:
        """Save the draft of the shown conversation before another one is shown."""
        if self.chat is not None:
            self._drafts[self.chat.conversation.id] = self._take_prompt(self.pane.prompt.text)
            self.chat = None
            self.pane.queued = ()
            self.pane.prompt.set_text("")

    def open_model(self, model_id: str) -> None:
        """Show the conversation with that model, a new one if there is none."""
        self.leave_chat()
        self._opened.set()
        opened = self._opened = asyncio.Event()
        self._tasks.run_in_background(self._open_model(model_id, opened), "open chat")

    async def _open_model(self, model_id: str, opened: asyncio.Event) -> None:
        try:
            await self._switch_to(await self._sessions.open_model(model_id))
        finally:
            opened.set()

    @property
    def is_opening(self) -> bool:
        """Whether a conversation is about to be shown."""
        return not self._opened.is_set()

    async def wait_until_open(self) -> None:
        """Wait until the conversation requested last is shown, or failed to open."""
        while self.is_opening:
            await self._opened.wait()

    async def begin_chat(self, model_id: str) -> None:
        """Start a new conversation with that model; raises ValueError while a reply streams."""
        await self._switch_to(await self._sessions.begin(model_id))

    async def open_history(self) -> ConversationHistory | None:
        """Open the history with its first use; None, with a warning, if it can't be kept."""
        return await self._sessions.open_history()

    def list_in_rail(self) -> None:
        """Show the conversations beside a zoomed chat, if there is one."""
        if self.pane.has_rail:
            self.pane.rail.open_id = "" if self.chat is None else self.chat.conversation.id
            self._tasks.run_in_background(self._list_in_rail(), "rail")

    async def _list_in_rail(self) -> None:
        history = await self._sessions.open_history()
        if history is not None:
            self.pane.rail.conversations = await list_conversations(history)

    async def resume(self, conversation_id: str) -> None:
        """Continue an earlier conversation; raises ValueError while a reply streams."""
        chat = await self._sessions.resume(conversation_id)
        await self._switch_to(chat)
        for turn in chat.conversation.path:
            if turn.role is Role.USER:
                self.pane.prompt.add_to_history(turn.text)

    async def _switch_to(self, chat: ChatSession) -> None:
        await self._load_draft(chat)
        self.leave_chat()
        self.show(chat)

    async def switch_model(self, chat: ChatSession, model_id: str) -> None:
        """Continue with another model; raises ValueError while a reply streams."""
        await self._sessions.switch_model(chat, model_id)
        self.show(chat)

    async def rename_conversation(self, conversation_id: str, title: str) -> None:
        """Give a conversation a title, "" for none of its own. Raises HistoryError."""
        chat = self._sessions.find_open(conversation_id)
        if chat is not None:
            await chat.rename(title)
        elif (history := await self.open_history()) is not None:
            await history.rename(conversation_id, title)
        if chat is not None and chat is self.chat:
            self.pane.heading = title
        self._refresh_lists(conversation_id)

    async def delete_conversation(self, conversation_id: str) -> None:
        """Delete a conversation; raises AituiError while a reply streams in it."""
        before = self._sessions.find_open(conversation_id)
        after = await self._sessions.delete_conversation(conversation_id)
        self._queues.pop(conversation_id, None)
        if after is not None and before is self.chat:
            self.show(after)
        else:
            self._refresh_lists(conversation_id)

    def _refresh_lists(self, conversation_id: str) -> None:
        """Read again what the rail and an empty chat show of the history."""
        if self.chat is not None and self.pane.last_conversation == conversation_id:
            self.show(self.chat)
        else:
            self.list_in_rail()

    def show(self, chat: ChatSession) -> None:
        """Show a chat on the pane."""
        pane = self.pane
        draft = self._drafts.pop(chat.conversation.id, None)
        self.chat = chat
        if draft is not None and draft.text and pane.prompt.text:
            pane.prompt.add_to_history(draft.text)
        elif draft is not None and not pane.prompt.text:
            self._restore_prompt(draft)
        document = pane.transcript.conversation
        document.hue = lambda model_id: hue_of(self.session.snapshot, model_id)
        self._presenter.show(chat.conversation, chat.reply)
        self._show_queue(chat)
        pane.model_id, pane.heading = chat.conversation.model, chat.conversation.title
        pane.transcript.empty_text, pane.last_conversation = EMPTY_TEXT, ""
        if not chat.conversation.turns:
            self._tasks.run_in_background(self._offer_last(chat), "last conversation")
        pane.status.reply = chat.reply if _is_reply_visible(chat) else None
        pane.status.trouble = self._failures.get(chat.conversation.id, "")
        pane.status.is_saved = chat.is_saved
        pane.needed_context = self._needed_contexts.get(chat.conversation.id, 0)
        pane.is_replying = chat.busy
        self.list_in_rail()
        self.update_snapshot(self.session.snapshot)

    async def _offer_last(self, chat: ChatSession) -> None:
        """Offer the last conversation with the model of an empty one."""
        if self.history is None:
            return
        own, now = chat.conversation, self.session.clock.wall()
        found = await list_conversations(self.history, own.server, own.model, limit=1)
        if found and chat is self.chat and not chat.conversation.turns:
            last, pane = found[0], self.pane
            age, key = format_age(now - last.changed), CHAT_PANE.sign("app.resume_last")
            ago = "just now" if age == "now" else f"{age} ago"
            pane.transcript.empty_text = f"{EMPTY_TEXT}\n{key} continues · {ago} · {last.heading}"
            pane.last_conversation = last.id

    @property
    def offered_conversation(self) -> str:
        """The conversation that an empty one offers, if nothing was asked in it meanwhile."""
        chat = self.chat
        return self.pane.last_conversation if chat and not chat.conversation.turns else ""

    def update_snapshot(self, snapshot: "Snapshot") -> None:
        """The server's state has changed: answers that wait want to know of their model."""
        for model_id, chat in self._sessions.by_model.items():
            model = snapshot.model(model_id)
            if model is not None:
                self._sessions.slots.update_model(model)
                if chat.busy:
                    chat.update_model_state(model.state)
        self.pane.status.snapshot = snapshot
        self.show_settings()

    def send(self, text: str) -> None:
        """Send a prompt to the model of the shown conversation, or queue it while a reply streams.

        An empty text sends the first prompt of a paused queue.
        """
        chat = self.chat
        if not text.strip():
            self._send_queued()
            return
        prompt = self._take_prompt(text)
        self.add_to_history(text)
        if chat is None:
            self._restore_prompt(prompt)
            self._warn(f"No conversation is open: {MODELS.sign('chat')} on a model opens one")
        elif self._is_waiting(chat):
            self._set_queue(chat, (*self._queue(chat), replace(prompt, queued=True)))
        else:
            self.run(chat, self._request(chat, prompt), prompt)

    def _send_queued(self) -> None:
        chat = self.chat
        if chat is not None and self._queue(chat) and not self._is_waiting(chat):
            prompt = self._take_queued(chat, 0)
            self.run(chat, self._request(chat, prompt), prompt)

    def take_back(self, place: int = -1) -> None:
        """Take a queued prompt back, in front of what is written; without a place the last one."""
        chat = self.chat
        if chat is None or not self._queue(chat):
            return
        prompt, written = self._take_queued(chat, place), self._take_prompt(self.pane.prompt.text)
        self._restore_prompt(
            PromptDraft(
                "\n".join(filter(None, (prompt.text, written.text))),
                (*prompt.attachments, *written.attachments),
                prompt.editing or written.editing,
            )
        )
        self.pane.prompt.focus()

    def _request(self, chat: ChatSession, prompt: PromptDraft) -> Callable[[], Awaitable[Reply]]:
        async def request() -> Reply:
            await self.open_history()
            if prompt.editing in chat.conversation.turns:
                return await chat.edit(prompt.editing, prompt.text, prompt.attachments)
            return await chat.send(prompt.text, prompt.attachments)

        return request

    def _is_waiting(self, chat: ChatSession) -> bool:
        return chat.busy or chat.conversation.id in self._pending_requests

    def _queue(self, chat: ChatSession) -> tuple[PromptDraft, ...]:
        return self._queues.get(chat.conversation.id, ())

    def _take_queued(self, chat: ChatSession, place: int) -> PromptDraft:
        queue = list(self._queue(chat))
        prompt = queue.pop(place)
        self._set_queue(chat, tuple(queue))
        return prompt

    def _set_queue(self, chat: ChatSession, queue: tuple[PromptDraft, ...]) -> None:
        self._queues[chat.conversation.id] = queue
        if chat is self.chat:
            self._show_queue(chat)
            self._keep_draft(chat, PromptDraft(self.pane.prompt.text, editing=self.editing))
        else:
            self._keep_draft(chat, self._drafts.get(chat.conversation.id, PromptDraft()))

    def _show_queue(self, chat: ChatSession) -> None:
        self.pane.queued = tuple(prompt.label for prompt in self._queue(chat))

    def _report_held(self, chat: ChatSession) -> None:
        """Say that a queue is not sent after a reply that failed or was stopped."""
        if count := len(self._queue(chat)):
            what = "the queued prompt is" if count == 1 else f"{count} queued prompts are"
            send, back = PROMPT.sign("send"), PROMPT.sign("earlier")
            self._warn(
                f"The reply did not finish, so {what} not sent. "
                f"In the empty prompt {send} sends, {back} takes back"
            )

    def attach_text(self, text: str, name: str) -> None:
        """Send a text that is too long for the prompt along with the next one."""
        self.pane.attachments = (*self.pane.attachments, Attachment(name, TEXT_TYPE, text))
        self._app.notify(f"{len(text):,} characters are attached to the next prompt: {name}")

    def attach(self, image: Attachment, path: str) -> None:
        """Send a file, which was read from that path, along with the next prompt."""
        self.pane.attachments = (*self.pane.attachments, image)
        self._image_paths[image.url] = path

    def add_to_history(self, text: str) -> None:
        """Keep a prompt among the earlier ones, here and for the next time."""
        self.pane.prompt.add_to_history(text)
        self._prompts.add_to_history(text)
        self._tasks.run_in_background(self._save_prompts(), "save prompts", exclusive=False)

    def update_draft(self) -> None:
        """Schedule saving the draft."""
        prompt = self.pane.prompt
        # One that was just sent is empty, too, and what it was to replace is still needed.
        if self.editing and not prompt.text and not prompt.pending_sends:
            cleared = prompt.cleared if prompt.was_cleared else ""
            self._dropped_edit = PromptDraft(cleared, self.pane.attachments, self.editing)
            self.editing, self.pane.attachments = "", ()
        elif prompt.text:
            prompt.was_cleared = False
            if prompt.text == self._dropped_edit.text:
                edit = self._dropped_edit
                self.editing, self.pane.attachments = edit.editing, edit.attachments
        if self.chat is not None:
            self._keep_draft(self.chat, PromptDraft(prompt.text, editing=self.editing))

    def _keep_draft(self, chat: ChatSession, draft: PromptDraft) -> None:
        """Save a draft a little later, behind the prompts that are queued."""
        if queued := [prompt.text for prompt in self._queue(chat)]:
            draft = PromptDraft("\n\n".join(filter(None, (*queued, draft.text))))
        if self._prompts.set_draft(chat, draft):
            self._app.set_timer(
                DRAFT_SAVE_DELAY,
                lambda: self._tasks.run_in_background(self._save_drafts(), "save drafts"),
            )

    def edit_prompt(self, text: str) -> None:
        """Write on in an editor."""
        self._tasks.run_in_background(self._edit_prompt(text), "editor", exclusive=False)

    async def _edit_prompt(self, text: str) -> None:
        edited = await edit_text(self._app, text)
        if len(edited) > LONGEST_IN_PROMPT:
            self.attach_text(edited, "prompt.md")
            edited = ""
        self.pane.prompt.set_text(edited)
        await asyncio.sleep(0)
        self.pane.prompt.focus()

    def show_in_editor(self, text: str) -> None:
        """Show a text in an editor; what is changed there is dropped."""
        self._tasks.run_in_background(edit_text(self._app, text), "editor", exclusive=False)

    def run(
        self,
        chat: ChatSession,
        ask: Callable[[], Awaitable[Reply]],
        prompt: PromptDraft | None = None,
    ) -> None:
        """Get a reply in the background; `prompt` is restored if no text arrives."""
        conversation_id, prompt = chat.conversation.id, prompt or PromptDraft()
        if self._is_waiting(chat):
            self._return_prompt(chat, prompt)
            self._warn(f"A reply is still running: {APP.sign('interrupt')} stops it")
            return
        self._pending_requests.add(conversation_id)
        self._tasks.run_in_background(self._run(chat, ask, prompt), f"chat {conversation_id}")

    def stop(self) -> None:
        """Stop the shown reply and keep its text."""
        if self.chat is not None:
            self.chat.stop()

    async def _run(
        self, chat: ChatSession, ask: Callable[[], Awaitable[Reply]], prompt: PromptDraft
    ) -> None:
        """Ask, then what is queued one after the other, until a reply fails or is stopped."""
        try:
            while await self._ask_and_report(chat, ask, prompt) and self._queue(chat):
                prompt = self._take_queued(chat, 0)
                ask = self._request(chat, prompt)
        finally:
            self._pending_requests.discard(chat.conversation.id)
            self._report_held(chat)

    async def _ask_and_report(
        self, chat: ChatSession, ask: Callable[[], Awaitable[Reply]], prompt: PromptDraft
    ) -> bool:
        """Ask, and say what became of it; return whether the reply is complete."""
        session, model_id = self.session, chat.conversation.model
        if not await self._confirm_request(chat, prompt):
            return False
        self._set_failure(chat, "")
        self._offer_context(chat, 0)
        ready_before = {model.id for model in session.snapshot.ready}
        try:
            answer = await ask()
        except ValueError as error:
            self._return_prompt(chat, prompt)
            raise AituiError(str(error)) from error
        self.list_in_rail()
        for warning in chat.warnings:
            self._warn(warning)
        if chat is self.chat:
            self.pane.status.is_saved = chat.is_saved
        self._notify_completion(chat, answer)
        if isinstance(answer.error, ContextExceeded) and answer.error.context_size:
            self._sessions.slots.record(model_id, answer.error.context_size)
        if answer.phase is ReplyPhase.STOPPED and not answer.text and not answer.reasoning:
            await self._report_stop(chat, answer, prompt)
        if answer.phase is ReplyPhase.CUT:
            # Reading logs takes a second; the reply can be continued meanwhile.
            crash = self._report_crash(chat, answer)
            self._tasks.run_in_background(crash, f"crash {chat.conversation.id}")
        if answer.phase is ReplyPhase.FAILED and answer.error is not None:
            await self._report_failure(chat, answer.error, prompt, ready_before)
        return answer.phase is ReplyPhase.DONE

    async def _report_failure(
        self, chat: ChatSession, error: AituiError, prompt: PromptDraft, ready_before: set[str]
    ) -> None:
        """Return the prompt, and raise what is known of why nothing came."""
        session, model_id = self.session, chat.conversation.model
        if refused := _refused_images(chat, prompt, error):
            raise self._detach(chat, prompt, refused, error)
        try:
            diagnosis = await diagnose_error(session, model_id, error)
        finally:
            # What is sent meanwhile would be refused.
            self._return_prompt(chat, prompt)
        # Of a load it is known already which it was.
        why = diagnosis.why if isinstance(diagnosis, LoadFailed) else ""
        self._set_failure(chat, why or diagnosis.what)
        if isinstance(diagnosis, LoadFailed):
            ready_now = {model.id for model in session.snapshot.ready}
            diagnosis.evicted = tuple(sorted(ready_before - ready_now - {model_id}))
            if diagnosis.evicted:
                await offer_evicted_models(diagnosis, self._ask, self._load)
                return
        can_change = bool(session.server.ssh_host) and not session.server.read_only
        size = needed_context(diagnosis) if can_change else 0
        self._offer_context(chat, size)
        words = failure_text(diagnosis, size)
        raise AituiError(
            diagnosis.what, why=words, remedy=diagnosis.remedy, action=diagnosis.action
        )

    async def _report_stop(self, chat: ChatSession, answer: Reply, prompt: PromptDraft) -> None:
        """Return a prompt that was stopped before anything came; the server may still load."""
        self._return_prompt(chat, prompt)
        if queued := await explain_stop(self.session, answer):
            self._warn(queued)

    def _detach(
        self,
        chat: ChatSession,
        prompt: PromptDraft,
        refused: tuple[Attachment, ...],
        error: AituiError,
    ) -> AituiError:
        """Return a prompt without the images that were refused, and the error that names them.

        With them each later prompt would fail as well.
        """
        names = ", ".join(image.name for image in refused)
        self._return_prompt(chat, replace(prompt, attachments=()))
        what, remedy = f"{error.what}: {names}, from an earlier prompt", _EARLIER_IMAGE_REMEDY
        if prompt.attachments:
            commands = [f"/file {self._image_paths.get(one.url, one.name)}" for one in refused]
            what = f"{error.what}: {names} {'is' if len(refused) == 1 else 'are'} detached"
            remedy = f"send the prompt without images; to attach again: {', '.join(commands)}"
        self._set_failure(chat, what)
        return AituiError(what, why=error.why, remedy=remedy)

    async def _confirm_request(self, chat: ChatSession, prompt: PromptDraft) -> bool:
        """Whether it may cost what it costs: asked once a conversation."""
        session, model_id = self.session, chat.conversation.model
        if chat.conversation.id in self._confirmed_chats:
            return True
        costs = chat_confirmation(model_id, session.snapshot).needed
        try:
            may = await confirm_chat(session, model_id, self._ask)
        except AituiError:
            self._return_prompt(chat, prompt)
            raise
        if not may:
            self._return_prompt(chat, prompt)
        elif costs:
            self._confirmed_chats.add(chat.conversation.id)
        return may

    async def _load_draft(self, chat: ChatSession) -> None:
        """Restore the draft and the earlier prompts from the last run."""
        history, conversation = self.history, chat.conversation
        if history is not None:
            self.pane.prompt.prepend_history(await self._prompts.load_history(history))
            if conversation.id not in self._drafts and chat is not self.chat:
                self._drafts[conversation.id] = await self._prompts.load_draft(
                    history, conversation
                )

    async def _save_prompts(self) -> None:
        if self.history is not None:
            await self._prompts.save_prompts(self.history)

    async def _save_drafts(self) -> None:
        if self.history is not None:
            await self._prompts.save_drafts(self.history)

    async def _report_crash(self, chat: ChatSession, answer: Reply) -> None:
        """Say that a reply was cut because its model crashed, if it did."""
        model_id = chat.conversation.model
        if answer.error is not None:
            error = await diagnose_error(self.session, model_id, answer.error)
            if error is not answer.error:
                self._set_failure(chat, error.why)
                self._warn(error.why)

    def _set_failure(self, chat: ChatSession, why: str) -> None:
        self._failures[chat.conversation.id] = why.partition("\n")[0]
        if chat is self.chat:
            self.pane.status.trouble = self._failures[chat.conversation.id]

    def _offer_context(self, chat: ChatSession, size: int) -> None:
        """Offer a context size that holds the prompt that was refused, 0 for none."""
        self._needed_contexts[chat.conversation.id] = size
        if chat is self.chat:
            self.pane.needed_context = size

    def _notify_completion(self, chat: ChatSession, answer: Reply) -> None:
        words = completion_notice(answer)
        if not words:
            return
        pane = self.pane
        if chat is not self.chat or not pane.display:
            self._app.notify(words)
        if (answer.ended_at or 0.0) - answer.asked >= LONG_REPLY:
            self._notifier.notify_if_away(words)

    def _handle_reply_change(self, chat: ChatSession, answer: Reply) -> None:
        if chat is not self.chat:
            return
        self._presenter.update(chat.conversation, answer)
        pane = self.pane
        pane.status.reply, pane.is_replying = answer, chat.busy
        pane.status.is_saved = chat.is_saved
        if answer.phase.is_final:
            self.show_settings()
        elif answer.context_used is not None:
            # Each batch of tokens comes here: what else goes along is the same.
            pane.sent.facts = replace(
                pane.sent.facts, used=answer.context_used, generated=answer.rates.tokens
            )

    def report_rate(self) -> None:
        """Report the rate of our own reply, which counts in the total of all clients."""
        answer = self.chat.reply if self.chat is not None and self.chat.busy else None
        own: OwnReply | None = None
        if answer is not None and answer.phase.is_generating:
            own = OwnReply(answer.model, answer.rates.tokens, answer.rates.per_second)
        if own != self._own_reply:
            self._own_reply = own
            reporting = self.session.monitor.update_own_reply(own)
            self._tasks.run_in_background(reporting, "rate of the reply")

    def _take_prompt(self, text: str) -> PromptDraft:
        prompt = PromptDraft(text, self.pane.attachments, self.editing)
        self.pane.attachments, self.editing = (), ""
        return prompt

    def _restore_prompt(self, prompt: PromptDraft) -> None:
        self.pane.attachments, self.editing = prompt.attachments, prompt.editing
        self.pane.prompt.set_text(prompt.text)

    def _return_prompt(self, chat: ChatSession, prompt: PromptDraft) -> None:
        """Nothing typed is lost: it goes back into the prompt, or is the one before a new one."""
        if not prompt.text:
            return
        shown = chat is self.chat
        draft = self._drafts.get(chat.conversation.id, PromptDraft())
        if not (self.pane.prompt.text if shown else draft.text):
            if shown:
                self._restore_prompt(prompt)
            else:
                self._drafts[chat.conversation.id] = prompt
        elif prompt.queued:
            self._set_queue(chat, (prompt, *self._queue(chat)))

    def show_settings(self) -> None:
        """Show what goes along with the next prompt, and how full the context is."""
        if self.chat is None:
            return
        conversation, status = self.chat.conversation, self.pane.status
        if conversation.turns:
            self.pane.last_conversation = ""
        model = status.snapshot.model(conversation.model)
        size, larger = None, 0
        if model is not None:
            logged = status.snapshot.hardware.slot_sizes.get(model.id, 0)
            size = self._sessions.slots.size_for(model, logged)
        used = None if status.reply is None else status.reply.context_used
        last = _last_usage(conversation)
        generated = 0 if last is None else last.completion_tokens
        if status.reply is not None and status.reply.context_used is not None:
            generated = status.reply.rates.tokens
        elif last is not None:
            used = last.prompt_tokens + last.completion_tokens
        if model is not None and size and used and used * 100 >= size * WARNING_SHARE:
            larger = larger_context(status.snapshot, model)
        self.pane.sent.facts = SentFacts(
            conversation.system,
            conversation.sampling,
            self.pane.attachments,
            model,
            used,
            min(generated, used or 0),
            size,
            larger,
        )

    def _warn(self, words: str) -> None:
        self._app.notify(words, severity="warning")


def _refused_images(
    chat: ChatSession, prompt: PromptDraft, error: AituiError
) -> tuple[Attachment, ...]:
    """The images of a request that failed because of them: of the prompt, else of earlier ones."""
    too_large = isinstance(error, ServerError) and error.status == _CONTENT_TOO_LARGE
    if isinstance(error, ImageRefused) or (too_large and prompt.attachments):
        earlier = (file for turn in chat.conversation.path for file in turn.attachments)
        refused = prompt.attachments or tuple(earlier)
        return tuple(file for file in refused if too_large or file.is_image)
    return ()


def _last_usage(conversation: Conversation) -> TokenUsage | None:
    """What the last reply took and everything before it, None if that isn't known."""
    usages = (turn.usage for turn in reversed(conversation.path))
    return next((one for one in usages if one is not None), None)


def _is_reply_visible(chat: ChatSession) -> bool:
    """Whether the last answer is on the branch that is shown; one that failed is nowhere."""
    answer, conversation = chat.reply, chat.conversation
    if answer is None or answer.turn_id not in conversation.turns:
        return True
    return any(turn.id == answer.turn_id for turn in conversation.path)
