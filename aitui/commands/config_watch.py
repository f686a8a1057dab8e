"""The config file looked at now and then, so that the table and the warnings know what it says."""

import asyncio
from collections.abc import Callable

from aitui.commands.administration import Administration
from aitui.commands.preset import Preset, read_preset
from aitui.errors import AituiError, HostKeyRefused, HostLoginRefused

LOOKS_EVERY = 60.0


class ConfigWatch:
    """`on_read` is called with what was read, and with None while the file can't be read.

    Why it can't be is told to whoever presses a key that needs the host: somebody who only looks
    at the models is not bothered with it.
    """

    def __init__(self, admin: Administration, on_read: Callable[[Preset | None], None]) -> None:
        self._admin = admin
        self._on_read = on_read
        self._look = asyncio.Event()

    def look(self) -> None:
        """Look at once."""
        self._look.set()

    async def run(self) -> None:
        """Look at the file until cancelled."""
        while True:
            self._look.clear()
            pause: float | None = LOOKS_EVERY
            try:
                self._on_read(await read_preset(self._admin))
            except (HostKeyRefused, HostLoginRefused):
                # Each try may ask a person to touch a key, or count against a limit there.
                pause = None
                self._on_read(None)
            except AituiError:
                self._on_read(None)
            try:
                async with asyncio.timeout(pause):
                    await self._look.wait()
            except TimeoutError:
                continue
