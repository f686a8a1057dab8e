"""Messages from screens to the app: requests, and events."""

from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from aitui.domain.logs import LogLine
    from aitui.domain.models import ActiveRequest, Model
    from aitui.domain.server import Server
    from aitui.services.first_run import ServerDraft
    from aitui.ui.widgets.log_tail import LogTail


class LoadRequested(Message):
    """A model is to be loaded."""

    def __init__(self, model: "Model") -> None:
        super().__init__()
        self.model = model


class UnloadRequested(Message):
    """A model is to be unloaded, or its load aborted."""

    def __init__(self, model: "Model") -> None:
        super().__init__()
        self.model = model


class CancelRequested(Message):
    """A running request is to be cancelled."""

    def __init__(self, request: "ActiveRequest") -> None:
        super().__init__()
        self.request = request


class LogRequested(Message):
    """The log of a model is to be shown; None if there is none under the cursor."""

    def __init__(self, model: "Model | None") -> None:
        super().__init__()
        self.model = model


class ChatRequested(Message):
    """The chat with a model is to be opened."""

    def __init__(self, model: "Model") -> None:
        super().__init__()
        self.model = model


class ModelRemovalRequested(Message):
    """A model is to be taken out of the config file."""

    def __init__(self, model_id: str) -> None:
        super().__init__()
        self.model_id = model_id


class ConfigEditRequested(Message):
    """The whole config file is to be edited, beginning at that line."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line


class LogSelected(Message):
    """A log is to be followed; the name is the server's, empty for proxy and upstream."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class LogTailRequested(Message):
    """The end of the server's log is to be followed beside the models, or no longer; None if so."""

    def __init__(self, tail: "LogTail | None") -> None:
        super().__init__()
        self.tail = tail


class LogSaveRequested(Message):
    """These lines are to be written to a file."""

    def __init__(self, name: str, lines: tuple["LogLine", ...]) -> None:
        super().__init__()
        self.name = name
        self.lines = lines


class ServerRequested(Message):
    """A server is to be opened."""

    def __init__(self, server: "Server") -> None:
        super().__init__()
        self.server = server


class ServerAddRequested(Message):
    """A new server is to be saved in config.toml, and opened."""

    def __init__(self, draft: "ServerDraft") -> None:
        super().__init__()
        self.draft = draft
