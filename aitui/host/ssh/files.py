"""Files of the host over one SFTP session, and their errors as HostFileError.

SFTP version 3 as OpenSSH speaks it (draft-ietf-secsh-filexfer-02, and the extensions
`posix-rename`, `fsync` and `statvfs` of its PROTOCOL file). It reports a bare "failure" for
everything that is neither missing nor forbidden: the cause is looked up afterwards.
"""

import posixpath
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import asyncssh
from asyncssh import SFTPAttrs, SFTPClient, SFTPClientFile

from aitui.aio import shield
from aitui.domain.sanitize import sanitize_line
from aitui.errors import FileAlreadyExists, FilePermissionDenied, HostFileError, NoSuchFile
from aitui.host.base import (
    LARGEST_FOLDER,
    PATH_REMEDY,
    WRITE_REMEDY,
    FileInfo,
    FileKind,
    disk_full_error,
    display_path,
    file_kind,
    start_or_undo,
)

_READ_ONLY = 1
_CLEANUP_SECONDS = 3.0
# Block by block (`block_size=0`): asyncssh's parallel requests don't retrieve the exceptions of tasks
# that a lost connection ends, and asyncio reports them on the screen. Every server takes this size.
_BLOCK = 1 << 16
_LONGEST_PATH, _LONGEST_NAME = 4095, 255
"""Bytes; PATH_MAX and NAME_MAX of Linux."""
_MISSING_ERRORS = (
    asyncssh.SFTPNoSuchFile,
    asyncssh.SFTPNoSuchPath,
    asyncssh.SFTPNotADirectory,
    asyncssh.SFTPLinkLoop,
)
_DENIED_ERRORS = (
    asyncssh.SFTPPermissionDenied,
    asyncssh.SFTPWriteProtect,
    asyncssh.SFTPOwnerInvalid,
    asyncssh.SFTPGroupInvalid,
)
_LOST_ERRORS = (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection)


