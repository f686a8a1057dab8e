"""The config file read now and then, so that the table and the warnings know what it says."""

import asyncio
from collections.abc import Callable

from aitui.errors import AituiError, HostKeyRefused, HostLoginRefused
from aitui.services.config_plan import ServerConfig, read_server_config
from aitui.services.config_recover import recover_changes
from aitui.services.hardware import HardwareMonitor
from aitui.services.host_admin import HostAdmin
from aitui.services.monitor import Monitor

CHECK_INTERVAL = 60.0


class ConfigWatch:
    """Reads the file, hands it to both monitors, and settles changes that were cut off.

    `on_notice` is called with a sentence about each of these changes. Why the file can't be read is
    not reported: that comes with the first key that needs the host.
    """

    def __init__(
        self,
        admin: HostAdmin,
        monitor: Monitor,
        hardware: HardwareMonitor,
        on_notice: Callable[[str], None],
    ) -> None:
        self._admin = admin
        self._monitor = monitor
        self._hardware = hardware
        self._on_notice = on_notice
        self._check_requested = asyncio.Event()
        self._is_readable = False
        self._recovery_lock = asyncio.Lock()
        self._reported: set[str] = set()

    def check_now(self) -> None:
        """Read the file at once."""
        self._check_requested.set()

    async def run(self) -> None:
        """Read the file again and again until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read_repeatedly(), name="watch the config file")
            tasks.create_task(self._check_when_rules_are_lost(), name="watch the swap rules")

    async def read(self) -> ServerConfig:
        """Read the file and hand it to both monitors; raises HostError, ConfigRefused."""
        config = await read_server_config(self._admin)
        self._is_readable = True
        rules = config.swap_rules if config.in_force else None
        await self._monitor.update_config(config.contexts, rules, config.newer)
        self._hardware.update_commands(config.commands, config.environments)
        return config

    async def recover(self) -> None:
        """Settle changes that were cut off, and report the result of each once."""
        async with self._recovery_lock:
            for sentence in await recover_changes(self._admin):
                if sentence not in self._reported:
                    self._reported.add(sentence)
                    self._on_notice(sentence)

    async def _read_repeatedly(self) -> None:
        while True:
            self._check_requested.clear()
            pause: float | None = CHECK_INTERVAL
            try:
                await self.read()
                await self.recover()
            except AituiError as error:
                self._is_readable = False
                await self._monitor.forget_config()
                if isinstance(error, HostKeyRefused | HostLoginRefused):
                    # Each attempt may want a touch on a key, or count against a limit there.
                    pause = None
            try:
                async with asyncio.timeout(pause):
                    await self._check_requested.wait()
            except TimeoutError:
                continue

    async def _check_when_rules_are_lost(self) -> None:
        """A server that came up again may run another file."""
        while True:
            await self._monitor.wait_until(lambda now: now.swap_rules is not None, None)
            await self._monitor.wait_until(lambda now: now.swap_rules is None, None)
            if self._is_readable:
                self.check_now()
