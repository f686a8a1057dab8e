"""The host behind the server: connect it, run one change at a time, reload and restart the service."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from aitui.errors import AituiError, SshKeyPassphraseNeeded
from aitui.services.config_change import ConfigRunner
from aitui.services.config_watch import read_server_config
from aitui.services.host_admin import HostAdmin, connect
from aitui.ui.context import ServerContext
from aitui.ui.controllers.frontend import DialogFrontend
from aitui.ui.screens.config import ConfigScreen, highlight_config
from aitui.ui.screens.dialogs import KeyPasswordScreen


class HostController:
    """Changes something on the host of one session, one thing at a time."""

    def __init__(self, context: ServerContext) -> None:
        self._app = context.app
        self._clock = context.app_context.clock
        self._session = context.session
        self._run_in_background = context.tasks.run_in_background
        self._ask = context.ask
        self._is_changing = False

    @property
    def has_host(self) -> bool:
        """Whether a host is set for the server."""
        return self._session.admin is not None

    @property
    def can_change(self) -> bool:
        """Whether a change could begin now."""
        return self.has_host and not (self._session.server.read_only or self._is_changing)

    def reload(self) -> None:
        """Make the server read its config file again."""
        self.start_change(self._reload)

    def restart(self) -> None:
        self.start_change(self._restart)

    def undo(self) -> None:
        """Take the last change of the config file back."""
        self.start_change(self._undo)

    def read_config(self) -> None:
        """Read the file that view 5 shows."""
        self._run_in_background(self._read_config(), "read config")

    def start_change(self, change: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a change in the background; one at a time, since each waits for its effect."""
        if self._is_changing:
            words = "Something is being changed there already: wait for its end"
            self._app.notify(words, severity="warning")
        else:
            self._run_in_background(self._run_change(change), "change")

    async def open_runner(self, action: str) -> ConfigRunner:
        """Connect the host and return what runs a change there, in front of dialogs."""
        admin = await self._connect_host(action)
        frontend = DialogFrontend(self._app, self._clock, self._session, self._ask)
        return ConfigRunner(admin, self._session, frontend)

    async def _reload(self) -> None:
        runner = await self.open_runner("reloading the server")
        if await runner.reload():
            self.read_config()

    async def _restart(self) -> None:
        runner = await self.open_runner("restarting the service")
        await runner.restart()

    async def _undo(self) -> None:
        runner = await self.open_runner("undoing a change")
        if await runner.undo(lambda at: time.strftime("%H:%M", time.localtime(at))):
            self.read_config()

    async def _run_change(self, change: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._is_changing = True
        try:
            await change()
        finally:
            self._is_changing = False

    async def _read_config(self) -> None:
        screen = self._config_screen
        if screen is None:
            self._check_config()
            return
        try:
            config = await read_server_config(await self._connect_host())
        except AituiError as error:
            screen.show_error(error)
            return
        self._check_config()
        screen.show_config(config, await asyncio.to_thread(highlight_config, config.text))

    async def _connect_host(self, action: str = "") -> HostAdmin:
        """Connect the host; raises the reason if that, or a change, is impossible."""
        admin, config_watch = self._session.require_host()
        if action:
            admin.refuse_if_read_only(action)
        await connect(admin, self._ask, self._ask_for_passphrase)
        await config_watch.recover()
        return admin

    async def _ask_for_passphrase(self, error: SshKeyPassphraseNeeded) -> str:
        return await self._app.push_screen_wait(KeyPasswordScreen(error)) or ""

    def _check_config(self) -> None:
        """What the table shows of the file may have changed, or may only now be readable."""
        if self._session.config_watch is not None:
            self._session.config_watch.check_now()

    @property
    def _config_screen(self) -> ConfigScreen | None:
        screens = (one for one in self._app.screen_stack if isinstance(one, ConfigScreen))
        return next(screens, None)
