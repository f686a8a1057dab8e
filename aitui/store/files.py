"""Files of the state directory: private, locked while they are written, and replaced whole."""

import errno
import os
import stat
import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from aitui.domain.sanitize import sanitize_line

LOCK_SECONDS = 2.0
_POLL_SECONDS = 0.02
THEME_FILE = "theme"
_LONGEST_THEME = 100
URLS_FILE = "urls"
MOST_URLS, _LONGEST_URL = 10, 500
_LONGEST_STEM = 120
"""Bytes: encrypted home directories take 143 for a whole name."""
_MOST_NAMES = 1000


def make_private_directory(path: Path) -> None:
    """Make a directory and those above it with mode 0700 if they don't exist. Raises OSError."""
    # With `parents=True` the mode is that of the last one only.
    for missing in reversed([each for each in (path, *path.parents) if not each.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def lock_file(path: Path, patience: float = LOCK_SECONDS) -> Iterator[None]:
    """Lock out every other process that locks the same file. Blocks for up to `patience` seconds.

    Raises TimeoutError if another process keeps the lock, OSError if the directory isn't writable.
    """
    # 20 ms, and the first frame needs read_theme only.
    import filelock

    # The lock is on a neighbor, because the file itself is replaced. The kernel releases it when a
    # process dies.
    place = path.with_name(f"{path.name}.lock")
    make_lock_file(place)
    lock = filelock.FileLock(place, mode=0o600)
    try:
        held = lock.acquire(timeout=patience, poll_interval=_POLL_SECONDS)
    except filelock.Timeout as error:
        raise TimeoutError(f"{path.name} is locked by another process") from error
    with held:
        yield


def make_lock_file(path: Path) -> None:
    """Make a file to lock if it doesn't exist. Raises OSError, also for what is no regular file."""
    # filelock 3.20 locks a FIFO as well.
    try:
        os.close(open_regular(path, os.O_RDWR | os.O_CREAT))
    except (ValueError, IsADirectoryError) as error:
        words = f"{sanitize_line(str(path))} is not a regular file: move it away"
        raise OSError(errno.EINVAL, words, str(path)) from error


def read_bounded(path: Path, limit: int) -> bytes:
    """Return the whole file.

    Raises ValueError if it is larger than `limit` bytes or no regular file, and OSError.
    """
    with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"larger than {limit} bytes")
    return content


def open_regular(path: Path, flags: int) -> int:
    """Open a file, made with mode 0600 if the flags say so, and return its descriptor.

    Raises ValueError for what is no regular file, and OSError.
    """
    # Opening a FIFO would wait for its other end.
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError("not a regular file")
    return descriptor


def replace_atomically(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file by one with that mode. Raises OSError, and leaves the old file then."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_new_file(path: Path, content: bytes) -> None:
    """Write a file with mode 0600 that doesn't exist yet.

    Raises FileExistsError, and OSError: then nothing is left of it that would block the next try.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            # A full disk is often reported only now.
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def write_named_file(folder: Path, words: str, suffix: str, content: bytes) -> Path:
    """Write a new file that is named after these words, and return it. Raises OSError.

    Makes the folder, private, if it is missing.
    """
    make_private_directory(folder)
    stem = file_stem(words)
    for number in range(1, _MOST_NAMES):
        path = folder / f"{stem}{'' if number == 1 else f'-{number}'}{suffix}"
        try:
            write_new_file(path, content)
        except FileExistsError:
            continue
        return path
    raise FileExistsError(f"there are too many files like {stem}{suffix}")


def file_stem(words: str) -> str:
    """Return a file name without its suffix, from any text: letters and digits of every script.

    It names no hidden file, no option and no other folder, and is short enough for every disk.
    """
    kept = [
        one if one in "._-" or unicodedata.category(one)[0] in "LMN" else " "
        for one in unicodedata.normalize("NFC", words[:_LONGEST_STEM])
    ]
    stem = "-".join("".join(kept).split()).encode()[:_LONGEST_STEM].decode(errors="ignore")
    return stem.strip("._-") or "untitled"


def set_aside(path: Path) -> Path:
    """Rename an unusable file to a free name and return that. Raises OSError."""
    for number in range(1, _MOST_NAMES):
        aside = path.with_name(f"{path.name}.broken{'' if number == 1 else f'-{number}'}")
        if not os.path.lexists(aside):
            return path.rename(aside)
    raise FileExistsError(f"there are too many broken files next to {path.name}")


def read_theme(state: Path) -> str:
    """Return the name of the saved theme, empty if none is readable. Blocks on the disk."""
    try:
        return read_bounded(state / THEME_FILE, _LONGEST_THEME).decode("ascii").strip()
    except (OSError, ValueError):
        # Without it aitui looks as it did at first, which is no reason to complain at a start.
        return ""


def save_theme(state: Path, name: str) -> None:
    """Save the theme's name. Blocks on the disk. Raises OSError."""
    make_private_directory(state)
    replace_atomically(state / THEME_FILE, f"{sanitize_line(name, _LONGEST_THEME - 1)}\n".encode())


def read_urls(state: Path) -> tuple[str, ...]:
    """Return the URLs of the servers that were typed before, the newest first. Blocks on the disk."""
    try:
        lines = read_bounded(state / URLS_FILE, MOST_URLS * (_LONGEST_URL + 1)).decode()
    except (OSError, ValueError):
        # They can be typed again.
        return ()
    return tuple(sanitize_line(line, _LONGEST_URL) for line in lines.split("\n") if line.strip())


def remember_url(state: Path, url: str) -> None:
    """Put a URL before those of earlier servers. Blocks on the disk. Raises OSError."""
    _change_urls(state, lambda urls: [url, *(one for one in urls if one != url)])


def forget_url(state: Path, url: str) -> None:
    """Remember a URL no longer. Blocks on the disk. Raises OSError."""
    _change_urls(state, lambda urls: [one for one in urls if one != url])


def _change_urls(state: Path, change: Callable[[Sequence[str]], Sequence[str]]) -> None:
    make_private_directory(state)
    path = state / URLS_FILE
    with lock_file(path):
        urls = [one for one in change(read_urls(state)) if len(one) <= _LONGEST_URL]
        replace_atomically(path, "".join(f"{one}\n" for one in urls[:MOST_URLS]).encode())
