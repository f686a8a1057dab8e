"""A host that fails at one of its calls, in one of several ways."""

from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import Self, TypeVar

from aitui.errors import FilePermissionDenied, HostFileError, HostTimedOut, HostUnreachable
from aitui.host.base import CommandResult, FileInfo, Host
from host.writing import FOREIGN

_T = TypeVar("_T")


class Fault(Enum):
    """What happens at the call."""

    CUT_BEFORE = "the connection is lost before the call arrives"
    CUT_AFTER = "the connection is lost after the call was done"
    CUT_HALFWAY = "the connection is lost after half of a file was written"
    SILENT_BEFORE = "no answer: the call was not done"
    SILENT_AFTER = "no answer: the call was done"
    DENIED = "permission denied"
    FULL = "no room on the disk"
    BLINK = "the connection is lost after the call was done, and there again for the next one"
    CHANGED = "somebody else writes the file"


LASTING = frozenset({Fault.CUT_BEFORE, Fault.CUT_AFTER, Fault.CUT_HALFWAY})
"""After these nothing arrives any more."""


class FaultyHost:
    """Another host, but for its call number `at`, counted from 0. `calls` is the trace."""

    def __init__(
        self, inner: Host, fault: Fault = Fault.DENIED, at: int = -1, *, changes: Path | None = None
    ) -> None:
        self._inner = inner
        self._fault = fault
        self._at = at
        self._changes = changes
        self.calls: list[str] = []

    @property
    def label(self) -> str:
        """The other host's."""
        return self._inner.label

    @property
    def was_reached(self) -> bool:
        """Whether the call with the fault was made."""
        return len(self.calls) > self._at

    async def __aenter__(self) -> Self:
        """The other host is opened by whoever made it."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """And closed there."""

    async def run(
        self, words: Sequence[str], *, seconds: float = 30.0, largest: int = 1 << 20
    ) -> CommandResult:
        """Perhaps run a command."""
        return await self._call(
            "run",
            lambda: self._inner.run(words, seconds=seconds, largest=largest),
        )

    async def facts(self, path: str) -> FileInfo:
        """Perhaps look at a file."""
        return await self._call("facts", lambda: self._inner.facts(path))

    async def resolve(self, path: str) -> str:
        """Perhaps resolve a path."""
        return await self._call("resolve", lambda: self._inner.resolve(path))

    async def read(self, path: str, *, start: int = 0, largest: int = 1 << 22) -> bytes:
        """Perhaps read a file."""
        return await self._call(
            "read", lambda: self._inner.read(path, start=start, largest=largest)
        )

    async def list(self, folder: str) -> tuple[FileInfo, ...]:
        """Perhaps list a folder."""
        return await self._call("list", lambda: self._inner.list(folder))

    async def create(
        self, path: str, content: bytes, *, mode: int, belongs_to: tuple[int, int] | None = None
    ) -> None:
        """Perhaps write a file, or half of it."""
        if self._fault is Fault.CUT_HALFWAY and len(self.calls) == self._at:
            content = content[: len(content) // 2]
        await self._call(
            "create",
            lambda: self._inner.create(path, content, mode=mode, belongs_to=belongs_to),
        )

    async def rename(self, path: str, onto: str) -> None:
        """Perhaps rename a file."""
        await self._call("rename", lambda: self._inner.rename(path, onto))

    async def remove(self, path: str) -> None:
        """Perhaps remove a file."""
        await self._call("remove", lambda: self._inner.remove(path))

    async def _call(self, name: str, work: Callable[[], Awaitable[_T]]) -> _T:
        number = len(self.calls)
        self.calls.append(name)
        if number > self._at >= 0 and self._fault in LASTING:
            raise HostUnreachable("The connection was lost")
        if number != self._at:
            return await work()
        return await self._fail(work)

    async def _fail(self, work: Callable[[], Awaitable[_T]]) -> _T:
        fault = self._fault
        if fault is Fault.CHANGED:
            assert self._changes is not None
            self._changes.write_bytes(FOREIGN)
            return await work()
        if fault in {Fault.CUT_AFTER, Fault.CUT_HALFWAY, Fault.SILENT_AFTER, Fault.BLINK}:
            await work()
        if fault in {Fault.SILENT_BEFORE, Fault.SILENT_AFTER}:
            raise HostTimedOut("No answer")
        if fault is Fault.DENIED:
            raise FilePermissionDenied("Permission denied")
        if fault is Fault.FULL:
            raise HostFileError("No room on the disk")
        raise HostUnreachable("The connection was lost")