class SshFiles:
    """The file half of the protocol `Host`.

    Raises HostFileError, and asyncssh's errors if the session is lost.
    """

    def __init__(self, session: SFTPClient, where: str) -> None:
        self._session = session
        self._where = where
        self._home = ""

    async def facts(self, path: str) -> FileInfo:
        remote = await self._expand_path(path)
        with self._translate_sftp_errors("look at", path):
            return _file_facts(posixpath.basename(path), await self._session.lstat(remote))

    async def resolve(self, path: str) -> str:
        remote = await self._expand_path(path)
        with self._translate_sftp_errors("find", path):
            real = await self._session.realpath(remote)
            await self._session.lstat(real)  # realpath also answers for a path to nothing
        return _text(real)

    async def read(self, path: str, start: int, largest: int) -> bytes:
        remote = await self._expand_path(path)
        with self._translate_sftp_errors("read", path):
            # Opening a pipe would block the whole session.
            status = await self._session.stat(remote)
            if file_kind(status.permissions or 0) is not FileKind.FILE:
                raise HostFileError(
                    f"Can't read {display_path(path)}", why="it is not a regular file"
                )
            # After a cut connection the close of `async with` waits for 40 s: SshHost's time limit
            # for a call ends it.
            async with self._session.open(remote, "rb", encoding=None, block_size=0) as file:
                return await _read_part(file, start, largest)

    async def list(self, folder: str) -> tuple[FileInfo, ...]:
        remote = await self._expand_path(folder)
        found: list[FileInfo] = []
        with self._translate_sftp_errors("list", folder):
            async for entry in self._session.scandir(remote):
                name = _text(entry.filename)
                if name in {".", ".."}:
                    continue
                if len(found) == LARGEST_FOLDER:
                    raise HostFileError(
                        f"Can't list {display_path(folder)}",
                        why=f"there are more than {LARGEST_FOLDER} files in it",
                    )
                found.append(_file_facts(name, entry.attrs))
        return tuple(sorted(found, key=lambda facts: facts.name))

    async def create(
        self, path: str, content: bytes, mode: int, belongs_to: tuple[int, int] | None
    ) -> None:
        remote = await self._expand_path(path)
        try:
            with self._translate_sftp_errors("write", path):
                file = await self._open_new(remote)
        except HostFileError as error:
            raise await self._creation_error(error, remote) from error
        try:
            with self._translate_sftp_errors("write", path):
                async with file:
                    for start in range(0, len(content), _BLOCK):
                        await file.write(content[start : start + _BLOCK], start)
                    if belongs_to is not None:
                        await self._set_owner(file, path, *belongs_to)
                    # The rename keeps this file's mode, not the old one's: set it and sync first.
                    # After the change of owner, which clears bits.
                    await file.setstat(SFTPAttrs(permissions=mode))
                    await file.fsync()
        except HostFileError as error:
            likely = await self._write_error(error, remote)
            await self._remove_partial(remote)
            raise likely from error
        except BaseException:
            await shield(self._remove_partial(remote))
            raise

    async def rename(self, path: str, onto: str) -> None:
        source, target = await self._expand_path(path), await self._expand_path(onto)
        try:
            with self._translate_sftp_errors("replace", onto):
                # SFTP's plain rename fails if the target exists.
                await self._session.posix_rename(source, target)
        except HostFileError as error:
            raise await self._write_error(error, target) from error
        # Not every server can open a folder, and the rename is done.
        with suppress(asyncssh.SFTPError):
            async with self._session.open(posixpath.dirname(target), "rb", encoding=None) as folder:
                await folder.fsync()

    async def remove(self, path: str) -> None:
        remote = await self._expand_path(path)
        with self._translate_sftp_errors("remove", path):
            await self._session.remove(remote)

    async def _expand_path(self, path: str) -> bytes:
        if path == "~" or path.startswith("~/"):
            if not self._home:
                self._home = _text(await self._session.realpath(b"."))
            path = posixpath.join(self._home, path[2:])
        if not path.startswith("/"):
            raise HostFileError(f"{display_path(path)} is neither absolute nor below ~/")
        if "\0" in path:
            raise HostFileError(f"{display_path(path)} is not a path", why="it contains a NUL")
        encoded = path.encode(errors="surrogateescape")
        if len(encoded) > _LONGEST_PATH or max(map(len, encoded.split(b"/"))) > _LONGEST_NAME:
            # OpenSSH names no reason, and ends the session at a request that is too long.
            raise HostFileError(f"{display_path(path)} is not a path", why="it is too long")
        return encoded

    async def _set_owner(self, file: SFTPClientFile, path: str, owner: int, group: int) -> None:
        status = await file.stat()
        if (status.uid, status.gid) == (owner, group):
            return
        try:
            await file.setstat(SFTPAttrs(uid=owner, gid=group))
        except asyncssh.SFTPError as error:
            if isinstance(error, _LOST_ERRORS):
                raise
            raise FilePermissionDenied(
                f"Can't write {display_path(path)}",
                why=f"it would no longer belong to user {owner}, group {group}",
                remedy=WRITE_REMEDY,
            ) from error

    async def _open_new(self, remote: bytes) -> SFTPClientFile:
        """Open a file that must not exist yet. A cancelled call removes it again."""

        async def open_new() -> SFTPClientFile:
            attributes = SFTPAttrs(permissions=0o600)
            return await self._session.open(remote, "xb", attributes, encoding=None, block_size=0)

        async def remove_again(file: SFTPClientFile) -> None:
            with suppress(asyncssh.Error, OSError):
                await file.close()
            await self._remove_partial(remote)

        return await start_or_undo(open_new(), remove_again, _CLEANUP_SECONDS)

    async def _remove_partial(self, remote: bytes) -> None:
        """Remove a file, silently: the error that came before is the one to report."""
        with suppress(asyncssh.Error, OSError):
            await self._session.remove(remote)

    async def _creation_error(self, error: HostFileError, remote: bytes) -> HostFileError:
        if isinstance(error.__cause__, asyncssh.SFTPFailure):
            with suppress(asyncssh.SFTPNoSuchFile):
                await self._session.lstat(remote)
                return FileAlreadyExists(error.what, why="the file already exists")
        return await self._write_error(error, remote)

    async def _write_error(self, error: HostFileError, remote: bytes) -> HostFileError:
        """Find out what a bare "failure" was about."""
        if not isinstance(error.__cause__, asyncssh.SFTPFailure):
            return error
        try:
            disk = await self._session.statvfs(posixpath.dirname(remote))
        except (asyncssh.SFTPOpUnsupported, asyncssh.SFTPFailure):
            return error
        if disk.flags & _READ_ONLY:
            return FilePermissionDenied(
                error.what,
                why="the file system is read-only",
                remedy="mount it read-write",
            )
        if disk.bavail == 0 or (disk.favail == 0 and disk.files):
            return disk_full_error(error.what)
        return error

    @contextmanager
    def _translate_sftp_errors(self, verb: str, path: str) -> Iterator[None]:
        what = f"Can't {verb} {display_path(path)} on {self._where}"
        try:
            yield
        except _LOST_ERRORS:
            raise
        except _MISSING_ERRORS as error:
            raise NoSuchFile(what, why=_reason_text(error), remedy=PATH_REMEDY) from error
        except _DENIED_ERRORS as error:
            raise FilePermissionDenied(
                what, why=_reason_text(error), remedy=WRITE_REMEDY
            ) from error
        except asyncssh.SFTPFileAlreadyExists as error:
            raise FileAlreadyExists(what, why=_reason_text(error)) from error
        except (asyncssh.SFTPNoSpaceOnFilesystem, asyncssh.SFTPQuotaExceeded) as error:
            raise disk_full_error(what) from error
        except asyncssh.SFTPOpUnsupported as error:
            raise HostFileError(
                what,
                why=f"{_reason_text(error)}: the SFTP server can't replace a file atomically",
                remedy="aitui needs the SFTP of OpenSSH there (Subsystem sftp internal-sftp)",
            ) from error
        except asyncssh.SFTPError as error:
            raise HostFileError(what, why=_reason_text(error)) from error


async def _read_part(file: SFTPClientFile, start: int, largest: int) -> bytes:
    content = bytearray()
    while len(content) < largest:
        block: bytes = await file.read(min(_BLOCK, largest - len(content)), start + len(content))
        if not block:
            break
        content += block
    return bytes(content)


def _file_facts(name: str, attributes: SFTPAttrs) -> FileInfo:
    mode = attributes.permissions or 0
    return FileInfo(
        name=name,
        kind=file_kind(mode),
        size=attributes.size or 0,
        mode=stat.S_IMODE(mode),
        owner=attributes.uid or 0,
        group=attributes.gid or 0,
        modified=float(attributes.mtime or 0),
    )


def _text(path: bytes | str) -> str:
    return path.decode(errors="surrogateescape") if isinstance(path, bytes) else path


def _reason_text(error: asyncssh.SFTPError) -> str:
    return sanitize_line(error.reason, 200)
