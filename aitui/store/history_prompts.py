"""What is being written, and what was asked before: drafts and earlier prompts."""

import sqlite3

PROMPTS_KEPT = 200
LONGEST_PROMPT = 100_000
"""Characters; longer ones, whole files say, are not kept among the earlier prompts."""


def read_draft(database: sqlite3.Connection, key: str) -> tuple[str, str]:
    """Text, and the turn in whose place it stands; empty where there is no draft."""
    row = database.execute("SELECT text, editing FROM drafts WHERE key = ?", (key,)).fetchone()
    return ("", "") if row is None else (row[0], row[1])


def write_draft(database: sqlite3.Connection, key: str, text: str, editing: str) -> None:
    """Keep a draft, or forget it where it is empty."""
    if text:
        database.execute("INSERT OR REPLACE INTO drafts VALUES (?, ?, ?)", (key, text, editing))
    else:
        database.execute("DELETE FROM drafts WHERE key = ?", (key,))


def read_prompts(database: sqlite3.Connection) -> tuple[str, ...]:
    """The earlier prompts, the latest last."""
    rows = database.execute(
        "SELECT text FROM prompts ORDER BY number DESC LIMIT ?", (PROMPTS_KEPT,)
    ).fetchall()
    return tuple(row[0] for row in reversed(rows))


def write_prompt(database: sqlite3.Connection, text: str) -> None:
    """Add a prompt; the oldest go."""
    if len(text) > LONGEST_PROMPT:
        return
    database.execute("INSERT INTO prompts (text) VALUES (?)", (text,))
    database.execute(
        "DELETE FROM prompts WHERE number <= (SELECT max(number) FROM prompts) - ?",
        (PROMPTS_KEPT,),
    )


def forget_prompts(database: sqlite3.Connection, conversation_id: str) -> None:
    """Forget what was asked in a conversation, and what is being written for it."""
    database.execute(
        "DELETE FROM prompts WHERE text IN"
        " (SELECT text FROM turns WHERE conversation = ? AND role = 'user')",
        (conversation_id,),
    )
    database.execute("DELETE FROM drafts WHERE key = ?", (conversation_id,))
