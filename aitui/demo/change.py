"""Waiting for a condition of the server's state."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class ChangeNotifier:
    """Wakes the tasks that wait for a condition after each change of state."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        """Let every waiting task check its condition."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait_until(self, holds: Callable[[], bool]) -> None:
        """Return as soon as the condition holds."""
        while not holds():
            await self._event.wait()
