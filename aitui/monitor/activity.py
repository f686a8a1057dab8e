"""Fetches the rows of requests that ended: servers from v236 on push only their ids."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aitui.domain.model import FinishedRequest
from aitui.errors import AituiError

if TYPE_CHECKING:
    from aitui.swap.client import SwapClient

ASK_AGAIN = 1.0
"""Seconds between two questions: the rows of one second are asked for together."""


class Activity:
    """Asks for the rows whose ids were pushed, and hands them on."""

    def __init__(
        self,
        client: "SwapClient",
        hand_on: Callable[[tuple[FinishedRequest, ...]], Awaitable[None]],
    ) -> None:
        self._client = client
        self._hand_on = hand_on
        self._first: int | None = None
        self._came = asyncio.Event()

    def added(self, row_id: int) -> None:
        """A row of that id was pushed."""
        self._first = row_id if self._first is None else min(self._first, row_id)
        self._came.set()

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            await self._came.wait()
            self._came.clear()
            first, self._first = self._first, None
            if first is not None:
                # The rates are a comfort: whether the server is there is for /running to say.
                with contextlib.suppress(AituiError):
                    await self._hand_on(await self._client.activity(first))
            await asyncio.sleep(ASK_AGAIN)
