"""Fetches the rows of requests that ended: servers from v236 on push only their ids."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aitui.domain.model import FinishedRequest
from aitui.errors import AituiError

if TYPE_CHECKING:
    from aitui.swap.client import LlamaSwapClient

FETCH_INTERVAL = 1.0
"""Seconds between two questions: the rows of one second are asked for together."""


class ActivityFetcher:
    """Asks for the rows whose ids were pushed, and hands them on."""

    def __init__(
        self,
        client: "LlamaSwapClient",
        hand_on: Callable[[tuple[FinishedRequest, ...]], Awaitable[None]],
    ) -> None:
        self._client = client
        self._deliver = hand_on
        self._first_id: int | None = None
        self._pending = asyncio.Event()

    def enqueue(self, row_id: int) -> None:
        """A row of that id was pushed."""
        self._first_id = row_id if self._first_id is None else min(self._first_id, row_id)
        self._pending.set()

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            await self._pending.wait()
            self._pending.clear()
            first, self._first_id = self._first_id, None
            if first is not None:
                # The rates are a comfort: whether the server is there is for /running to say.
                with contextlib.suppress(AituiError):
                    await self._deliver(await self._client.activity(first))
            await asyncio.sleep(FETCH_INTERVAL)
