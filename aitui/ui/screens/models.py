"""View 1: the live table of models, and what is known of the one under the cursor."""

import asyncio
from collections.abc import Container, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec.structs import replace
from rich.color import Color
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.geometry import Region, Size
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from aitui.aio import sleep_until
from aitui.domain.client_requests import list_uses
from aitui.domain.models import Model, RunState
from aitui.domain.snapshot import Clock, ConnectionPhase, Server, Snapshot
from aitui.format.fit import shorten_id
from aitui.ui.frame import FramedPane, Pieces, set_frame_title
from aitui.ui.keymap import APP, CHAT_PANE, MODELS, Hint
from aitui.ui.messages import (
    CancelRequested,
    ChatRequested,
    LoadRequested,
    LogRequested,
    LogTailRequested,
    UnloadRequested,
)
from aitui.ui.models_layout import MIN_SCREEN, Frame, PaneNeeds, pane_regions
from aitui.ui.plain import PlainText
from aitui.ui.text import NOT_REACHED
from aitui.ui.theme import hue_of, shade, theme_color
from aitui.ui.widgets.activity_pane import ActivityPane, unlisted_note
from aitui.ui.widgets.key_bar import KeyBar, footer_rows
from aitui.ui.widgets.model_detail import (
    LABEL_WIDTH,
    DetailFacts,
    ModelDetail,
    detail_rows,
    slots_words,
    summary_row,
)
from aitui.ui.widgets.model_table import (
    ColumnTitles,
    ModelTable,
    count_text,
    users_by_model,
)
from aitui.ui.widgets.pane_body import FrameLine, PaneBody
from aitui.ui.widgets.server_header import ServerHeader, certificate_item, renewal_notice
from aitui.ui.widgets.trouble_pane import TroublePane

if TYPE_CHECKING:
    from textual.widget import AwaitMount

    from aitui.ui.widgets.chat_pane import ChatPane
    from aitui.ui.widgets.gpu_memory import GpuMemoryPane
    from aitui.ui.widgets.log_tail import LogTail
    from aitui.ui.widgets.throughput import ThroughputPane

PAINT_SECONDS = 0.25
"""Seconds that the first chat's conversation waits for the paint of its pane."""
RESTART_COLUMNS = 120
"""Columns from which the footer names the key that restarts the service."""
FRAME_CLASSES = tuple(frame.value for frame in Frame)


