"""Finding conversations: the list of them, and the turns that hold some words."""

import sqlite3

from aitui.domain.conversation import LONGEST_TITLE
from aitui.store.history_rows import ConversationSummary, SearchHit

_AROUND = 60
_HEADING = (
    # No word of a user's is in any of these texts.
    f"CASE WHEN c.title != '' THEN c.title ELSE coalesce((SELECT substr(t.text, 1, {LONGEST_TITLE})"  # noqa: S608
    " FROM turns t WHERE t.conversation = c.id AND t.role = 'user' ORDER BY t.number LIMIT 1), '')"
    " END"
)


def list_conversations(
    database: sqlite3.Connection, server: str, limit: int
) -> tuple[ConversationSummary, ...]:
    """The conversations that hold a turn, of one server or of all, the latest first."""
    rows = database.execute(
        f"SELECT c.id, {_HEADING}, c.server, c.model,"  # noqa: S608
        " (SELECT count(*) FROM turns t WHERE t.conversation = c.id) AS turns, c.changed"
        " FROM conversations c WHERE turns > 0 AND (? = '' OR c.server = ?)"
        " ORDER BY c.changed DESC, c.rowid DESC LIMIT ?",
        (server, server, limit),
    ).fetchall()
    return tuple(ConversationSummary(row[0], _single_line(row[1]), *row[2:]) for row in rows)


def search_words(database: sqlite3.Connection, text: str, limit: int) -> tuple[SearchHit, ...]:
    """The turns that hold all the words, or words that begin so, the best first. Wants FTS5."""
    quoted = [word.replace('"', '""') for word in text.replace("\0", " ").split()]
    if not quoted:
        return ()
    rows = database.execute(
        f"SELECT c.id, t.id, {_HEADING}, snippet(words, 0, '', '', '…', 12), c.changed"  # noqa: S608
        " FROM words JOIN turns t ON t.number = words.rowid"
        " JOIN conversations c ON c.id = t.conversation"
        " WHERE words MATCH ? ORDER BY rank LIMIT ?",
        (" ".join(f'"{word}"*' for word in quoted), limit),
    ).fetchall()
    return tuple(
        SearchHit(row[0], row[1], _single_line(row[2]), _single_line(row[3]), row[4])
        for row in rows
    )


def search_text(database: sqlite3.Connection, text: str, limit: int) -> tuple[SearchHit, ...]:
    """The turns that hold all the words anywhere, the latest first."""
    words = text.replace("\0", " ").split()
    if not words:
        return ()
    like = " AND ".join(["t.text LIKE ? ESCAPE '\\'"] * len(words))
    rows = database.execute(
        f"SELECT c.id, t.id, {_HEADING}, t.text, c.changed"  # noqa: S608
        " FROM turns t JOIN conversations c ON c.id = t.conversation"
        f" WHERE {like} ORDER BY c.changed DESC, t.number DESC LIMIT ?",
        (*(f"%{_escape_like(word)}%" for word in words), limit),
    ).fetchall()
    return tuple(
        SearchHit(
            row[0],
            row[1],
            _single_line(row[2]),
            _single_line(_build_excerpt(row[3], words[0])),
            row[4],
        )
        for row in rows
    )


def _escape_like(word: str) -> str:
    return word.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")


def _build_excerpt(text: str, word: str) -> str:
    at = max(0, text.casefold().find(word.casefold()))
    start, end = max(0, at - _AROUND), at + len(word) + _AROUND
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"


def _single_line(text: str) -> str:
    return " ".join(text.split())
