"""What is to be asked, and how it is kept until it is."""

from collections.abc import Callable
from dataclasses import dataclass

from aitui.chat.chat import Chat
from aitui.domain.attachments import Attachment
from aitui.domain.conversation import Conversation
from aitui.errors import HistoryError
from aitui.store.history import History

DRAFT_AFTER = 0.5
"""Seconds after which what was written is kept."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is to be asked; `editing` is the question in whose place it stands."""

    text: str = ""
    attachments: tuple[Attachment, ...] = ()
    editing: str = ""


class KeptPrompts:
    """Drafts, of each conversation one, and what was asked before, in the history.

    Conversations in which nothing was asked yet are nowhere: the draft of such a one belongs to its
    model. Attachments are not kept. What can't be kept stops nobody: `tell` says it once.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._told: set[str] = set()
        self._keys: dict[str, str] = {}
        self._unsaved: dict[str, tuple[Chat, Prompt]] = {}
        self._knows_earlier = False

    async def earlier(self, history: History) -> tuple[str, ...]:
        """What was asked before this aitui began; the second time nothing."""
        known, self._knows_earlier = self._knows_earlier, True
        try:
            return () if known else await history.prompts()
        except HistoryError as error:
            self._say(error)
            return ()

    async def add(self, history: History, text: str) -> None:
        """Keep what was asked."""
        try:
            await history.add_prompt(text)
        except HistoryError as error:
            self._say(error)

    async def recall(self, history: History, conversation: Conversation) -> Prompt:
        """What was being written when aitui ended."""
        key = self._keys[conversation.id] = _key(conversation)
        try:
            text, editing = await history.draft(key)
        except HistoryError as error:
            self._say(error)
            return Prompt()
        return Prompt(text, editing=editing)

    def written(self, chat: Chat, prompt: Prompt) -> bool:
        """Somebody is writing that now; returns whether `keep` has to be called a little later."""
        waits = bool(self._unsaved)
        self._unsaved[chat.conversation.id] = (chat, prompt)
        return not waits

    async def keep(self, history: History) -> None:
        """Keep what was written since the last time."""
        unsaved, self._unsaved = self._unsaved, {}
        try:
            for chat, prompt in unsaved.values():
                await self._keep(history, chat.conversation, prompt)
        except HistoryError as error:
            self._say(error)

    async def _keep(self, history: History, conversation: Conversation, prompt: Prompt) -> None:
        key = _key(conversation)
        before = self._keys.get(conversation.id, key)
        if before != key:
            # The first question was asked meanwhile.
            await history.keep_draft(before, "")
        self._keys[conversation.id] = key
        await history.keep_draft(key, prompt.text, prompt.editing)

    def _say(self, error: HistoryError) -> None:
        if str(error) not in self._told:
            self._told.add(str(error))
            self._tell(str(error))


def _key(conversation: Conversation) -> str:
    return conversation.id if conversation.turns else f"{conversation.server} {conversation.model}"
