"""The machine behind the server: reach it, change something there step by step, and watch its config."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from aitui.domain.snapshot import Server, Snapshot
from aitui.errors import (
    AituiError,
    ConfigChangedMeanwhile,
    ConfigRefused,
    LoadFailed,
    ServiceFailed,
    SshKeyPassphraseNeeded,
)
from aitui.paths import Paths
from aitui.services.config_apply import (
    CHANGING,
    ChangeApplyFailed,
    ProgressTracker,
    Steps,
    apply_change,
)
from aitui.services.config_plan import (
    ChangePlan,
    ServerConfig,
    change_confirmation,
    read_server_config,
)
from aitui.services.config_recover import (
    RELOADING,
    RESTARTING,
    UNDOING,
    confirm_reload,
    confirm_restart,
    last_change,
    recover_changes,
    reload_server,
    restart_server,
    rollback_confirmation,
    undo_change,
    undo_confirmation,
)
from aitui.services.config_watch import ConfigWatcher
from aitui.services.connect_host import connect
from aitui.services.host_admin import HostAdmin, no_host_error, open_administration
from aitui.services.session import Session, cancel_and_wait
from aitui.ui.context import ServerContext
from aitui.ui.keymap import remedy_text
from aitui.ui.screens.config import ConfigScreen, highlight_config
from aitui.ui.screens.confirm import ConfirmScreen
from aitui.ui.screens.dialogs import KeyPasswordScreen
from aitui.ui.screens.steps import StepsScreen

WIDE, TALL = 100, 34
"""Columns and rows from which a diff has room for the lines around it."""
LOG_LINES = 8
DIFF_LINES = 24


class HostController:
    """Changes something on the host of one session, one thing at a time.

    `on_config_note` gets what is to be said of a config file that the server hasn't read yet.
    """

    def __init__(self, context: ServerContext, on_config_note: Callable[[str], None]) -> None:
        self._app = context.app
        self._app_context = context.app_context
        self._session = context.session
        self._run_in_background = context.tasks.run_in_background
        self._ask = context.ask
        self._on_config_note = on_config_note
        self._admin: HostAdmin | None = None
        self._config_watcher: ConfigWatcher | None = None
        self._has_swap_rules = False
        self._is_changing = False
        self._recovery_lock = asyncio.Lock()
        self._reported_recoveries: set[str] = set()

    @asynccontextmanager
    async def bind_server(self, server: Server, paths: Paths) -> AsyncIterator[None]:
        """Have the host of that server at hand; without one, the keys say why they can't."""
        if not server.ssh_host:
            yield
            return
        async with open_administration(server, paths, self._app_context.clock) as admin:
            self._admin = admin
            self._session.hardware.set_host(admin.host)
            watch = self._config_watcher = ConfigWatcher(admin, self._handle_config)
            watching = asyncio.create_task(watch.run(), name="watch the config file")
            try:
                yield
            finally:
                self._admin = self._config_watcher = None
                await cancel_and_wait(watching)

    @property
    def has_host(self) -> bool:
        """Whether a host is set for the server."""
        return self._admin is not None

    @property
    def can_change(self) -> bool:
        """Whether a change could begin now."""
        writable = not self._session.server.read_only
        return self.has_host and writable and not self._is_changing

    def reload(self) -> None:
        """Have the server read its config file again."""
        self.start_change(self._reload)

    def restart(self) -> None:
        """Restart the service."""
        self.start_change(self._restart)

    def undo(self) -> None:
        """Take the last change of the config file back."""
        self.start_change(self._undo)

    def read_config(self) -> None:
        """Read the file that view 5 shows."""
        self._run_in_background(self._read_config(), "read config")

    def _handle_config(self, preset: ServerConfig | None) -> None:
        session = self._session
        self._on_config_note(preset.newer if preset is not None else "")
        # The monitor tells everybody, as it does of whatever else it learns.
        if preset is None:
            # Only now are they forgotten: that is no reason to try a host again that refuses us.
            self._has_swap_rules = False
            self._run_in_background(session.monitor.forget_swap_rules(), "config read")
        else:
            rules = preset.swap_rules if preset.in_force else None
            self._run_in_background(
                session.monitor.update_config(preset.contexts, rules), "config read"
            )
            session.hardware.update_commands(preset.commands, preset.environments)
            if not self._recovery_lock.locked():
                self._run_in_background(self._recover(), "recover")

    def update_snapshot(self, snapshot: Snapshot) -> None:
        """Look at the file again where the server may have begun to run another one."""
        known, self._has_swap_rules = self._has_swap_rules, snapshot.swap_rules is not None
        if known and not self._has_swap_rules:
            self._check_config()

    async def _recover(self) -> None:
        """Settle changes whose end nobody saw, and say once what came of each."""
        async with self._recovery_lock:
            if self._admin is None:
                return
            for sentence in await recover_changes(self._admin):
                if sentence not in self._reported_recoveries:
                    self._reported_recoveries.add(sentence)
                    self._app.notify(sentence, severity="warning", timeout=20)

    async def _read_config(self) -> None:
        screen = self._config_screen
        if screen is None:
            self._check_config()
            return
        try:
            admin = await self.connect_host()
            preset = await read_server_config(admin)
        except AituiError as error:
            screen.show_error(error)
            return
        self._check_config()
        screen.show_config(preset, await asyncio.to_thread(highlight_config, preset.text))

    def _check_config(self) -> None:
        """What the table shows of the file may have changed, or may only now be readable."""
        if self._config_watcher is not None:
            self._config_watcher.check_now()

    def start_change(self, change: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run what changes something there; one at a time, since each waits for its effect."""
        if self._is_changing:
            words = "Something is being changed there already: wait for its end"
            self._app.notify(words, severity="warning")
        else:
            self._run_in_background(self._run_change(change), "change")

    async def _run_change(self, change: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._is_changing = True
        try:
            await change()
        finally:
            self._is_changing = False

    async def connect_host(self, action: str = "") -> HostAdmin:
        """Reach the host, for an action that a read-only server refuses.

        Raises what keeps it from being reached.
        """
        admin = self._admin
        if admin is None:
            raise no_host_error(self._session.server)
        if action:
            admin.refuse_if_read_only(action)
        await connect(admin, self._ask, self._ask_for_passphrase)
        await self._recover()
        return admin

    async def _ask_for_passphrase(self, error: SshKeyPassphraseNeeded) -> str:
        return await self._app.push_screen_wait(KeyPasswordScreen(error))

    async def confirm_change(self, proposal: ChangePlan) -> tuple[bool, bool]:
        """Ask whether to make a change; the second value: whether the other choice was taken."""
        size = self._app.size
        whole = size.width >= WIDE and size.height >= TALL
        screen = ConfirmScreen(
            lambda snapshot: change_confirmation(proposal, snapshot, whole_diff=whole),
            self._session.snapshot,
        )
        answer = await self._app.push_screen_wait(screen)
        return answer, screen.wants_other

    async def make_change(self, admin: HostAdmin, proposal: ChangePlan) -> bool:
        """Make the change and show its steps; whether it was made and works."""
        session, change = self._session, proposal.change
        subject = f"{change.flag} of {change.model}" if change.flag else change.model
        action = "Changing"
        if change.model and not change.flag:
            action = "Adding" if change.added else "Removing"
        screen, progress = self._show_progress(
            f"{action} {subject or 'the config file'}", *CHANGING
        )
        screen.expected_load_time = expected_load_time(session, change.model)
        works = False
        try:
            made = await apply_change(admin, session, proposal, progress, self._ask)
        except ChangeApplyFailed as error:
            self._finish_steps(screen, *error_lines(error.cause), well=False)
            await self._offer_rollback(admin, error, screen)
        except AituiError as error:
            self._finish_steps(screen, *error_lines(error), well=False)
        else:
            words = f"{change.flag} is {change.new} now" if change.flag else "The file is changed"
            self._finish_steps(
                screen, f"{words}. Undo is in the palette (:).", *made.warnings, well=True
            )
            works = True
        self.read_config()
        return works

    async def _offer_rollback(
        self, admin: HostAdmin, error: ChangeApplyFailed, screen: StepsScreen
    ) -> None:
        session = self._session
        question = rollback_confirmation(error)
        if not await self._ask(lambda _: question):
            return
        screen.action_close()
        screen, progress = self._show_progress("Putting the old value back", *UNDOING)
        screen.expected_load_time = expected_load_time(session, error.made.entry.model)
        try:
            await undo_change(admin, session, error.made.entry, progress, self._ask)
        except AituiError as second:
            self._finish_steps(screen, *error_lines(second), well=False)
        else:
            lines = ("The old value is back, and works.", "The new one didn't:")
            self._finish_steps(screen, *lines, *error_lines(error.cause), well=True)

    async def _reload(self) -> None:
        admin = await self.connect_host("reloading the server")
        if await confirm_reload(admin, self._ask):
            screen, progress = self._show_progress("Reloading the config file", *RELOADING)
            steps = reload_server(admin, self._session, progress, self._ask)
            await self._run_steps(screen, steps, "Reloaded")
            self.read_config()

    async def _restart(self) -> None:
        admin = await self.connect_host("restarting the service")
        if await confirm_restart(admin, self._ask):
            screen, progress = self._show_progress(f"Restarting {admin.service.unit}", *RESTARTING)
            steps = restart_server(admin, self._session, progress)
            await self._run_steps(screen, steps, "Restarted")

    async def _undo(self) -> None:
        admin = await self.connect_host("undoing a change")
        entry = await last_change(admin)
        at = time.strftime("%H:%M", time.localtime(entry.at))
        if await self._ask(lambda snapshot: undo_confirmation(entry, at, snapshot)):
            screen, progress = self._show_progress("Undoing the last change", *UNDOING)
            screen.expected_load_time = expected_load_time(self._session, entry.model)
            steps = undo_change(admin, self._session, entry, progress, self._ask)
            await self._run_steps(screen, steps, "Undone")
            self.read_config()

    def _show_progress(self, title: str, *names: str) -> tuple[StepsScreen, ProgressTracker]:
        screen = StepsScreen(title, self._app_context.clock)
        self._app.push_screen(screen)

        def show(steps: Steps) -> None:
            screen.steps = steps

        return screen, ProgressTracker(self._app_context.clock, show, *names)

    async def _run_steps(
        self, screen: StepsScreen, steps: Coroutine[Any, Any, Any], done: str
    ) -> None:
        try:
            await steps
        except ChangeApplyFailed as error:
            self._finish_steps(screen, *error_lines(error.cause), well=False)
        except AituiError as error:
            self._finish_steps(screen, *error_lines(error), well=False)
        else:
            self._finish_steps(screen, done, well=True)

    def _finish_steps(self, screen: StepsScreen, *lines: str, well: bool) -> None:
        screen.finish(*lines, well=well)
        if screen not in self._app.screen_stack:
            self._app.notify(
                "\n".join(lines[:3]),
                severity="information" if well else "error",
                timeout=10,
            )

    @property
    def _config_screen(self) -> ConfigScreen | None:
        screens = (one for one in self._app.screen_stack if isinstance(one, ConfigScreen))
        return next(screens, None)


def expected_load_time(session: Session, model_id: str) -> float | None:
    """Seconds that loading that model took the last times."""
    model = session.snapshot.model(model_id)
    return None if model is None else model.expected_load


def error_lines(error: AituiError) -> tuple[str, ...]:
    log: tuple[str, ...] = ()
    if isinstance(error, LoadFailed):
        log = error.log[-LOG_LINES:]
    elif isinstance(error, ServiceFailed):
        log = error.journal[-LOG_LINES:]
    elif isinstance(error, ConfigChangedMeanwhile):
        # Their change, not ours: what stands there now and wasn't read.
        log = tuple(error.diff.splitlines()[2 : 2 + DIFF_LINES])
    place = error.location if isinstance(error, ConfigRefused) else ""
    lines = (error.what, place, error.why, *(f"| {line}" for line in log), remedy_text(error))
    return tuple(line for line in lines if line)
