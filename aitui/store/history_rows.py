"""Conversations and turns as rows of the database, and back."""

import sqlite3
from dataclasses import dataclass, replace

import msgspec

from aitui.domain.conversation import Conversation
from aitui.domain.sampling import SamplingParameters
from aitui.domain.turn import Turn, TurnState

CRASHED = "aitui ended while the answer came"


@dataclass(frozen=True, slots=True)
class ConversationSummary:
    """One line of the list of conversations. `changed` is Unix time."""

    id: str
    heading: str
    server: str
    model: str
    turns: int
    changed: float


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A turn in which a search found something; `excerpt` is the text around it."""

    conversation: str
    turn: str
    heading: str
    excerpt: str
    changed: float


def write_conversation(database: sqlite3.Connection, conversation: Conversation) -> None:
    """The conversation's own row; its title is left to `rename` once it is there."""
    database.execute(
        "INSERT INTO conversations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET model = excluded.model, system = excluded.system,"
        " sampling = excluded.sampling, shown = excluded.shown, sent_from = excluded.sent_from,"
        " changed = excluded.changed",
        (
            conversation.id,
            conversation.server,
            conversation.model,
            conversation.title,
            conversation.system,
            sampling_text(conversation.sampling),
            conversation.shown,
            conversation.sent_from,
            conversation.created,
            conversation.changed,
            conversation.forked_from,
        ),
    )


def write_turn(database: sqlite3.Connection, conversation_id: str, turn: Turn) -> int:
    """One turn's row, its pieces folded into it where it has ended; gives the row's number."""
    facts = msgspec.json.encode(replace(turn, text="", reasoning="")).decode()
    database.execute(
        "INSERT INTO turns (id, conversation, parent, role, state, text, reasoning, facts)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET parent = excluded.parent, state = excluded.state,"
        " text = excluded.text, reasoning = excluded.reasoning, facts = excluded.facts",
        (
            turn.id,
            conversation_id,
            turn.parent,
            turn.role.value,
            turn.state.value,
            turn.text,
            turn.reasoning,
            facts,
        ),
    )
    # A turn that runs begins with this text, whatever came in an earlier run of it.
    database.execute("DELETE FROM pieces WHERE turn = ?", (turn.id,))
    row = database.execute("SELECT number FROM turns WHERE id = ?", (turn.id,)).fetchone()
    return int(row[0])


def read_conversation(database: sqlite3.Connection, conversation_id: str) -> Conversation | None:
    """A conversation with all its turns; None where there is none of that id."""
    row = database.execute(
        "SELECT id, server, model, title, system, sampling, shown, sent_from, created, changed,"
        " forked_from FROM conversations WHERE id = ?",
        (conversation_id,),
    ).fetchone()
    if row is None:
        return None
    turns = [
        _turn(database, *found)
        for found in database.execute(
            "SELECT facts, text, reasoning FROM turns WHERE conversation = ? ORDER BY number",
            (conversation_id,),
        ).fetchall()
    ]
    return Conversation(
        id=row[0],
        server=row[1],
        model=row[2],
        title=row[3],
        system=row[4],
        sampling=sampling_of(row[5]),
        turns={turn.id: turn for turn in turns},
        shown=row[6],
        sent_from=row[7],
        created=row[8],
        changed=row[9],
        forked_from=row[10],
    )


def sampling_text(sampling: SamplingParameters) -> str:
    """Parameters as JSON."""
    return msgspec.json.encode(sampling.values).decode()


def sampling_of(text: str) -> SamplingParameters:
    """Parameters from JSON."""
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
