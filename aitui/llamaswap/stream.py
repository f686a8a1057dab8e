r"""Streamed responses: read in paced batches, and parsed as server-sent events.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html, section 9.2.6. Lines end
with LF, CR or CRLF and nothing else; a BOM at the start is dropped; an event without data is not
dispatched. Own code, because httpx's `aiter_lines` also splits at U+2028, U+0085, \x0b and \x1c, and
httpx-sse 0.4.3 loses the first event after a BOM, dispatches empty events, and has no size limit.

Two things go beyond the format, because llama-swap writes an error into a stream as a line of bare
JSON: a line with an unknown field becomes a bare event, and so does an unfinished one at the end.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Self

from msgspec import Struct

from aitui.aio import cancel_and_wait
from aitui.errors import BadResponse

ROUND_SECONDS = 0.015
LARGEST_BACKLOG = 1024 * 1024
# asyncio hands over at most 64 KiB a read: with that much there is more behind it.
_LARGE_READ = 48 * 1024
LARGEST_EVENT = 32 * 1024 * 1024

_BOM = b"\xef\xbb\xbf"
_IGNORED = {b"id", b"retry"}


class SseEvent(Struct, frozen=True):
    """One event; `bare` marks a line outside the protocol, whole, as `data`."""

    data: bytes
    event: str = "message"
    bare: bool = False


class SseParser:
    """Turns chunks into events. An event larger than `largest` bytes raises BadResponse."""

    __slots__ = ("_after_cr", "_begun", "_event", "_largest", "_lines", "_rest", "_size")

    def __init__(self, largest: int = LARGEST_EVENT) -> None:
        self._largest = largest
        self._rest = bytearray()
        self._lines: list[bytes] = []
        self._size = 0
        self._event = ""
        self._after_cr = False
        self._begun = False

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Return the events that this chunk completes. Raises BadResponse."""
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        first, *others = chunk.split(b"\n")
        self._rest += first
        events: list[SseEvent] = []
        for following in others:
            # The buffer goes before the line is copied once more: it may be 100 KiB of a log.
            line = bytes(self._rest)
            self._rest[:] = following
            self._line(line, events)
        if len(self._rest) + self._size > self._largest:
            raise self._too_large_error()
        return events

    def finish(self) -> list[SseEvent]:
        """Return what the end of the stream completes: lines of data, or an unfinished bare one."""
        events: list[SseEvent] = []
        rest = self._without_bom(bytes(self._rest))
        self._rest.clear()
        self._dispatch(events)
        if rest and not rest.startswith(b":") and not _is_field(rest):
            events.append(SseEvent(rest, bare=True))
        return events

    def _line(self, line: bytes, events: list[SseEvent]) -> None:
        line = self._without_bom(line)
        if line.startswith(b"data:"):
            value = line[6:] if line.startswith(b" ", 5) else line[5:]
            self._size += len(value)
            if self._size > self._largest:
                raise self._too_large_error()
            self._lines.append(value)
        elif not line:
            self._dispatch(events)
        elif not line.startswith(b":"):
            self._other_field(line, events)

    def _other_field(self, line: bytes, events: list[SseEvent]) -> None:
        field, _, value = line.partition(b":")
        if field == b"event":
            self._event = value.removeprefix(b" ").decode("utf-8", "replace")
        elif field == b"data":
            self._lines.append(b"")
        elif field not in _IGNORED:
            events.append(SseEvent(line, bare=True))

    def _dispatch(self, events: list[SseEvent]) -> None:
        if self._lines:
            data = self._lines[0] if len(self._lines) == 1 else b"\n".join(self._lines)
            events.append(SseEvent(data, self._event or "message"))
            self._lines.clear()
            self._size = 0
        self._event = ""

    def _without_bom(self, line: bytes) -> bytes:
        if self._begun:
            return line
        self._begun = True
        return line.removeprefix(_BOM)

    def _too_large_error(self) -> BadResponse:
        return BadResponse(
            f"The server sent an event of more than {self._largest / 2**20:g} MiB",
            why="no llama-swap event is that large",
        )


def _is_field(line: bytes) -> bool:
    field = line.partition(b":")[0]
    return field in {b"data", b"event"} or field in _IGNORED


class PacedReader:
    """Reads chunks in paced batches while the context is open, no faster than they are taken.

    Over mTLS, 2,000 events a second cost 24-28 % of a core, most of it one wake-up for every TLS
    record: reading in rounds of 15 ms halves that.
    """

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._waiting = bytearray()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._has_waited = False
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._reading = asyncio.create_task(self._read(), name="read a stream")
        self._reading.add_done_callback(lambda _: self._news.set())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._reading is not None:
            await cancel_and_wait(self._reading)

    async def take(self, limit: float | None) -> bytes:
        """Return what has come since the last call, after waiting for some; b"" at the end.

        Raises TimeoutError if nothing comes for `limit` seconds, and what reading raised. This is
        the watchdog of streams: httpx's own read timeout is off.
        """
        assert self._reading is not None
        if not self._waiting and not self._reading.done():
            self._news.clear()
            async with asyncio.timeout(limit):
                await self._news.wait()
        if not self._waiting:
            self._reading.result()
            return b""
        taken = bytes(self._waiting)
        self._waiting.clear()
        self._room.set()
        return taken

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        read_bytes = 0
        while True:
            self._has_waited = False
            next_turn = loop.call_soon(self._mark_waited)
            try:
                chunk = await anext(self._chunks, None)
            finally:
                next_turn.cancel()
            if chunk is None:
                return
            self._waiting += chunk
            self._news.set()
            read_bytes += len(chunk)
            if self._has_waited:
                pause = began + ROUND_SECONDS - loop.time()
                if pause > 0 and read_bytes < _LARGE_READ:
                    await asyncio.sleep(pause)
                began, read_bytes = loop.time(), 0
            while len(self._waiting) > LARGEST_BACKLOG:
                self._room.clear()
                await self._room.wait()

    def _mark_waited(self) -> None:
        self._has_waited = True
