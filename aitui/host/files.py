"""Files of this machine, in calls that block, and their troubles by name."""

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
def translate_os_errors(deed: str, path: str) -> Iterator[None]:
    """Turn OSError into HostFileError. `deed` is a verb: `read`, `write`."""
    try:
        yield
    except OSError as error:
        raise file_error(deed, path, error) from error
    except ValueError as error:
        raise HostFileError(
            f"Can't {deed} {display_path(path)}", why=sanitize_line(str(error), 200)
        ) from error


def file_error(deed: str, path: str, error: OSError) -> HostFileError:
    """The error that says what the system said."""
    what = f"Can't {deed} {display_path(path)}"
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
    """The disk is full, or the user's share of it."""
    return HostFileError(
        what, why="there is no room on that disk", remedy="make room there, then try again"
    )


def display_path(path: str) -> str:
    """A path as messages have it."""
    return sanitize_line(path, 300)


def file_facts(name: str, status: os.stat_result) -> FileInfo:
    """What `lstat` says of a file."""
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
    """The kind of file in the upper bits of a mode."""
    kinds = {
        stat.S_IFREG: FileKind.FILE,
        stat.S_IFDIR: FileKind.FOLDER,
        stat.S_IFLNK: FileKind.LINK,
    }
    return kinds.get(stat.S_IFMT(mode), FileKind.OTHER)


def read_part(path: Path, start: int, largest: int) -> bytes:
    """Part of a regular file. Raises OSError."""
    # Without O_NONBLOCK a pipe in the file's place would keep the thread for ever.
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
    """What is in a folder, by name; what vanishes meanwhile is left out. Raises OSError."""
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
    """Write a new file and bring it to the disk; on failure there is none. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if belongs_to is not None:
                _set_owner(descriptor, *belongs_to)
            os.fchmod(descriptor, mode)  # after the hand-over, which clears bits
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
    """Put a file in another one's place and bring the folder to the disk. Raises OSError."""
    path.replace(onto)
    descriptor = os.open(onto.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems can't, and the rename is done.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(descriptor)
