"""What is written in the prompts of chats: kept in the history, of this run and of earlier ones."""

from collections.abc import Callable

from msgspec import Struct

from aitui.aio import shield
from aitui.domain.chat.conversation import Attachment, Conversation
from aitui.errors import HistoryError
from aitui.services.chat import ChatSession
from aitui.store.history import ConversationHistory

QUEUED_CHARACTERS = 400
"""Of a queued prompt that are shown at most."""


class PromptDraft(Struct, frozen=True):
    """The text of the prompt; `editing` is the turn that it replaces, `queued` if it waited."""

    text: str = ""
    attachments: tuple[Attachment, ...] = ()
    editing: str = ""
    queued: bool = False

    @property
    def label(self) -> str:
        """One line for a list; `▣` if images go along."""
        return "▣ " * bool(self.attachments) + " ".join(self.text[:QUEUED_CHARACTERS].split())


class PromptStore:
    """Drafts, of each conversation one, and what was asked before, in the history.

    Conversations in which nothing was asked yet are nowhere: the draft of such a one belongs to its
    model. Attachments are not kept. What can't be kept stops nothing: `warn` says it once.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._reported: set[str] = set()
        self._draft_keys: dict[str, str] = {}
        self._unsaved: dict[str, tuple[ChatSession, PromptDraft]] = {}
        self._unsaved_prompts: list[str] = []
        self._has_loaded_history = False

    async def load_history(self, history: ConversationHistory) -> tuple[str, ...]:
        """Return the prompts from before this aitui started; nothing the second time."""
        known, self._has_loaded_history = self._has_loaded_history, True
        try:
            return () if known else await history.prompts()
        except HistoryError as error:
            self._report_once(error)
            return ()

    def add_to_history(self, text: str) -> None:
        """Take a prompt that was sent; `save_prompts` has to be called."""
        self._unsaved_prompts.append(text)

    async def save_prompts(self, history: ConversationHistory) -> None:
        """Save the prompts that were sent since the last call, each once.

        A cancelled call, as at the end of aitui, finishes its write and leaves the rest to the next.
        """
        try:
            while self._unsaved_prompts:
                await shield(history.add_prompt(self._unsaved_prompts.pop(0)))
        except HistoryError as error:
            self._report_once(error)

    async def load_draft(
        self, history: ConversationHistory, conversation: Conversation
    ) -> PromptDraft:
        """Return the unsent text from when aitui ended."""
        key = self._draft_keys[conversation.id] = _draft_key(conversation)
        try:
            text, editing = await history.draft(key)
        except HistoryError as error:
            self._report_once(error)
            return PromptDraft()
        turn = conversation.turns.get(editing)
        return PromptDraft(text, () if turn is None else turn.attachments, editing)

    def set_draft(self, chat: ChatSession, prompt: PromptDraft) -> bool:
        """Take what is being written; return whether `save_drafts` has to be called a little later."""
        waits = bool(self._unsaved)
        self._unsaved[chat.conversation.id] = (chat, prompt)
        return not waits

    async def save_drafts(self, history: ConversationHistory) -> None:
        """Save the drafts that changed since the last call.

        What is cancelled meanwhile, as at the end of aitui, is saved by the next call.
        """
        try:
            while self._unsaved:
                conversation_id, unsaved = next(iter(self._unsaved.items()))
                await self._save_draft(history, *unsaved)
                if self._unsaved.get(conversation_id) is unsaved:
                    del self._unsaved[conversation_id]
        except HistoryError as error:
            self._unsaved.clear()
            self._report_once(error)

    async def _save_draft(
        self, history: ConversationHistory, chat: ChatSession, prompt: PromptDraft
    ) -> None:
        conversation, key = chat.conversation, _draft_key(chat.conversation)
        before = self._draft_keys.get(conversation.id, key)
        if before != key:
            # The first question was asked meanwhile.
            await history.save_draft(before, "")
        self._draft_keys[conversation.id] = key
        await history.save_draft(key, prompt.text, prompt.editing)

    def _report_once(self, error: HistoryError) -> None:
        if str(error) not in self._reported:
            self._reported.add(str(error))
            self._warn(str(error))


def _draft_key(conversation: Conversation) -> str:
    return conversation.id if conversation.turns else f"{conversation.server} {conversation.model}"
