"""The endless answers: `/api/events` and the log streams."""

from __future__ import annotations

from aitui.demo.answers import (
    EVENT_STREAM,
    TEXT,
    ChunkedResponse,
    CompleteResponse,
    Response,
    ResponseContent,
    redirect,
)
from aitui.demo.call import IncomingRequest
from aitui.demo.dialect import error
from aitui.demo.llama_swap import LlamaSwap
from aitui.demo.log_ring import LOG_STREAM_CHUNKS, ServerLog

EVENT_QUEUE = 1024

_UNBUFFERED = {"X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff"}
_EVENT_HEADERS = {
    "Cache-Control": "no-cache",
    "Connection": "keep-alive",
    "Content-Type": EVENT_STREAM,
    **_UNBUFFERED,
}
_LOG_SOURCES = ("proxy", "upstream", "http")
_SESSION_HEADERS = ["X-Session-ID", "X-Litellm-Session-Id"]


class EventEndpoints:
    """Streams what happens in one llama-swap."""

    def __init__(self, swap: LlamaSwap) -> None:
        self._swap = swap

    async def events(self, call: IncomingRequest) -> Response:
        """`GET /api/events`: the present state first, then changes, until the server reloads."""
        with self._swap.events.reader(EVENT_QUEUE) as reader:
            first = "".join(self._first_frames())
            stream = await call.begin(ChunkedResponse(_EVENT_HEADERS))
            await stream.send(first.encode())
            async for frame in reader:
                await stream.send(frame.encode())
            return stream

    async def log_events(self, call: IncomingRequest) -> Response:
        """`GET /api/events/logs?stream=…`: the history unless `?no-history`, then what is added."""
        chosen = dict.fromkeys(call.request.query.getall("stream", []))
        wrong = next((name for name in chosen if name not in _LOG_SOURCES), None)
        if not chosen or wrong is not None:
            text = "at least one stream is required: proxy, upstream or http"
            if wrong is not None:
                text = f'invalid stream "{wrong}". Use proxy, upstream or http'
            return CompleteResponse(error(self._swap.traits, 400, text, call.accept))
        with self._swap.log_events.reader(EVENT_QUEUE) as reader:
            stream = await call.begin(ChunkedResponse(_EVENT_HEADERS))
            for source in () if "no-history" in call.query else chosen:
                if history := self._swap.logs.ring(source).history:
                    data = {"data": history, "source": source}
                    await stream.send(self._swap.frame("logData", data).encode())
            async for source, frame in reader:
                if source in chosen:
                    await stream.send(frame.encode())
            return stream

    async def logs(self, call: IncomingRequest) -> Response:
        """`GET /logs`: the history of the main log."""
        if call.accept.startswith("text/html"):
            return CompleteResponse(redirect(302, "/ui/", "Found"))
        return CompleteResponse(ResponseContent(200, self._swap.logs.main.history.encode(), TEXT))

    async def log_stream(self, call: IncomingRequest) -> Response:
        """`GET /logs/stream…`: the history unless `?no-history`, then what is added."""
        name = call.path.removeprefix("/logs/stream").lstrip("/")
        ring = self._find_log(name)
        if ring is None:
            names = "'proxy', 'upstream'" + (", 'http'" if self._swap.traits.separate_logs else "")
            text = f"invalid logger. Use {names} or a model's ID"
            answer = error(self._swap.traits, 400, text, call.accept)
            kind = TEXT if self._swap.traits.plain_errors else answer.content_type
            stream = await call.begin(
                ChunkedResponse({"Content-Type": kind, **_UNBUFFERED}, answer.status)
            )
            await stream.send(answer.body)
            return stream
        return await self._follow(call, ring)

    async def _follow(self, call: IncomingRequest, ring: ServerLog) -> Response:
        stream = ChunkedResponse({"Content-Type": TEXT, **_UNBUFFERED})
        with ring.stream.reader(LOG_STREAM_CHUNKS) as reader:
            history = "" if "no-history" in call.query else ring.history
            if not self._swap.traits.late_log_headers or history:
                await call.begin(stream)
            if history:
                await stream.send(history.encode())
            async for text in reader:
                if not stream.prepared:
                    await call.begin(stream)
                await stream.send(text.encode())
        return stream

    def _find_log(self, name: str) -> ServerLog | None:
        if not name:
            return self._swap.logs.main
        if name in _LOG_SOURCES and (name != "http" or self._swap.traits.separate_logs):
            return self._swap.logs.ring(name)
        model_id = self._swap.configuration.resolve(name)
        return None if model_id is None else self._swap.processes[model_id].ring

    def _first_frames(self) -> list[str]:
        swap = self._swap
        frames: list[tuple[str, object]] = []
        if not swap.traits.separate_logs:
            frames += [
                ("logData", {"data": self._swap.logs.ring(source).history, "source": source})
                for source in ("proxy", "upstream")
            ]
        frames.append(("modelStatus", swap.listing.statuses()))
        if swap.traits.detailed_events:
            frames.append(("uiConfig", {"activity": {"session_id": _SESSION_HEADERS}}))
            frames.append(("profileChanged", active_profile(swap)))
        else:
            frames.append(("metrics", swap.activity.describe_all()))
        frames.append(("inflight", swap.running.snapshot()))
        return [swap.frame(kind, data) for kind, data in frames]


def active_profile(swap: LlamaSwap) -> dict[str, str | None]:
    """Return the active profile, as events and `/api/profiles` report it."""
    return {"active": swap.active_profile.id if swap.active_profile else None}
