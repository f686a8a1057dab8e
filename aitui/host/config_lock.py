"""A lock file on the host, so that only one aitui at a time writes the config file.

A kernel lock would die with its process, but SFTP has none: so the file names its holder, and a
stale one can be taken over.
"""

import getpass
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from aitui.domain.sanitize import sanitize_line
from aitui.errors import ConfigLocked, FileAlreadyExists, NoSuchFile
from aitui.host.base import Host, digest_of, display_path

STALE_SECONDS = 600.0
UNFINISHED_SECONDS = 120.0
_LARGEST_LOCK = 4096
_TRIES = 3


class LockOwner(Struct, frozen=True):
    """The writer: a login, the machine that aitui runs on, and its process there."""

    user: str
    machine: str
    process: int

    @classmethod
    def here(cls) -> "LockOwner":
        """Describe this process."""
        try:
            user = getpass.getuser()
        except (KeyError, OSError):  # a container's user without a name
            user = str(os.getuid())
        return cls(user, socket.gethostname(), os.getpid())

    def has_ended(self, other: "LockOwner") -> bool:
        """Whether the other one was a process of this machine and user that has ended."""
        if (self.user, self.machine) != (other.user, other.machine) or other.process <= 0:
            return False
        try:
            os.kill(other.process, 0)
        except ProcessLookupError:
            return True
        except (PermissionError, OverflowError):
            pass
        return False


class _LockRecord(msgspec.Struct):
    """The content of a lock. `taken` is Unix time by the holder's clock."""

    token: str
    user: str
    machine: str
    process: int
    taken: float

    @property
    def author(self) -> LockOwner:
        return LockOwner(self.user, self.machine, self.process)


class ConfigLock:
    """The lock of one file, for one writer. `token` is unique to that writer.

    A lock is taken over if its holder was a process of this machine that has ended, if it is one
    of `abandoned` (tokens that this writer couldn't remove), or if it is older than STALE_SECONDS
    by the clock of the machine with the file; a lock without a readable holder was never completed
    and counts as stale after UNFINISHED_SECONDS. Only one process can take over: the one that
    creates the marker named after this very lock, and then still finds the same lock.
    """

    def __init__(
        self,
        host: Host,
        path: str,
        *,
        token: str,
        author: LockOwner,
        wall: Callable[[], float],
        abandoned: frozenset[str] = frozenset(),
    ) -> None:
        self._host = host
        self._path = path
        self._author = author
        self._abandoned = abandoned
        self._content = msgspec.json.encode(
            _LockRecord(token, author.user, author.machine, author.process, wall())
        )

    async def take(self) -> str:
        """Take the lock; return a sentence about the lock that was taken over, "" for none.

        Raises ConfigLocked, HostError.
        """
        for _ in range(_TRIES):
            try:
                await self._host.create(self._path, self._content, mode=0o644)
            except FileAlreadyExists:
                found = await self._read()
                if found is None:
                    continue
                return await self._take_over(found)
            else:
                return ""
        raise self._lock_error(b"")

    async def is_ours(self) -> bool:
        """Whether no other writer took it over. Raises HostError."""
        return await self._read() == self._content

    async def release(self) -> None:
        """Remove the lock if it is ours. Raises HostError."""
        if await self.is_ours():
            with suppress(NoSuchFile):
                await self._host.remove(self._path)

    async def _read(self) -> bytes | None:
        try:
            return await self._host.read(self._path, largest=_LARGEST_LOCK)
        except NoSuchFile:
            return None

    async def _take_over(self, found: bytes) -> str:
        marker = f"{self._path}.{digest_of(found)[:16]}"
        await self._place_marker(marker, found)
        try:
            again = await self._read()
            if again != found or not await self._is_stale(found, marker):
                raise self._lock_error(again or found)
            await self._host.remove(self._path)
            try:
                await self._host.create(self._path, self._content, mode=0o644)
            except FileAlreadyExists as error:
                raise self._lock_error(await self._read() or b"") from error
        finally:
            with suppress(NoSuchFile):
                await self._host.remove(marker)
        return f"The lock of {_describe_holder(found)} was taken over."

    async def _place_marker(self, marker: str, found: bytes) -> None:
        try:
            await self._host.create(marker, self._content, mode=0o644)
        except FileAlreadyExists as error:
            other = await self._host.read(marker, largest=_LARGEST_LOCK)
            if not self._is_abandoned(other):
                raise self._lock_error(found, marker) from error
            await self._host.remove(marker)
            await self._host.create(marker, self._content, mode=0o644)

    async def _is_stale(self, found: bytes, marker: str) -> bool:
        if self._is_abandoned(found):
            return True
        oldest = UNFINISHED_SECONDS if _parse_holder(found) is None else STALE_SECONDS
        now = (await self._host.facts(marker)).modified
        try:
            return now - (await self._host.facts(self._path)).modified > oldest
        except NoSuchFile:
            return False

    def _is_abandoned(self, content: bytes) -> bool:
        holder = _parse_holder(content)
        return holder is not None and (
            holder.token in self._abandoned or self._author.has_ended(holder.author)
        )

    def _lock_error(self, content: bytes, *others: str) -> ConfigLocked:
        files = " and ".join(display_path(path) for path in (*others, self._path))
        return ConfigLocked(
            "Another aitui is writing the config file",
            holder=_describe_holder(content),
            why=f"it is locked by {_describe_holder(content)}",
            remedy=f"try again when it is done; if it is no longer running, remove {files} "
            f"on {self._host.label}",
        )


def _parse_holder(content: bytes) -> _LockRecord | None:
    try:
        return msgspec.json.decode(content, type=_LockRecord)
    except (msgspec.DecodeError, RecursionError):  # not a lock of aitui's
        return None


def _describe_holder(content: bytes) -> str:
    holder = _parse_holder(content)
    if holder is None:
        return "an unknown user"
    try:
        since = datetime.fromtimestamp(holder.taken, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        since = "an unknown time"
    author = sanitize_line(f"{holder.user}@{holder.machine}", 100)
    return f"{author}, process {holder.process}, since {since}"
