"""The database of conversations: its tables, and how it is opened."""

import os
import sqlite3
from pathlib import Path

from aitui.errors import HistoryError
from aitui.store.private_file import make_private_directory, set_aside

BUSY_SECONDS = 5.0

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
"""`facts` is the rest of a turn as JSON. `pieces` hold what came of a running answer: appending
costs the same however long it has become."""
_PROMPTS = """
CREATE TABLE drafts (key TEXT PRIMARY KEY, text TEXT NOT NULL, editing TEXT NOT NULL);
CREATE TABLE prompts (number INTEGER PRIMARY KEY, text TEXT NOT NULL);
"""
_STEPS = (_CONVERSATIONS, _PROMPTS)
VERSION = len(_STEPS)
"""A database of an older version takes the steps that it lacks."""


def open_database(path: Path) -> tuple[sqlite3.Connection, str]:
    """The database, made where there is none, and a warning where a broken one was set aside.

    Raises HistoryError, OSError, sqlite3.Error.
    """
    make_private_directory(path.parent)
    try:
        return _open(path), ""
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        aside = set_aside(path)
        for ending in ("-wal", "-shm"):
            path.with_name(path.name + ending).unlink(missing_ok=True)
        warning = (
            f"The conversations in {path} can't be read ({error}): "
            f"the file is now {aside.name}, and a new one begins"
        )
        return _open(path), warning


def has_full_text_search(database: sqlite3.Connection) -> bool:
    """Whether this SQLite has FTS5; makes its table, filled, where it is missing or lags."""
    try:
        database.execute("CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (text)")
        known = database.execute("SELECT count(*) FROM words").fetchone()
    except sqlite3.OperationalError:
        return False
    # An aitui on a SQLite without FTS5 may have written meanwhile.
    if known != database.execute("SELECT count(*) FROM turns WHERE state != 'running'").fetchone():
        with transaction(database):
            database.execute("DELETE FROM words")
            database.execute(
                "INSERT INTO words (rowid, text)"
                " SELECT number, text FROM turns WHERE state != 'running'"
            )
    return True


class transaction:  # noqa: N801 - a context manager
    """Everything in the block, or nothing. Waits for other writers, then raises sqlite3.Error."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._database.execute("COMMIT")
        elif self._database.in_transaction:
            self._database.execute("ROLLBACK")


def _open(path: Path) -> sqlite3.Connection:
    # SQLite gives its other files the mode of this one.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.fchmod(descriptor, 0o600)
    os.close(descriptor)
    database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        database.execute("PRAGMA foreign_keys = ON")
        if _version(database) == 0:
            database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        _make_tables(database, path)
    except BaseException:
        database.close()
        raise
    return database


def _make_tables(database: sqlite3.Connection, path: Path) -> None:
    if _version(database) < VERSION:
        with transaction(database):
            # Another aitui may have been faster.
            for step in _STEPS[_version(database) :]:
                for statement in filter(str.strip, step.split(";")):
                    database.execute(statement)
            database.execute(f"PRAGMA user_version = {max(VERSION, _version(database))}")
    if _version(database) > VERSION:
        raise HistoryError(
            f"The conversations in {path} were written by a newer aitui",
            remedy="update aitui",
        )


def _version(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])
