"""SQLite databases of this user that several instances share: opened, upgraded, set aside if broken."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from aitui.domain.sanitize import sanitize_line
from aitui.errors import HistoryError
from aitui.store.files import make_private_directory, open_regular, set_aside

BUSY_SECONDS = 5.0
DATABASE_ERRORS = (sqlite3.DatabaseError, MemoryError)
"""What damage raises: some of it SQLite reads as a size that it can't allocate."""


def open_database(
    path: Path, steps: Sequence[str], content: str
) -> tuple[sqlite3.Connection, Path | None, str]:
    """Open or create a database of `content`, like "conversations".

    A database of an older version runs the `steps` that it lacks. Also return the file that a broken
    one was renamed to, with a warning. Raises HistoryError, OSError, sqlite3.Error.
    """
    make_private_directory(path.parent)
    try:
        return _open(path, steps, content), None, ""
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        aside = set_broken_aside(path)
        return _open(path, steps, content), aside, aside_warning(path, aside, content, error)


def error_reason(error: Exception) -> str:
    """Return why a database can't be used, in one line."""
    return sanitize_line(getattr(error, "strerror", None) or str(error) or "out of memory", 200)


def set_broken_aside(path: Path) -> Path:
    """Rename a broken database with its log of writes; return its new name."""
    aside = set_aside(path)
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    if (log := path.with_name(f"{path.name}-wal")).exists():
        log.replace(aside.with_name(f"{aside.name}-wal"))
    return aside


def aside_warning(path: Path, aside: Path, content: str, error: sqlite3.Error) -> str:
    """Say that a broken database was renamed."""
    return (
        f"The {content} in {path} can't be read ({error}): "
        f"the file was renamed to {aside.name}, and a new one was started"
    )


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Commit the whole block or nothing. Waits for other writers, then raises sqlite3.Error."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _open(path: Path, steps: Sequence[str], content: str) -> sqlite3.Connection:
    # SQLite gives its other files the mode of this one.
    try:
        descriptor = open_regular(path, os.O_RDWR | os.O_CREAT)
    except ValueError as error:
        raise HistoryError(
            f"{path} can't hold the {content}",
            why=str(error),
            remedy="move it away, and start aitui again",
        ) from error
    os.fchmod(descriptor, 0o600)
    os.close(descriptor)
    database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        database.execute("PRAGMA foreign_keys = ON")
        if _version(database) == 0:
            database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        _make_tables(database, path, steps, content)
    except BaseException:
        database.close()
        raise
    return database


def _make_tables(
    database: sqlite3.Connection, path: Path, steps: Sequence[str], content: str
) -> None:
    newest = len(steps)
    if _version(database) < newest:
        with transaction(database):
            # Another instance may have been faster.
            for step in steps[_version(database) :]:
                for statement in filter(str.strip, step.split(";")):
                    database.execute(statement)
            database.execute(f"PRAGMA user_version = {max(newest, _version(database))}")
    if _version(database) > newest:
        raise HistoryError(
            f"The {content} in {path} were written by a newer aitui", remedy="update aitui"
        )


def _version(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])
