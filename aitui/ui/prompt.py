"""What is to be asked, and how it is kept until it is."""

from collections.abc import Callable
from dataclasses import dataclass

from aitui.chat.chat import ChatSession
from aitui.domain.attachments import ImageAttachment
from aitui.domain.conversation import Conversation
from aitui.errors import HistoryError
from aitui.store.history import ConversationHistory

DRAFT_SAVE_DELAY = 0.5
"""Seconds after which what was written is kept."""


@dataclass(frozen=True, slots=True)
class PromptDraft:
    """What is to be asked; `editing` is the question in whose place it stands."""

    text: str = ""
    attachments: tuple[ImageAttachment, ...] = ()
    editing: str = ""


class PromptStore:
    """Drafts, of each conversation one, and what was asked before, in the history.

    Conversations in which nothing was asked yet are nowhere: the draft of such a one belongs to its
    model. Attachments are not kept. What can't be kept stops nobody: `tell` says it once.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._warn = tell
        self._reported: set[str] = set()
        self._draft_keys: dict[str, str] = {}
        self._unsaved: dict[str, tuple[ChatSession, PromptDraft]] = {}
        self._has_loaded_history = False

    async def load_history(self, history: ConversationHistory) -> tuple[str, ...]:
        """What was asked before this aitui began; the second time nothing."""
        known, self._has_loaded_history = self._has_loaded_history, True
        try:
            return () if known else await history.prompts()
        except HistoryError as error:
            self._report_once(error)
            return ()

    async def add_to_history(self, history: ConversationHistory, text: str) -> None:
        """Keep what was asked."""
        try:
            await history.add_prompt(text)
        except HistoryError as error:
            self._report_once(error)

    async def load_draft(
        self, history: ConversationHistory, conversation: Conversation
    ) -> PromptDraft:
        """What was being written when aitui ended."""
        key = self._draft_keys[conversation.id] = _draft_key(conversation)
        try:
            text, editing = await history.draft(key)
        except HistoryError as error:
            self._report_once(error)
            return PromptDraft()
        return PromptDraft(text, editing=editing)

    def set_draft(self, chat: ChatSession, prompt: PromptDraft) -> bool:
        """Somebody is writing that now; returns whether `keep` has to be called a little later."""
        waits = bool(self._unsaved)
        self._unsaved[chat.conversation.id] = (chat, prompt)
        return not waits

    async def save_drafts(self, history: ConversationHistory) -> None:
        """Keep what was written since the last time."""
        unsaved, self._unsaved = self._unsaved, {}
        try:
            for chat, prompt in unsaved.values():
                await self._save_draft(history, chat.conversation, prompt)
        except HistoryError as error:
            self._report_once(error)

    async def _save_draft(
        self, history: ConversationHistory, conversation: Conversation, prompt: PromptDraft
    ) -> None:
        key = _draft_key(conversation)
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
