"""The server's config file, written as a transaction: the old file or the new one, never a mix."""

import asyncio
import re
import secrets
import stat
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum

from msgspec import Struct

from aitui.aio import shield
from aitui.domain.config.verify import file_diff
from aitui.domain.snapshot import Clock
from aitui.errors import (
    AituiError,
    ConfigChangedMeanwhile,
    ConfigRefused,
    ConfigWriteUncertain,
    FileAlreadyExists,
    FilePermissionDenied,
    HostError,
    HostFileError,
    NoSuchFile,
)
from aitui.host.base import FileInfo, FileKind, Host, digest_of, display_path
from aitui.host.config_lock import ConfigLock, LockOwner

BACKUPS_KEPT = 20
_MOST_PER_SECOND = 100
LARGEST_CONFIG = 1 << 20
"""Bytes."""


class WriteStep(Enum):
    """The steps of a write, in their order; messages put "while" before them."""

    CHECK = "checking the new text"
    LOCK = "locking the file"
    COMPARE = "checking for other changes"
    BACK_UP = "making a backup"
    WRITE = "writing a temporary file"
    VALIDATE = "validating it with llama-swap"
    COMPARE_AGAIN = "checking for other changes again"
    REPLACE = "replacing the file"
    VERIFY = "reading it back"
    TIDY = "cleaning up"


Validate = Callable[[str], Awaitable[None]]
OnStep = Callable[[WriteStep], object]
"""Called when a step begins; the one before has succeeded then."""


class FileSnapshot(Struct, frozen=True):
    """A file as it was read. `real_path` is `path` with symbolic links resolved."""

    path: str
    real_path: str
    content: bytes
    digest: str
    facts: FileInfo


class WriteResult(Struct, frozen=True):
    """The new file is in its place.

    `before` and `after` are digests, of the old content and of ours. `verified` is False if it
    couldn't be read back. `changed_after` is set if the file was already another one when it was
    read back: `difference` is the unified diff from ours to that. `warnings` are sentences: what
    couldn't be cleaned up, which lock was taken over.
    """

    backup: str
    before: str
    after: str
    verified: bool
    changed_after: bool = False
    difference: str = ""
    warnings: tuple[str, ...] = ()


class FileVersion(Enum):
    """The complete file that is in place after a write with an unknown outcome."""

    OLD = "the old file"
    NEW = "the new file"
    OTHER = "a file that another program wrote"


class RecoveryResult(Struct, frozen=True):
    """The result of a recovery after an interrupted write, and the files that it removed."""

    state: FileVersion
    removed: tuple[str, ...] = ()


def ignore(_: object) -> None:
    """Do nothing: the default check and step callback."""


