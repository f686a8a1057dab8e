"""Reads a log without a screen."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from time import monotonic, time

from aitui.domain.logs import LogLine
from aitui.domain.snapshot import Clock, Server
from aitui.llamaswap.client import LlamaSwapClient
from aitui.services.logs import FeedPhase, LogFeed

PATIENCE = 15.0
REAL_CLOCK = Clock(monotonic, time)


class LogReader:
    """Takes what a feed has, and remembers it."""

    def __init__(self, feed: LogFeed) -> None:
        self.feed = feed
        self.lines: list[LogLine] = []
        self.unfinished: LogLine | None = None

    @property
    def texts(self) -> list[str]:
        """What was read."""
        return [line.text for line in self.lines]

    @property
    def marks(self) -> list[str]:
        """What aitui says of the log."""
        return [line.text for line in self.lines if line.mark]

    async def until(self, condition: Callable[[], object]) -> None:
        """Read on until that is so."""
        async with asyncio.timeout(PATIENCE):
            self.take()
            while not condition():
                await self.feed.wait_for_news()
                self.take()

    async def see(self, text: str) -> None:
        """Read on until a line has that text."""
        await self.until(lambda: any(text in line.text for line in self.lines))

    async def phase(self, phase: FeedPhase) -> None:
        """Read on until the stream is in that phase."""
        await self.until(lambda: self.feed.state.phase is phase)

    def take(self) -> None:
        """Take what there is."""
        news = self.feed.take()
        self.lines += news.lines
        self.unfinished = news.unfinished


@asynccontextmanager
async def log_reader(
    server: Server, name: str = "", clock: Clock = REAL_CLOCK
) -> AsyncIterator[LogReader]:
    """A reader that follows a log for as long as the block runs."""
    async with LlamaSwapClient(server) as client:
        feed = LogFeed(client, name, clock=clock, random=Random(1))
        running = asyncio.create_task(feed.run())
        try:
            yield LogReader(feed)
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
