"""What somebody wants done, told by the screen of models."""

from textual.message import Message

from aitui.domain.logs import LogLine
from aitui.domain.models import ActiveRequest, Model
from aitui.domain.snapshot import Server, Snapshot


class LoadRequested(Message):
    """Somebody wants a model loaded."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model


class UnloadRequested(LoadRequested):
    """Somebody wants a model unloaded, or its load aborted."""


class UnloadAllRequested(Message):
    """Somebody wants every model unloaded."""


class CancelRequested(Message):
    """Somebody wants a running request cancelled."""

    def __init__(self, request: ActiveRequest) -> None:
        super().__init__()
        self.request = request


class LogRequested(Message):
    """Somebody wants to read the log of that model, None where there is none under the cursor."""

    def __init__(self, model: Model | None) -> None:
        super().__init__()
        self.model = model


class ModelsViewRequested(Message):
    """Somebody wants to see the models, whatever views were opened from one another."""


class ChatRequested(LoadRequested):
    """Somebody wants to chat with a model."""


class ModelRemovalRequested(Message):
    """Somebody wants a model taken out of the config file."""

    def __init__(self, model_id: str) -> None:
        super().__init__()
        self.model_id = model_id


class ModelAddRequested(Message):
    """Somebody wants a model put into the config file."""


class ConfigViewRequested(Message):
    """Somebody wants to see the config file as it is now."""


class ConfigEditRequested(Message):
    """Somebody wants to edit the whole config file, beginning at that line."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line


class LogSelected(Message):
    """Somebody wants to read that log; the name is the server's, empty for proxy and upstream."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class LogRetryRequested(Message):
    """Somebody doesn't want to wait for the next try."""


class LogSaveRequested(Message):
    """Somebody wants these lines in a file."""

    def __init__(self, name: str, lines: tuple[LogLine, ...]) -> None:
        super().__init__()
        self.name = name
        self.lines = lines


class SnapshotChanged(Message):
    """The monitor has a new snapshot; of several only the latest matters."""

    def __init__(self, server: Server, snapshot: Snapshot) -> None:
        super().__init__()
        self.server = server
        self.snapshot = snapshot

    def can_replace(self, message: Message) -> bool:
        """A later snapshot stands for an earlier one that wasn't shown yet."""
        return isinstance(message, SnapshotChanged)