class ModelsScreen(Screen[None]):
    """Shows the snapshot, and passes on requests for its models."""

    BINDINGS = MODELS.bindings()
    BLANK = True
    """Panes cover it: its own lines would be a third of all that a first frame keeps."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.server: Server | None = None
        self.snapshot = Snapshot()
        self._header = ServerHeader(clock, id="header")
        self._body = PaneBody(self._pane_regions, id="body")
        self._models = FramedPane(id="models", classes="frame")
        self._table = ModelTable(clock, id="table")
        self._titles = ColumnTitles(self._table, id="titles")
        self._filter = Input(id="filter", placeholder="filter by id, name or state")
        self._filter_count = PlainText(id="filter-count")
        self._filter_line = Horizontal(
            PlainText(" filter", id="filter-label"),
            self._filter,
            self._filter_count,
            id="filter-line",
        )
        self._filter_line.display = False
        self._activity = ActivityPane(clock, id="activity")
        self._detail = ModelDetail(id="detail", classes="frame")
        self._rules = {
            "detail": FrameLine(id="detail-rule"),
            "activity": FrameLine(id="activity-rule"),
        }
        self._bottom = FrameLine("╰╯", id="bottom")
        self._too_small = PlainText(id="too-small")
        self._trouble = TroublePane(id="trouble")
        self._key_bar = KeyBar(id="keys")
        self._memory: GpuMemoryPane | None = None
        self._throughput: tuple[ThroughputPane, ...] = ()
        self._log: LogTail | None = None
        self._follows_log = False
        self._needs = PaneNeeds()
        self._zoomed = ""
        self._running_models = 0
        self._reported_certificate_end: float | None = None
        self._chat_mount: AwaitMount | None = None
        self._shows_chat = False

    def compose(self) -> ComposeResult:
        yield self._header
        with self._body:
            with self._models:
                yield from (self._titles, self._table)
            yield from (self._detail, self._activity, *self._rules.values(), self._bottom)
        yield self._trouble
        yield self._key_bar
        yield self._too_small
        # Textual would do it after the first frame, and draw four more until all is in its place.
        self._fit_panes(self.app.size)

    def on_mount(self) -> None:
        self._table.focus()
        self.watch(self.app, "server", self._show_server)
        self.watch(self.app, "snapshot", self._show_snapshot)

    def on_screen_resume(self) -> None:
        """Show the time that went by under another view."""
        self._fit_panes(self.app.size)
        self.tick()

    def tick(self) -> None:
        """Update ages and seconds."""
        self._header.tick()
        self._table.tick()
        self._activity.tick()
        for pane in self._throughput:
            pane.tick()
        if self._shows_chat:
            self.chat.status.tick()
            if self.chat.has_rail:
                self.chat.rail.tick()
        self._show_detail()

    async def chat_with(self, model: Model) -> None:
        """Open the chat of a model, whichever is under the cursor."""
        self._table.select(model.id)
        await self.open_chat()
        self.post_message(ChatRequested(model))

    async def open_chat(self) -> None:
        """Show the conversation, with the focus in its prompt.

        The pane of the first chat is painted without the prompt; keys wait until that is there.
        """
        is_first = self._chat_mount is None
        # Each batch is laid out once: a second time would wait for Textual's next frame.
        with self.app.batch_update():
            await self.mount_chat()
            self.show_chat(shown=True)
        if is_first:
            await self._wait_for_paint()
        with self.app.batch_update():
            await self.chat.mount_prompt()
            self.set_focus(self.chat.prompt)
        if is_first:
            await self._wait_for_paint()

    async def _wait_for_paint(self) -> None:
        """Let the screen be painted, before more is imported and read."""
        painted = asyncio.Event()
        self.call_after_refresh(painted.set)
        await sleep_until(painted, PAINT_SECONDS)

    async def action_chat(self) -> None:
        if (model := self._table.selected_model) is None:
            self._warn_no_model()
        else:
            await self.chat_with(model)

    def action_load(self) -> None:
        self._post_model_request(LoadRequested)

    def action_unload(self) -> None:
        self._post_model_request(UnloadRequested)

    def action_log(self) -> None:
        """Read the log of the model under the cursor; this never loads it."""
        self.post_message(LogRequested(self.selected_model))

    def action_cancel_request(self) -> None:
        """Cancel the request under the cursor of its list, or the only one."""
        requests = self._activity
        use = requests.selected_use if requests.has_focus else next(iter(requests.uses), None)
        if not requests.uses:
            words = "No active requests"
            if self.snapshot.requests.running is None:
                words += ", or this server doesn't report them: llama-swap ≥ v235 does"
            self.notify(words, severity="warning")
        elif use is None:
            self.notify("This request has ended", severity="warning")
        elif not requests.has_focus and len(requests.uses) > 1:
            requests.focus()
            self.notify(f"Which one? Select it and press {MODELS.sign('cancel_request')} again")
        else:
            self.post_message(CancelRequested(use.request))

    async def action_filter(self) -> None:
        """Open the filter line in front of the models; in the text of a chat, the line to find words."""
        if self._is_in_chat:
            await self.chat.find.open()
            return
        if not self._models.display:
            self.show_chat(shown=False)
        if not self._filter_line.is_attached:
            # Not with the first frame, of which it would be 6 %.
            await self._models.mount(self._filter_line)
        self._filter_line.display = True
        self._show_filter()
        self.set_focus(self._filter)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable the filter's key while text is typed."""
        if action == "filter" and (isinstance(self.focused, Input) or self._is_writing):
            return False
        if action == "chat" and (isinstance(self.focused, Input) or self._is_in_chat):
            return False
        return super().check_action(action, parameters)

    def action_sort(self) -> None:
        shown = [column.key for column, _ in self._table.columns]
        self._table.view = self._table.view.next_sort(shown)

    def action_reverse(self) -> None:
        view = self._table.view
        self._table.view = replace(view, reverse=not view.reverse)

    def action_copy_id(self) -> None:
        model = self._table.selected_model
        if model is None:
            self._warn_no_model()
        else:
            self.app.copy_to_clipboard(model.id)

    def action_back(self) -> None:
        """Leave the filter; for a load, show how to abort it."""
        model = self._table.selected_model
        if self._zoomed:
            self.toggle_zoom()
        elif self._filter_line.display:
            self._filter.value = ""
            self.action_keep_filter()
        elif model is not None and model.requested is not None:
            key = MODELS.sign("unload")
            self.notify(f"{model.id} is still loading. Press {key} to abort.")

    def keys(self) -> list[Hint]:
        """Key, words and action of what works now, the most needed first."""
        if self._is_in_chat:
            return self.chat.keys()
        if isinstance(self.focused, Input) and self.focused.id == "find":
            return [CHAT_PANE.hint("focused.submit"), CHAT_PANE.hint("screen.close_chat", "close")]
        if isinstance(self.focused, Input):
            # On the filter line letters are letters.
            return [MODELS.hint("keep_filter"), MODELS.hint("back")]
        return _model_keys(
            self._table.selected_model,
            self.snapshot,
            read_only=self.server is None or self.server.read_only,
            running=self._running_models,
            host=self.server is not None and bool(self.server.ssh_host),
            wide=self.app.size.width >= RESTART_COLUMNS,
        )

    @cached_property
    def chat(self) -> "ChatPane":
        """The conversation beside the table; an answer may still come when it has gone already."""
        from aitui.ui.widgets.chat_pane import ChatPane

        return ChatPane(self._clock, id="chat")

    def mount_chat(self) -> "AwaitMount":
        """Mount the conversation: not with the table, to which its import and style add a third."""
        if self._chat_mount is None:
            self._chat_mount = self._body.mount(self.chat)
            # Other keys work while an answer is under way.
            watched = "is_replying", "needed_context", "suggested", "queued", "is_written"
            for name in (*watched, "last_conversation"):
                self.watch(self.chat, name, self._show_selection, init=False)
        return self._chat_mount

    @property
    def _is_in_chat(self) -> bool:
        return self._is_writing or (
            self._chat_mount is not None and self.focused is self.chat.transcript
        )

    @property
    def _is_writing(self) -> bool:
        focused = self.focused
        return focused is not None and focused.id == "prompt"

    def show_chat(self, *, shown: bool) -> None:
        """Show the conversation in the place of the details, or these again."""
        if shown != self._shows_chat:
            self._shows_chat = shown
            self._zoomed = ""
            # Now, and not with the next layout: only what is displayed takes the focus.
            self._fit_panes(self.size)
            if not shown:
                self.set_focus(self._table)

    def action_write_prompt(self) -> None:
        self.chat.prompt.focus()

    def action_toggle_reasoning(self) -> None:
        self.chat.transcript.action_reasoning()

    def action_read_chat(self) -> None:
        self.chat.transcript.focus()

    def action_close_chat(self) -> None:
        """Leave the search in the chat, else the chat."""
        if not self.chat.find.step_back():
            self.show_chat(shown=False)

    async def action_find_in_chat(self) -> None:
        await self.chat.find.open()

    async def action_find_next(self, direction: int) -> None:
        await self.chat.find.find_next(direction)

    def on_find_bar_toggled(self) -> None:
        self._show_selection()

    @property
    def selected_model(self) -> Model | None:
        return self._table.selected_model

    def _post_model_request(self, request: type[LoadRequested | UnloadRequested]) -> None:
        model = self._table.selected_model
        if model is None:
            self._warn_no_model()
        else:
            self.post_message(request(model))

    def _warn_no_model(self) -> None:
        live = self.snapshot.connection.phase is ConnectionPhase.LIVE
        words = "No model is selected" if live else NOT_REACHED
        self.notify(words, severity="warning")

    def _show_server(self, server: Server | None) -> None:
        self.server = server
        self._follow_log(shown=False)
        self._show()

    def _show_snapshot(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        # One more can come while the app ends, when its panes are gone already.
        if self._body.is_attached:
            self._show()

    def _show(self) -> None:
        snapshot, table = self.snapshot, self._table
        table.users = users_by_model(snapshot, self._clock.wall())
        # Counted once a snapshot: keys and seconds come more often, and there may be many models.
        self._running_models = len(snapshot.resident)
        table.empty_text = self._empty_text()
        requests, activity = snapshot.requests, self._activity
        activity.snapshot, activity.uses = snapshot, list_uses(snapshot)
        activity.finished = snapshot.finished
        listed = requests.running is not None
        activity.is_known = snapshot.connection.phase is ConnectionPhase.LIVE
        activity.note = unlisted_note(requests.total, requests.unlisted, listed=listed)
        self._show_problems()
        self._show_selection()
        self._show_filter()
        self._fit_panes(self.size)
        self._report_certificate_expiry()

    def on_resize(self, event: events.Resize) -> None:
        if event.size != self.app.size:
            # Older than the terminal's size. Textual 8.2.8 would lay the screen out for it, which
            # sends another event: two with different sizes follow each other for ever.
            event.prevent_default()
            event.stop()
            return
        # Textual gives a screen its new size only after this handler.
        self._fit_panes(event.size)
        self.call_after_refresh(self._show_selection)

    def toggle_zoom(self) -> None:
        """Toggle the zoom of the focused pane."""
        focused = self.focused
        pane = ""
        if not self._zoomed and focused is not None:
            panes = {child.id or "" for child in self._body.children}
            pane = (
                next((node.id for node in focused.ancestors_with_self if node.id in panes), "")
                or ""
            )
        self._zoomed = pane
        self._fit_panes(self.size)

    def show_message(self, line: Pieces) -> bool:
        """Write the last message into the lower edge of the main frame."""
        shared = self.has_class(Frame.SHARED.value)
        framed = self.has_class(Frame.EACH.value) and self._models.display
        self._bottom.title = ("", line if shared else "", "")
        set_frame_title(self._models, "", line if framed else "", bottom=True)
        return shared or framed

    def _pane_regions(self, body: Size) -> Mapping[str, Region]:
        return pane_regions(body, self.app.size, self._needs).panes

    def _fit_panes(self, screen: Size) -> None:
        """Display what has room, and lay it out again if it needs other room than before."""
        small = screen.width < MIN_SCREEN.width or screen.height < MIN_SCREEN.height
        self.set_class(small, "-too-small")
        if small:
            size = f"{MIN_SCREEN.width}×{MIN_SCREEN.height}"
            words = f"terminal too small ({size} needed)"
            self._too_small.update(words if len(words) <= screen.width else f"{size} needed")
            return
        table, full, short = self._table.widths.pane_widths
        models = len(self.snapshot.models)
        panes = frozenset(
            {"log", *self._throughput_ids, *(child.id or "" for child in self._body.children)}
        )
        usage = self.snapshot.hardware.usage
        cards = len(usage.cards) or (usage.source is not None)
        chat = self._shows_chat
        needs = PaneNeeds(
            table, full, short, models, cards, panes=panes, chat=chat, zoomed=self._zoomed
        )
        rows = (
            screen.height
            - 1
            - footer_rows(screen.height)
            - (self._trouble.size.height if self._trouble.display else 0)
        )
        found = pane_regions(Size(screen.width, rows), screen, needs)
        if "memory" in found.panes:
            self._show_memory()
        if self._throughput_ids:
            self._show_throughput(found.panes)
        self._follow_log(shown="log" in found.panes)
        if self._chat_mount is not None:
            self.chat.has_rail = "rail" in found.panes
            if self.chat.has_rail and not self.chat.rail.is_attached:
                self._body.mount(self.chat.rail)
        for child in self._body.children:
            shown = child.id in found.panes
            if child.display is not shown:
                child.display = shown
        self.update_classes({name: name == found.frame.value for name in FRAME_CLASSES})
        self._table.bare = found.frame is Frame.NONE
        self._titles.edge = found.frame is Frame.SHARED
        self._titles.display = found.frame is not Frame.NONE
        if needs != self._needs:
            self._needs = needs
            self._body.refresh(layout=True)

    def _follow_log(self, *, shown: bool) -> None:
        """Follow the end of the log while it is in sight and the server is connected."""
        shown = shown and self.is_current and self.snapshot.connection.last_response_at is not None
        if shown and self._log is None:
            from aitui.ui.widgets.log_tail import LogTail

            self._log = LogTail(id="log")
            self._body.mount(self._log)
        if shown != self._follows_log:
            self._follows_log = shown
            self.post_message(LogTailRequested(self._log if shown else None))

    def on_screen_suspend(self) -> None:
        """Stop following the log while it is out of sight."""
        self._follow_log(shown=False)

    @property
    def _throughput_ids(self) -> tuple[str, ...]:
        """The plots of tokens per second, on a server that reports its requests."""
        snapshot = self.snapshot
        reported = snapshot.requests.total is not None or snapshot.finished
        return ("throughput", "prompts") if reported or self._throughput else ()

    def _show_throughput(self, panes: Container[str]) -> None:
        """Show the plots that have room; mounted when there is something to show, after the first frame."""
        if not self._throughput and "throughput" in panes:
            from aitui.ui.widgets.throughput import ThroughputPane

            self._throughput = (
                ThroughputPane(self._clock, id="throughput"),
                ThroughputPane(self._clock, prompt=True, id="prompts"),
            )
            self._body.mount(*self._throughput)
        if self.app.screen is self or self.app.screen.is_modal:
            for pane in self._throughput:
                if pane.id in panes:
                    pane.is_alone = "prompts" not in panes
                    pane.show(self.snapshot)

    def _show_memory(self) -> None:
        """Show how full the graphics cards are; mounted when that is known, after the first frame."""
        if self._memory is None:
            from aitui.ui.widgets.gpu_memory import GpuMemoryPane

            self._memory = GpuMemoryPane(id="memory")
            self._body.mount(self._memory)
        self._memory.snapshot = self.snapshot

    def _report_certificate_expiry(self) -> None:
        """Report once per certificate that it expires soon, and how to renew it."""
        ends, wall = self.snapshot.certificate_expires_at, self._clock.wall()
        if (
            ends is None
            or ends == self._reported_certificate_end
            or not certificate_item(ends, wall).text
        ):
            return
        self._reported_certificate_end = ends
        title, words = renewal_notice(ends, wall)
        self.notify(words, title=title, severity="warning", timeout=15)

    def _show_detail(self) -> None:
        """Show what is known of the model under the cursor."""
        model, detail = self._table.selected_model, self._detail
        width, height = detail.room
        if not (detail.display and width > LABEL_WIDTH):
            return
        if model is None:
            detail.rows = ()
            self._set_title(detail, "Detail")
            return
        facts = DetailFacts(
            self._table.facts,
            self._find_color,
            hue_of(self.snapshot, model.id),
            colorless=self.app.no_color,
            queue_text=self._queue_text(model),
            last=next((one for one in self.snapshot.finished if one.model == model.id), None),
            trained=self.snapshot.hardware.longest_context(model.id),
        )
        shared = self.has_class(Frame.SHARED.value)
        detail.stale = self._table.stale
        if shared and height <= 1:
            detail.rows = (summary_row(model, facts, width),)
        else:
            rows = detail_rows(model, facts, width, height)
            detail.rows = tuple(row for row in rows if row or not shared)
        right = slots_words(model) if shared else ""
        self._set_title(detail, shorten_id(model.id, max(16, width - 4)), right=right)

    def _find_color(self, name: str) -> Color:
        color, _, mix = name.partition("/")
        return shade(self.app, color, mix) if mix else theme_color(self.app, color)

    def _set_title(self, pane: Widget, name: str, words: Pieces = "", right: Pieces = "") -> None:
        """Name a pane in its frame, and in the rule above it if it shares one."""
        set_frame_title(pane, name, words, right)
        rule = self._rules.get(pane.id or "")
        if rule is not None:
            rule.title = (name, words, right)

    def _queue_text(self, model: Model) -> str:
        if model.queued is None:
            return ""
        from aitui.services.load import describe_queued

        return describe_queued(model, self.snapshot)

    def _show_selection(self) -> None:
        """Show the model under the cursor, and the keys that work now."""
        self._show_detail()
        counts = count_text(self.snapshot.models, self._models.size.width - 14)
        self._set_title(self._models, "Models", counts)
        self._show_counts()
        self._show_focus()
        self._key_bar.hints = tuple(self.keys())

    def _show_counts(self) -> None:
        """Count the requests in the title of their pane; in a shared frame with what they get."""
        snapshot, uses = self.snapshot, self._activity.uses
        waiting = sum(use.waits for use in uses)
        running = (snapshot.requests.total or 0) - waiting
        words = [
            f"{count:,} {what}" for count, what in ((running, "running"), (waiting, "waiting"))
        ]
        shown = [word for word in words if not word.startswith("0 ")]
        today, right = f"{self._activity.today:,} today" if snapshot.finished else "", ""
        if self.has_class(Frame.SHARED.value):
            rate, right = snapshot.generation_rate, today
            shown.append(f"{rate:,.0f} tok/s" if rate else "")
        else:
            shown.append(today)
        self._set_title(self._activity, "Activity", " · ".join(filter(None, shown)), right)

    def _show_focus(self) -> None:
        """Color the lines of a shared frame that bound the pane with the focus."""
        table, detail, activity = (
            pane.has_focus or pane.has_focus_within
            for pane in (self._models, self._detail, self._activity)
        )
        self._titles.focused = table
        rules = self._rules
        rules["detail"].focused, rules["activity"].focused = detail, activity
        rules["detail"].accent = table or detail
        rules["activity"].accent = detail or activity
        self._bottom.accent = activity or (table and not self._activity.display)

    def _show_filter(self) -> None:
        """Say how many models the filter shows."""
        shown, every = len(self._table.shown_models), len(self.snapshot.models)
        count = f"{shown:,} of {every:,} · {MODELS.sign('back')} clears "
        # `Static.update` lays the whole screen out, also for the same text.
        if self._filter_line.display and str(self._filter_count.content) != count:
            self._filter_count.update(count)

    def _show_problems(self) -> None:
        lines = [f"! {warning}" for warning in self.snapshot.warnings]
        if note := self.snapshot.models_note:
            lines.append(f"! The table shows the {note} models")
        if note := self.snapshot.config_note:
            lines.append(f"! {note}   {APP.sign('reload_config')} reload")
        if doubt := self.snapshot.config_doubt:
            lines.append(f"? {doubt}   {APP.sign('reload_config')} reload")
        # A server that aitui restarts is lost as expected, and nothing has to be checked.
        restarts = self.snapshot.restart_by is not None
        self._trouble.show(None if restarts else self.snapshot.connection.error, lines)

    def _empty_text(self) -> str:
        link = self.snapshot.connection
        if self.server is None:
            return "No server"
        if self.snapshot.models:
            words = self._table.view.words
            return f"Nothing matches “{words}”\n{MODELS.sign('back')} clears the filter"
        if link.phase is ConnectionPhase.CONNECTING:
            return f"Connecting to {self.server.url}"
        if link.last_response_at is None:
            return f"{self.server.url} has not responded yet"
        refresh = APP.sign("refresh_server")
        return (
            f"The server lists no models\nAdd some to its config.yaml, then refresh with {refresh}"
        )

    @on(Input.Submitted, "#filter")
    def action_keep_filter(self) -> None:
        self._filter_line.display = bool(self._filter.value)
        self._table.focus()

    @on(Input.Changed, "#filter")
    def _handle_filter_input(self, message: Input.Changed) -> None:
        self._table.view = replace(self._table.view, words=message.value)
        self._table.empty_text = self._empty_text()
        self._show_filter()

    @on(ModelDetail.Resized)
    def _show_detail_again(self) -> None:
        self._show_detail()

    # Textual calls a method with `@on` for no message by its name: two methods, then.
    @on(ModelTable.Highlighted)
    def _show_selected(self) -> None:
        self._show_selection()

    def on_descendant_focus(self) -> None:
        """Update the keys in the footer."""
        self._show_selection()


def _model_keys(
    model: Model | None,
    snapshot: Snapshot,
    *,
    read_only: bool,
    running: int,
    host: bool,
    wide: bool,
) -> list[Hint]:
    """Return the keys of the table; `running` is how many models are resident."""
    live = snapshot.connection.phase is ConnectionPhase.LIVE
    writable = live and not read_only
    own = model is not None and model.loadable
    idle = model is None or not (model.resident or model.requested is not None)
    waits = model is not None and model.is_awaited and not model.resident
    loading = waits or (model is not None and model.state is RunState.STARTING)
    restarts = host and not read_only
    hints = [
        (APP.hint("restart_service"), restarts and not live),
        (APP.hint("refresh_server"), not live),
        (APP.hint("doctor"), not live),
        (MODELS.hint("load"), writable and own and idle),
        (
            MODELS.hint("unload", "abort" if loading else ""),
            writable and own and (waits or not idle),
        ),
        (MODELS.hint("app.open_peer"), model is not None and bool(model.peer)),
        (MODELS.hint("chat"), live and model is not None),
        (MODELS.hint("app.change_context"), writable and own and host),
        (MODELS.hint("log"), own),
        (MODELS.hint("filter"), bool(snapshot.models)),
        (MODELS.hint("sort"), bool(snapshot.models)),
        (APP.hint("zoom"), True),
        (MODELS.hint("copy_id"), model is not None),
        (MODELS.hint("reverse"), bool(snapshot.models)),
        (APP.hint("restart_service"), restarts and live and wide),
        (APP.hint("command_palette"), True),
        (APP.hint("conversations"), live),
        (MODELS.hint("app.unload_all"), writable and running > 0),
        (APP.hint("switch_server"), True),
        (APP.hint("quit"), True),
        (APP.hint("help"), True),
    ]
    return [hint for hint, works in hints if works]
