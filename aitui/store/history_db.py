"""The database of conversations: its tables, reading, writing and searching them."""

import re
import sqlite3

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from aitui.domain.chat.conversation import (
    LONGEST_TITLE,
    Conversation,
    ListedConversation,
    SamplingParameters,
    Turn,
    TurnState,
)
from aitui.domain.chat.reply import TokenUsage
from aitui.store.database import transaction

CRASHED = "aitui ended during the reply"
PROMPTS_KEPT = 200
LONGEST_PROMPT = 100_000
"""Characters; longer ones, such as whole files, are not kept among the earlier prompts."""

_CONVERSATIONS = """
CREATE TABLE conversations (
    id TEXT PRIMARY KEY, server TEXT NOT NULL, model TEXT NOT NULL, title TEXT NOT NULL,
    system TEXT NOT NULL, sampling TEXT NOT NULL, shown TEXT NOT NULL, sent_from TEXT NOT NULL,
    created REAL NOT NULL, changed REAL NOT NULL, forked_from TEXT NOT NULL
);
CREATE INDEX conversations_by_change ON conversations (changed);
CREATE TABLE turns (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    parent TEXT NOT NULL, role TEXT NOT NULL, state TEXT NOT NULL,
    text TEXT NOT NULL, reasoning TEXT NOT NULL, facts TEXT NOT NULL
);
CREATE INDEX turns_of_conversation ON turns (conversation, number);
CREATE TABLE pieces (
    number INTEGER PRIMARY KEY,
    turn TEXT NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
    text TEXT NOT NULL, reasoning TEXT NOT NULL
);
CREATE INDEX pieces_of_turn ON pieces (turn, number);
CREATE TABLE settings (
    server TEXT NOT NULL, model TEXT NOT NULL, system TEXT NOT NULL, sampling TEXT NOT NULL,
    PRIMARY KEY (server, model)
);
"""
"""`facts` is the rest of a turn as JSON. `pieces` are the parts of a running reply: appending costs
the same however long it is."""
_COLUMNS = (
    *("id", "server", "model", "title", "system", "sampling", "shown", "sent_from"),
    *("created", "changed", "forked_from"),
)
"""The fields of a conversation in the order of its table's columns."""
_PROMPTS = """
CREATE TABLE drafts (key TEXT PRIMARY KEY, text TEXT NOT NULL, editing TEXT NOT NULL);
CREATE TABLE prompts (number INTEGER PRIMARY KEY, text TEXT NOT NULL);
"""
_AROUND = 60
_HEADING = (
    # No text of a user is formatted into a statement.
    f"CASE WHEN c.title != '' THEN c.title ELSE coalesce((SELECT substr(t.text, 1, {LONGEST_TITLE})"  # noqa: S608
    " FROM turns t WHERE t.conversation = c.id AND t.role = 'user' ORDER BY t.number LIMIT 1), '')"
    " END"
)
STEPS = (_CONVERSATIONS, _PROMPTS)
"""A database of an older version runs the steps that it lacks."""


def has_full_text_search(database: sqlite3.Connection) -> bool:
    """Return whether this SQLite has FTS5, and fill its table if it is missing or outdated.

    Raises one of DATABASE_ERRORS for a damaged index.
    """
    if not database.execute("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'").fetchone():
        return False
    database.execute("CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (text)")
    known = database.execute("SELECT count(*) FROM words").fetchone()
    # An instance on a SQLite without FTS5 may have written meanwhile.
    if known != database.execute("SELECT count(*) FROM turns WHERE state != 'running'").fetchone():
        with transaction(database):
            database.execute("DELETE FROM words")
            database.execute(
                "INSERT INTO words (rowid, text)"
                " SELECT number, text FROM turns WHERE state != 'running'"
            )
    return True


def is_index_damaged(database: sqlite3.Connection) -> bool:
    """Check the whole full-text index, which takes as long as to build it."""
    try:
        database.execute("INSERT INTO words (words) VALUES ('integrity-check')")
    except sqlite3.DatabaseError as error:
        busy = sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR
        # The lower eight bits are the kind of the error.
        return (error.sqlite_errorcode & 0xFF) not in busy
    except MemoryError:
        return True
    return False


def rebuild_index(database: sqlite3.Connection) -> None:
    """Make the full-text index again from the turns; they are the truth, and it can be damaged alone.

    Not with DROP TABLE: FTS5 reads its own tables first, and refuses if those are damaged.
    """
    database.execute("PRAGMA writable_schema = ON")
    try:
        with transaction(database):
            database.execute("DELETE FROM sqlite_master WHERE name = 'words'")
    finally:
        database.execute("PRAGMA writable_schema = RESET")
    for part in ("data", "idx", "content", "docsize", "config"):
        database.execute(f"DROP TABLE IF EXISTS words_{part}")
    has_full_text_search(database)


