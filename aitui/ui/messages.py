"""Messages between the app and what runs beside it."""

from textual.message import Message

from aitui.domain.server import Server
from aitui.domain.snapshot import Snapshot


class SnapshotChanged(Message):
    """The monitor has a new snapshot; of several only the latest matters."""

    def __init__(self, server: Server, snapshot: Snapshot) -> None:
        super().__init__()
        self.server = server
        self.snapshot = snapshot

    def can_replace(self, message: Message) -> bool:
        """A later snapshot stands for an earlier one that wasn't shown yet."""
        return isinstance(message, SnapshotChanged)