class ConfigFile:
    """One file on a host, read and written by several people.

    A write locks the file against other instances, compares it with what was read, makes a backup
    in the same folder, writes a temporary file with the same mode, owner and group, compares once
    more, renames, and reads back. The target of a symbolic link is written. Hard links, access
    lists and extended attributes are lost. `path` is as configured, perhaps with `~/`.

    One gap remains: between the second comparison and the rename lies one round trip. A program
    that ignores the lock and writes in that moment writes into the file that is being replaced;
    the backup has the text before that. Only a rename replaces a file atomically, and none compares.
    """

    def __init__(
        self,
        host: Host,
        path: str,
        *,
        clock: Clock,
        author: LockOwner | None = None,
    ) -> None:
        self._host = host
        self.path = path
        self._clock = clock
        self._author = LockOwner.here() if author is None else author
        self._abandoned: frozenset[str] = frozenset()
        self.has_leftovers = False
        """Whether the last write could not remove its lock, and perhaps its temporary files."""

    async def read(self) -> FileSnapshot:
        """Read the file. Raises HostError."""
        real_path = await self._host.resolve(self.path)
        facts = await self._host.facts(real_path)
        if facts.kind is not FileKind.FILE:
            raise HostFileError(
                f"{display_path(self.path)} is not a file but a {facts.kind.value}",
                remedy="set preset_path to llama-swap's config.yaml",
            )
        content = await self._host.read(real_path, largest=LARGEST_CONFIG + 1)
        if len(content) > LARGEST_CONFIG:
            raise HostFileError(
                f"{display_path(self.path)} is too large for a config file",
                why=f"it has more than {LARGEST_CONFIG} bytes",
            )
        return FileSnapshot(self.path, real_path, content, digest_of(content), facts)

    async def write(
        self,
        reading: FileSnapshot,
        content: bytes,
        *,
        on_step: OnStep = ignore,
        validate: Validate | None = None,
    ) -> WriteResult:
        """Replace what was read by `content`, and verify it.

        `validate` is given the path of the new file before it takes the old one's place, and raises
        what keeps it from that.

        Every error but ConfigWriteUncertain means that nothing was written, and names the step:
        ConfigLocked, ConfigChangedMeanwhile with the difference, ConfigRefused, HostError. No
        temporary file stays, unless the connection is lost: then `recover` removes it.
        What goes wrong after the replacement is a warning in the WriteResult. A cancellation waits
        while the file is being replaced.
        """
        token = secrets.token_hex(8)
        writing = ConfigWriteTransaction(
            self._host,
            reading,
            content,
            lock=self._build_lock(reading.real_path, token),
            temporary=_sibling_path(reading.real_path, f"{token}.tmp"),
            wall=self._clock.wall(),
            on_step=on_step,
            validate=validate,
        )
        try:
            return await writing.run()
        finally:
            self.has_leftovers = writing.holds_lock
            if writing.holds_lock:  # the connection was lost
                self._abandoned |= {token}

    async def undo(
        self, *, backup: str, before: str, after: str, on_step: OnStep = ignore
    ) -> WriteResult:
        """Restore a backup, in the same way as any other write.

        Raises what `read_backup` and `write` raise.
        """
        reading, old = await self.read_backup(backup=backup, before=before, after=after)
        return await self.write(reading, old, on_step=on_step)

    async def read_backup(
        self, *, backup: str, before: str, after: str
    ) -> tuple[FileSnapshot, bytes]:
        """Return the file, and what it would be again.

        `before` and `after` are the digests of the write that is undone. Raises
        ConfigChangedMeanwhile if the file was changed since, ConfigRefused if the backup is gone
        or was changed, HostError.
        """
        try:
            old = await self._host.read(backup, largest=LARGEST_CONFIG + 1)
        except NoSuchFile as error:
            raise ConfigRefused(
                f"The backup {display_path(backup)} is gone",
                why="only the latest backups are kept",
                remedy="set the old value again by hand",
            ) from error
        if digest_of(old) != before:
            raise ConfigRefused(
                f"The backup {display_path(backup)} has changed since it was made",
                remedy="set the old value again by hand",
            )
        reading = await self.read()
        if reading.digest != after:
            raise ConfigChangedMeanwhile(
                f"{display_path(self.path)} has changed since then, so the change can't be undone",
                difference=await asyncio.to_thread(
                    file_diff, old, reading.content, backup, self.path
                ),
                why="it is no longer what aitui wrote",
                remedy="compare it with the backup, then change it by hand",
            )
        return reading, old

    async def leftovers(self) -> tuple[str, ...]:
        """Return the temporary files and locks that interrupted writes left.

        Some of them may belong to a write that is still running. Raises HostError.
        """
        real_path = await self._host.resolve(self.path)
        folder, _, name = real_path.rpartition("/")
        pattern = re.compile(
            rf"\.{re.escape(name)}\.aitui-(?:[0-9a-z.]+\.tmp|lock(?:\.[0-9a-f]+)?)"
        )
        return tuple(
            f"{folder}/{facts.name}"
            for facts in await self._host.list(folder or "/")
            if pattern.fullmatch(facts.name) and facts.kind is FileKind.FILE
        )

    async def recover(self, before: str, after: str) -> RecoveryResult:
        """Find out which file is in place after an interrupted write, and remove its leftovers.

        `before` and `after` are the digests of that write. Raises ConfigLocked if another process
        is writing, HostError.
        """
        token = secrets.token_hex(8)
        lock = self._build_lock(await self._host.resolve(self.path), token)
        left = await self.leftovers()
        try:
            await lock.take()
            removed = []
            for path in left:
                if not path.endswith("lock"):
                    with suppress(NoSuchFile):
                        await self._host.remove(path)
                removed.append(path)
            digest = (await self.read()).digest
        finally:
            await shield(self._release_lock(lock, token))
        known = {before: FileVersion.OLD, after: FileVersion.NEW}
        return RecoveryResult(known.get(digest, FileVersion.OTHER), tuple(removed))

    async def _release_lock(self, lock: ConfigLock, token: str) -> None:
        try:
            await lock.release()
        except HostError:
            self._abandoned |= {token}
            raise

    def _build_lock(self, real_path: str, token: str) -> ConfigLock:
        return ConfigLock(
            self._host,
            _sibling_path(real_path, "lock"),
            token=token,
            author=self._author,
            wall=self._clock.wall,
            abandoned=self._abandoned,
        )


