"""The app: opens a server, and passes keys and messages on to the controllers of its session."""

import asyncio
import signal
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from rich.text import Text
from textual import events, on
from textual.app import App
from textual.binding import Binding
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.filter import LineFilter
from textual.notifications import SeverityLevel
from textual.reactive import Reactive, var
from textual.screen import Screen
from textual.theme import Theme
from textual.widget import Widget
from textual.worker import Worker

from aitui import __version__
from aitui.collector import CollectorPause
from aitui.domain.snapshot import Server, Snapshot
from aitui.errors import AituiError
from aitui.format.fit import shorten_id
from aitui.ui import messages
from aitui.ui.background import TaskRunner, write_crash_report
from aitui.ui.context import AppContext
from aitui.ui.controllers.server import ServerControllers, ServerSwitcher
from aitui.ui.keymap import APP, key_sign, takes_letters
from aitui.ui.screens.models import ModelsScreen
from aitui.ui.terminal.driver import GuardedDriver, PasteCut, is_terminal_closed
from aitui.ui.terminal.filters import ContrastFilter, ControlCharFilter, FilterChain, PaletteFilter
from aitui.ui.terminal.key_queue import KeyQueue, QueuedEvent
from aitui.ui.terminal.notifications import (
    MAX_NOTICE_CELLS,
    MAX_TEXT_CELLS,
    MAX_TITLE_CELLS,
    Notice,
    TerminalNotifier,
    add_notice,
)
from aitui.ui.terminal.paste_guard import LONGEST_PASTE
from aitui.ui.terminal.screen_diff import FrameWriter
from aitui.ui.text import text_summary
from aitui.ui.theme import DARK, build_themes, derive_variables, has_few_colors
from aitui.ui.widgets.key_bar import show_in_dialog

# What another view needs is imported when that is opened, and its messages are handled by their names:
# all of it together made the first frame 2.7 times as late as that of a ten-line app.
if TYPE_CHECKING:
    from rich.console import RenderableType
    from textual.widgets import TextArea

    from aitui.ui.widgets.chat_pane import ChatPane
    from aitui.ui.widgets.chat_rail import ChatRail
    from aitui.ui.widgets.composer import Composer
    from aitui.ui.widgets.transcript import Transcript

VIEWS = frozenset({"logs", "activity", "config", "hardware"})
"""The names of the screens that can be opened from one another."""
PALETTE_SCREEN = "palette"
DOUBLE_INTERRUPT_SECONDS = 2.0
"""Seconds in which a second ^c quits."""


@runtime_checkable
class Ticking(Protocol):
    """A screen with content that changes with time alone."""

    def tick(self) -> None:
        """Repaint what has changed; called once a second while the screen is shown."""


