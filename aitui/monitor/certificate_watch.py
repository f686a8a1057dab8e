"""Looks after our own certificate files: their end, which a renewed file moves, and their mode."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aitui.swap.client import LlamaSwapClient

FIRST_CHECK_DELAY = 1.0
CHECK_INTERVAL = 30.0


class CertificateWatcher:
    """`ends` is Unix time, None where there is none to know; `warnings` are words for the user.

    `changed` is awaited when one of them is another.
    """

    def __init__(self, client: "LlamaSwapClient", changed: Callable[[], Awaitable[None]]) -> None:
        self._client = client
        self._on_change = changed
        self.expires_at: float | None = None
        self.warnings: tuple[str, ...] = ()

    async def run(self) -> None:
        """Look until cancelled. Reading certificates is dear to import: what is live comes first."""
        await asyncio.sleep(FIRST_CHECK_DELAY)
        while True:
            found = await self._client.certificate_expiry(), await self._client.key_warnings()
            if found != (self.expires_at, self.warnings):
                self.expires_at, self.warnings = found
                await self._on_change()
            await asyncio.sleep(CHECK_INTERVAL)