def read_settings(
    database: sqlite3.Connection, server: str, model: str
) -> tuple[str, SamplingParameters]:
    """Return the system prompt and parameters that were last used with a model."""
    row = database.execute(
        "SELECT system, sampling FROM settings WHERE server = ? AND model = ?", (server, model)
    ).fetchone()
    return ("", SamplingParameters()) if row is None else (row[0], sampling_of(row[1]))


def read_draft(database: sqlite3.Connection, key: str) -> tuple[str, str]:
    """Return a draft and the turn that it replaces, both empty without one."""
    row = database.execute("SELECT text, editing FROM drafts WHERE key = ?", (key,)).fetchone()
    return ("", "") if row is None else (row[0], row[1])


def write_draft(database: sqlite3.Connection, key: str, text: str, editing: str) -> None:
    """Save a draft, or delete it if it is empty."""
    if text:
        database.execute("INSERT OR REPLACE INTO drafts VALUES (?, ?, ?)", (key, text, editing))
    else:
        database.execute("DELETE FROM drafts WHERE key = ?", (key,))


def read_prompts(database: sqlite3.Connection) -> tuple[str, ...]:
    """Return the earlier prompts, the latest last."""
    rows = database.execute(
        "SELECT text FROM prompts ORDER BY number DESC LIMIT ?", (PROMPTS_KEPT,)
    ).fetchall()
    return tuple(row[0] for row in reversed(rows))


def write_prompt(database: sqlite3.Connection, text: str) -> None:
    """Add a prompt and drop the oldest ones."""
    if len(text) > LONGEST_PROMPT:
        return
    database.execute("INSERT INTO prompts (text) VALUES (?)", (text,))
    database.execute(
        "DELETE FROM prompts WHERE number <= (SELECT max(number) FROM prompts) - ?", (PROMPTS_KEPT,)
    )


def forget_prompts(database: sqlite3.Connection, conversation_id: str) -> None:
    """Delete the prompts and the draft of a conversation."""
    database.execute(
        "DELETE FROM prompts WHERE text IN"
        " (SELECT text FROM turns WHERE conversation = ? AND role = 'user')",
        (conversation_id,),
    )
    database.execute("DELETE FROM drafts WHERE key = ?", (conversation_id,))


def write_conversation(database: sqlite3.Connection, conversation: Conversation) -> None:
    """Write a conversation's own row; the title of an existing one is left to `rename`."""
    row = {name: getattr(conversation, name) for name in _COLUMNS}
    row["sampling"] = sampling_text(conversation.sampling)
    database.execute(
        "INSERT INTO conversations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET model = excluded.model, system = excluded.system,"
        " sampling = excluded.sampling, shown = excluded.shown, sent_from = excluded.sent_from,"
        " changed = excluded.changed",
        tuple(row.values()),
    )


def write_turn(database: sqlite3.Connection, conversation_id: str, turn: Turn) -> int:
    """Write a turn's row, drop its pieces, and return the row's number."""
    facts = msgspec.json.encode(replace(turn, text="", reasoning="")).decode()
    kinds = turn.role.value, turn.state.value
    database.execute(
        "INSERT INTO turns (id, conversation, parent, role, state, text, reasoning, facts)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET parent = excluded.parent, state = excluded.state,"
        " text = excluded.text, reasoning = excluded.reasoning, facts = excluded.facts",
        (turn.id, conversation_id, turn.parent, *kinds, turn.text, turn.reasoning, facts),
    )
    # A running turn starts with this text, whatever an earlier attempt wrote.
    database.execute("DELETE FROM pieces WHERE turn = ?", (turn.id,))
    row = database.execute("SELECT number FROM turns WHERE id = ?", (turn.id,)).fetchone()
    return int(row[0])


def read_conversation(database: sqlite3.Connection, conversation_id: str) -> Conversation | None:
    """Read a conversation with all its turns, None if there is none with that id."""
    row = database.execute(
        f"SELECT {', '.join(_COLUMNS)} FROM conversations WHERE id = ?",  # noqa: S608
        (conversation_id,),
    ).fetchone()
    if row is None:
        return None
    rows = database.execute(
        "SELECT facts, text, reasoning FROM turns WHERE conversation = ? ORDER BY number",
        (conversation_id,),
    ).fetchall()
    turns = [_turn(database, *found) for found in rows]
    values = dict(zip(_COLUMNS, row, strict=True))
    values["sampling"] = sampling_of(values["sampling"])
    return Conversation(**values, turns={turn.id: turn for turn in turns})


def conversations_with_running_replies(database: sqlite3.Connection) -> list[str]:
    """Return the conversations with a reply that is being written, or was when its aitui ended."""
    rows = database.execute("SELECT DISTINCT conversation FROM turns WHERE state = 'running'")
    return [row[0] for row in rows.fetchall()]


def sampling_text(sampling: SamplingParameters) -> str:
    """Encode parameters as JSON."""
    return msgspec.json.encode(sampling.values).decode()


def sampling_of(text: str) -> SamplingParameters:
    """Decode parameters from JSON."""
    return SamplingParameters(msgspec.json.decode(text, type=tuple[tuple[str, str], ...]))


