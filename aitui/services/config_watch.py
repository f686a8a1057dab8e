"""The config file looked at now and then, so that the table and the warnings know what it says."""

import asyncio
from collections.abc import Callable

from aitui.errors import AituiError, HostKeyRefused, HostLoginRefused
from aitui.services.config_plan import ServerConfig, read_server_config
from aitui.services.host_admin import HostAdmin

CHECK_INTERVAL = 60.0


class ConfigWatcher:
    """`on_read` is called with what was read, and with None while the file can't be read.

    Why it can't be is told to whoever presses a key that needs the host: somebody who only looks
    at the models is not bothered with it.
    """

    def __init__(self, admin: HostAdmin, on_read: Callable[[ServerConfig | None], None]) -> None:
        self._admin = admin
        self._on_read = on_read
        self._check_requested = asyncio.Event()

    def check_now(self) -> None:
        """Look at once."""
        self._check_requested.set()

    async def run(self) -> None:
        """Look at the file until cancelled."""
        while True:
            self._check_requested.clear()
            pause: float | None = CHECK_INTERVAL
            try:
                self._on_read(await read_server_config(self._admin))
            except (HostKeyRefused, HostLoginRefused):
                # Each try may ask a person to touch a key, or count against a limit there.
                pause = None
                self._on_read(None)
            except AituiError:
                self._on_read(None)
            try:
                async with asyncio.timeout(pause):
                    await self._check_requested.wait()
            except TimeoutError:
                continue
