"""What aitui changed on the hosts: written down before and after, so that it can be undone.

A file of JSON lines. Each change has one line before it is tried, and one line each time its
outcome is known; the last one counts. A broken line loses only itself.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TypeVar

import msgspec

from aitui.domain.clean import clean_line
from aitui.errors import JournalError
from aitui.store.private_file import locked, make_private_directory, replace_whole

FILE_NAME = "changes.jsonl"
CHANGES_KEPT = 500
LARGEST_FILE = 4 << 20
_LONGEST_VALUE = 2000

_T = TypeVar("_T")


class Outcome(Enum):
    """What came of a change. OPEN: it was tried, and nobody saw its end."""

    OPEN = "open"
    DONE = "done"
    FAILED = "failed"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one file.

    `at` is Unix time in seconds, `server` a server's identity, `host` what its machine is called.
    `flag`, `old` and `new` say what was changed, each empty where that isn't one value. `before`
    and `after` are the digests of the file, `backup` is the path of its copy there; both paths are
    as the host has them, to be cleaned where they are shown. `undoes` is the id of the change that
    this one takes back: when it is done, that one counts as undone.
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
    outcome: Outcome = Outcome.OPEN


class _Ended(msgspec.Struct):
    """The line that says how a change ended."""

    ended: str
    outcome: Outcome
    backup: str = ""


class Journal:
    """The journal in one file that several aitui may share. Every call raises JournalError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writing = threading.Lock()

    @classmethod
    def open(cls, path: Path) -> "Journal":
        """Touches no disk; the file need not exist."""
        return cls(path)

    async def begin(self, change: Change) -> None:
        """Write down what is about to be tried. It is on the disk when this returns."""
        await self._do(lambda: self._append(msgspec.json.encode(_bounded(change))))

    async def end(self, change_id: str, outcome: Outcome, *, backup: str = "") -> None:
        """Write down what came of it; `backup` where the path of the copy is known only now."""
        ended = _Ended(change_id, outcome, backup)
        await self._do(lambda: self._append(msgspec.json.encode(ended)))

    async def entries(self) -> tuple[Change, ...]:
        """All changes that are kept, the oldest first."""
        return tuple((await self._do(self._read)).values())

    async def of_server(self, server: str) -> tuple[Change, ...]:
        """The changes of one server, the oldest first."""
        key = clean_line(server, _LONGEST_VALUE)
        return tuple(change for change in await self.entries() if change.server == key)

    async def last_undoable(self, server: str) -> Change | None:
        """The latest change that was done, isn't undone, and undoes nothing itself."""
        return next(
            (
                change
                for change in reversed(await self.of_server(server))
                if change.outcome is Outcome.DONE and not change.undoes and change.backup
            ),
            None,
        )

    async def unclear(self, server: str) -> tuple[Change, ...]:
        """The changes of a server whose end nobody saw, the oldest first.

        One of them may be going on just now in another aitui.
        """
        return tuple(
            change for change in await self.of_server(server) if change.outcome is Outcome.OPEN
        )

    async def _do(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.to_thread(self._guarded, work)
        except (OSError, ValueError) as error:
            raise JournalError(
                f"The journal of changes in {clean_line(str(self._path), 300)} can't be used",
                why=clean_line(str(error), 200),
                remedy="mend that, or nothing can be changed: it could not be undone",
            ) from error

    def _guarded(self, work: Callable[[], _T]) -> _T:
        with self._writing:
            return work()

    def _append(self, line: bytes) -> None:
        make_private_directory(self._path.parent)
        with locked(self._path):
            content = self._content()
            if len(content) + len(line) > LARGEST_FILE or content.count(b"\n") > 4 * CHANGES_KEPT:
                kept = list(_changes(content).values())[-CHANGES_KEPT:]
                replace_whole(self._path, b"".join(msgspec.json.encode(c) + b"\n" for c in kept))
                content = b""
            # A line that a crash cut off must not swallow the next one.
            start = b"" if content.endswith(b"\n") or not content else b"\n"
            _add(self._path, start + line + b"\n")

    def _read(self) -> dict[str, Change]:
        return _changes(self._content())

    def _content(self) -> bytes:
        """The last LARGEST_FILE bytes."""
        try:
            with self._path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(max(size - LARGEST_FILE, 0))
                return file.read(LARGEST_FILE)
        except FileNotFoundError:
            return b""


def _add(path: Path, line: bytes) -> None:
    is_new = not path.exists()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
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


def _changes(content: bytes) -> dict[str, Change]:
    """The changes by id, each with its last outcome."""
    changes: dict[str, Change] = {}
    for line in _decoded(content):
        if isinstance(line, Change):
            changes[line.id] = line
            continue
        change = changes.get(line.ended)
        if change is not None:
            backup = line.backup or change.backup
            changes[change.id] = replace(change, outcome=line.outcome, backup=backup)
            undone = changes.get(change.undoes)
            if undone is not None and line.outcome is Outcome.DONE:
                changes[undone.id] = replace(undone, outcome=Outcome.UNDONE)
    return changes


def _decoded(content: bytes) -> Iterable[Change | _Ended]:
    for line in content.split(b"\n"):
        if not line.strip():
            continue
        try:
            if line.startswith(b'{"ended":'):
                yield msgspec.json.decode(line, type=_Ended)
            else:
                yield _bounded(msgspec.json.decode(line, type=Change))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue  # a line that a crash cut off, or somebody's own


def _bounded(change: Change) -> Change:
    """The same with values that are harmless and not too long to be shown."""
    return replace(
        change,
        server=clean_line(change.server, _LONGEST_VALUE),
        host=clean_line(change.host, _LONGEST_VALUE),
        model=clean_line(change.model, _LONGEST_VALUE),
        flag=clean_line(change.flag, _LONGEST_VALUE),
        old=clean_line(change.old, _LONGEST_VALUE),
        new=clean_line(change.new, _LONGEST_VALUE),
    )
