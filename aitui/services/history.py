"""The history of conversations: listed, searched, deleted from."""

from msgspec import Struct

from aitui.domain.confirmation import Confirmation
from aitui.domain.sanitize import sanitize_line
from aitui.store.history import ConversationHistory


class ListedConversation(Struct, frozen=True):
    """A conversation to choose; `excerpt` is the text around a match. Times are Unix time."""

    id: str
    heading: str
    changed: float
    model: str = ""
    excerpt: str = ""


async def find_conversations(
    history: ConversationHistory, words: str
) -> tuple[ListedConversation, ...]:
    """List the conversations with these words, or all, the latest first; raises HistoryError."""
    if not words.strip():
        return tuple(
            ListedConversation(one.id, one.heading, one.changed, one.model)
            for one in await history.conversations()
        )
    found: dict[str, ListedConversation] = {}
    for one in await history.search(words):
        excerpt = sanitize_line(one.excerpt, 200)
        found.setdefault(
            one.conversation,
            ListedConversation(one.conversation, one.heading, one.changed, excerpt=excerpt),
        )
    return tuple(found.values())


def deletion_confirmation(conversation: ListedConversation) -> Confirmation:
    """Confirm the deletion of a conversation."""
    facts = (conversation.heading, "Its messages are deleted permanently.")
    return Confirmation("Delete this conversation?", facts, yes="Delete", no="Keep it")