def _turn(database: sqlite3.Connection, facts: str, text: str, reasoning: str) -> Turn:
    turn = msgspec.json.decode(facts, type=Turn)
    if turn.state is TurnState.RUNNING:
        pieces = database.execute(
            "SELECT text, reasoning FROM pieces WHERE turn = ? ORDER BY number", (turn.id,)
        ).fetchall()
        text += "".join(piece[0] for piece in pieces)
        reasoning += "".join(piece[1] for piece in pieces)
        turn = replace(turn, state=TurnState.CUT, trouble=CRASHED)
    return replace(turn, text=text, reasoning=reasoning)


def list_conversations(
    database: sqlite3.Connection, server: str, model: str, limit: int
) -> tuple[ListedConversation, ...]:
    """List the conversations with a turn, of one server and model or of all, the latest first."""
    rows = database.execute(
        f"SELECT c.id, {_HEADING}, c.changed, c.model,"  # noqa: S608
        " (SELECT count(*) FROM turns t WHERE t.conversation = c.id) AS turns,"
        " (SELECT t.facts FROM turns t WHERE t.conversation = c.id AND t.role = 'assistant'"
        " AND t.state != 'running' ORDER BY t.number DESC LIMIT 1)"
        " FROM conversations c WHERE turns > 0 AND (? = '' OR c.server = ?)"
        " AND (? = '' OR c.model = ?)"
        " ORDER BY c.changed DESC, c.rowid DESC LIMIT ?",
        (server, server, model, model, limit),
    ).fetchall()
    return tuple(
        ListedConversation(
            row[0], _single_line(row[1]), row[2], row[3], row[4], _tokens_used(row[5])
        )
        for row in rows
    )


class _UsageFacts(Struct):
    """What the list needs of the facts of a turn."""

    usage: TokenUsage | None = None


def _tokens_used(facts: str | None) -> int | None:
    try:
        usage = msgspec.json.decode(facts or "{}", type=_UsageFacts).usage
    except msgspec.MsgspecError:
        # One damaged turn leaves the others in the list; reading its conversation reports it.
        return None
    return None if usage is None else usage.prompt_tokens + usage.completion_tokens


def read_last_texts(
    database: sqlite3.Connection, conversation_id: str, length: int
) -> tuple[tuple[str, str], ...]:
    """Return the last prompt and the last reply, each its role and the beginning of its text."""
    rows = database.execute(
        "SELECT role, substr(text, 1, ?) FROM turns WHERE number IN"
        " (SELECT max(number) FROM turns WHERE conversation = ? AND text != '' GROUP BY role)"
        " ORDER BY number",
        (length, conversation_id),
    )
    return tuple(rows.fetchall())


def search_words(database: sqlite3.Connection, text: str, limit: int) -> dict[str, str]:
    """Find the conversations with a turn that has words beginning like all of these; needs FTS5.

    The text around the best match of each is returned, the best first.
    """
    quoted = [word.replace('"', '""') for word in text.replace("\0", " ").split()]
    if not quoted:
        return {}
    wanted = " ".join(f'"{word}"*' for word in quoted)
    best: dict[str, int] = {}
    for conversation, number in database.execute(
        "SELECT t.conversation, t.number FROM words JOIN turns t ON t.number = words.rowid"
        " WHERE words MATCH ? ORDER BY rank",
        (wanted,),
    ):
        best.setdefault(conversation, number)
        if len(best) == limit:
            break
    places = ", ".join("?" * len(best))
    # Of these alone: the snippets of all turns would take longer than the search.
    excerpts = dict(
        database.execute(
            "SELECT rowid, snippet(words, 0, '', '', '…', 12) FROM words"  # noqa: S608
            f" WHERE words MATCH ? AND rowid IN ({places})",
            (wanted, *best.values()),
        ).fetchall()
    )
    return {conversation: excerpts[number] for conversation, number in best.items()}


def search_text(database: sqlite3.Connection, text: str, limit: int) -> dict[str, str]:
    """Find the conversations with a turn that contains all the words anywhere, the latest first.

    The text around the first word in the latest such turn of each is returned.
    """
    words = text.replace("\0", " ").split()
    if not words:
        return {}
    escaped = [re.sub(r"([%_\\])", r"\\\1", word) for word in words]
    like = " AND ".join(["t.text LIKE ? ESCAPE '\\'"] * len(words))
    rows = database.execute(
        # SQLite takes the text from the row of the maximum.
        "SELECT c.id, t.text, max(t.number)"  # noqa: S608
        " FROM turns t JOIN conversations c ON c.id = t.conversation"
        f" WHERE {like} GROUP BY c.id ORDER BY c.changed DESC LIMIT ?",
        (*(f"%{word}%" for word in escaped), limit),
    )
    return {conversation: _excerpt(found, words[0]) for conversation, found, _ in rows}


def _excerpt(text: str, word: str) -> str:
    at = max(0, text.casefold().find(word.casefold()))
    start, end = max(0, at - _AROUND), at + len(word) + _AROUND
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"


def _single_line(text: str) -> str:
    return " ".join(text.split())
