"""Deeds at the machine behind the server: reached, asked about, watched step by step."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aitui.aio import cancel_and_wait
from aitui.domain.confirmation import Confirmation
from aitui.domain.progress import ProgressTracker, Steps
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
    apply_change,
)
from aitui.services.config_plan import (
    ChangePlan,
    ServerConfig,
    change_confirmation,
    read_server_config,
)
from aitui.services.config_recover import (
    UNDOING,
    recover_changes,
    rollback_confirmation,
    undo_change,
)
from aitui.services.config_watch import ConfigWatcher
from aitui.services.connect_host import connect
from aitui.services.host_admin import HostAdmin, no_host_error, open_administration
from aitui.services.session import Session
from aitui.ui.context import AppContext
from aitui.ui.keymap import remedy_text
from aitui.ui.screens.config import ConfigScreen, highlight_config
from aitui.ui.screens.confirm import ConfirmScreen
from aitui.ui.screens.dialogs import KeyPasswordScreen
from aitui.ui.screens.steps import StepsScreen

if TYPE_CHECKING:
    from textual.app import App

WIDE, TALL = 100, 34
"""Columns and rows from which a diff has room for the lines around it."""
LOG_LINES = 8
DIFF_LINES = 24

RunInBackground = Callable[[Coroutine[Any, Any, None], str], None]
Ask = Callable[[Callable[[Snapshot], Confirmation]], Awaitable[bool]]


class HostController:
    """Belongs to the app; `beside` runs a deed of a group and tells what goes wrong.

    `on_newer` is told what is to be said of a config file that the server hasn't read yet.
    """

    def __init__(
        self,
        app: "App[None]",
        opening: AppContext,
        session: Callable[[], Session | None],
        beside: RunInBackground,
        *,
        ask: Ask,
        on_newer: Callable[[str], None],
    ) -> None:
        self._app = app
        self._app_context = opening
        self._session = session
        self._run_in_background = beside
        self._ask = ask
        self._on_config_note = on_newer
        self._admin: HostAdmin | None = None
        self._server: Server | None = None
        self._config_watcher: ConfigWatcher | None = None
        self._has_swap_rules = False
        self._is_changing = False
        self._recovery_lock = asyncio.Lock()
        self._reported_recoveries: set[str] = set()

    @asynccontextmanager
    async def bind_server(self, server: Server, paths: Paths) -> AsyncIterator[None]:
        """Have the host of that server at hand; without one, the keys say why they can't."""
        self._server, self._admin = server, None
        if not server.ssh_host:
            yield
            return
        async with open_administration(server, paths, self._app_context.clock) as admin:
            self._admin = admin
            if (session := self._session()) is not None:
                session.hardware.set_host(admin.host)
            watch = self._config_watcher = ConfigWatcher(admin, self._handle_config)
            watching = asyncio.create_task(watch.run(), name="watch the config file")
            try:
                yield
            finally:
                self._admin = self._config_watcher = None
                await cancel_and_wait(watching)

    def read_config(self) -> None:
        """Read the file that view 5 shows."""
        self._run_in_background(self._read_config(), "read config")

    def _handle_config(self, preset: ServerConfig | None) -> None:
        session = self._session()
        self._on_config_note(preset.newer if preset is not None else "")
        if session is None:
            return
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
                    self._app.notify(sentence, severity="warning", timeout=20, markup=False)

    async def _read_config(self) -> None:
        screen = self._config_screen
        if screen is None:
            self._check_config()
            return
        try:
            admin, _ = await self._connect_host()
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

    def _start_change(self, deed: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run what changes something there; one at a time, since each waits for its effect."""
        if self._is_changing:
            words = "Something is being changed there already: wait for its end"
            self._app.notify(words, severity="warning", markup=False)
        else:
            self._run_in_background(self._run_change(deed), "change")

    async def _run_change(self, deed: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._is_changing = True
        try:
            await deed()
        finally:
            self._is_changing = False

    async def _connect_host(self, deed: str = "") -> tuple[HostAdmin, Session]:
        """The host, reached, and the session. Raises what keeps either from being there."""
        admin, session = self._admin, self._session()
        if admin is None or session is None:
            raise no_host_error(self._server or self._app_context.settings.server)
        if deed:
            admin.refuse_if_read_only(deed)
        await connect(admin, self._ask, self._ask_for_passphrase)
        await self._recover()
        return admin, session

    async def _ask_for_passphrase(self, error: SshKeyPassphraseNeeded) -> str:
        return await self._app.push_screen_wait(KeyPasswordScreen(error))

    async def _confirm_proposal(self, proposal: ChangePlan) -> tuple[bool, bool]:
        session = self._session()
        if session is None:
            return False, False
        size = self._app.size
        whole = size.width >= WIDE and size.height >= TALL
        screen = ConfirmScreen(
            lambda snapshot: change_confirmation(proposal, snapshot, whole_diff=whole),
            session.snapshot,
        )
        answer = await self._app.push_screen_wait(screen)
        return answer, screen.wants_other

    async def _apply_proposal(
        self, admin: HostAdmin, session: Session, proposal: ChangePlan
    ) -> bool:
        """Make the change and show its steps; whether it was made and works."""
        change = proposal.change
        subject = f"{change.flag} of {change.model}" if change.flag else change.model
        deed = "Changing"
        if change.model and not change.flag:
            deed = "Adding" if change.added else "Removing"
        screen, progress = self._show_progress(f"{deed} {subject or 'the config file'}", *CHANGING)
        screen.expected_load_time = expected_load_time(session, change.model)
        works = False
        try:
            made = await apply_change(admin, session, proposal, progress, self._ask)
        except ChangeApplyFailed as error:
            self._finish_steps(screen, *error_lines(error.cause), well=False)
            await self._offer_rollback(admin, session, error, screen)
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
        self, admin: HostAdmin, session: Session, error: ChangeApplyFailed, screen: StepsScreen
    ) -> None:
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

    def _show_progress(self, title: str, *names: str) -> tuple[StepsScreen, ProgressTracker]:
        screen = StepsScreen(title, self._app_context.clock)
        self._app.push_screen(screen)

        def show(steps: Steps) -> None:
            screen.steps = steps

        return screen, ProgressTracker(self._app_context.clock, show, *names)

    async def _run_steps(
        self, screen: StepsScreen, deed: Coroutine[Any, Any, Any], done: str
    ) -> None:
        try:
            await deed
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
                markup=False,
            )

    def _notify_no_host(self) -> None:
        error = no_host_error(self._server or self._app_context.settings.server)
        self._app.notify(
            f"{error.why}\n{remedy_text(error)}", title=error.what, severity="warning", markup=False
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
