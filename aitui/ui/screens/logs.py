"""View 2: a log of the server, or of one model, as it grows."""

from msgspec.structs import replace
from rich.style import Style
from textual import events, on
from textual.app import ComposeResult
from textual.message import Message
from textual.reactive import reactive
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input

from aitui.domain.logs import LogFilter, LogLevel, PatternTooSlow, compile_pattern
from aitui.domain.models import LoadFailure
from aitui.domain.release import SEPARATE_LOGS_SINCE
from aitui.domain.snapshot import Clock, ConnectionPhase, Snapshot
from aitui.domain.units import count_of
from aitui.errors import AituiError
from aitui.format.fit import shorten_id, truncate
from aitui.services.logs import FeedPhase, FeedState, LogUpdate
from aitui.ui.keymap import APP, LOG_VIEW, LOGS, Hint
from aitui.ui.messages import LogSaveRequested, LogSelected
from aitui.ui.plain import component_classes
from aitui.ui.text import LineItem, error_text, fit_items, render_items, total_width
from aitui.ui.widgets.find_bar import FindBar, match_position
from aitui.ui.widgets.key_bar import KeyBar
from aitui.ui.widgets.log_view import LogView
from aitui.ui.widgets.server_header import ServerHeader
from aitui.ui.widgets.trouble_pane import TroublePane

BOTH, PROXY, UPSTREAM, HTTP = "", "proxy", "upstream", "http"
SERVER_LOGS = (BOTH, PROXY, UPSTREAM, HTTP)
HTTP_TITLE = "the log of requests"
MAX_PATTERN_CELLS = 24
LEVEL_LABELS = {
    LogLevel.INFO: "no debug",
    LogLevel.WARNING: "warnings, errors",
    LogLevel.ERROR: "errors",
}


def log_status_items(view: LogView, state: FeedState, now: float) -> tuple[LineItem, ...]:
    """The most needed stay the longest."""
    rows = view.rows
    pattern, hidden = rows.filter.pattern, rows.hidden_polls
    if view.paused:
        position = LineItem(f"‖ paused +{view.pending_lines:,}", 9, "waiting")
    else:
        position = LineItem("" if view.following else "↑ scrolled", 7, "quiet")
    if state.phase is FeedPhase.FOLLOWING:
        link = LineItem("● live", 10, "good")
    elif state.phase is FeedPhase.WAITING:
        link = LineItem("◌ connecting", 10, "waiting")
    else:
        left = max(0.0, (state.retry_at or now) - now)
        link = LineItem(f"✘ lost, retry in {left:.0f} s", 10, "lost")
    return (
        LineItem(f"{count_of(hidden, 'poll')} hidden" if hidden else "", 1, "quiet"),
        LineItem(count_of(rows.end - rows.first, "line"), 2, "quiet"),
        LineItem(LEVEL_LABELS.get(rows.filter.level, ""), 8, "waiting"),
        LineItem(
            f"/{truncate(pattern.words, MAX_PATTERN_CELLS)}/" if pattern else "", 8, "waiting"
        ),
        LineItem(match_position(view), 9, "waiting"),
        position,
        link,
    )


def empty_log_text(state: FeedState, words: str, chosen: LogFilter, hidden: int) -> str:
    """Return the reason why the log is empty."""
    if chosen.pattern is not None or chosen.level > LogLevel.DEBUG:
        return f"No line matches the filter\n{LOGS.sign('back')} removes it"
    if state.phase is FeedPhase.FOLLOWING:
        if hidden:
            return f"Nothing in {words} but aitui's own polls\n{LOGS.sign('polls')} shows them"
        hint = "\nWith logLevel warn or error it stays empty" if words == HTTP_TITLE else ""
        return f"Nothing in {words} yet{hint}"
    if state.error is not None:
        return f"{words} could not be read"
    return f"Waiting for {words}"


MAX_ID_CELLS = 28


