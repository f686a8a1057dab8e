"""The frames of the event stream, converted to values.

A frame is `{"type", "data"}`, and `data` is JSON in a string: it is decoded twice. Servers before
v235 send `inflight {"total"}` and `metrics [rows]`, later ones `inflight {"operation", …}` and
`activity {"id"}`. A frame that can't be read is an OtherEvent: one odd frame is no reason to lose
the others, and `/running` reconciles what was missed.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import msgspec

from aitui.domain.events import (
    ActivityAdded,
    Event,
    ModelStatusChanged,
    OtherEvent,
    ProfileChanged,
    RequestEnded,
    RequestsCounted,
    RequestsFinished,
    RequestsListed,
    RequestUpdated,
    SessionHeadersNamed,
)
from aitui.domain.models import ActiveRequest, ModelStatus
from aitui.domain.sanitize import sanitize_line
from aitui.llamaswap import schemas
from aitui.llamaswap.stream import SseParser

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
    uptimeMs: Any = None  # noqa: N815
    loadingProgress: Any = None  # noqa: N815
    loadingMessage: Any = None  # noqa: N815


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


class _ActivityConfig(msgspec.Struct):
    session_id: Any = None


class _UiConfig(msgspec.Struct):
    activity: _ActivityConfig | None = None


class _ActiveProfile(msgspec.Struct):
    active: str | None = None


_FRAME = msgspec.json.Decoder(_Frame)
_TEXT = msgspec.json.Decoder(str)
_STATUSES = msgspec.json.Decoder(list[_Status] | None)
_IN_FLIGHT = msgspec.json.Decoder(_InFlight)
_ACTIVITY = msgspec.json.Decoder(_Activity)
_PROFILE = msgspec.json.Decoder(_ActiveProfile)
_UI_CONFIG = msgspec.json.Decoder(_UiConfig)

SESSION_HEADERS = ("x-session-id", "x-litellm-session-id")
"""The headers that name a session, until the server says which ones do."""


async def read_events(
    chunks: AsyncIterator[bytes], monotonic: Callable[[], float]
) -> AsyncGenerator[Event, None]:
    """Yield the events of a stream until it ends.

    Raises BadResponse for an oversized event, and what `chunks` raises.
    """
    parser = SseParser()
    headers: tuple[str, ...] = SESSION_HEADERS
    async for chunk in chunks:
        for frame in parser.feed(chunk):
            if len(frame.data) > _DECODE_IN_THREAD:
                event = await asyncio.to_thread(parse_event, frame.data, monotonic, headers)
            else:
                event = parse_event(frame.data, monotonic, headers)
            if isinstance(event, SessionHeadersNamed):
                headers = event.names
            yield event


def parse_event(
    frame: bytes,
    monotonic: Callable[[], float],
    session_headers: tuple[str, ...] = SESSION_HEADERS,
) -> Event:
    """Parse one frame; the first of `session_headers` that a request has names its session."""
    kind = ""
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        envelope = _FRAME.decode(frame)
        kind = envelope.type
        if kind == "inflight":
            return _parse_in_flight(_unwrap(envelope.data), monotonic(), session_headers)
        # Before v263 a stream begins with 100 KiB of each log: only what has a use is decoded.
        if (parse := _PARSERS.get(kind)) is not None:
            return parse(_unwrap(envelope.data), monotonic())
    return OtherEvent(sanitize_line(kind, 100))


def _unwrap(data: msgspec.Raw) -> bytes:
    wrapped = bytes(data)
    if wrapped.startswith(b'"'):  # unless a server stops wrapping it
        return _TEXT.decode(wrapped).encode()
    return wrapped


def _parse_ui_config(data: bytes, _: float) -> Event:
    activity = _UI_CONFIG.decode(data).activity or _ActivityConfig()
    return SessionHeadersNamed(
        tuple(name.lower() for name in schemas.parse_names(activity.session_id))
    )


def _parse_statuses(data: bytes, now: float) -> Event:
    models: dict[str, ModelStatus] = {}
    for entry in schemas.decode_entries(_Status, _STATUSES, data):
        identifier = sanitize_line(entry.id)
        if identifier:
            models.setdefault(identifier, _build_status(identifier, entry, now))
    return ModelStatusChanged(tuple(models.values()))


def _build_status(identifier: str, entry: _Status, now: float) -> ModelStatus:
    # Counted from our receipt: the server's `readySince` is by its own clock.
    uptime = schemas.parse_number(entry.uptimeMs)
    progress = schemas.parse_number(entry.loadingProgress)
    note = entry.loadingMessage
    return ModelStatus(
        id=identifier,
        state=schemas.parse_run_state(entry.state),
        name=schemas.sanitize_name(entry.name),
        description=schemas.sanitize_description(entry.description),
        aliases=schemas.parse_names(entry.aliases),
        unlisted=bool(entry.unlisted),
        peer=schemas.sanitize_name(entry.peerID),
        context_length=schemas.parse_token_count(entry.context_length),
        ready_at=None if uptime is None else now - uptime / 1000,
        progress=None if progress is None else min(progress, 1.0),
        progress_note=schemas.sanitize_description(note) if isinstance(note, str) else "",
    )


def _parse_in_flight(data: bytes, now: float, session_headers: tuple[str, ...]) -> Event:
    found = _IN_FLIGHT.decode(data)
    if found.operation is None and found.total is not None:
        return RequestsCounted(max(found.total, 0))
    if found.operation == "snapshot":
        entries = found.requests or []
        return RequestsListed(tuple(_build_request(one, now, session_headers) for one in entries))
    if found.operation == "upsert" and found.request is not None:
        return RequestUpdated(_build_request(found.request, now, session_headers))
    if found.operation == "remove" and found.id is not None:
        return RequestEnded(sanitize_line(str(found.id)))
    return OtherEvent("inflight")


def _build_request(entry: _Request, now: float, session_headers: tuple[str, ...]) -> ActiveRequest:
    headers = _sanitize_headers(entry.req_headers)
    age = max(entry.elapsed_ms or 0, 0) / 1000
    return ActiveRequest(
        id=sanitize_line(str(entry.id)),
        model=sanitize_line(entry.model or ""),
        path=schemas.sanitize_name(entry.req_path),
        client=schemas.sanitize_name(entry.remote_ip),
        user_agent=headers.get("user-agent", ""),
        started=now - age,
        received_bytes=max(entry.resp_bytes or 0, 0),
        response_headers=_sanitize_headers(entry.resp_headers),
        session=next((headers[name] for name in session_headers if headers.get(name)), ""),
    )


def _sanitize_headers(found: dict[str, Any] | None) -> dict[str, str]:
    texts = [(key, value) for key, value in (found or {}).items() if isinstance(value, str)]
    return {
        sanitize_line(key, 100).lower(): schemas.sanitize_name(value)
        for key, value in texts[:_MOST_HEADERS]
    }


_PARSERS: dict[str, Callable[[bytes, float], Event]] = {
    "modelStatus": _parse_statuses,
    "metrics": lambda data, _: RequestsFinished(schemas.parse_finished_requests(data)),
    "uiConfig": _parse_ui_config,
    "activity": lambda data, _: ActivityAdded(_ACTIVITY.decode(data).id),
    "profileChanged": lambda data, _: ProfileChanged(
        sanitize_line(_PROFILE.decode(data).active or "", 100)
    ),
}
"""What parses the data of a frame, by its type; the time of receipt is in monotonic seconds."""
