"""Looks after our own certificate files: their end, which a renewed file moves, and their mode."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aitui.swap.client import SwapClient

FIRST_LOOK = 1.0
LOOK_AGAIN = 30.0


class CertificateWatch:
    """`ends` is Unix time, None where there is none to know; `warnings` are words for the user.

    `changed` is awaited when one of them is another.
    """

    def __init__(self, client: "SwapClient", changed: Callable[[], Awaitable[None]]) -> None:
        self._client = client
        self._changed = changed
        self.ends: float | None = None
        self.warnings: tuple[str, ...] = ()

    async def run(self) -> None:
        """Look until cancelled. Reading certificates is dear to import: what is live comes first."""
        await asyncio.sleep(FIRST_LOOK)
        while True:
            found = await self._client.certificate_ends(), await self._client.key_warnings()
            if found != (self.ends, self.warnings):
                self.ends, self.warnings = found
                await self._changed()
            await asyncio.sleep(LOOK_AGAIN)