class AituiApp(App[None]):
    """The dashboard."""

    TITLE = "aitui"
    # Textual reads a screen's own style sheet when it is pushed, which the first one never is.
    CSS_PATH = "screens/models.tcss"
    # A toast stands above the message and the keys. Without colors Textual marks neither the place in a list nor what is selected, and what it draws by
    # visual styles loses `reverse`.
    CSS = """
    ToastRack { margin-bottom: 2; }
    OptionList:nocolor > .option-list--option-highlighted { text-style: bold underline; }
    Screen:nocolor .screen--selection { text-style: reverse; }
    ModalScreen { background: $background 55%; }
    .-maximized-view ServerHeader { dock: top; }
    .-maximized-view KeyBar { dock: bottom; }
    .-maximized { width: 1fr !important; height: 1fr !important; max-height: 100%; }
    .frame { border: round $frame; }
    .frame:focus, .frame:focus-within { border: round $accent; }
    """
    BINDINGS = APP.bindings()
    ALLOW_IN_MAXIMIZED_VIEW = "ServerHeader, KeyBar, TroublePane"
    ESCAPE_TO_MINIMIZE = False

    theme: Reactive[str] = Reactive(DARK)
    """The name of the theme, of ours or of Textual's."""
    notices: var[tuple[Notice, ...]] = var((), init=False)
    """The latest messages, the newest last."""
    server: var[Server | None] = var(None, init=False)
    """The server that is shown, open or about to be."""
    snapshot: var[Snapshot] = var(Snapshot(), init=False)
    """The latest state of the server, which screens and widgets watch."""

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self._app_context = context
        self._key_queue = KeyQueue(self, super().on_event)
        self._collector_pause = CollectorPause()
        self._frames = FrameWriter(self, super()._display)
        few_colors = has_few_colors(self)
        self._line_filters: tuple[LineFilter, ...] = (ControlCharFilter(), ContrastFilter())
        if few_colors:
            self._line_filters += (PaletteFilter(),)
        self._filter_chain = FilterChain(())
        for theme in build_themes(few_colors=few_colors):
            self.register_theme(theme)
        self.stylesheet.set_variables(self.get_css_variables())
        self._tasks = TaskRunner(self, context.paths.state)
        notifications = context.settings.notifications
        self._notifier = TerminalNotifier(self, context.environment, enabled=notifications)
        self._models_screen = ModelsScreen(context.clock)
        self._servers = ServerSwitcher(
            self,
            context,
            self._tasks,
            self._notifier,
            screen=self._models_screen,
            show=self._show_server,
            on_change=self.post_snapshot,
        )
        self._interrupted_at = float("-inf")
        self._next_snapshot: tuple[Server, Snapshot] | None = None
        if context.theme in self.available_themes:
            self.theme = context.theme

    # What Textual calls, passed on to the workarounds in ui/terminal.

    async def on_event(self, event: events.Event) -> None:
        """Take keys in the order in which they were typed."""
        if isinstance(event, events.Key | events.MouseUp):
            self._collector_pause.begin()
        if isinstance(event, QueuedEvent):
            await self._key_queue.on_event(event)
        else:
            await super().on_event(event)

    def _display(self, screen: Screen[Any], renderable: "RenderableType | None") -> None:
        self._frames.write(screen, renderable)

    def _load_screen_css(self, screen: Screen[Any]) -> None:
        """Read a screen's style sheet; its widgets take their styles from it when they are mounted.

        Textual 8.2.8 parses every other one again as well and styles what is mounted by then: two
        thirds of the CPU of opening a view for the first time.
        """
        for path in screen.css_path:
            if not self.stylesheet.has_source(str(path), ""):
                self.stylesheet.read(path)

    def get_driver_class(self) -> type[Driver]:
        """Use the guarded driver, unless the environment names another one."""
        driver = super().get_driver_class()
        return GuardedDriver if driver is LinuxDriver else driver

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's own, then those that every line passes before the terminal, as one."""
        filters = (*super().get_line_filters(), *self._line_filters)
        if filters != self._filter_chain.filters:
            self._filter_chain = FilterChain(filters)
        return (self._filter_chain,)

    def get_key_display(self, binding: Binding) -> str:
        """Spell a key as the keymap does."""
        return binding.key_display or key_sign(binding.key)

    def get_css_variables(self) -> dict[str, str]:
        """Return the variables of the theme; none while Textual asks before the terminal is known."""
        return super().get_css_variables() if hasattr(self, "console") else {}

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Return our colors for Textual's own themes."""
        return derive_variables(self.current_theme, few_colors=has_few_colors(self))

    def on_resize(self) -> None:
        self._frames.invalidate()

    def on_notify(self) -> None:
        """Show one toast at a time: the last."""
        self._notifications.clear()

    def _refresh_notifications(self) -> None:
        if not self.screen_stack:
            # A notification that comes while the app ends has nowhere to be.
            return
        if not self._has_room_for_toast:
            self._notifications.clear()
        # Of a toast that another one replaces, Textual leaves the holder, with its task.
        for holder in self.screen.query("ToastHolder"):
            if not holder.children:
                holder.remove()
        super()._refresh_notifications()

    def on_descendant_focus(self) -> None:
        """Remove a toast that would cover the focused input."""
        if self._notifications:
            self._refresh_notifications()

    @property
    def _has_room_for_toast(self) -> bool:
        """Whether a toast covers no dialog, no reply under way, and nothing that is being typed."""
        screen, current = self.screen, self._servers.controllers
        replying = current is not None and current.shows_reply
        return not (screen.is_modal or takes_letters(screen.focused) or replying)

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,  # noqa: ARG002 - as Textual calls it
    ) -> None:
        """Show a message, never as markup, in the message line.

        An error has a toast as well, in a few lines however long it is, where that covers nothing.
        """
        text, title = shorten_id(message, MAX_NOTICE_CELLS), shorten_id(title, MAX_TITLE_CELLS)
        seconds = self.NOTIFICATION_TIMEOUT if timeout is None else timeout
        notice = Notice(self._app_context.clock.wall(), text, title, severity, seconds)
        self.notices = add_notice(self.notices, notice)
        if not self.screen_stack:
            return
        show_in_dialog(self.screen, notice)
        if severity == "error" and self._has_room_for_toast:
            short = shorten_id(text, MAX_TEXT_CELLS)
            super().notify(short, title=title, severity=severity, timeout=seconds, markup=False)

    def copy_to_clipboard(self, text: str) -> None:
        """Copy in one of three ways, and say where it went; also what Textual itself copies."""
        # What its own fields paste.
        self._clipboard = text
        self._tasks.run_in_background(self._copy(text), "copy", exclusive=False)

    def _fatal_error(self) -> None:
        """Exit with a sentence instead of a traceback after an unexpected exception."""
        error = self._exception
        if error is not None:
            words = f"aitui has failed: {write_crash_report(error, self._app_context.paths.state)}"
            # A `str` would be markup, and the path of the report may hold brackets.
            self.panic(Text(words))

    def get_default_screen(self) -> Screen[None]:
        return self._models_screen

    def action_command_palette(self) -> None:
        """Offer every action, model, conversation, server and theme."""
        self._open_palette("")

    def action_change_theme(self) -> None:
        """Offer the themes; the selected one is shown at once."""
        self._open_palette("theme ")

    def _open_palette(self, query: str) -> None:
        from aitui.ui.controllers.palette import open_palette

        if self.screen.name != PALETTE_SCREEN:
            open_palette(
                self,
                self._models_screen,
                self._servers,
                self._tasks,
                choose_theme=self.choose_theme,
                query=query,
            )

    def on_mount(self) -> None:
        """Paint first; then connect, or show why that is impossible."""
        self._frames.start()
        self.theme_changed_signal.subscribe(self, self._handle_theme_change)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._exit_on_signal, number)
        self.set_interval(1.0, self._tick)
        self._servers.start()

    async def run_until_closed(self) -> None:
        """Run until everything is saved, which goes on after the screen was given back."""
        await self.run_async()
        await self._servers.wait_closed()

    def on_ready(self) -> None:
        self._servers.has_painted.set()

    # Keys.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable the key of the context size while text is typed; enable closing if there is a toast."""
        # False, not None, which grays a key out in Textual's footer: there is none, nor one to refresh.
        if action == "close_toast":
            return bool(self._notifications)
        if action == "change_context":
            of_models = isinstance(self.screen, ModelsScreen) or self.screen.name == "config"
            return of_models and not takes_letters(self.focused)
        return super().check_action(action, parameters)

    def action_refresh_server(self) -> None:
        self._frames.redraw()
        self._servers.refresh()

    def action_help(self) -> None:
        from aitui.ui.screens.help import HelpScreen, help_groups

        if not isinstance(self.screen, HelpScreen):
            versions = f"aitui {__version__}"
            if self.snapshot.version:
                versions += f" · llama-swap {self.snapshot.version_name}"
            self.push_screen(HelpScreen(help_groups(self.screen), versions=versions))

    def action_zoom(self) -> None:
        """Toggle the zoom of the focused pane."""
        screen = self.screen
        if isinstance(screen, ModelsScreen):
            screen.toggle_zoom()
            return
        focused, pane = screen.focused, None
        if screen.maximized is None and focused is not None:
            pane = next(
                (
                    widget
                    for widget in focused.ancestors_with_self
                    if isinstance(widget, Widget) and widget.has_class("frame")
                ),
                None,
            )
        if not screen.is_modal:
            screen.maximized = pane

    def action_open_page(self) -> None:
        if current := self._current():
            model = self._models_screen.selected_model
            current.models.open_page(model if self.screen is self._models_screen else None)

    def action_conversations(self) -> None:
        if not self.screen.is_modal and (current := self._current()):
            current.conversations.choose()

    def action_messages(self) -> None:
        from aitui.ui.screens.messages import MessagesScreen

        self.push_screen(MessagesScreen(self.notices))

    def action_close_toast(self) -> None:
        self.clear_notifications()

    def action_doctor(self) -> None:
        from aitui.format.doctor import redact
        from aitui.ui.screens.doctor import DoctorScreen, run_checks

        if not isinstance(self.screen, DoctorScreen):
            context, size = self._app_context, (self.size.width, self.size.height)
            checks = partial(run_checks, context, self.server, size)
            own = (self.server,) if self.server else ()
            hide = partial(
                redact, servers=(*context.settings.servers, *own), environment=context.environment
            )
            self.push_screen(DoctorScreen(checks, context.clock, hide))

    def action_switch_server(self) -> None:
        self._tasks.run_in_background(self._servers.choose(self.server), "switch")

    def action_switch_profile(self) -> None:
        if not self.screen.is_modal and (current := self._current()):
            current.models.choose_profile()

    def action_open_peer(self) -> None:
        """Connect to the server that a peer's model runs on, if config.toml has it."""
        model = self._models_screen.selected_model
        if model is None or not model.peer:
            self.notify("This model is not a peer's", severity="warning")
        else:
            self._tasks.run_in_background(self._servers.go_to_peer(model.peer), "switch")

    def action_models(self) -> None:
        """Close all views, whichever of them were opened from one another."""
        while self.screen.name in VIEWS:
            self.screen.dismiss()

    def action_logs(self) -> None:
        """Show the log that was read last, at first that of proxy and models."""
        if current := self._current():
            current.logs.open(self._models_screen.selected_model, of_model=False)

    def action_activity(self) -> None:
        if current := self._current():
            current.activity.open()

    def action_hardware(self) -> None:
        from aitui.ui.screens.hardware import HardwareScreen

        if not isinstance(self.screen, HardwareScreen):
            self.push_screen(HardwareScreen(self._app_context.clock))

    def action_config(self) -> None:
        if current := self._current():
            current.config.show(self._models_screen.selected_model)

    def action_change_context(self) -> None:
        from aitui.ui.screens.config import ConfigScreen

        screen, highlighted = self.screen, self._models_screen.selected_model
        model_id = highlighted.id if highlighted is not None else ""
        if isinstance(screen, ConfigScreen):
            model_id = screen.model_id
        if not model_id:
            self.notify("No model is selected", severity="warning")
        elif current := self._current():
            current.config.ask_for_context_size(model_id)

    def action_grow_context(self) -> None:
        """Change the context size of the chat's model, to what its prompt needs if one was refused."""
        pane = self._models_screen.chat
        current = self._current()
        if current and pane.needed_context:
            current.config.change_context_size(pane.model_id, pane.needed_context)
        elif current:
            current.config.ask_for_context_size(pane.model_id)

    def action_resume_last(self) -> None:
        """Go on with the last conversation with the model, while an empty one offers it."""
        if current := self._current():
            self._tasks.run_in_background(current.conversations.resume_last(), "open conversation")

    def action_reload_config(self) -> None:
        if current := self._current():
            current.config.reload()

    def action_restart_service(self) -> None:
        if current := self._current():
            current.config.restart()

    def action_unload_all(self) -> None:
        if current := self._current():
            current.models.unload_all()

    def action_add_model(self) -> None:
        if current := self._current():
            current.config.add_model()

    def action_download_model(self) -> None:
        if current := self._current():
            current.config.download_model()

    def action_preload_model(self) -> None:
        model = self._models_screen.selected_model
        if model is not None and (current := self._current()):
            current.config.preload_model(model.id)

    def action_read_config(self) -> None:
        if current := self._current():
            current.config.read_config()

    def action_retry_log(self) -> None:
        if current := self._current():
            current.logs.retry()
        self.action_refresh_server()

    def action_add_server(self) -> None:
        """Ask for another server; what was typed before is still there."""
        self._servers.describe_server()

    def action_undo_change(self) -> None:
        if current := self._current():
            current.config.undo()

    async def action_interrupt(self) -> None:
        """Stop the shown reply, or quit at the second ^c within two seconds."""
        current = self._servers.controllers
        if current is not None and current.shows_reply:
            current.chat.stop()
            return
        now = self._app_context.clock.monotonic()
        if now - self._interrupted_at < DOUBLE_INTERRUPT_SECONDS:
            await self.action_quit()
            return
        self._interrupted_at = now
        self.notify(
            f"Press {APP.sign('interrupt')} once more to quit", timeout=DOUBLE_INTERRUPT_SECONDS
        )

    async def action_quit(self) -> None:
        """Quit; ask first if a reply or a load would be cut."""
        current = self._servers.controllers
        if current is None or not current.has_open_work:
            self.exit()
        # A second one would cancel the first, and leave its dialog open without an effect.
        elif all(worker.group != "quit" or worker.is_finished for worker in self.workers):
            self._tasks.run_in_background(self._confirm_quit(current), "quit")

    async def _confirm_quit(self, current: ServerControllers) -> None:
        if await current.confirm_quit():
            self.exit()

    def _current(self) -> ServerControllers | None:
        """Return the controllers of the open server; without one, say so."""
        if self._servers.controllers is None:
            self.notify("There is no server yet", severity="warning")
        return self._servers.controllers

    # What screens and widgets ask for.

    def on_load_requested(self, message: messages.LoadRequested) -> None:
        if current := self._current():
            current.models.load(message.model.id)

    def on_unload_requested(self, message: messages.UnloadRequested) -> None:
        if current := self._current():
            current.models.unload_or_give_up(message.model)

    def on_cancel_requested(self, message: messages.CancelRequested) -> None:
        if current := self._current():
            current.models.cancel(message.request)

    def on_log_requested(self, message: messages.LogRequested) -> None:
        if current := self._current():
            current.logs.open(message.model, of_model=True)

    def on_log_selected(self, message: messages.LogSelected) -> None:
        if current := self._current():
            current.logs.follow_log(message.name)

    def on_log_tail_requested(self, message: messages.LogTailRequested) -> None:
        if current := self._current():
            current.logs.follow_tail(message.tail)

    def on_log_save_requested(self, message: messages.LogSaveRequested) -> None:
        if current := self._current():
            current.logs.save(message.name, message.lines)

    def on_config_edit_requested(self, message: messages.ConfigEditRequested) -> None:
        if current := self._current():
            current.config.edit(message.line)

    def on_model_removal_requested(self, message: messages.ModelRemovalRequested) -> None:
        if current := self._current():
            current.config.remove_model(message.model_id)

    def on_chat_requested(self, message: messages.ChatRequested) -> None:
        if current := self._current():
            current.chat.open_model(message.model.id)

    def on_composer_submitted(self, message: "Composer.Submitted") -> None:
        prompt = self._models_screen.chat.prompt
        prompt.pending_sends -= 1
        if current := self._current():
            current.submit(message.text)
        else:
            prompt.set_text(message.text)

    def on_chat_pane_take_back_requested(self, message: "ChatPane.TakeBackRequested") -> None:
        if current := self._current():
            current.chat.take_back(message.place)

    def on_chat_pane_rail_shown(self) -> None:
        if current := self._current():
            current.chat.list_in_rail()

    def on_chat_rail_conversation_chosen(self, message: "ChatRail.ConversationChosen") -> None:
        if current := self._current():
            resuming = current.conversations.resume(message.conversation_id)
            self._tasks.run_in_background(resuming, "open conversation")

    def on_text_area_changed(self, message: "TextArea.Changed") -> None:
        current = self._servers.controllers
        if current is not None and message.text_area.id == "prompt":
            current.chat.update_draft()
            current.suggest()

    def on_composer_long_text_pasted(self, message: "Composer.LongTextPasted") -> None:
        if current := self._current():
            current.chat.attach_text(message.text, "pasted.txt")

    def action_complete_command(self) -> None:
        if current := self._current():
            current.commands.complete(self._models_screen.chat.prompt.text)

    def action_edit_prompt(self) -> None:
        if current := self._current():
            current.chat.edit_prompt(self._models_screen.chat.prompt.text)

    def on_transcript_open_requested(self, message: "Transcript.OpenRequested") -> None:
        if current := self._current():
            current.chat.show_in_editor(message.text)

    @on(PasteCut)
    def _report_paste_cut(self, message: PasteCut) -> None:
        words = (
            f"A paste takes {LONGEST_PASTE:,} characters. {message.left_out:,} at its end are "
            "left out. /file PATH takes a whole file."
        )
        self.notify(words, title="The paste was cut", severity="warning", timeout=15)

    @on(Worker.StateChanged)
    def _report_worker_failure(self, message: Worker.StateChanged) -> None:
        self._tasks.report_failure(message.worker, message.state)

    def action_open_demo(self) -> None:
        leaving = self._servers.leave_for(self._servers.open_demo)
        self._tasks.run_in_background(leaving, "switch")

    def action_recheck_certificates(self) -> None:
        from aitui.ui.screens.setup import SetupScreen

        if isinstance(self.screen, SetupScreen):
            checking = self._servers.recheck_certificates(self.screen)
            self._tasks.run_in_background(checking, "switch")

    def on_server_requested(self, message: messages.ServerRequested) -> None:
        self._tasks.run_in_background(self._servers.go_to(message.server), "switch")

    def on_server_add_requested(self, message: messages.ServerAddRequested) -> None:
        self._tasks.run_in_background(self._servers.add(message.draft), "switch")

    # Smaller duties.

    def _show_server(self, server: Server, snapshot: Snapshot) -> None:
        self.server, self.snapshot = server, snapshot

    def post_snapshot(self, server: Server, snapshot: Snapshot) -> None:
        """Show a new state of a server soon, of several only the latest; none of one that was left."""
        if server is self.server:
            if self._next_snapshot is None:
                self.call_later(self._show_next_snapshot)
            self._next_snapshot = server, snapshot

    def _show_next_snapshot(self) -> None:
        assert self._next_snapshot is not None
        (server, snapshot), self._next_snapshot = self._next_snapshot, None
        if server is self.server:
            before, self.snapshot = self.snapshot, snapshot
            self._servers.update_snapshot(server, snapshot)
            if before.models is not snapshot.models or before.profile != snapshot.profile:
                self.call_after_refresh(self._report_changes, before, snapshot)

    def _report_changes(self, before: Snapshot, after: Snapshot) -> None:
        from aitui.ui.changes import describe_changes

        now = self._app_context.clock.monotonic()
        for words, severity in describe_changes(before, after, now):
            self.notify(words, severity=severity)

    async def _copy(self, text: str) -> None:
        from aitui.services.clipboard import copy_text

        environment, state = self._app_context.environment, self._servers.paths.state
        where = await copy_text(text, environment, self._notifier.write, state)
        self.notify(f"Copied {text_summary(text)} {where}")

    def choose_theme(self, name: str) -> None:
        """Change the theme, and keep it for the next start."""
        self.theme = name
        self._handle_theme_change(self.current_theme)

    def _handle_theme_change(self, _: Theme) -> None:
        if self.screen.name == PALETTE_SCREEN:
            return  # shown while it is selected
        self._tasks.run_in_background(self._save_theme(), "theme", exclusive=False)

    async def _save_theme(self) -> None:
        from aitui.store.files import save_theme

        try:
            await asyncio.to_thread(save_theme, self._servers.paths.state, self.theme)
        except OSError as error:
            raise AituiError(
                f"The theme {self.theme} applies until aitui ends",
                why=f"{self._servers.paths.state}: {error.strerror or error}",
                remedy="set XDG_STATE_HOME to a writable folder",
            ) from error

    def _tick(self) -> None:
        """Let time go on in what is shown: a screen, and those that dialogs leave in sight."""
        if not self.screen_stack:
            return  # the last second of an app that ends
        if not self.is_headless and is_terminal_closed(sys.stdin.fileno()):
            self._exit_on_signal(signal.SIGHUP)
        for screen in reversed(self.screen_stack):
            if screen.is_mounted and isinstance(screen, Ticking):
                screen.tick()
            if not screen.is_modal:
                break
        if current := self._servers.controllers:
            current.report_rate()
            hardware = current.context.session.hardware
            hardware.set_watched(watched=self.screen.name == "hardware")

    def _exit_on_signal(self, number: signal.Signals) -> None:
        self.exit(return_code=128 + number)
