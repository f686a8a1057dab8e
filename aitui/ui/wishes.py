"""What somebody wants done, told by the screen of models."""

from textual.message import Message

from aitui.domain.model import Model, RunningRequest


class LoadWished(Message):
    """Somebody wants a model loaded."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model


class UnloadWished(LoadWished):
    """Somebody wants a model unloaded, or its load aborted."""


class UnloadAllWished(Message):
    """Somebody wants every model unloaded."""


class CancelWished(Message):
    """Somebody wants a running request cancelled."""

    def __init__(self, request: RunningRequest) -> None:
        super().__init__()
        self.request = request


class LogWished(Message):
    """Somebody wants to read the log of that model, None where there is none under the cursor."""

    def __init__(self, model: Model | None) -> None:
        super().__init__()
        self.model = model


class ModelsWished(Message):
    """Somebody wants to see the models, whatever views were opened from one another."""


class ChatWished(LoadWished):
    """Somebody wants to chat with a model."""
