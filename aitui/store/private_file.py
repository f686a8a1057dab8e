"""A small file of the user's own: replaced whole or not at all, and read by nobody else."""

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_SECONDS = 2.0
_PAUSE = 0.02


def make_private_directory(path: Path) -> None:
    """Make a directory with mode 0700 where there is none. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def lock_file(path: Path, patience: float = LOCK_SECONDS) -> Iterator[None]:
    """Keep every other process out that locks the same file. Blocks for up to `patience` seconds.

    The lock is on a file beside it, because the file itself is replaced. Raises TimeoutError where
    another process keeps it, OSError where the directory can't be written.
    """
    descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _wait_for_lock(descriptor, path, patience)
        yield
    finally:
        os.close(descriptor)


def _wait_for_lock(descriptor: int, path: Path, patience: float) -> None:
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= end:
                raise TimeoutError(f"{path.name} is locked by another process") from error
            time.sleep(_PAUSE)
        else:
            return


def read_bounded(path: Path, limit: int) -> bytes:
    """The whole file. Raises ValueError where it is larger than `limit` bytes, and OSError."""
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"larger than {limit} bytes")
    return content


def replace_atomically(path: Path, content: bytes) -> None:
    """Put a new file with mode 0600 in the place of the old one, which stays until then.

    Raises OSError, and leaves the old file as it was.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def set_aside(path: Path) -> Path:
    """Rename a file that can't be used, to a name that is free, and return that. Raises OSError."""
    for number in range(1, 1000):
        aside = path.with_name(f"{path.name}.broken{'' if number == 1 else f'-{number}'}")
        if not os.path.lexists(aside):
            return path.rename(aside)
    raise FileExistsError(f"there are too many broken files beside {path.name}")
