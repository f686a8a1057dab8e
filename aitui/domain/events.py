"""The events of a server's event stream."""

from msgspec import Struct

from aitui.domain.models import ActiveRequest, FinishedRequest, ModelStatus


class ModelStatusChanged(Struct, frozen=True):
    """`modelStatus`: the state of every model."""

    models: tuple[ModelStatus, ...]


class RequestsCounted(Struct, frozen=True):
    """`inflight` of servers before v235: how many requests run."""

    total: int


class RequestsListed(Struct, frozen=True):
    """`inflight` with operation snapshot: every request under way."""

    requests: tuple[ActiveRequest, ...]


class RequestUpdated(Struct, frozen=True):
    """`inflight` with operation upsert: one request began or went on."""

    request: ActiveRequest


class RequestEnded(Struct, frozen=True):
    """`inflight` with operation remove."""

    id: str


class RequestsFinished(Struct, frozen=True):
    """`metrics`: requests that ended; the first such event holds the server's whole history."""

    requests: tuple[FinishedRequest, ...]


class ActivityAdded(Struct, frozen=True):
    """`activity` of servers from v236 on: a row to fetch by its id."""

    id: int


class SessionHeadersNamed(Struct, frozen=True):
    """`uiConfig`: the headers, in lower case, the first of which names a request's session."""

    names: tuple[str, ...]


class ProfileChanged(Struct, frozen=True):
    """`profileChanged` of servers from v241 on, also the first time: the active profile, "" for none."""

    active: str


class OtherEvent(Struct, frozen=True):
    """An event of a type that this version doesn't know, or has no use for: `logData`."""

    type: str


Event = (
    ModelStatusChanged | RequestsCounted | RequestsListed | RequestUpdated | RequestEnded
    | RequestsFinished | ActivityAdded | SessionHeadersNamed | ProfileChanged
    | OtherEvent
)  # fmt: skip