def _sibling_path(path: str, ending: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/.{name}.aitui-{ending}"


@dataclass(eq=False, slots=True)
class ConfigWriteTransaction:
    """Replaces what was read by `content`. `temporary` is a free path in the same folder.

    `holds_lock` is set while the lock may exist, also because the connection was lost.
    """

    host: Host
    reading: FileSnapshot
    content: bytes
    lock: ConfigLock
    temporary: str
    wall: float
    on_step: OnStep
    validate: Validate | None = None
    holds_lock: bool = False
    _step: WriteStep = WriteStep.CHECK
    _backup: str = ""
    _is_replaced: bool = False
    _is_uncertain: bool = False
    _warnings: list[str] = field(default_factory=list)

    async def run(self) -> WriteResult:
        """Run all steps. Raises what `ConfigFile.write` raises."""
        self._begin(WriteStep.CHECK)
        if len(self.content) > LARGEST_CONFIG:
            raise ConfigRefused(
                "The new file is too large", why=f"it has more than {LARGEST_CONFIG} bytes"
            )
        try:
            await self._prepare()
            # A cancellation waits until it is known whether the rename was done.
            return await shield(self._replace())
        except AituiError as error:
            left = await shield(self._clean_up())
            raise self._with_step(error, left) from error.__cause__
        except BaseException:
            await shield(self._clean_up())
            raise

    def _begin(self, step: WriteStep) -> None:
        self._step = step
        self.on_step(step)

    async def _prepare(self) -> None:
        facts = self.reading.facts
        belongs_to = (facts.owner, facts.group)
        self._begin(WriteStep.LOCK)
        self.holds_lock = True  # set first: a lost connection may leave one
        taken_over = await self.lock.take()
        if taken_over:
            self._warnings.append(taken_over)
        self._begin(WriteStep.COMPARE)
        await self._compare()
        if not facts.mode & stat.S_IWUSR:  # a rename would ignore that
            path = display_path(self.reading.real_path)
            raise FilePermissionDenied(
                f"{path} is read-only",
                why="its file mode does not allow writing",
                remedy=f"chmod u+w {path}",
            )
        self._begin(WriteStep.BACK_UP)
        self._backup = await free_backup_path(self.host, self.reading.real_path, self.wall)
        # Only a complete copy gets the name of a backup.
        unnamed = backup_temporary(self.temporary)
        await self.host.create(
            unnamed, self.reading.content, mode=facts.mode, belongs_to=belongs_to
        )
        await self.host.rename(unnamed, self._backup)
        self._begin(WriteStep.WRITE)
        await self.host.create(self.temporary, self.content, mode=facts.mode, belongs_to=belongs_to)
        if self.validate is not None:
            self._begin(WriteStep.VALIDATE)
            await self.validate(self.temporary)
        self._begin(WriteStep.COMPARE_AGAIN)
        if not await self.lock.is_ours():
            raise ConfigRefused(
                "Another aitui took over the lock", why="this one was inactive for too long"
            )
        await self._compare()

    async def _compare(self) -> None:
        """Raises ConfigChangedMeanwhile if the file isn't what was read."""
        reading = self.reading
        if await self.host.resolve(reading.path) != reading.real_path:
            raise ConfigChangedMeanwhile(
                f"{display_path(reading.path)} now points to another file",
                remedy="read it again, then repeat the change",
            )
        facts = await self.host.facts(reading.real_path)
        now = await self.host.read(reading.real_path, largest=LARGEST_CONFIG + 1)
        if digest_of(now) != reading.digest:
            raise ConfigChangedMeanwhile(
                f"{display_path(reading.path)} was changed by another program",
                difference=await self._diff(reading.content, now),
                why="it is no longer what aitui read",
                remedy="check what changed, then repeat the change",
            )
        if _file_identity(facts) != _file_identity(reading.facts):
            raise ConfigChangedMeanwhile(
                f"{display_path(reading.path)} now has another owner or mode",
                remedy="repeat the change",
            )

    async def _replace(self) -> WriteResult:
        self._begin(WriteStep.REPLACE)
        try:
            await self.host.rename(self.temporary, self.reading.real_path)
        except HostError as error:
            await self._check_failed_rename(error)
        self._is_replaced = True
        self._begin(WriteStep.VERIFY)
        now = await self._read_back()
        self._begin(WriteStep.TIDY)
        await self._release_and_prune()
        changed = now is not None and digest_of(now) != digest_of(self.content)
        return WriteResult(
            backup=self._backup,
            before=self.reading.digest,
            after=digest_of(self.content),
            verified=now is not None and not changed,
            changed_after=changed,
            difference=await self._diff(self.content, now or b"") if changed else "",
            warnings=tuple(self._warnings),
        )

    async def _check_failed_rename(self, error: HostError) -> None:
        """Find out whether a rename that reported an error happened. Raises if it didn't.

        A temporary file that could be removed was not renamed, and never will be.
        """
        try:
            await self.host.remove(self.temporary)
        except NoSuchFile:
            self._warnings.append(f"{error.what}, but the file was written.")
        except HostError as second:
            self._is_uncertain = True
            raise ConfigWriteUncertain(
                error.what,
                why=f"{error.why or second.why}; either the old or the new file is in place, complete",
                remedy="aitui reports which one at its next start",
            ) from error
        else:
            raise error

    async def _read_back(self) -> bytes | None:
        try:
            return await self.host.read(self.reading.real_path, largest=LARGEST_CONFIG + 1)
        except NoSuchFile:
            return b""
        except HostError as error:
            self._warn(error)
            return None

    async def _release_and_prune(self) -> None:
        try:
            await self.lock.release()
            self.holds_lock = False
            await remove_old_backups(self.host, self.reading.real_path, self._backup)
        except HostError as error:
            self._warn(error)

    def _warn(self, error: HostError) -> None:
        self._warnings.append(
            f"The new file is in place, but {self._step.value} failed: {error.what}"
            f"{f' ({error.why})' if error.why else ''}."
        )

    async def _clean_up(self) -> tuple[str, ...]:
        """Remove what this write made, and the lock; return what couldn't be removed."""
        made = [self.temporary, backup_temporary(self.temporary), self._backup]
        is_made = self._step not in {WriteStep.CHECK, WriteStep.LOCK, WriteStep.COMPARE}
        to_remove = is_made and not self._is_replaced and not self._is_uncertain
        waiting = [*filter(None, made)] if to_remove else []
        left: list[str] = []
        try:
            while waiting:
                with suppress(NoSuchFile):
                    await self.host.remove(waiting[0])
                waiting.pop(0)
            if self.holds_lock:
                await self.lock.release()
                self.holds_lock = False
        except HostError:
            # One attempt: without a connection each of them would run into its time limit.
            left = waiting
        return tuple(left)

    def _with_step(self, error: AituiError, left: tuple[str, ...]) -> AituiError:
        """Return the same error with the step and what it means for the file."""
        if self._step is WriteStep.CHECK:
            return error
        error.what = f"{error.what} (while {self._step.value})"
        if not self._is_uncertain:
            error.why = "; ".join(filter(None, (error.why, "the config file was not changed")))
        if left or self.holds_lock:
            words = "leftover temporary files are removed at the next start"
            error.remedy = "; ".join(filter(None, (error.remedy, words)))
        return error

    async def _diff(self, old: bytes, new: bytes) -> str:
        path = self.reading.path
        return await asyncio.to_thread(file_diff, old, new, path, f"{path} (now)")


def _file_identity(facts: FileInfo) -> tuple[FileKind, int, int, int]:
    return facts.kind, facts.mode, facts.owner, facts.group


def backup_path(path: str, wall: float, number: int) -> str:
    """Return the path of a backup made at a Unix time, the `number`th of that second."""
    stamp = datetime.fromtimestamp(wall, UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{path}.{stamp}.aitui" if number == 1 else f"{path}.{stamp}.{number}.aitui"


def backup_temporary(temporary: str) -> str:
    """Return the path of a backup while it is written."""
    return f"{temporary.removesuffix('.tmp')}.backup.tmp"


async def free_backup_path(host: Host, path: str, wall: float) -> str:
    """Return the path of the next backup. Raises HostError.

    Needs the lock: the name is checked now and used later.
    """
    for number in range(1, _MOST_PER_SECOND):
        copy = backup_path(path, wall, number)
        try:
            await host.facts(copy)
        except NoSuchFile:
            return copy
    raise FileAlreadyExists(f"There are already {_MOST_PER_SECOND} backups from this second")


async def find_backup(host: Host, path: str, digest: str) -> str:
    """Return the path of the latest backup with that digest, "" for none. Raises HostError."""
    for copy in reversed((await _list_backups(host, path))[-BACKUPS_KEPT:]):
        with suppress(NoSuchFile):  # another aitui removes old ones
            if digest_of(await host.read(copy, largest=LARGEST_CONFIG)) == digest:
                return copy
    return ""


async def remove_old_backups(host: Host, path: str, own: str) -> None:
    """Remove all but the last BACKUPS_KEPT, by the time in their names, and no other file.

    `own` was made just now, so what is dated later comes from a clock that was wrong, and goes
    first. Raises HostError.
    """
    backups = await _list_backups(host, path)
    last = backups.index(own) + 1 if own in backups else len(backups)
    for old in [*backups[last:], *backups[:last]][:-BACKUPS_KEPT]:
        with suppress(NoSuchFile):  # another aitui removes old ones as well
            await host.remove(old)


async def _list_backups(host: Host, path: str) -> list[str]:
    folder, _, name = path.rpartition("/")
    # `config.yaml.20261123T012233Z.aitui`, `….2.aitui`
    pattern = re.compile(rf"{re.escape(name)}\.(\d{{8}}T\d{{6}}Z)(?:\.(\d+))?\.aitui")
    found = [
        (match[1], int(match[2] or 1), f"{folder}/{facts.name}")
        for facts in await host.list(folder or "/")
        if facts.kind is FileKind.FILE and (match := pattern.fullmatch(facts.name))
    ]
    return [copy for _, _, copy in sorted(found)]
