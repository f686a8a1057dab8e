"""Misbehaviour to order: what a broken proxy, a hostile server or a bad line would answer."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from dataclasses import dataclass

from aitui.demo.answers import JSON, Answer, Response, Stream, Whole
from aitui.demo.call import Call

_CHUNK = 64 * 1024


class Fault(ABC):
    """One way to misbehave instead of answering."""

    @abstractmethod
    async def answer(self, call: Call, /) -> Response:
        """Do it."""


@dataclass(frozen=True, slots=True)
class Hang(Fault):
    """Accept the request and never answer; `seconds` limits the silence."""

    seconds: float | None = None

    async def answer(self, _call: Call, /) -> Response:
        """Wait, for ever if so ordered."""
        if self.seconds is None:
            await asyncio.Event().wait()
        else:
            await asyncio.sleep(self.seconds)
        return Whole(Answer(504, b"", ""))


@dataclass(frozen=True, slots=True)
class Reply(Fault):
    """Answer with this status and body."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON

    async def answer(self, _call: Call, /) -> Response:
        """Send it."""
        return Whole(Answer(self.status, self.body, self.content_type))


@dataclass(frozen=True, slots=True)
class Garbage(Fault):
    """Answer with bytes that are no JSON, `size` of them; the same ones each time."""

    size: int = 4096

    async def answer(self, _call: Call, /) -> Response:
        """Send it."""
        return Whole(Answer(200, random.Random(self.size).randbytes(self.size), JSON))


@dataclass(frozen=True, slots=True)
class Endless(Fault):
    """Answer with a body that doesn't end before the client goes."""

    piece: bytes = b" " * _CHUNK

    async def answer(self, call: Call, /) -> Response:
        """Send for as long as somebody reads."""
        stream = await call.begin(Stream({"Content-Type": JSON}))
        while True:
            await stream.send(self.piece)


@dataclass(frozen=True, slots=True)
class Page(Fault):
    """Answer with HTML, as a proxy or a log-in page does."""

    status: int = 200

    async def answer(self, _call: Call, /) -> Response:
        """Send it."""
        body = b"<!doctype html><title>Welcome</title><h1>Please sign in</h1>"
        return Whole(Answer(self.status, body, "text/html; charset=utf-8"))


@dataclass(frozen=True, slots=True)
class WrongTypes(Fault):
    """Answer with JSON whose known keys hold the wrong kinds of values."""

    async def answer(self, _call: Call, /) -> Response:
        """Send it."""
        body = b'{"running":7,"data":{"id":[]},"object":null,"version":{},"gpu_stats":"x","msg":0}'
        return Whole(Answer(200, body, JSON))


@dataclass(frozen=True, slots=True)
class Slow(Fault):
    """Answer with a body that comes byte by byte, `pause` seconds apart."""

    body: bytes = b'{"running":[]}'
    pause: float = 0.1

    async def answer(self, call: Call, /) -> Response:
        """Send it slowly."""
        stream = await call.begin(Stream({"Content-Type": JSON}))
        for number in range(len(self.body)):
            await asyncio.sleep(self.pause)
            await stream.send(self.body[number : number + 1])
        return stream


@dataclass(frozen=True, slots=True)
class Close(Fault):
    """Break the connection: before the answer, or after `sent` of a longer body."""

    sent: bytes = b""

    async def answer(self, call: Call, /) -> Response:
        """Close."""
        if self.sent:
            promised = {"Content-Type": JSON, "Content-Length": str(len(self.sent) + 1000)}
            stream = await call.begin(Stream(promised))
            await stream.send(self.sent)
        transport = call.request.transport
        if transport is not None:
            transport.close()
        raise ConnectionResetError("the connection was to be closed")


class Faults:
    """The misbehaviour on order, by the beginning of the path."""

    def __init__(self) -> None:
        self._orders: list[_Order] = []

    def order(self, prefix: str, fault: Fault, times: int | None) -> None:
        """Misbehave for the next requests below a path; for all of them when `times` is None."""
        self._orders.append(_Order(prefix, fault, times))

    def clear(self) -> None:
        """Behave again."""
        self._orders.clear()

    def next_for(self, path: str) -> Fault | None:
        """What to do instead of answering this request."""
        for order in self._orders:
            if path.startswith(order.prefix):
                if order.left is not None:
                    order.left -= 1
                    if order.left <= 0:
                        self._orders.remove(order)
                return order.fault
        return None


@dataclass(slots=True)
class _Order:
    prefix: str
    fault: Fault
    left: int | None
