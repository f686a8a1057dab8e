"""The journal of changes on the hosts, written before and after each one, for undo.

A file of JSON lines. Each change has one line before it is tried, and one line each time its
outcome is known; the last one counts. A broken line loses only itself.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from aitui.domain.sanitize import sanitize_line
from aitui.errors import JournalError
from aitui.store.files import lock_file, make_private_directory, open_regular, replace_atomically

FILE_NAME = "changes.jsonl"
CHANGES_KEPT = 500
LARGEST_FILE = 4 << 20
_LONGEST_VALUE = 2000

_T = TypeVar("_T")


class ChangeOutcome(Enum):
    """The outcome of a change.

    OPEN: it was tried, and its end is unknown; CUT_OFF: so it is, and nothing of it runs any more.
    """

    OPEN = "open"
    CUT_OFF = "cut off"
    DONE = "done"
    FAILED = "failed"
    UNDONE = "undone"


class JournalEntry(Struct, frozen=True):
    """One change of one file.

    `at` is Unix time, `server` a server's identity, `host` its machine's label. `flag`, `old` and
    `new` describe the change, each empty if it isn't a single value. `before` and `after` are the
    digests of the file, `backup` is the path of its copy there; both paths are as the host has
    them, to be sanitized where they are shown. `undoes` is the id of the change that this one
    reverts: when it is done, that one counts as undone. `read_at` is when the server was seen to
    run with it (Unix time), 0 if it wasn't.
    """

    id: str
    at: float
    server: str
    host: str
    path: str
    before: str
    after: str
    model: str = ""
    flag: str = ""
    old: str = ""
    new: str = ""
    backup: str = ""
    undoes: str = ""
    outcome: ChangeOutcome = ChangeOutcome.OPEN
    read_at: float = 0.0
    writer: tuple[str, str, int] = ("", "", 0)
    """The user, machine and process id of the aitui that makes the change."""

    @property
    def description(self) -> str:
        """Return a description of the change."""
        if self.flag:
            return f"{self.model}  {self.flag} {self.old or 'unset'} → {self.new or 'unset'}"
        return self.model or "the whole file"


class _OutcomeRecord(msgspec.Struct):
    """The line with the outcome of a change."""

    ended: str
    outcome: ChangeOutcome
    backup: str = ""
    read_at: float = 0.0


class Journal:
    """The journal in one file that several instances share. Every call raises JournalError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writing = threading.Lock()

    @classmethod
    def open(cls, path: Path) -> "Journal":
        """Open the journal without touching the disk; the file need not exist."""
        return cls(path)

    async def begin(self, change: JournalEntry) -> None:
        """Record a change before it is tried. The record is on the disk when this returns."""
        await self._do(lambda: self._append(msgspec.json.encode(_sanitize_change(change))))

    async def end(
        self, change_id: str, outcome: ChangeOutcome, *, backup: str = "", read_at: float = 0.0
    ) -> None:
        """Record the outcome, with what is known only now: the copy, and when the server read it."""
        ended = _OutcomeRecord(change_id, outcome, backup, read_at)
        await self._do(lambda: self._append(msgspec.json.encode(ended)))

    async def entries(self) -> tuple[JournalEntry, ...]:
        """Return all changes, the oldest first."""
        return tuple((await self._do(lambda: _parse_changes(self._content()))).values())

    async def changes_of(self, server: str) -> tuple[JournalEntry, ...]:
        """Return the changes of one server, the oldest first."""
        key = sanitize_line(server, _LONGEST_VALUE)
        return tuple(change for change in await self.entries() if change.server == key)

    async def last_undoable(self, server: str) -> JournalEntry | None:
        """Return the latest change that is done, not undone, and no undo itself."""
        for change in reversed(await self.changes_of(server)):
            if change.outcome is ChangeOutcome.DONE and not change.undoes and change.backup:
                return change
        return None

    async def _do(self, work: Callable[[], _T]) -> _T:
        def run_locked() -> _T:
            with self._writing:
                return work()

        try:
            return await asyncio.to_thread(run_locked)
        except (OSError, ValueError) as error:
            raise JournalError(
                f"The journal of changes in {sanitize_line(str(self._path), 300)} can't be used",
                why=sanitize_line(getattr(error, "strerror", None) or str(error), 200),
                remedy="fix that first: without the journal, changes can't be undone",
            ) from error

    def _append(self, line: bytes) -> None:
        make_private_directory(self._path.parent)
        with lock_file(self._path):
            content = self._content()
            if len(content) + len(line) > LARGEST_FILE or content.count(b"\n") > 4 * CHANGES_KEPT:
                kept = list(_parse_changes(content).values())[-CHANGES_KEPT:]
                replace_atomically(
                    self._path, b"".join(msgspec.json.encode(c) + b"\n" for c in kept)
                )
                content = b""
            # An incomplete line of a crash must not swallow the next one.
            start = b"" if content.endswith(b"\n") or not content else b"\n"
            _append_line(self._path, start + line + b"\n")

    def _content(self) -> bytes:
        """Read the last LARGEST_FILE bytes."""
        try:
            with os.fdopen(open_regular(self._path, os.O_RDONLY), "rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(max(size - LARGEST_FILE, 0))
                return file.read(LARGEST_FILE)
        except FileNotFoundError:
            return b""


def _append_line(path: Path, line: bytes) -> None:
    is_new = not path.exists()
    descriptor = open_regular(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with os.fdopen(descriptor, "wb") as file:
        file.write(line)
        file.flush()
        os.fsync(descriptor)
    if is_new:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _parse_changes(content: bytes) -> dict[str, JournalEntry]:
    """Return the changes by id, each with its last outcome."""
    changes: dict[str, JournalEntry] = {}
    for line in _decode_lines(content):
        if isinstance(line, JournalEntry):
            changes[line.id] = line
            continue
        change = changes.get(line.ended)
        if change is not None:
            backup = line.backup or change.backup
            read_at = line.read_at or change.read_at
            changes[change.id] = replace(
                change, outcome=line.outcome, backup=backup, read_at=read_at
            )
            undone = changes.get(change.undoes)
            if undone is not None and line.outcome is ChangeOutcome.DONE:
                changes[undone.id] = replace(undone, outcome=ChangeOutcome.UNDONE)
    return changes


def _decode_lines(content: bytes) -> Iterable[JournalEntry | _OutcomeRecord]:
    for line in content.split(b"\n"):
        if not line.strip():
            continue
        try:
            if line.startswith(b'{"ended":'):
                yield msgspec.json.decode(line, type=_OutcomeRecord)
            else:
                yield _sanitize_change(msgspec.json.decode(line, type=JournalEntry))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue  # an incomplete line of a crash, or not one of aitui's


def _sanitize_change(change: JournalEntry) -> JournalEntry:
    """Sanitize and shorten the values that are shown."""
    names = ("server", "host", "model", "flag", "old", "new")
    shown: dict[str, Any] = {
        name: sanitize_line(getattr(change, name), _LONGEST_VALUE) for name in names
    }
    return replace(change, **shown)
