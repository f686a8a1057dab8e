"""The stand-in as tests use it: it remembers every request, and misbehaves to order."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aitui.demo import stand_in
from aitui.demo.answers import JSON, ChunkedResponse, CompleteResponse, Response, ResponseContent
from aitui.demo.call import IncomingRequest

_CHUNK = 64 * 1024


class Fault(ABC):
    """One way to misbehave instead of answering."""

    @abstractmethod
    async def respond(self, call: IncomingRequest, /) -> Response:
        """Do it."""


@dataclass(frozen=True, slots=True)
class Hang(Fault):
    """Accept the request and never answer; `seconds` limits the silence."""

    seconds: float | None = None

    async def respond(self, _call: IncomingRequest, /) -> Response:
        """Wait, for ever if so ordered."""
        if self.seconds is None:
            await asyncio.Event().wait()
        else:
            await asyncio.sleep(self.seconds)
        return CompleteResponse(ResponseContent(504, b"", ""))


@dataclass(frozen=True, slots=True)
class FixedResponse(Fault):
    """Answer with this status and body."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON

    async def respond(self, _call: IncomingRequest, /) -> Response:
        """Send it."""
        return CompleteResponse(ResponseContent(self.status, self.body, self.content_type))


_NOISE = 1 << 20


@dataclass(frozen=True, slots=True)
class GarbageBody(Fault):
    """Answer with bytes that are no JSON, `size` of them; the same ones each time."""

    size: int = 4096

    async def respond(self, call: IncomingRequest, /) -> Response:
        """Send it."""
        noise = random.Random(self.size).randbytes(min(self.size, _NOISE))
        if len(noise) == self.size:
            return CompleteResponse(ResponseContent(200, noise, JSON))
        # In pieces, as a server sends a large file: 200 MB in one write take asyncio's TLS seconds
        # in which nothing else of this loop runs.
        stream = await call.begin(ChunkedResponse({"Content-Type": JSON}))
        for _ in range(self.size // len(noise)):
            await stream.send(noise)
        return stream


@dataclass(frozen=True, slots=True)
class EndlessBody(Fault):
    """Answer with a body that doesn't end before the client goes."""

    piece: bytes = b" " * _CHUNK

    async def respond(self, call: IncomingRequest, /) -> Response:
        """Send until the client goes."""
        stream = await call.begin(ChunkedResponse({"Content-Type": JSON}))
        while True:
            await stream.send(self.piece)


@dataclass(frozen=True, slots=True)
class HtmlPage(Fault):
    """Answer with HTML, as a proxy or a log-in page does."""

    status: int = 200

    async def respond(self, _call: IncomingRequest, /) -> Response:
        """Send it."""
        body = b"<!doctype html><title>Welcome</title><h1>Please sign in</h1>"
        return CompleteResponse(ResponseContent(self.status, body, "text/html; charset=utf-8"))


@dataclass(frozen=True, slots=True)
class WrongTypes(Fault):
    """Answer with JSON whose known keys hold the wrong kinds of values."""

    async def respond(self, _call: IncomingRequest, /) -> Response:
        """Send it."""
        body = b'{"running":7,"data":{"id":[]},"object":null,"version":{},"gpu_stats":"x","msg":0}'
        return CompleteResponse(ResponseContent(200, body, JSON))


@dataclass(frozen=True, slots=True)
class SlowBody(Fault):
    """Answer with a body that comes byte by byte, `pause` seconds apart."""

    body: bytes = b'{"running":[]}'
    pause: float = 0.1

    async def respond(self, call: IncomingRequest, /) -> Response:
        """Send it slowly."""
        stream = await call.begin(ChunkedResponse({"Content-Type": JSON}))
        for number in range(len(self.body)):
            await asyncio.sleep(self.pause)
            await stream.send(self.body[number : number + 1])
        return stream


@dataclass(frozen=True, slots=True)
class ConnectionClose(Fault):
    """Break the connection: before the answer, or after `sent` of a longer body."""

    sent: bytes = b""

    async def respond(self, call: IncomingRequest, /) -> Response:
        """Close."""
        if self.sent:
            promised = {"Content-Type": JSON, "Content-Length": str(len(self.sent) + 1000)}
            stream = await call.begin(ChunkedResponse(promised))
            await stream.send(self.sent)
        transport = call.request.transport
        if transport is not None:
            transport.close()
        raise ConnectionResetError("the connection was to be closed")


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request as it came in. `path` is raw, with the query."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class _QueuedFault:
    prefix: str
    fault: Fault
    left: int | None


class StandIn(stand_in.StandIn):
    """A llama-swap in the test's own event loop."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.requests: list[ReceivedRequest] = []
        self._faults: list[_QueuedFault] = []

    def fault(self, prefix: str, fault: Fault, times: int | None = None) -> None:
        """Misbehave for the next `times` requests to paths with that prefix, or for all of them."""
        self._faults.append(_QueuedFault(prefix, fault, times))

    def clear_faults(self) -> None:
        """Behave again."""
        self._faults.clear()

    def write_log(self, text: str, *, source: str = "proxy") -> None:
        """Put text into a log as it is: `proxy`, `upstream`, or a model's id."""
        swap = self._active_runtime.swap
        if source == "proxy":
            super().write_log(text)
        elif source == "upstream":
            swap.upstream_log.write(text)
        else:
            swap.processes[source].ring.write(text)

    def publish(self, kind: str, data: object) -> None:
        """Send all listeners of `/api/events` an event of any type."""
        self._active_runtime.swap.publish(kind, data)

    async def respond(self, call: IncomingRequest) -> Response:
        """Remember the request, and misbehave if that was ordered."""
        path = call.request.raw_path
        self.requests.append(ReceivedRequest(call.method, path, dict(call.headers), call.body))
        for order in self._faults:
            if path.startswith(order.prefix):
                if order.left is not None:
                    order.left -= 1
                    if order.left <= 0:
                        self._faults.remove(order)
                return await order.fault.respond(call)
        return await super().respond(call)
