"""Looks after the end of our client certificate, which a renewed file moves."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aitui.swap.client import SwapClient

FIRST_LOOK = 1.0
LOOK_AGAIN = 30.0


class CertificateWatch:
    """`ends` is Unix time, None where there is none to know; `changed` is awaited when it moves."""

    def __init__(self, client: "SwapClient", changed: Callable[[], Awaitable[None]]) -> None:
        self._client = client
        self._changed = changed
        self.ends: float | None = None

    async def run(self) -> None:
        """Look until cancelled. Reading certificates is dear to import: what is live comes first."""
        await asyncio.sleep(FIRST_LOOK)
        while True:
            ends = await self._client.certificate_ends()
            if ends != self.ends:
                self.ends = ends
                await self._changed()
            await asyncio.sleep(LOOK_AGAIN)
