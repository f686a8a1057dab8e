"""The server's config file as a transaction: the old file or the new one, never half of one."""

import asyncio
import re
import secrets
from collections.abc import Callable
from contextlib import suppress

from aitui.domain.clean import sanitize_line
from aitui.domain.clock import Clock
from aitui.errors import ConfigChangedMeanwhile, ConfigRefused, HostError, HostFileError, NoSuchFile
from aitui.host.config_lock import ConfigLock, LockOwner
from aitui.host.config_write import ConfigWriteTransaction
from aitui.host.difference import file_diff
from aitui.host.shell import FileKind, Host
from aitui.host.transaction import (
    LARGEST_CONFIG,
    Check,
    FileSnapshot,
    FileVersion,
    OnStep,
    RecoveryResult,
    WriteResult,
    digest_of,
    ignore,
)
from aitui.host.unbroken import shield


class ConfigFile:
    """One file on a host, read and written by several people.

    A write locks the file against other aitui, compares it with what was read, backs it up beside
    itself, writes the new file beside it with the same mode, owner and group, compares once more,
    renames, and reads back. A symbolic link stays one: its target is written. What is not kept:
    hard links, access lists and extended attributes.

    What remains open: between the second comparison and the rename lies one answer of the host.
    Who writes in that moment without aitui's lock, or has the file open and writes it in place
    later, writes into the file that has just been replaced; the backup has the text before that.
    A rename is the only way to put a file there whole, and none of them compares.
    """

    def __init__(
        self,
        host: Host,
        path: str,
        *,
        clock: Clock,
        author: LockOwner | None = None,
        new_token: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._host = host
        self._path = path
        self._clock = clock
        self._author = LockOwner.here() if author is None else author
        self._new_token = new_token
        self._abandoned: frozenset[str] = frozenset()

    @property
    def path(self) -> str:
        """As it was given, perhaps with `~/`."""
        return self._path

    async def read(self) -> FileSnapshot:
        """The file as it is. Raises HostError."""
        real_path = await self._host.resolve(self._path)
        facts = await self._host.facts(real_path)
        if facts.kind is not FileKind.FILE:
            raise HostFileError(
                f"{sanitize_line(self._path, 300)} is no file but a {facts.kind.value}",
                remedy="set preset_path to llama-swap's config.yaml",
            )
        content = await self._host.read(real_path, largest=LARGEST_CONFIG + 1)
        if len(content) > LARGEST_CONFIG:
            raise HostFileError(
                f"{sanitize_line(self._path, 300)} is too large for a config file",
                why=f"it has more than {LARGEST_CONFIG} bytes",
            )
        return FileSnapshot(self._path, real_path, content, digest_of(content), facts)

    async def write(
        self,
        reading: FileSnapshot,
        content: bytes,
        *,
        check: Check = ignore,
        on_step: OnStep = ignore,
    ) -> WriteResult:
        """Put `content` in the place of what was read, and prove it.

        Every error but ConfigWriteUncertain means that nothing was written, and has the step in
        its words: ConfigLocked, ConfigChangedMeanwhile with the difference, HostError, and
        whatever `check` raises. Nothing that was made on the way stays, unless the connection is
        lost: then `recover` clears it away. What goes wrong after the file is in its place is
        told in `Written`. A cancellation waits where the file is being replaced.
        """
        token = self._new_token()
        writing = ConfigWriteTransaction(
            self._host,
            reading,
            content,
            lock=self._build_lock(reading.real_path, token),
            temporary=_sibling_path(reading.real_path, f"{token}.tmp"),
            wall=self._clock.wall(),
            on_step=on_step,
        )
        try:
            return await writing.run(check)
        finally:
            if writing.has_left_lock:
                self._abandoned |= {token}

    async def undo(
        self,
        *,
        backup: str,
        before: str,
        after: str,
        on_step: OnStep = ignore,
    ) -> WriteResult:
        """Put a backup back in the place of what we wrote, on the same road.

        `before` and `after` are the digests of the write that is undone. Raises
        ConfigChangedMeanwhile where the file isn't ours any more, ConfigRefused where the backup
        is gone or isn't what it was, and what `write` raises.
        """
        old = await self._read_backup(backup, before)
        reading = await self.read()
        if reading.digest != after:
            raise ConfigChangedMeanwhile(
                f"{sanitize_line(self._path, 300)} was changed since: it can't be undone",
                difference=await asyncio.to_thread(
                    file_diff, old, reading.content, backup, self._path
                ),
                why="it is not what aitui wrote any more",
                remedy="look at the difference to the backup, then change it by hand",
            )
        return await self.write(reading, old, on_step=on_step)

    async def _read_backup(self, backup: str, before: str) -> bytes:
        try:
            old = await self._host.read(backup, largest=LARGEST_CONFIG + 1)
        except NoSuchFile as error:
            raise ConfigRefused(
                f"The backup {sanitize_line(backup, 300)} is gone",
                why="only the last ones are kept",
                remedy="set the old value again by hand",
            ) from error
        if digest_of(old) != before:
            raise ConfigRefused(
                f"The backup {sanitize_line(backup, 300)} was changed since it was made",
                remedy="set the old value again by hand",
            )
        return old

    async def leftovers(self) -> tuple[str, ...]:
        """The files that broken-off writes left beside the file: temporary ones and locks.

        Some of them may be those of a write that goes on just now. Raises HostError.
        """
        real_path = await self._host.resolve(self._path)
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
        """Say which file is in its place after a write that broke off, and clear away its rest.

        `before` and `after` are the digests of that write. Raises ConfigLocked where somebody
        writes just now, HostError.
        """
        token = self._new_token()
        lock = self._build_lock(await self._host.resolve(self._path), token)
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
