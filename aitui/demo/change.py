"""Waiting until something about the server's state holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class ChangeNotifier:
    """Wakes whoever waits for a condition each time the state has changed."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        """Let every waiter look again."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait_until(self, holds: Callable[[], bool]) -> None:
        """Return as soon as the condition holds."""
        while not holds():
            await self._event.wait()
