"""What somebody wants done, told by the screen of models."""

from textual.message import Message

from aitui.domain.model import ActiveRequest, Model


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
