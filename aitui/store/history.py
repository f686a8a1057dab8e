"""The conversations of all servers, in one database that several instances share."""

import asyncio
import re
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from aitui.domain.chat.conversation import (
    Conversation,
    ListedConversation,
    SamplingParameters,
    Turn,
    TurnState,
)
from aitui.domain.sanitize import sanitize_line
from aitui.errors import HistoryError
from aitui.store import history_db as db
from aitui.store.database import DATABASE_ERRORS, error_reason, open_database, transaction
from aitui.store.files import make_lock_file, make_private_directory

if TYPE_CHECKING:
    import filelock

FILE_NAME = "conversations.sqlite3"

_T = TypeVar("_T")

_EXECUTE = sqlite3.Connection.execute
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
_LOCK_SECONDS, _POLL_SECONDS = 0.02, 0.005
"""A lock is free or taken for long. The wait covers an owner that removes its file just then."""


class ResumedConversation(Struct, frozen=True):
    """A conversation to continue; `forked` if another instance writes the original."""

    conversation: Conversation
    forked: bool = False


class ConversationLocks:
    """The conversations that this process writes: for each a lock file that dies with its process."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._held: dict[str, filelock.BaseFileLock] = {}

    def holds(self, conversation_id: str) -> bool:
        """Return whether this process took it."""
        return conversation_id in self._held

    def take(self, conversation_id: str) -> bool:
        """Take a lock that is free; False if any process has it, this one included.

        Raises OSError.
        """
        if conversation_id in self._held:
            return False
        import filelock

        make_private_directory(self._directory)
        place = self._directory / f"{_UNSAFE.sub('-', conversation_id)}.lock"
        make_lock_file(place)
        lock = filelock.FileLock(place, mode=0o600, thread_local=False)
        try:
            lock.acquire(timeout=_LOCK_SECONDS, poll_interval=_POLL_SECONDS)
        except filelock.Timeout:
            return False
        self._held[conversation_id] = lock
        return True

    def release(self, conversation_id: str) -> None:
        """Release a lock and remove its file. Raises OSError."""
        lock = self._held.pop(conversation_id, None)
        if lock is not None:
            try:
                Path(lock.lock_file).unlink(missing_ok=True)
            finally:
                lock.release()

    def release_all(self) -> None:
        """Release all locks. Raises OSError."""
        for conversation_id in list(self._held):
            self.release(conversation_id)


class ConversationHistory:
    """Reads and writes in a thread of its own. Every call raises HistoryError.

    Only the process that resumed or first saved a conversation writes it, until `release` or
    `close`.
    """

    def __init__(self, path: Path, on_warning: Callable[[str], None]) -> None:
        self._path = path
        self._on_warning = on_warning
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="history")
        self._locks = ConversationLocks(path.with_name(f"{path.name}.locks"))
        self._database: sqlite3.Connection | None = None
        self._full_text = False
        self._saved: dict[str, Mapping[str, Turn]] = {}
        self._warnings: list[str] = []
        self._is_closed = False

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        full_text: bool = True,
        on_warning: Callable[[str], None] = lambda _: None,
    ) -> "ConversationHistory":
        """Open or create the database; a broken one is set aside with a warning.

        `on_warning` is called in the event loop with each sentence about an error that stopped
        nothing. Replies that no process writes any more are marked as cut.
        """
        history = cls(path, on_warning)
        try:
            await history._run(lambda: history._open(full_text=full_text))
        except BaseException:
            history._thread.shutdown(wait=False)
            raise
        return history

    async def close(self) -> None:
        """Write what waits and release the conversations. A second call does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            await self._in_thread(self._close)
        finally:
            self._thread.shutdown(wait=False)

    async def conversations(
        self, server: str = "", limit: int = 5000, *, model: str = ""
    ) -> tuple[ListedConversation, ...]:
        """List the conversations of one server and model or of all, the latest first."""
        return await self._run(
            lambda: db.list_conversations(self._open_database, server, model, limit)
        )

    async def last_texts(
        self, conversation_id: str, length: int = 600
    ) -> tuple[tuple[str, str], ...]:
        """Return the last prompt and the last reply, each its role and the beginning of its text."""
        return await self._run(
            lambda: db.read_last_texts(self._open_database, conversation_id, length)
        )

    async def search(self, text: str, limit: int = 5000) -> dict[str, str]:
        """Find the conversations with a turn that contains all the words; return the text around."""
        search = db.search_words if self._full_text else db.search_text
        return await self._run(
            lambda: self._with_index(lambda: search(self._open_database, text, limit))
        )

    async def read(self, conversation_id: str) -> Conversation:
        """Read a conversation as it is now; a running reply counts as cut."""
        return await self._run(lambda: self._read(conversation_id))

    async def resume(self, conversation_id: str, new_id: Callable[[], str]) -> ResumedConversation:
        """Take a conversation to continue it; a copy under new ids if another process writes it."""
        return await self._run(
            lambda: self._with_index(lambda: self._resume(conversation_id, new_id))
        )

    async def save(self, conversation: Conversation) -> None:
        """Write what has changed since the last save, and take a new conversation."""
        await self._run(lambda: self._with_index(lambda: self._save(conversation)))

    async def append(self, turn_id: str, text: str = "", reasoning: str = "") -> None:
        """Append to a running reply."""
        statement = "INSERT INTO pieces (turn, text, reasoning) VALUES (?, ?, ?)"
        await self._write(_EXECUTE, statement, (turn_id, text, reasoning))

    async def rename(self, conversation_id: str, title: str) -> None:
        """Give a conversation a title, "" for none of its own."""
        statement = "UPDATE conversations SET title = ? WHERE id = ?"
        await self._write(_EXECUTE, statement, (title, conversation_id))

    async def delete(self, conversation_id: str) -> None:
        """Delete a conversation; HistoryError if another process writes it."""
        await self._run(lambda: self._with_index(lambda: self._delete(conversation_id)))

    async def release(self, conversation_id: str) -> None:
        """Let another process write a conversation."""
        await self._run(lambda: self._release(conversation_id))

    async def settings(self, server: str, model: str) -> tuple[str, SamplingParameters]:
        """Return the system prompt and parameters that were last used with a model."""
        return await self._run(lambda: db.read_settings(self._open_database, server, model))

    async def remember_settings(
        self, server: str, model: str, system: str, sampling: SamplingParameters
    ) -> None:
        """Save the system prompt and parameters for the next conversation with a model."""
        row = (server, model, system, db.sampling_text(sampling))
        await self._write(_EXECUTE, "INSERT OR REPLACE INTO settings VALUES (?, ?, ?, ?)", row)

    async def draft(self, key: str) -> tuple[str, str]:
        """Return a draft and the turn that it replaces, both empty without one."""
        return await self._run(lambda: db.read_draft(self._open_database, key))

    async def save_draft(self, key: str, text: str, editing: str = "") -> None:
        """Save a draft, or delete it if it is empty."""
        await self._write(db.write_draft, key, text, editing)

    async def prompts(self) -> tuple[str, ...]:
        """Return the earlier prompts of all conversations, the latest last."""
        return await self._run(lambda: db.read_prompts(self._open_database))

    async def add_prompt(self, text: str) -> None:
        """Save a prompt."""
        await self._write(db.write_prompt, text)

    async def _run(self, work: Callable[[], _T]) -> _T:
        if self._is_closed:
            raise HistoryError("The conversations are closed")
        return await self._in_thread(work)

    async def _write(self, work: Callable[..., object], *values: object) -> None:
        def in_transaction() -> None:
            with transaction(self._open_database):
                work(self._open_database, *values)

        await self._run(in_transaction)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, work)
        except (
            sqlite3.Error,
            MemoryError,
            OSError,
            msgspec.MsgspecError,
            UnicodeEncodeError,
        ) as error:
            raise HistoryError(
                f"The conversations in {sanitize_line(str(self._path))} can't be used",
                why=error_reason(error),
            ) from error
        finally:
            while self._warnings:
                self._on_warning(self._warnings.pop(0))

    @property
    def _open_database(self) -> sqlite3.Connection:
        if self._database is None:
            raise HistoryError("The conversations are closed")
        return self._database

    def _open(self, *, full_text: bool) -> None:
        self._database, _, warning = open_database(self._path, db.STEPS, "conversations")
        if warning:
            self._warnings.append(warning)
        if full_text:
            try:
                self._full_text = db.has_full_text_search(self._database)
            except DATABASE_ERRORS as error:
                self._full_text = True
                self._rebuild_index(error)
        for conversation_id in db.conversations_with_running_replies(self._database):
            try:
                # Those that another aitui writes are taken.
                taken = self._locks.take(conversation_id)
            except OSError as error:
                self._warnings.append(f"A conversation can't be continued: {error.strerror}")
                continue
            if taken:
                try:
                    self._with_index(lambda: self._adopt(conversation_id))  # noqa: B023
                finally:
                    self._release(conversation_id)

    def _with_index(self, work: Callable[[], _T]) -> _T:
        """Do something that uses the index, and once more if that turns out to be damaged."""
        try:
            return work()
        except DATABASE_ERRORS as error:
            if not self._full_text:
                raise
            self._rebuild_index(error)
            return work()

    def _rebuild_index(self, error: Exception) -> None:
        """Build the full-text index again if it is damaged; else raise the error."""
        if not db.is_index_damaged(self._open_database):
            raise error
        db.rebuild_index(self._open_database)
        self._warnings.append("The search index of the conversations was damaged and is rebuilt")

    def _close(self) -> None:
        database, self._database = self._database, None
        self._locks.release_all()
        if database is not None:
            database.close()

    def _read(self, conversation_id: str) -> Conversation:
        found = db.read_conversation(self._open_database, conversation_id)
        if found is None:
            raise HistoryError("That conversation no longer exists")
        return found

    def _adopt(self, conversation_id: str) -> Conversation:
        """Read a conversation to write it from now on."""
        conversation = self._read(conversation_id)
        # A reply that a crash left running doesn't count as saved, so it is written as cut.
        self._saved[conversation_id] = {
            turn.id: turn for turn in conversation.turns.values() if turn.trouble != db.CRASHED
        }
        self._save(conversation)
        return conversation

    def _resume(self, conversation_id: str, new_id: Callable[[], str]) -> ResumedConversation:
        if self._locks.take(conversation_id):
            try:
                return ResumedConversation(self._adopt(conversation_id))
            except BaseException:
                self._locks.release(conversation_id)
                raise
        copy = _fork(self._read(conversation_id), new_id)
        self._save(copy)
        return ResumedConversation(copy, forked=True)

    def _save(self, conversation: Conversation) -> None:
        database = self._open_database
        if not self._locks.holds(conversation.id) and not self._locks.take(conversation.id):
            raise HistoryError("Another aitui is using this conversation")
        saved = self._saved.get(conversation.id, {})
        with transaction(database):
            db.write_conversation(database, conversation)
            for turn_id in saved.keys() - conversation.turns.keys():
                self._forget_words("id = ?", turn_id)
                database.execute("DELETE FROM turns WHERE id = ?", (turn_id,))
            for turn in conversation.turns.values():
                if saved.get(turn.id) is not turn:
                    self._save_turn(database, conversation.id, turn)
        self._saved[conversation.id] = conversation.turns

    def _save_turn(self, database: sqlite3.Connection, conversation_id: str, turn: Turn) -> None:
        number = db.write_turn(database, conversation_id, turn)
        if not self._full_text:
            return
        database.execute("DELETE FROM words WHERE rowid = ?", (number,))
        if turn.state is not TurnState.RUNNING:
            database.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (number, turn.text))

    def _forget_words(self, condition: str, value: str) -> None:
        if self._full_text:
            self._open_database.execute(
                f"DELETE FROM words WHERE rowid IN (SELECT number FROM turns WHERE {condition})",  # noqa: S608
                (value,),
            )

    def _delete(self, conversation_id: str) -> None:
        held = self._locks.holds(conversation_id)
        if not held and not self._locks.take(conversation_id):
            raise HistoryError("Another aitui is using this conversation: it can't be deleted now")
        try:
            with transaction(self._open_database):
                self._forget_words("conversation = ?", conversation_id)
                db.forget_prompts(self._open_database, conversation_id)
                statement = "DELETE FROM conversations WHERE id = ?"
                self._open_database.execute(statement, (conversation_id,))
        finally:
            self._release(conversation_id)

    def _release(self, conversation_id: str) -> None:
        self._saved.pop(conversation_id, None)
        self._locks.release(conversation_id)


def _fork(conversation: Conversation, new_id: Callable[[], str]) -> Conversation:
    """Copy a conversation, with another id for every turn."""
    ids = {"": "", **{turn_id: new_id() for turn_id in conversation.turns}}
    turns = [
        replace(turn, id=ids[turn.id], parent=ids.get(turn.parent, ""))
        for turn in conversation.turns.values()
    ]
    return replace(
        conversation,
        id=new_id(),
        turns={turn.id: turn for turn in turns},
        shown=ids.get(conversation.shown, ""),
        sent_from=ids.get(conversation.sent_from, ""),
        forked_from=conversation.id,
    )
