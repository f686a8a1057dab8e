"""Which process writes a conversation: a lock that dies with its process."""

import fcntl
import os
import re
from pathlib import Path

from aitui.store.json_store import make_private_directory

_UNFIT = re.compile(r"[^A-Za-z0-9_-]")


class ConversationLocks:
    """The locks that this process holds, one file each in a directory of their own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._held: dict[str, int] = {}

    def holds(self, conversation_id: str) -> bool:
        """Whether it was taken here."""
        return conversation_id in self._held

    def take(self, conversation_id: str) -> bool:
        """Take a lock that is free; False where anybody has it, this process included.

        Raises OSError.
        """
        if conversation_id in self._held:
            return False
        make_private_directory(self._directory)
        path = self._path(conversation_id)
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            if _is_at(path, descriptor):
                self._held[conversation_id] = descriptor
                return True
            # Whoever had it has just removed the file: the lock is on nothing.
            os.close(descriptor)

    def release(self, conversation_id: str) -> None:
        """Give a lock back. Raises OSError."""
        descriptor = self._held.pop(conversation_id, None)
        if descriptor is None:
            return
        try:
            self._path(conversation_id).unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    def release_all(self) -> None:
        """Give all of them back. Raises OSError."""
        for conversation_id in list(self._held):
            self.release(conversation_id)

    def _path(self, conversation_id: str) -> Path:
        return self._directory / f"{_UNFIT.sub('-', conversation_id)}.lock"


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
