"""A body read in paced rounds, beside whoever takes it.

A stream of tokens wakes its reader for every TLS record, which at 2,000 events a second is most of
what it costs. Between two reads that had to wait lie at least `ROUND` seconds, so that a fast
stream gathers in the socket meanwhile and is read as one; a slow one isn't delayed at all.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from aitui.swap.closing import shield_cleanup

ROUND_SECONDS = 0.015
LARGEST_BACKLOG = 1024 * 1024
# asyncio hands over at most 64 KiB a read: with that much there is more behind it.
_LARGE_READ = 48 * 1024


class PacedReader:
    """Reads chunks for as long as the context is open, and no faster than they are taken."""

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

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await shield_cleanup(_wait_for(self._reading))

    async def take(self, limit: float | None) -> bytes:
        """All that has come since the last time, as soon as there is any; b"" at the end.

        Raises TimeoutError where nothing comes for `limit` seconds, and what reading raised.
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
        much = 0
        while True:
            self._has_waited = False
            turn = loop.call_soon(self._mark_waited)
            try:
                chunk = await anext(self._chunks, None)
            finally:
                turn.cancel()
            if chunk is None:
                return
            self._waiting += chunk
            self._news.set()
            much += len(chunk)
            if self._has_waited:
                pause = began + ROUND_SECONDS - loop.time()
                if pause > 0 and much < _LARGE_READ:
                    await asyncio.sleep(pause)
                began, much = loop.time(), 0
            while len(self._waiting) > LARGEST_BACKLOG:
                self._room.clear()
                await self._room.wait()

    def _mark_waited(self) -> None:
        self._has_waited = True


async def _wait_for(task: "asyncio.Task[None]") -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.wait({task})
