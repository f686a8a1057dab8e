"""What somebody wants done at the machine behind the server."""

from textual.message import Message


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
