"""The history of conversations: listed, searched, sorted, deleted from."""

from collections.abc import Callable, Collection, Iterable, Mapping

from msgspec.structs import replace

from aitui.domain.chat.conversation import ListedConversation, Role
from aitui.domain.confirmation import Confirmation
from aitui.domain.sanitize import sanitize_line, sanitize_text
from aitui.store.history import ConversationHistory

LONGEST_HEADING = 200
MOST_CONVERSATIONS = 5000


async def list_conversations(
    history: ConversationHistory, server: str = "", model: str = "", limit: int = MOST_CONVERSATIONS
) -> tuple[ListedConversation, ...]:
    """List those of one server and model, or all, the latest first; raises HistoryError."""
    return tuple(
        replace(
            one,
            heading=sanitize_line(one.heading, LONGEST_HEADING),
            model=sanitize_line(one.model, LONGEST_HEADING),
        )
        for one in await history.conversations(server, limit, model=model)
    )


async def search_conversations(history: ConversationHistory, words: str) -> dict[str, str]:
    """Return the text around the best match in each conversation that has a turn with these words.

    Raises HistoryError.
    """
    found = await history.search(words)
    return {one: sanitize_line(excerpt, LONGEST_HEADING) for one, excerpt in found.items()}


async def preview_conversation(
    history: ConversationHistory, conversation_id: str
) -> list[tuple[Role, str]]:
    """Return the last prompt and the last reply, the beginning of each; raises HistoryError."""
    texts = await history.last_texts(conversation_id)
    return [(Role(role), sanitize_text(text)) for role, text in texts]


def match_conversations(
    conversations: Iterable[ListedConversation], words: str, found: Collection[str]
) -> tuple[ListedConversation, ...]:
    """Return those with every word in their title or model, and those that were found."""
    wanted = words.casefold().split()
    return tuple(
        one
        for one in conversations
        if one.id in found
        or all(word in f"{one.heading} {one.model}".casefold() for word in wanted)
    )


SORTS: Mapping[str, tuple[Callable[[ListedConversation], float | str | None], bool]] = {
    "age": (lambda one: -one.changed, False),
    "title": (lambda one: one.heading.casefold(), False),
    "model": (lambda one: one.model.casefold(), False),
    "tokens": (lambda one: one.tokens, True),
}
"""What a list can be sorted by: the value, and whether the largest comes first."""


def sort_conversations(
    conversations: Iterable[ListedConversation], by: str, *, reverse: bool = False
) -> tuple[ListedConversation, ...]:
    """Sort by one of `SORTS`; equal ones stay in their order, and those without a value come last."""
    value, largest_first = SORTS[by]
    known, unknown = [], []
    for one in conversations:
        found = value(one)
        if found is None:
            unknown.append(one)
        else:
            known.append(((found, "") if isinstance(found, float | int) else (0.0, found), one))
    known.sort(key=lambda pair: pair[0], reverse=largest_first is not reverse)
    return (*(one for _, one in known), *unknown)


def deletion_confirmation(conversation: ListedConversation) -> Confirmation:
    """Confirm the deletion of a conversation."""
    facts = (conversation.heading, "Its messages are deleted permanently.")
    return Confirmation("Delete this conversation?", facts, yes="Delete", no="Keep it")
