"""One write of a file, from the lock to the proof; on failure nothing of it is left."""

import asyncio
import stat
from contextlib import suppress

from aitui.domain.clean import sanitize_line
from aitui.errors import (
    AituiError,
    ConfigChangedMeanwhile,
    ConfigRefused,
    ConfigWriteUncertain,
    FilePermissionDenied,
    HostError,
    NoSuchFile,
)
from aitui.host.config_backups import backup_temporary, free_backup_path, remove_old_backups
from aitui.host.config_lock import ConfigLock
from aitui.host.difference import file_diff
from aitui.host.shell import FileInfo, FileKind, Host
from aitui.host.transaction import (
    LARGEST_CONFIG,
    Check,
    FileSnapshot,
    OnStep,
    WriteResult,
    WriteStep,
    digest_of,
)
from aitui.host.unbroken import shield


class ConfigWriteTransaction:
    """Puts `content` in the place of what was read. `temporary` is a free path beside the file."""

    def __init__(
        self,
        host: Host,
        reading: FileSnapshot,
        content: bytes,
        *,
        lock: ConfigLock,
        temporary: str,
        wall: float,
        on_step: OnStep,
    ) -> None:
        self._host = host
        self._reading = reading
        self._content = content
        self._digest = digest_of(content)
        self._lock = lock
        self._temporary = temporary
        self._wall = wall
        self._on_step = on_step
        self._step = WriteStep.CHECK
        self._backup = ""
        self._holds_lock = False
        self._is_replaced = False
        self._is_uncertain = False
        self._warnings: list[str] = []

    async def run(self, check: Check) -> WriteResult:
        """All the steps. Raises what `ConfigFile.write` raises."""
        try:
            await self._check(check)
            await self._prepare()
            # From here on the file is the old one or the new one: a cancellation waits until it
            # is known which.
            return await shield(self._replace())
        except AituiError as error:
            left = await shield(self._clean_up())
            raise self._with_step(error, left) from error.__cause__
        except BaseException:
            await shield(self._clean_up())
            raise

    def _begin(self, step: WriteStep) -> None:
        self._step = step
        self._on_step(step)

    async def _check(self, check: Check) -> None:
        self._begin(WriteStep.CHECK)
        if len(self._content) > LARGEST_CONFIG:
            raise ConfigRefused(
                "The new file is too large", why=f"it has more than {LARGEST_CONFIG} bytes"
            )
        await asyncio.to_thread(check, self._content)

    async def _prepare(self) -> None:
        facts = self._reading.facts
        belongs_to = (facts.owner, facts.group)
        self._begin(WriteStep.LOCK)
        self._holds_lock = True  # before it is known: a lost connection may leave one
        taken_over = await self._lock.take()
        if taken_over:
            self._warnings.append(taken_over)
        self._begin(WriteStep.COMPARE)
        await self._compare()
        if not facts.mode & stat.S_IWUSR:  # a rename would not ask
            path = sanitize_line(self._reading.real_path, 300)
            raise FilePermissionDenied(
                f"{path} is read-only", why="its mode says so", remedy=f"chmod u+w {path}"
            )
        self._begin(WriteStep.BACK_UP)
        self._backup = await free_backup_path(self._host, self._reading.real_path, self._wall)
        # Whole before it has the name of a backup.
        unnamed = backup_temporary(self._temporary)
        await self._host.create(
            unnamed, self._reading.content, mode=facts.mode, belongs_to=belongs_to
        )
        await self._host.rename(unnamed, self._backup)
        self._begin(WriteStep.WRITE)
        await self._host.create(
            self._temporary, self._content, mode=facts.mode, belongs_to=belongs_to
        )
        self._begin(WriteStep.COMPARE_AGAIN)
        if not await self._lock.is_ours():
            raise ConfigRefused(
                "Another aitui took the lock over", why="this one was silent for too long"
            )
        await self._compare()

    async def _compare(self) -> None:
        """Raises ConfigChangedMeanwhile where the file isn't what was read."""
        reading = self._reading
        if await self._host.resolve(reading.path) != reading.real_path:
            raise ConfigChangedMeanwhile(
                f"{sanitize_line(reading.path, 300)} leads to another file now",
                remedy="read it again, then repeat the change",
            )
        facts = await self._host.facts(reading.real_path)
        now = await self._host.read(reading.real_path, largest=LARGEST_CONFIG + 1)
        if digest_of(now) != reading.digest:
            raise ConfigChangedMeanwhile(
                f"{sanitize_line(reading.path, 300)} was changed by somebody else",
                difference=await self._diff(reading.content, now),
                why="it is not what was read any more",
                remedy="look at the difference, then repeat the change",
            )
        if _file_identity(facts) != _file_identity(reading.facts):
            raise ConfigChangedMeanwhile(
                f"{sanitize_line(reading.path, 300)} has another owner or mode now",
                remedy="repeat the change",
            )

    async def _replace(self) -> WriteResult:
        self._begin(WriteStep.REPLACE)
        try:
            await self._host.rename(self._temporary, self._reading.real_path)
        except HostError as error:
            await self._check_failed_rename(error)
        self._is_replaced = True
        self._begin(WriteStep.VERIFY)
        now = await self._read_back()
        self._begin(WriteStep.TIDY)
        await self._release_and_prune()
        changed = now is not None and digest_of(now) != self._digest
        return WriteResult(
            path=self._reading.path,
            real_path=self._reading.real_path,
            backup=self._backup,
            before=self._reading.digest,
            after=self._digest,
            verified=now is not None and not changed,
            changed_after=changed,
            difference=await self._diff(self._content, now or b"") if changed else "",
            warnings=tuple(self._warnings),
        )

    async def _check_failed_rename(self, error: HostError) -> None:
        """Find out whether a rename that failed was done. Raises where it wasn't.

        A temporary file that could be removed was not renamed, and never will be.
        """
        try:
            await self._host.remove(self._temporary)
        except NoSuchFile:
            self._warnings.append(f"{error.what}: yet it was done.")
        except HostError as second:
            self._is_uncertain = True
            raise ConfigWriteUncertain(
                error.what,
                why=f"{error.why or second.why}; the old file or the new one is in its place, whole",
                remedy="aitui says at its next start which one it is",
            ) from error
        else:
            raise error

    async def _read_back(self) -> bytes | None:
        try:
            return await self._host.read(self._reading.real_path, largest=LARGEST_CONFIG + 1)
        except NoSuchFile:
            return b""
        except HostError as error:
            self._warn(error)
            return None

    async def _release_and_prune(self) -> None:
        try:
            await self._lock.release()
            self._holds_lock = False
            await remove_old_backups(self._host, self._reading.real_path)
        except HostError as error:
            self._warn(error)

    def _warn(self, error: HostError) -> None:
        self._warnings.append(
            f"The new file is in its place, but {self._step.value} failed: {error.what}"
            f"{f' ({error.why})' if error.why else ''}."
        )

    @property
    def has_left_lock(self) -> bool:
        """Whether the lock may still be there, for want of a connection."""
        return self._holds_lock

    async def _clean_up(self) -> tuple[str, ...]:
        """Remove what this write made, and the lock; returns what couldn't be removed."""
        made = () if self._is_replaced or self._is_uncertain else self._paths_to_remove
        waiting = [*filter(None, made)]
        left: list[str] = []
        try:
            while waiting:
                with suppress(NoSuchFile):
                    await self._host.remove(waiting[0])
                waiting.pop(0)
            if self._holds_lock:
                await self._lock.release()
                self._holds_lock = False
        except HostError:
            # One try: where the connection is gone, each of them would take its time.
            left = waiting
        return tuple(left)

    @property
    def _paths_to_remove(self) -> tuple[str, ...]:
        if self._step in {WriteStep.CHECK, WriteStep.LOCK, WriteStep.COMPARE}:
            return ()
        return (self._temporary, backup_temporary(self._temporary), self._backup)

    def _with_step(self, error: AituiError, left: tuple[str, ...]) -> AituiError:
        """The same error, with the step and what it means for the file."""
        if self._step is WriteStep.CHECK:
            return error
        error.what = f"{error.what} (while {self._step.value})"
        if not self._is_uncertain:
            error.why = "; ".join(filter(None, (error.why, "the config file is as it was")))
        if left or self._holds_lock:
            words = "what this write left beside it is removed at the next start"
            error.remedy = "; ".join(filter(None, (error.remedy, words)))
        return error

    async def _diff(self, old: bytes, new: bytes) -> str:
        path = self._reading.path
        return await asyncio.to_thread(file_diff, old, new, path, f"{path} (now)")


def _file_identity(facts: FileInfo) -> tuple[FileKind, int, int, int]:
    return facts.kind, facts.mode, facts.owner, facts.group
