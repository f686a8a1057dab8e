r"""The event stream's frames, turned into values.

A frame is `{"type", "data"}`, and `data` is JSON in a string: it is decoded twice. Servers before
v235 say `inflight {"total"}` and `metrics [rows]`, later ones `inflight {"operation", …}` and
`activity {"id"}`. A frame that can't be read is an OtherEvent: one odd frame is no reason to lose
the others, and `/running` reconciles what was missed.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import msgspec

from aitui.domain.clean import clean_line, clean_text
from aitui.domain.events import (
    ActivityAdded,
    Event,
    LogWritten,
    ModelsUsed,
    OtherEvent,
    RequestEnded,
    RequestsCounted,
    RequestsListed,
    RequestUpdated,
    StatusChanged,
)
from aitui.domain.model import ModelStatus, RunningRequest
from aitui.swap import activity, wire
from aitui.swap.sse import SseParser

_DECODE_IN_THREAD = 64 * 1024
_MOST_HEADERS = 100


class _Frame(msgspec.Struct):
    type: str
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Status(msgspec.Struct):
    id: str
    state: str | None = None
    name: str | None = None
    description: str | None = None
    aliases: Any = None
    unlisted: bool | None = None
    peerID: str | None = None  # noqa: N815 - the server's spelling
    context_length: Any = None


class _Log(msgspec.Struct):
    data: str
    source: str = ""


class _Request(msgspec.Struct):
    id: str | int
    model: str | None = None
    req_path: str | None = None
    remote_ip: str | None = None
    req_headers: dict[str, Any] | None = None
    resp_headers: dict[str, Any] | None = None
    resp_bytes: int | None = None
    elapsed_ms: int | float | None = None


class _InFlight(msgspec.Struct):
    total: int | None = None
    operation: str | None = None
    requests: list[_Request] | None = None
    request: _Request | None = None
    id: str | int | None = None


class _Activity(msgspec.Struct):
    id: int


_FRAME = msgspec.json.Decoder(_Frame)
_TEXT = msgspec.json.Decoder(str)
_STATUSES = msgspec.json.Decoder(list[_Status] | None)
_LOG = msgspec.json.Decoder(_Log)
_IN_FLIGHT = msgspec.json.Decoder(_InFlight)
_ACTIVITY = msgspec.json.Decoder(_Activity)


async def read_events(
    chunks: AsyncIterator[bytes], monotonic: Callable[[], float]
) -> AsyncGenerator[Event, None]:
    """The events of a stream until it ends.

    Raises BadAnswer for an event beyond all measure, and what `chunks` raises.
    """
    parser = SseParser()
    async for chunk in chunks:
        for frame in parser.feed(chunk):
            if len(frame.data) > _DECODE_IN_THREAD:
                yield await asyncio.to_thread(event_of, frame.data, monotonic)
            else:
                yield event_of(frame.data, monotonic)


def event_of(frame: bytes, monotonic: Callable[[], float]) -> Event:
    """The value of one frame; `monotonic` says now, in seconds."""
    kind = ""
    try:
        envelope = _FRAME.decode(frame)
        kind = envelope.type
        read = _READERS.get(kind)
        if read is not None:
            return read(_inner(envelope.data), monotonic)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return OtherEvent(clean_line(kind, 100))
    return OtherEvent(clean_line(kind, 100))


def _inner(data: msgspec.Raw) -> bytes:
    """The JSON inside the string; a server that stops wrapping it is understood as well."""
    raw = bytes(data)
    return _TEXT.decode(raw).encode() if raw.startswith(b'"') else raw


def _statuses(data: bytes, _: Callable[[], float]) -> Event:
    models: dict[str, ModelStatus] = {}
    for entry in _STATUSES.decode(data) or []:
        identifier = clean_line(entry.id)
        if identifier:
            models.setdefault(identifier, _status(identifier, entry))
    return StatusChanged(tuple(models.values()))


def _status(identifier: str, entry: _Status) -> ModelStatus:
    return ModelStatus(
        id=identifier,
        state=wire.run_state(entry.state),
        name=wire.name(entry.name),
        description=wire.description(entry.description),
        aliases=wire.names(entry.aliases),
        unlisted=bool(entry.unlisted),
        peer=wire.name(entry.peerID),
        context_length=wire.token_count(entry.context_length),
    )


def _log(data: bytes, _: Callable[[], float]) -> Event:
    found = _LOG.decode(data)
    return LogWritten(clean_line(found.source, 100), clean_text(found.data))


def _in_flight(data: bytes, monotonic: Callable[[], float]) -> Event:
    found = _IN_FLIGHT.decode(data)
    now = monotonic()
    if found.operation is None and found.total is not None:
        return RequestsCounted(max(found.total, 0))
    if found.operation == "snapshot":
        return RequestsListed(tuple(_request(entry, now) for entry in found.requests or []))
    if found.operation == "upsert" and found.request is not None:
        return RequestUpdated(_request(found.request, now))
    if found.operation == "remove" and found.id is not None:
        return RequestEnded(clean_line(str(found.id)))
    return OtherEvent("inflight")


def _request(entry: _Request, now: float) -> RunningRequest:
    headers = _headers(entry.req_headers)
    age = max(entry.elapsed_ms or 0, 0) / 1000
    return RunningRequest(
        id=clean_line(str(entry.id)),
        model=clean_line(entry.model or ""),
        path=wire.name(entry.req_path),
        client=wire.name(entry.remote_ip),
        user_agent=headers.get("user-agent", ""),
        started=now - age,
        received_bytes=max(entry.resp_bytes or 0, 0),
        response_headers=_headers(entry.resp_headers),
    )


def _headers(found: dict[str, Any] | None) -> dict[str, str]:
    """Headers with their names in lower case."""
    texts = [(key, value) for key, value in (found or {}).items() if isinstance(value, str)]
    return {clean_line(key, 100).lower(): wire.name(value) for key, value in texts[:_MOST_HEADERS]}


def _used(data: bytes, _: Callable[[], float]) -> Event:
    return ModelsUsed(activity.finished_requests(data))


def _added(data: bytes, _: Callable[[], float]) -> Event:
    return ActivityAdded(_ACTIVITY.decode(data).id)


_READERS: dict[str, Callable[[bytes, Callable[[], float]], Event]] = {
    "modelStatus": _statuses,
    "logData": _log,
    "inflight": _in_flight,
    "metrics": _used,
    "activity": _added,
}
