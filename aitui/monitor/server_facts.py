"""What the server tells of its machine: asked once a connection, since it finds out once a start."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aitui.domain.hardware.host_facts import HostInfo
from aitui.errors import AituiError, NotSupported

if TYPE_CHECKING:
    from aitui.swap.client import LlamaSwapClient

SERVER_INFO_MAX_AGE = 600.0
"""Seconds until a server that can't tell is asked once more."""
SERVER_INFO_RETRY = 60.0


class HostInfoFetcher:
    """`facts` is None until the server has told them, and where it can't."""

    def __init__(self, client: "LlamaSwapClient", monotonic: Callable[[], float]) -> None:
        self._client = client
        self._monotonic = monotonic
        self._refused_until = 0.0
        self._live = False
        self._connected = asyncio.Event()
        self.facts: HostInfo | None = None

    def update_link(self, *, live: bool) -> None:
        """How things stand with the server: each new connection may be to a new machine."""
        if live and not self._live:
            self._connected.set()
        self._live = live

    async def run(self, on_change: Callable[[], Awaitable[None]]) -> None:
        """Ask whenever it makes sense, until cancelled."""
        pause: float | None = None
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._connected.wait()
            self._connected.clear()
            before = self.facts
            pause = await self.fetch() if self._live else None
            if self.facts != before:
                await on_change()

    async def fetch(self) -> float | None:
        """Ask once, and give the seconds until the next time, None for not in this connection.

        What was told before stays where there is no answer.
        """
        now = self._monotonic()
        if now < self._refused_until:
            return self._refused_until - now
        try:
            self.facts = await self._client.host_info()
        except NotSupported:
            self.facts, self._refused_until = None, now + SERVER_INFO_MAX_AGE
            return SERVER_INFO_MAX_AGE
        except AituiError:
            return SERVER_INFO_RETRY
        return None