class LogBar(Widget):
    """Names of logs at the left, the chosen one marked; at the right what goes on."""

    COMPONENT_CLASSES = component_classes(
        "log-bar", "name", "chosen", "good", "waiting", "lost", "quiet"
    )

    names: reactive[tuple[tuple[str, str], ...]] = reactive(())
    """Each log's name for the server, and the word for it."""
    chosen: reactive[str] = reactive("")
    status_items: reactive[tuple[LineItem, ...]] = reactive(())

    class NameClicked(Message):
        """The name of a log was clicked."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def render_line(self, y: int) -> Strip:  # noqa: ARG002 - there is one line
        """Draw the names and the facts; facts are left out first if there is no room."""
        return render_items(
            self._name_items(),
            self.status_items,
            self.size.width,
            self._item_style,
            self.visual_style.rich_style,
        )

    def on_click(self, event: events.Click) -> None:
        at, names = 1, self._name_items()
        for item in fit_items((*names, *self.status_items), self.size.width - 2):
            end = at + total_width((item,))
            if item in names and at <= event.x < end:
                self.post_message(self.NameClicked(item.action))
            at = end + 2

    def _name_items(self) -> list[LineItem]:
        items = []
        for name, words in self.names:
            mark, priority, style = (
                ("▸", 100, "chosen") if name == self.chosen else (" ", 5, "name")
            )
            items.append(LineItem(mark + shorten_id(words, MAX_ID_CELLS), priority, style, name))
        return items

    def _item_style(self, name: str) -> Style:
        return self.get_component_rich_style(f"log-bar--{name}")


FILTER_PLACEHOLDER = "filter: a regular expression that lines must match"


class LogsScreen(Screen[None]):
    """Shows what it is fed of one log, and passes on which one is wanted."""

    CSS_PATH = "logs.tcss"
    BINDINGS = LOGS.bindings()
    BLANK = True

    def __init__(
        self,
        clock: Clock,
        *,
        log: str = BOTH,
        model_id: str = "",
        failed: LoadFailure | None = None,
    ) -> None:
        super().__init__(name="logs")
        self._clock = clock
        self._was_lost = False
        self._model_id = model_id
        self._failed = failed
        self._feed_state = FeedState()
        self.log_name = log
        self._bar = LogBar(id="bar")
        self._reason = TroublePane(id="reason")
        self._trouble = TroublePane(id="trouble")
        self._view = LogView(id="log")
        self._entry = FindBar(self._view, id="entry")
        self._key_bar = KeyBar(id="keys")

    def compose(self) -> ComposeResult:
        yield ServerHeader(self._clock, id="header")
        yield from (self._bar, self._reason, self._trouble, self._view, self._key_bar)

    def on_mount(self) -> None:
        self._view.focus()
        self.watch(self.app, "snapshot", self._handle_snapshot)
        self._select_log(self.log_name)

    def tick(self) -> None:
        """Update ages and seconds."""
        for header in self.query(ServerHeader):  # none yet while the screen opens
            header.tick()
        self._show()

    async def _handle_snapshot(self, snapshot: Snapshot) -> None:
        """Name the logs that the server has; if it came back, a log may come back at once."""
        http = (HTTP,) if snapshot.release.has(SEPARATE_LOGS_SINCE) else ()
        names = dict.fromkeys((BOTH, PROXY, UPSTREAM, *http, self.log_name, self._model_id))
        self._bar.names = tuple((name, name or "both") for name in names)
        phase = snapshot.connection.phase
        came_back = phase is ConnectionPhase.LIVE and self._was_lost
        self._was_lost = phase is ConnectionPhase.LOST
        model = snapshot.model(self._model_id)
        if self._failed is not None and model is not None and model.failed is not None:
            self._show_failure(model.failed)
        if came_back and self._feed_state.phase is FeedPhase.LOST:
            await self.run_action("app.retry_log")

    def show_update(self, name: str, news: LogUpdate) -> None:
        """Show new lines; updates of a log that is no longer selected are dropped."""
        if name != self.log_name or not self.is_mounted:
            return
        self._feed_state = news.state
        self._view.extend(news.lines, news.unfinished)
        self._show()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable the letter keys while text is typed."""
        del parameters
        return not (action in {"find", "filter", "find_next"} and self._entry.display)

    async def action_find(self) -> None:
        await self._entry.open()

    async def action_find_next(self, direction: int) -> None:
        await self._entry.find_next(direction)

    async def action_filter(self) -> None:
        pattern = self._view.rows.filter.pattern
        await self._entry.open("" if pattern is None else pattern.words, FILTER_PLACEHOLDER)

    def action_level(self) -> None:
        chosen = self._view.rows.filter
        level = LogLevel((chosen.level + 1) % len(LogLevel))
        self._apply_filter(replace(chosen, level=level))

    def action_polls(self) -> None:
        chosen = self._view.rows.filter
        self._apply_filter(replace(chosen, show_own=not chosen.show_own))

    def action_wrap(self) -> None:
        self._view.wraps = not self._view.wraps

    def action_pause(self) -> None:
        self._view.paused = not self._view.paused

    def action_other_log(self, direction: int) -> None:
        names = [name for name, _ in self._bar.names]
        self._select_log(names[(names.index(self.log_name) + direction) % len(names)])

    def action_copy(self) -> None:
        """Copy what is selected, else the line under the cursor."""
        line = self._view.cursor_line
        if text := self.get_selected_text() or (line.text if line else ""):
            self.app.copy_to_clipboard(text)
        else:
            self.notify("There are no lines to copy", severity="warning")

    def action_save(self) -> None:
        lines = tuple(self._view.rows.visible_lines())
        if lines:
            self.post_message(LogSaveRequested(self.log_name, lines))
        else:
            self.notify("There are no lines to save", severity="warning")

    def action_back(self) -> None:
        """Leave the entry, then the search, then the filter, then the view."""
        chosen = self._view.rows.filter
        if self._entry.step_back():
            return
        if chosen.pattern is not None or chosen.level > LogLevel.DEBUG:
            self._apply_filter(LogFilter(show_own=chosen.show_own))
        else:
            self.dismiss()

    def keys(self) -> list[Hint]:
        """Key, words and action of what works now, the most needed first."""
        view = self._view
        if self._entry.display:
            words = "" if self._entry.finds else "filter"
            return [LOGS.hint("focused.submit", words), LOGS.hint("back")]
        found = bool(view.match_count)
        hints = [
            (LOGS.hint("app.retry_log"), self._feed_state.phase is FeedPhase.LOST),
            (LOG_VIEW.hint("follow"), not view.following),
            (LOGS.hint("pause", "continue" if view.paused else ""), True),
            (LOGS.hint("find_next(1)"), found),
            (LOGS.hint("find_next(-1)"), found),
            (LOGS.hint("find"), True),
            (LOGS.hint("filter"), True),
            (LOGS.hint("level"), True),
            (LOGS.hint("other_log(1)"), True),
            (LOGS.hint("copy"), view.cursor_line is not None),
            (LOGS.hint("wrap", "cut" if view.wraps else ""), True),
            (LOGS.hint("save"), view.cursor_line is not None),
            (LOGS.hint("polls", "hide polls" if view.rows.filter.show_own else ""), True),
            (APP.hint("help"), True),
        ]
        return [hint for hint, works in hints if works]

    def _select_log(self, name: str) -> None:
        self.log_name = name
        self._feed_state = FeedState()
        view = self._view
        view.clear()
        if self._failed is not None and name == self._model_id:
            view.look_for_failure(self._failed.log)
        self._bar.chosen = name
        self.post_message(LogSelected(name))
        self._show()

    def _show_failure(self, failed: LoadFailure) -> None:
        """Show a newer failure, or what its log says of it by now."""
        if failed == self._failed:
            return
        self._failed = failed
        if self.log_name == self._model_id:
            self._view.look_for_failure(failed.log)
            self._show()

    def _apply_filter(self, log_filter: LogFilter) -> bool:
        """Whether that could be done: a pattern that takes too long changes nothing."""
        try:
            self._view.set_filter(log_filter)
        except PatternTooSlow as error:
            self._warn(error)
            return False
        self._show()
        return True

    def _show(self) -> None:
        view, now = self._view, self._clock.monotonic()
        self._bar.status_items = log_status_items(view, self._feed_state, now)
        self._key_bar.hints = tuple(self.keys())
        view.empty_text = empty_log_text(
            self._feed_state, self._log_title(), view.rows.filter, view.rows.hidden_polls
        )
        failed, reason = self._failed, list[str]()
        if failed is not None and self.log_name == self._model_id:
            reason = [f"✘ {self._model_id} could not be loaded: {failed.reason}"]
            if view.failure_lines.found_at is None:
                reason += [f"  {line}" for line in failed.log]
        self._reason.show(None, reason)
        self._trouble.show(self._feed_state.error)

    def _log_title(self) -> str:
        titles = {
            BOTH: "the log of proxy and models",
            PROXY: "the log of llama-swap itself",
            UPSTREAM: "the log of all models",
            HTTP: HTTP_TITLE,
        }
        return titles.get(self.log_name, f"the log of {self.log_name}")

    @on(Input.Submitted, "#entry")
    def _handle_filter(self, message: Input.Submitted) -> None:
        chosen = self._view.rows.filter
        try:
            pattern = compile_pattern(message.value)
        except AituiError as error:
            self._warn(error)
            return
        if self._apply_filter(replace(chosen, pattern=pattern)):
            self._entry.close()

    @on(LogView.FilterDropped)
    def _handle_filter_timeout(self, message: LogView.FilterDropped) -> None:
        self._warn(message.error)
        self._show()

    def _warn(self, error: AituiError) -> None:
        self.notify(error_text(error), title=error.what, severity="warning")

    @on(FindBar.Toggled)
    @on(LogView.PositionChanged)
    def _handle_cursor_move(self) -> None:
        self._show()

    @on(LogBar.NameClicked)
    def _handle_name_click(self, message: LogBar.NameClicked) -> None:
        self._select_log(message.name)
