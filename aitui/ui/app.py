"""The app: opens a server, passes its snapshots to the screens and their wishes to commands."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from typing import Any, ClassVar

from rich.text import Text
from textual import on
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.filter import LineFilter
from textual.screen import Screen

from aitui.domain.models import ActiveRequest
from aitui.domain.snapshot import ConnectionPhase, ConnectionStatus, Server, Snapshot
from aitui.errors import KeyPasswordNeeded, LoadFailed
from aitui.paths import Paths
from aitui.services.load import leave_confirmation, load_model
from aitui.services.session import Session, open_session
from aitui.services.unload import cancel_request, unload_all_models, unload_model
from aitui.settings import missing_certificates, server_at
from aitui.ui.administering import AdminApp
from aitui.ui.context import AppContext
from aitui.ui.controllers.doctor import run_checks
from aitui.ui.controllers.logs import LogController
from aitui.ui.controllers.questions import ask_for_password, ask_for_server, offer_evicted_models
from aitui.ui.crash import write_crash_report
from aitui.ui.messages import (
    CancelRequested,
    LoadRequested,
    LogRequested,
    LogRetryRequested,
    LogSaveRequested,
    LogSelected,
    ModelsViewRequested,
    SnapshotChanged,
    UnloadAllRequested,
    UnloadRequested,
)
from aitui.ui.screens.config import ConfigScreen
from aitui.ui.screens.confirm import ConfirmScreen
from aitui.ui.screens.context_size import ContextSizeScreen
from aitui.ui.screens.doctor import DoctorScreen
from aitui.ui.screens.hardware import HardwareScreen
from aitui.ui.screens.help import HelpScreen, active_keys
from aitui.ui.screens.logs import LogsScreen
from aitui.ui.screens.setup import DemoRequested, RecheckRequested, SetupScreen
from aitui.ui.terminal.driver import GuardedDriver, PasteCut
from aitui.ui.terminal.filters import ContrastFilter, ControlCharFilter
from aitui.ui.terminal.paste_guard import LONGEST_PASTE
from aitui.ui.terminal_gone import is_terminal_closed
from aitui.ui.text import NOT_REACHED, seconds_text

LIVE_SCREENS = (ConfirmScreen, LogsScreen, ConfigScreen, ContextSizeScreen, HardwareScreen)
"""Those that are told of each snapshot, wherever in the stack they are."""

VIEW_SCREENS = (LogsScreen, ConfigScreen, HardwareScreen)
"""Those that can be opened from one another."""


class AituiApp(AdminApp):
    """The dashboard."""

    TITLE = "aitui"
    # Textual reads a screen's own style sheet when it is pushed, which the first one never is.
    CSS_PATH = "screens/models.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f5,ctrl+r", "refresh_server", "refresh", key_display="F5"),
        Binding("S", "switch_server", "another server"),
        Binding("2", "logs", "logs"),
        Binding("4", "hardware", "hardware"),
        Binding("question_mark,f1", "help", "keys", key_display="?"),
        Binding("D", "doctor", "doctor: check everything"),
        Binding("colon", "command_palette", "command palette", key_display=":"),
        Binding("ctrl+p", "command_palette", "command palette", show=False),
        Binding("q", "quit", "quit"),
    ]

    def __init__(self, opening: AppContext) -> None:
        super().__init__(opening)
        self._server: Server | None = None
        self._has_asked_for_password = False
        self._log_controller = LogController(
            self, opening, lambda: self._session, self.run_in_background
        )
        self._terminal_filters = (ControlCharFilter(), ContrastFilter())

    def get_default_screen(self) -> Screen[None]:
        """The models come first."""
        return self._models_screen

    def get_driver_class(self) -> type[Driver]:
        """Guard what comes in, unless the environment names another driver than Textual's own."""
        driver = super().get_driver_class()
        return GuardedDriver if driver is LinuxDriver else driver

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's own, then the two that every line passes before the terminal."""
        return (*super().get_line_filters(), *self._terminal_filters)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """What the palette offers: every key's action, and the themes."""
        for _, words, action in active_keys(screen):
            if action != "app.command_palette":
                yield SystemCommand(words.capitalize(), "", self._action_runner(screen, action))
        yield SystemCommand(
            "Undo", "Take the last change of the config back", self.action_undo_change
        )
        yield SystemCommand("Theme", "Choose other colours", self.action_change_theme)

    def on_mount(self) -> None:
        """Paint first; then connect, or say why not."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._exit_on_signal, number)
        if not self.is_headless:
            self.set_interval(1.0, self._exit_if_terminal_closed)
        opening = self._app_context
        if opening.start_with_demo:
            self._open_demo()
        elif opening.missing_certificates:
            self.push_screen(SetupScreen(opening.settings.server, opening.missing_certificates))
        else:
            self._connect(opening.settings.server)

    def action_refresh_server(self) -> None:
        """Ask the server for everything, at once."""
        self.redraw_screen()
        self._has_asked_for_password = False
        if self._session is not None:
            self._session.monitor.refresh()

    def action_help(self) -> None:
        """Show the keys that work here."""
        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(active_keys(self.screen)))

    def action_doctor(self) -> None:
        """Check everything between the settings and the terminal."""
        if not isinstance(self.screen, DoctorScreen):
            clock, size = self._app_context.clock, (self.size.width, self.size.height)
            self.push_screen(
                DoctorScreen(lambda: run_checks(self._app_context, self._server, size), clock)
            )

    def action_switch_server(self) -> None:
        """Choose another server."""
        self.run_in_background(self._switch_server(), "switch")

    def action_logs(self) -> None:
        """Show the log that was read last, at first that of proxy and models."""
        self._log_controller.open(self._models_screen.selected_model, of_model=False)

    def action_hardware(self) -> None:
        """Show whose the memory is, and how the hardware fared lately."""
        if not isinstance(self.screen, HardwareScreen):
            snapshot = self._models_screen.snapshot
            self.push_screen(HardwareScreen(self._app_context.clock, self._server, snapshot))

    def run_app_command(self, name: str, model_id: str) -> None:
        """Load, unload, refresh or show the hardware, as the keys do."""
        if name == "load":
            self._load(model_id)
        elif name == "unload":
            self.run_in_background(self._unload(model_id), f"unload {model_id}")
        elif name == "gpu":
            self.action_hardware()
        else:
            self.action_refresh_server()

    def _exit_if_terminal_closed(self) -> None:
        if is_terminal_closed(sys.stdin.fileno()):
            self._exit_on_signal(signal.SIGHUP)

    def _exit_on_signal(self, number: signal.Signals) -> None:
        self.exit(return_code=128 + number)

    def _fatal_error(self) -> None:
        """A fault of aitui itself ends it with a sentence instead of a traceback."""
        error = self._exception
        if error is not None:
            words = f"aitui has failed: {write_crash_report(error, self._app_context.paths.state)}"
            # A `str` would be markup, and the way to the report may hold brackets.
            self.panic(Text(words))

    def _connect(self, server: Server) -> None:
        self._start_session(self._run_session(server, self._app_context.paths))

    def _open_demo(self) -> None:
        self._start_session(self._run_demo())

    def _start_session(self, life: Coroutine[Any, Any, None]) -> None:
        self._session = None
        self._has_asked_for_password = False
        self._models_screen.show_chat(shown=False)
        while len(self.screen_stack) > 1:
            self.pop_screen()
        self.workers.cancel_node(self)
        self.run_in_background(life, "server")

    async def _run_demo(self) -> None:
        async with self._app_context.demo_world() as (server, paths):
            await self._run_session(server, paths)

    async def _run_session(self, server: Server, paths: Paths) -> None:
        opening = self._app_context
        self._server, self._paths = server, paths
        self._models_screen.server = server
        self._models_screen.snapshot = Snapshot(
            ConnectionStatus(opened_at=opening.clock.monotonic())
        )
        async with open_session(
            server,
            paths,
            opening.clock,
            opening.random,
            on_change=lambda snapshot: self._post_snapshot(server, snapshot),
            on_notice=lambda words: self.notify(words, severity="warning", timeout=20),
        ) as session:
            self._session = session
            async with self._chat_controller.bind_session(session, paths):
                await session.run()

    def _post_snapshot(self, server: Server, snapshot: Snapshot) -> None:
        self.post_message(SnapshotChanged(server, snapshot))

    @on(SnapshotChanged)
    def _handle_snapshot(self, message: SnapshotChanged) -> None:
        if message.server is not self._server:
            return
        self._models_screen.snapshot = message.snapshot
        self._chat_controller.update_snapshot(message.snapshot)
        self._host_controller.update_snapshot(message.snapshot)
        self.report_slowdowns(message.snapshot)
        for screen in self.screen_stack:
            if isinstance(screen, LIVE_SCREENS):
                # Its widgets come a moment after it and go a moment before: it shows the latest
                # state when they are there.
                with suppress(NoMatches):
                    screen.show(message.snapshot)
        error = message.snapshot.connection.error
        if isinstance(error, KeyPasswordNeeded) and not self._has_asked_for_password:
            self._has_asked_for_password = True
            self.run_in_background(self._ask_for_password(message.server, error), "password")

    @on(LoadRequested)
    def _handle_load_request(self, message: LoadRequested) -> None:
        if type(message) is LoadRequested:
            self._load(message.model.id)

    @on(UnloadRequested)
    def _handle_unload_request(self, message: UnloadRequested) -> None:
        model = message.model
        if model.requested is not None and not model.resident:
            self.workers.cancel_group(self, _load_group(model.id))
            self.notify(f"Gave up waiting for {model.id}", markup=False)
        else:
            self.run_in_background(self._unload(model.id), f"unload {model.id}")

    @on(UnloadAllRequested)
    def _handle_unload_all_request(self) -> None:
        self.run_in_background(self._unload_all(), "unload all")

    @on(ModelsViewRequested)
    def _handle_models_view_request(self) -> None:
        while isinstance(self.screen, VIEW_SCREENS):
            self.screen.dismiss()

    @on(LogRequested)
    def _handle_log_request(self, message: LogRequested) -> None:
        self._log_controller.open(message.model, of_model=True)

    @on(LogSelected)
    def _handle_log_selection(self, message: LogSelected) -> None:
        self._log_controller.follow_log(message.name)

    @on(LogRetryRequested)
    def _handle_log_retry_request(self) -> None:
        self._log_controller.retry()
        self.action_refresh_server()

    @on(LogSaveRequested)
    def _handle_log_save_request(self, message: LogSaveRequested) -> None:
        self._log_controller.save(message.name, message.lines)

    @on(CancelRequested)
    def _handle_cancel_request(self, message: CancelRequested) -> None:
        self.run_in_background(self._cancel(message.request), "cancel")

    async def _cancel(self, request: ActiveRequest) -> None:
        if self._session is not None and await cancel_request(self._session, request, self._ask):
            self.notify(f"Cancelled the request at {request.model}", markup=False)

    @on(PasteCut)
    def _paste_cut(self, message: PasteCut) -> None:
        words = (
            f"A paste takes {LONGEST_PASTE:,} characters. {message.left_out:,} at its end are "
            "left out. /file PATH takes a whole file."
        )
        self.notify(words, title="The paste was cut", severity="warning", timeout=15)

    @on(DemoRequested)
    def _handle_demo_request(self) -> None:
        self.run_in_background(self._leave_for(self._open_demo), "switch")

    @on(RecheckRequested)
    async def _handle_recheck_request(self) -> None:
        server = self._app_context.settings.server
        missing = await asyncio.to_thread(missing_certificates, server)
        if not missing:
            self.run_in_background(self._leave_for(lambda: self._connect(server)), "switch")
        elif isinstance(self.screen, SetupScreen):
            self.screen.show(missing)
            self.notify("Still missing", severity="warning", markup=False)

    def _load(self, model_id: str) -> None:
        model = None if self._session is None else self._session.snapshot.model(model_id)
        if model is not None and model.requested is not None:
            # A second request would take the place of the one that is open.
            self.notify(f"{model_id} is loading already", markup=False)
        else:
            self.run_in_background(self._load_and_report(model_id), _load_group(model_id))

    async def _load_and_report(self, model_id: str) -> None:
        session = self._session
        if session is None:
            return
        try:
            loaded = await load_model(
                session, model_id, self._ask, at_limit=lambda: self._say_overdue(session, model_id)
            )
        except LoadFailed as error:
            self.notify_if_away(error.what)
            await self._handle_failed_load(error)
            return
        if loaded is not None and loaded.seconds:
            words = seconds_text(loaded.seconds)
            self.notify(f"{loaded.model_id} is ready after {words}", markup=False)
            self.notify_if_away(f"{loaded.model_id} is ready")
        elif loaded is not None:
            self.notify(f"{loaded.model_id} is loaded already", markup=False)

    async def _handle_failed_load(self, error: LoadFailed) -> None:
        if not error.evicted:
            self._notify_error(error)
        await offer_evicted_models(error, self._ask, self._load)

    def _say_overdue(self, session: Session, model_id: str) -> None:
        words = f"{model_id} still loads after {session.server.timeout:g} s; u aborts it"
        self.notify(words, severity="warning", markup=False)

    async def _unload(self, model_id: str) -> None:
        if self._session is not None:
            gone = await unload_model(self._session, model_id, self._ask)
            if gone:
                self.notify(f"{model_id} is unloaded", markup=False)
            elif (model := self._session.snapshot.model(model_id)) and not model.resident:
                self.notify(f"{model_id} is not loaded", severity="warning", markup=False)

    async def _unload_all(self) -> None:
        if self._session is not None:
            snapshot = self._session.snapshot
            if not snapshot.resident:
                live = snapshot.connection.phase is ConnectionPhase.LIVE
                words = "No model is loaded" if live else NOT_REACHED
                self.notify(words, severity="warning", markup=False)
            elif gone := await unload_all_models(self._session, self._ask):
                self.notify(f"Unloaded {', '.join(gone)}", markup=False)

    async def _switch_server(self) -> None:
        choice = await ask_for_server(self, self._app_context.settings.servers, self._server)
        if choice is None:
            return
        server = choice if isinstance(choice, Server) else self._server_from_url(choice)
        missing = await asyncio.to_thread(missing_certificates, server)
        if missing:
            self.push_screen(SetupScreen(server, tuple(missing)))
        else:
            await self._leave_for(lambda: self._connect(server))

    async def _leave_for(self, connect: Callable[[], None]) -> None:
        """Go to another server; ask first where a load would be cut."""
        session = self._session
        if session is not None and self._loads_are_open:
            label = session.server.label
            if not await self._ask(lambda snapshot: leave_confirmation(label, snapshot)):
                return
        # Not from here: it ends every worker, this one as well.
        self.call_next(connect)

    def _server_from_url(self, url: str) -> Server:
        # `--read-only` makes every server of the settings so, and means a typed one as well.
        read_only = all(server.read_only for server in self._app_context.settings.servers)
        return server_at(url, self._app_context.home, read_only=read_only)

    async def _ask_for_password(self, server: Server, error: KeyPasswordNeeded) -> None:
        with_password = await ask_for_password(self, server, error)
        if with_password is not None:
            self.call_next(self._connect, with_password)

    def _action_runner(
        self, screen: Screen[Any], action: str
    ) -> Callable[[], Coroutine[Any, Any, None]]:
        async def run() -> None:
            await screen.run_action(action)

        return run


def _load_group(model_id: str) -> str:
    return f"load {model_id}"
