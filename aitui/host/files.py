"""Blocking file operations on this machine, and their errors as HostFileError."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aitui.domain.sanitize import sanitize_line
from aitui.errors import FileAlreadyExists, FilePermissionDenied, HostFileError, NoSuchFile
from aitui.host.base import LARGEST_FOLDER, FileInfo, FileKind

WRITE_REMEDY = "let that login do so, or log in as the file's owner (ssh_host in config.toml)"
PATH_REMEDY = "check preset_path in config.toml"

_MISSING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def translate_os_errors(verb: str, path: str) -> Iterator[None]:
    """Turn OSError into HostFileError. `verb` is `read`, `write` …"""
    try:
        yield
    except OSError as error:
        raise file_error(verb, path, error) from error
    except ValueError as error:
        raise HostFileError(
            f"Can't {verb} {display_path(path)}", why=sanitize_line(str(error), 200)
        ) from error


def file_error(verb: str, path: str, error: OSError) -> HostFileError:
    """Return the error with the reason that the system gave."""
    what = f"Can't {verb} {display_path(path)}"
    why = sanitize_line(error.strerror or str(error), 200)
    if error.errno in _MISSING:
        return NoSuchFile(what, why=why, remedy=PATH_REMEDY)
    if error.errno == errno.EEXIST:
        return FileAlreadyExists(what, why=why)
    if error.errno in _DENIED:
        return FilePermissionDenied(what, why=why, remedy=WRITE_REMEDY)
    if error.errno in _NO_ROOM:
        return disk_full_error(what)
    return HostFileError(what, why=why)


def disk_full_error(what: str) -> HostFileError:
    """Return the error for a full disk or an exhausted quota."""
    return HostFileError(
        what, why="there is no room on that disk", remedy="make room there, then try again"
    )


def display_path(path: str) -> str:
    """Return a path as messages show it."""
    return sanitize_line(path, 300)


def file_facts(name: str, status: os.stat_result) -> FileInfo:
    """Convert the result of `lstat`."""
    return FileInfo(
        name=name,
        kind=file_kind(status.st_mode),
        size=status.st_size,
        mode=stat.S_IMODE(status.st_mode),
        owner=status.st_uid,
        group=status.st_gid,
        modified=status.st_mtime,
    )


def file_kind(mode: int) -> FileKind:
    """Return the kind of file from the upper bits of a mode."""
    kinds = {
        stat.S_IFREG: FileKind.FILE,
        stat.S_IFDIR: FileKind.FOLDER,
        stat.S_IFLNK: FileKind.LINK,
    }
    return kinds.get(stat.S_IFMT(mode), FileKind.OTHER)


def read_part(path: Path, start: int, largest: int) -> bytes:
    """Read part of a regular file. Raises OSError."""
    # Without O_NONBLOCK a pipe in the file's place would block the thread for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "It is no regular file")
        file.seek(start)
        return file.read(largest)


def list_folder(folder: Path) -> tuple[FileInfo, ...]:
    """List a folder by name, without entries that vanish meanwhile. Raises OSError."""
    found: list[FileInfo] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if len(found) == LARGEST_FOLDER:
                raise OSError(errno.EOVERFLOW, f"There are more than {LARGEST_FOLDER} files in it")
            try:
                found.append(file_facts(entry.name, entry.stat(follow_symlinks=False)))
            except FileNotFoundError:
                continue
    return tuple(sorted(found, key=lambda facts: facts.name))


def create_file(path: Path, content: bytes, mode: int, belongs_to: tuple[int, int] | None) -> None:
    """Write and sync a new file; leave none on failure. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if belongs_to is not None:
                _set_owner(descriptor, *belongs_to)
            os.fchmod(descriptor, mode)  # last: a change of owner clears bits
            os.fsync(descriptor)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _set_owner(descriptor: int, owner: int, group: int) -> None:
    status = os.fstat(descriptor)
    if (status.st_uid, status.st_gid) == (owner, group):
        return
    try:
        os.fchown(descriptor, owner, group)
    except PermissionError as error:
        raise PermissionError(
            error.errno, f"It would not belong to user {owner}, group {group} any more"
        ) from error


def rename_file(path: Path, onto: Path) -> None:
    """Rename a file onto another one and sync the folder. Raises OSError."""
    path.replace(onto)
    descriptor = os.open(onto.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems can't sync a folder, and the rename is done.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(descriptor)
