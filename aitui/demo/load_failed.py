"""Why a model could not be loaded."""

from __future__ import annotations

from enum import Enum, auto


class LoadFailureCause(Enum):
    """What ended a load."""

    EXITED = auto()
    NO_BINARY = auto()
    TIMED_OUT = auto()
    UNLOADED = auto()
    STOPPING = auto()
    SHUTDOWN = auto()


class UpstreamLoadFailed(Exception):
    """A load that ended without a ready model. `detail` is the command, or the limit."""

    def __init__(self, cause: LoadFailureCause, model_id: str, detail: str = "") -> None:
        super().__init__(f"{model_id}: {cause.name} {detail}".rstrip())
        self.cause = cause
        self.model_id = model_id
        self.detail = detail
