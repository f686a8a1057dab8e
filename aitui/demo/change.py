"""Waiting for the server's state: for a condition, for a while, or for both."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def call_when_set(cut: asyncio.Event, end: Callable[[], None]) -> AsyncIterator[None]:
    """Call `end` when the event is set within the block."""

    async def wait() -> None:
        await cut.wait()
        end()

    waiting = asyncio.create_task(wait())
    try:
        yield
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


class ChangeNotifier:
    """Wakes the tasks that wait for a condition after each change of state.

    It is the stand-in's clock as well. Time is real, and tests can advance it; `wall` returns Unix
    time.
    """

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self.wall = wall
        self._event = asyncio.Event()
        self._ahead = 0.0

    def now(self) -> float:
        """Return the monotonic seconds."""
        return time.monotonic() + self._ahead

    def advance(self, seconds: float) -> None:
        """Let so much time pass at once."""
        self._ahead += seconds
        self.notify()

    def notify(self) -> None:
        """Let every waiting task check its condition."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait_until(self, holds: Callable[[], bool], seconds: float | None = None) -> bool:
        """Return as soon as the condition holds, or False when the time is over."""
        end = None if seconds is None else self.now() + seconds
        while not holds():
            left = None if end is None else end - self.now()
            if left is not None and left <= 0:
                return False
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._event.wait()
        return True
