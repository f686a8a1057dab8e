"""A config file to be written, and what stands around it."""

import os
from dataclasses import dataclass
from pathlib import Path

from aitui.domain.snapshot import Clock
from aitui.host.base import Host
from aitui.host.config_file import ConfigFile
from aitui.host.config_lock import ConfigLock, LockOwner

OLD = b"models:\r\n  one: # the first\n    cmd: x --ctx-size 4096\n"
NEW = OLD.replace(b"4096", b"8192")
FOREIGN = b"somebody else's\n"

NOON = 1_790_000_000.0
"""Unix time, seconds: 2026-09-21 14:13:20 UTC."""

# The highest number that Linux gives to a process is 2**22.
ENDED = LockOwner("me", "my machine", 2**22 + 1)
LIVING = LockOwner("me", "my machine", os.getpid())
STRANGER = LockOwner("someone", "another machine", 4711)


@dataclass
class Wall:
    """A clock that stands still until it is told to go on."""

    now: float = NOON

    def clock(self) -> Clock:
        """As it is handed in."""
        return Clock(monotonic=lambda: 0.0, wall=lambda: self.now)


def config_on(host: Host, path: Path | str, author: LockOwner = LIVING) -> ConfigFile:
    """A config file, written by an author at noon."""
    return ConfigFile(host, str(path), clock=Wall().clock(), author=author)


def names_in(folder: Path) -> set[str]:
    """What is in a folder, hidden files included."""
    return {path.name for path in folder.iterdir()}


def lock_of(path: Path) -> Path:
    """Where its lock is."""
    return path.with_name(f".{path.name}.aitui-lock")


async def taken_lock(
    host: Host, path: Path, author: LockOwner, token: str = "theirs"
) -> ConfigLock:
    lock = ConfigLock(
        host,
        str(lock_of(path)),
        token=token,
        author=author,
        wall=Wall().clock().wall,
    )
    await lock.take()
    return lock
