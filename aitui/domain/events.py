"""What a server's event stream reports, as values."""

from dataclasses import dataclass

from aitui.domain.models import ActiveRequest, FinishedRequest, ModelStatus


@dataclass(frozen=True, slots=True)
class ModelStatusChanged:
    """`modelStatus`: the state of every model."""

    models: tuple[ModelStatus, ...]


@dataclass(frozen=True, slots=True)
class LogWritten:
    """`logData`: a piece of log, not aligned to lines; `source` is "proxy" or "upstream"."""

    source: str
    text: str


@dataclass(frozen=True, slots=True)
class RequestsCounted:
    """`inflight` of servers before v235: how many requests run."""

    total: int


@dataclass(frozen=True, slots=True)
class RequestsListed:
    """`inflight` with operation snapshot: every request under way."""

    requests: tuple[ActiveRequest, ...]


@dataclass(frozen=True, slots=True)
class RequestUpdated:
    """`inflight` with operation upsert: one request began or went on."""

    request: ActiveRequest


@dataclass(frozen=True, slots=True)
class RequestEnded:
    """`inflight` with operation remove."""

    id: str


@dataclass(frozen=True, slots=True)
class RequestsFinished:
    """`metrics`: requests that ended; the first such event holds the server's whole history."""

    requests: tuple[FinishedRequest, ...]


@dataclass(frozen=True, slots=True)
class ActivityAdded:
    """`activity` of servers from v236 on: a row to fetch by its id."""

    id: int


@dataclass(frozen=True, slots=True)
class OtherEvent:
    """An event of a type that this version doesn't know."""

    type: str


Event = (
    ModelStatusChanged | LogWritten | RequestsCounted | RequestsListed | RequestUpdated
    | RequestEnded | RequestsFinished | ActivityAdded | OtherEvent
)  # fmt: skip
