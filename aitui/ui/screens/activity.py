"""View 3: the requests of all clients, groups of them, and which models were loaded when."""

from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Input

from aitui.domain.activity import (
    GROUPINGS,
    ActivityGroup,
    ActivityKind,
    ActivityRow,
    ActivityTotals,
    active_row,
)
from aitui.domain.activity_filter import (
    FILTER_WORDS,
    describe_time,
    matches_active,
    midnight,
    parse_filter,
)
from aitui.domain.client_requests import ClientRequest, list_uses
from aitui.domain.clients import client_name
from aitui.domain.residency import ResidencyView, TimeRange
from aitui.domain.snapshot import Clock, Snapshot
from aitui.domain.units import count_of, format_elapsed, format_seconds
from aitui.format.activity import eviction_sentence
from aitui.services.monitor import ACTIVITY_PAGES_SINCE
from aitui.ui.frame import set_frame_title
from aitui.ui.keymap import ACTIVITY, APP, Hint
from aitui.ui.plain import PlainText
from aitui.ui.theme import hue_of
from aitui.ui.widgets.activity_table import ActivityTable, GroupLines, RequestLines
from aitui.ui.widgets.key_bar import KeyBar
from aitui.ui.widgets.percentiles import Percentiles
from aitui.ui.widgets.residency_lines import LEGEND, ResidencyLines
from aitui.ui.widgets.residency_plots import ResidencyPlot, memory_parts, queue_parts
from aitui.ui.widgets.server_header import ServerHeader

SPANS = (900.0, 3600.0, 86400.0, 7 * 86400.0)
"""Seconds that the residency timeline can show."""
_SPAN_NAMES = ("15 min", "60 min", "24 h", "7 d")
_TALL, _TALLER, _LOW = 30, 44, 16
"""Rows of a terminal from which the percentiles have histograms, and below which they have no room."""
_ROWS_BELOW_TIMELINE = 20
"""Rows that header, plots, summary and keys need at least."""


class ActivityMode(Enum):
    """What the view shows."""

    REQUESTS = "requests"
    GROUPS = "groups"
    RESIDENCY = "residency"


class ActivityQuery(Struct, frozen=True):
    """What is to be shown: the words of the filter, the order, the grouping, or a stretch of time.

    `ended` is the end of that stretch, None for now.
    """

    mode: ActivityMode = ActivityMode.REQUESTS
    words: str = ""
    sort: str = "at"
    descending: bool = True
    by: str = ""
    span: float = 3600.0
    ended: float | None = None
    cells: int = 60


class ActivitySource(Protocol):
    """What fetches for the view, and acts for it."""

    def follow(self, query: ActivityQuery) -> None:
        """Fetch what a query asks for, now and whenever the record changes."""
        ...

    def stop(self) -> None:
        """Fetch nothing more."""
        ...

    def read(self, numbers: Sequence[int]) -> None:
        """Fetch these rows."""
        ...

    def open_request(self, row: ActivityRow) -> None:
        """Show one request."""
        ...

    def cancel(self, use: ClientRequest) -> None:
        """Cancel a running request."""
        ...

    def export(self, query: ActivityQuery) -> None:
        """Write what is shown to a file."""
        ...


class ActivityScreen(Screen[None]):
    """Shows what it is given by its source."""

    CSS_PATH = "activity.tcss"
    BINDINGS = ACTIVITY.bindings()
    BLANK = True

    def __init__(self, clock: Clock, source: ActivitySource, price: float | None) -> None:
        super().__init__(name="activity")
        self._clock = clock
        self._source = source
        self._price = price
        self._snapshot = Snapshot()
        self._uses: tuple[ClientRequest, ...] = ()
        self._requests = RequestLines(clock, self._hue, source.read)
        self._groups: tuple[ActivityGroup, ...] | None = None
        self._residency: ResidencyView | None = None
        self._totals = ActivityTotals()
        self._is_read = False
        self._problem = ""
        self._resident_names: tuple[str, ...] = ()
        self.query_shown = ActivityQuery()
        """What is asked for."""
        self.totals_of: ActivityQuery | None = None
        """The query that is shown completely, down to its totals."""
        self._table = ActivityTable(id="table")
        self._percentiles = Percentiles(id="percentiles")
        self._queue = ResidencyPlot("Queue", queue_parts, id="queue")
        self._memory = ResidencyPlot("GPU memory", memory_parts, id="memory")
        self._summary = PlainText(id="summary", classes="frame")
        self._filter = Input(id="filter", placeholder=FILTER_WORDS)
        self._filter_line = Horizontal(
            PlainText(" filter", id="filter-label"), self._filter, id="filter-line"
        )
        self._key_bar = KeyBar(id="keys")

    def compose(self) -> ComposeResult:
        yield ServerHeader(self._clock, id="header")
        yield from (self._table, self._filter_line, self._percentiles, self._queue, self._memory)
        yield from (self._summary, self._key_bar)
        self._fit(self.app.size.height)

    def on_mount(self) -> None:
        self._table.focus()
        self._table.show_lines(self._requests)
        self.watch(self.app, "snapshot", self._show_snapshot)
        self._show()

    def on_screen_resume(self) -> None:
        """Fetch what came while the view was out of sight."""
        self._follow(self.query_shown)

    def on_screen_suspend(self) -> None:
        """Cost nothing while the view is out of sight."""
        self._source.stop()

    def on_resize(self, event: events.Resize) -> None:
        self._fit(event.size.height)
        if self.query_shown.mode is ActivityMode.RESIDENCY:
            self.call_after_refresh(self._follow, self.query_shown)

    def tick(self) -> None:
        """Let ages go on."""
        for header in self.query(ServerHeader):  # none yet while the screen opens
            header.tick()
        if self._uses and self.is_current:
            self._show_live()

    # What the source has found.

    def show_rows(self, query: ActivityQuery, numbers: Sequence[int]) -> None:
        """Show the rows of a query by their numbers."""
        if query != self.query_shown:
            return
        chosen = self._requests.row(self._table.cursor) if self._table.cursor else None
        self._requests.select(numbers)
        now = self._clock.wall()
        since = parse_filter(query.words, "", now).since
        self._requests.all_of_today = since is not None and since >= midnight(now)
        self._requests.sort, self._requests.descending = query.sort, query.descending
        self._is_read = True
        index = self._requests.index_of(chosen) if chosen is not None else 0
        self._table.empty_text = self._empty_text()
        if query.mode is ActivityMode.REQUESTS:
            self._table.show_lines(self._requests, cursor=index or None)
        self._show()

    def add_rows(self, rows: Sequence[ActivityRow]) -> None:
        """Show rows that were read."""
        self._requests.add(rows)
        if self.query_shown.mode is ActivityMode.REQUESTS:
            self._table.redraw()

    def show_totals(self, query: ActivityQuery, totals: ActivityTotals) -> None:
        """Show the totals of a query."""
        if query == self.query_shown:
            self._totals, self.totals_of = totals, query
            self._requests.slow = totals.seconds.p95 if totals.seconds.count >= 20 else None
            self._percentiles.show(totals)
            self._table.redraw()
            self._show()

    def show_groups(self, query: ActivityQuery, groups: Sequence[ActivityGroup]) -> None:
        """Show the groups of a query."""
        if query == self.query_shown:
            first = self._groups is None
            self._groups = tuple(groups)
            self._table.empty_text = self._empty_text()
            lines = GroupLines(query.by, groups, self._hue, self._price)
            self._table.show_lines(lines, cursor=0 if first else None)
            self._show()

    def show_residency(self, query: ActivityQuery, view: ResidencyView) -> None:
        """Show which models were loaded when."""
        if query == self.query_shown:
            first = self._residency is None
            self._residency = view
            lines = self._residency_lines()
            lines.show_view(view)
            self._table.empty_text = "No model was loaded yet"
            if set(lines.models) - {
                *self._resident_names,
                *(one.id for one in self._snapshot.models),
            }:
                # The record has models that the server no longer lists: their names need room, too.
                self._resident_names = tuple(lines.models)
                self._follow(query)
                return
            self._fit_timeline(lines.count)
            self._table.show_lines(lines, cursor=0 if first else None)
            for plot in (self._queue, self._memory):
                plot.show(self._snapshot, view, self._table.line_cells - view.range.cells - 1)
            self._show_summary(view)
            self._show()

    def show_problem(self, words: str) -> None:
        """Say why there is nothing to show, "" if there is a record."""
        self._problem, self._is_read = words, True
        self._table.empty_text = self._empty_text()

    # Keys.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable keys while text is typed, and those of another mode."""
        del parameters
        typing = isinstance(self.focused, Input)
        if action in {"shift", "span"}:
            return self.query_shown.mode is ActivityMode.RESIDENCY and not typing
        if action in {"open", "filter"}:
            return not typing
        return True

    async def action_open(self) -> None:
        """Open the request under the cursor, or the requests of a group or of a model."""
        query, cursor = self.query_shown, self._table.cursor
        if query.mode is ActivityMode.REQUESTS:
            row = self._requests.row(cursor)
            if row is not None:
                self._source.open_request(row)
        elif query.mode is ActivityMode.RESIDENCY and self._residency is not None:
            lines = self._residency_lines()
            lines.show_view(self._residency)
            if cursor < len(lines.models):
                hours = max(1, round(query.span / 3600))
                self._set_filter(f"{hours}h model:{lines.models[cursor]}")
        elif self._groups and cursor < len(self._groups):
            group = self._groups[cursor]
            words = [word for word in query.words.split() if not word.startswith(f"{query.by}:")]
            if query.by in {"model", "client"}:
                words.append(f"{query.by}:{group.name.split()[0] if group.name else ''}")
            else:
                age = self._clock.wall() - group.began
                words.append(f"{int(age // 3600) + 1}h")
            self._set_filter(" ".join(words))

    @on(ActivityTable.RowOpened)
    async def _open_clicked(self) -> None:
        await self.action_open()

    def action_cancel(self) -> None:
        """Cancel the running request under the cursor."""
        is_list = self.query_shown.mode is ActivityMode.REQUESTS
        if is_list and self._table.cursor < len(self._uses):
            self._source.cancel(self._uses[self._table.cursor])
        else:
            self.notify("Only a request under way can be canceled", severity="warning")

    def action_filter(self) -> None:
        self._filter_line.display = True
        self.set_focus(self._filter)
        self._show()

    @on(Input.Changed, "#filter")
    def _handle_filter(self, message: Input.Changed) -> None:
        message.stop()
        self._follow(replace(self.query_shown, words=message.value))

    @on(Input.Submitted, "#filter")
    def _keep_filter(self) -> None:
        self._filter_line.display = bool(self._filter.value)
        self.set_focus(self._table)
        self._show()

    def action_sort(self) -> None:
        """Sort by the next column that is shown."""
        if self.query_shown.mode is ActivityMode.REQUESTS:
            names = [column.sort for column in self._requests.columns]
            here = names.index(self.query_shown.sort) if self.query_shown.sort in names else -1
            sort = names[(here + 1) % len(names)]
            descending = sort not in {"who", "model", "path"}
            self._follow(replace(self.query_shown, sort=sort, descending=descending), to_top=True)

    def action_reverse(self) -> None:
        query = self.query_shown
        self._follow(replace(query, descending=not query.descending), to_top=True)

    def action_group(self) -> None:
        """Go on to the next grouping, and after the last one back to the requests."""
        query = self.query_shown
        steps = ("", *GROUPINGS)
        by = steps[(steps.index(query.by) + 1) % len(steps)]
        self._show_mode(ActivityMode.GROUPS if by else ActivityMode.REQUESTS, by)

    def action_residency(self) -> None:
        shown = self.query_shown.mode is ActivityMode.RESIDENCY
        self._show_mode(ActivityMode.REQUESTS if shown else ActivityMode.RESIDENCY)

    def action_shift(self, direction: int) -> None:
        """Move the stretch of time by half of it."""
        query, now = self.query_shown, self._clock.wall()
        ended = (now if query.ended is None else query.ended) + direction * query.span / 2
        self._follow(replace(query, ended=None if ended >= now else ended))

    def action_span(self, step: int) -> None:
        query = self.query_shown
        index = max(0, min(len(SPANS) - 1, SPANS.index(query.span) + step))
        self._follow(replace(query, span=SPANS[index]))

    def action_export(self) -> None:
        self._source.export(self.query_shown)

    def action_back(self) -> None:
        """Leave the filter's line, then the filter, then groups or timeline, then the view."""
        if isinstance(self.focused, Input) or self._filter.value:
            self._set_filter("", keep_mode=True)
        elif self.query_shown.mode is not ActivityMode.REQUESTS:
            self._show_mode(ActivityMode.REQUESTS)
        else:
            self.dismiss()

    # What is shown.

    def _hue(self, model_id: str) -> str:
        return hue_of(self._snapshot, model_id)

    def _fit(self, rows: int) -> None:
        self.set_class(rows >= _TALL, "-tall")
        self.set_class(rows >= _TALLER, "-taller")
        self.set_class(rows < _LOW, "-low")

    def _fit_timeline(self, models: int) -> None:
        """Give the timeline the rows that it needs, and what is left to the plots below it."""
        is_tall = self.size.height >= _TALL
        height = min(models + 3, self.size.height - _ROWS_BELOW_TIMELINE) if is_tall else None
        self._table.styles.height = height

    def _set_filter(self, words: str, *, keep_mode: bool = False) -> None:
        with self.prevent(Input.Changed):
            self._filter.value = words
        self._filter_line.display = bool(words)
        self.set_focus(self._table)
        query = replace(self.query_shown, words=words)
        if not keep_mode:
            query = replace(query, mode=ActivityMode.REQUESTS, by="")
        self._follow(query, to_top=True)

    def _show_mode(self, mode: ActivityMode, by: str = "") -> None:
        self._groups = self._residency = None
        self._follow(replace(self.query_shown, mode=mode, by=by), to_top=True)

    def _follow(self, query: ActivityQuery, *, to_top: bool = False) -> None:
        is_timeline = query.mode is ActivityMode.RESIDENCY
        self.set_class(is_timeline, "-residency")
        if not is_timeline:
            self._table.styles.height = None
        query = replace(query, cells=self._residency_lines().plot_cells)
        if query.mode is ActivityMode.REQUESTS and query.mode is not self.query_shown.mode:
            self._table.show_lines(self._requests, cursor=0)
        self.query_shown = query
        if to_top:
            self._table.cursor = 0
            self._table.scroll_to(y=0, animate=False)
        self._show_live()
        self._show()
        self._source.follow(query)

    def _residency_lines(self) -> ResidencyLines:
        names, width = self._resident_names, self._table.line_cells
        lines = ResidencyLines(self._snapshot, self._hue, width, names)
        lines.now = self._clock.wall()
        return lines

    def _show_snapshot(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        if self.is_current:
            self._show_live()
            self._show()

    def _show_live(self) -> None:
        now, wall = self._clock.monotonic(), self._clock.wall()
        before, cursor = len(self._requests.live), self._table.cursor
        rows, shown = [], []
        wanted = parse_filter(self.query_shown.words, "", wall)
        for use in list_uses(self._snapshot):
            row = active_row("", use.request, now, wall, waiting=use.waits)
            by = (
                use.mark + ", ".join(victim.model.id for victim in use.evicts) if use.evicts else ""
            )
            row = replace(row, who=client_name(use.request), by=by)
            if matches_active(wanted, row):
                rows.append(row)
                shown.append(use)
        self._requests.live, self._uses = tuple(rows), tuple(shown)
        if self.query_shown.mode is ActivityMode.REQUESTS:
            moved = len(rows) - before if cursor >= before and cursor else 0
            if moved or len(rows) != before:
                self._table.show_lines(self._requests, cursor=max(0, cursor + moved))
            else:
                self._table.redraw()

    def _empty_text(self) -> str:
        if self._problem:
            return self._problem
        if not self._is_read:
            return "Reading …"
        if self._filter.value:
            return f"No request matches “{self._filter.value}”\n{ACTIVITY.sign('back')} clears the filter"
        words = (
            "No requests today\nEach request that ends is listed here. "
            f"{ACTIVITY.sign('filter')} 7d shows earlier ones"
        )
        if self._snapshot.release.has(ACTIVITY_PAGES_SINCE) is False:
            words += (
                f"\nThis server forgets most of its requests: a list of them came with "
                f"v{ACTIVITY_PAGES_SINCE}"
            )
        return words

    def _show(self) -> None:
        """Write the titles and the keys."""
        query, sums = self.query_shown, self._totals.sums
        running = sum(not use.waits for use in self._uses)
        waiting = len(self._uses) - running
        further = self._snapshot.requests.unlisted
        when = describe_time(query.words)
        parts = [
            f"{sums.requests:,} {when}",
            f"{running} running" if running else "",
            f"{waiting} waiting" if waiting else "",
            f"{further:,} more not listed" if further > 0 else "",
            f"{sums.failed:,} failed" if sums.failed else "",
        ]
        # A narrow title has room for the counts alone.
        right = query.words or (
            f"all models · all clients · {when}" if self.size.width >= 100 else ""
        )
        if query.mode is ActivityMode.RESIDENCY:
            view = self._residency
            counts = "" if view is None else _residency_counts(view)
            set_frame_title(
                self._table, "Residency", "which model was loaded, and how busy", counts
            )
        elif query.mode is ActivityMode.GROUPS:
            words = count_of(len(self._groups or ()), query.by)
            set_frame_title(self._table, f"By {query.by}", words, right)
        else:
            words = " · ".join(filter(None, parts))
            set_frame_title(self._table, "Requests", words, right)
        hints = tuple(self._hints())
        if hints != self._key_bar.hints:
            self._key_bar.hints = hints

    def _hints(self) -> list[Hint]:
        query = self.query_shown
        if isinstance(self.focused, Input):
            return [ACTIVITY.hint("focused.submit"), ACTIVITY.hint("back", "clear the filter")]
        if query.mode is ActivityMode.RESIDENCY:
            spans = " ".join(
                f"[{name}]" if span == query.span else name
                for span, name in zip(SPANS, _SPAN_NAMES, strict=True)
            )
            return [
                ACTIVITY.hint("shift(-1)"),
                ACTIVITY.hint("span(1)", spans),
                ACTIVITY.hint("open", "requests of this model"),
                ACTIVITY.hint("residency", "requests"),
                APP.hint("command_palette"),
                APP.hint("help"),
            ]
        named = ", ".join(f"[{by}]" if by == query.by else by for by in GROUPINGS)
        opens = "open" if query.mode is ActivityMode.REQUESTS else "its requests"
        actions = [ACTIVITY.hint("open", opens)]
        if query.mode is ActivityMode.REQUESTS:
            actions += [ACTIVITY.hint("cancel")] if self._uses else []
            actions += [ACTIVITY.hint("filter"), ACTIVITY.hint("sort")]
        return [
            *actions,
            ACTIVITY.hint("group", f"by {named}"),
            ACTIVITY.hint("residency"),
            ACTIVITY.hint("export"),
            APP.hint("command_palette"),
            APP.hint("help"),
        ]

    def _show_summary(self, view: ResidencyView) -> None:
        span = view.range.ended - view.range.began
        name = dict(zip(SPANS, _SPAN_NAMES, strict=True)).get(round(span), "")
        when = f"of the last {name}" if self.query_shown.ended is None else f"of these {name}"
        lines: list[Content] = [
            Content.assemble(*((text, f"${style or 'muted'}") for text, style in LEGEND)),
            Content.assemble(
                ("Loading took ", "$muted"),
                (format_seconds(view.loading_seconds), "bold"),
                (f" {when}.", "$muted"),
            ),
        ]
        if view.waits and self.size.height < _TALL:  # else the queue is shown
            longest = sorted(view.waits.items(), key=lambda pair: -pair[1])[:3]
            who = ", ".join(
                f"{client or 'unknown'} {format_elapsed(wait)}" for client, wait in longest
            )
            lines.append(Content(f"Waited for loads: {who}."))
        if sentence := eviction_sentence(view.timeline.mutual, name):
            lines.append(Content(sentence))
        set_frame_title(self._summary, "Swaps")
        self._summary.update(Content("\n").join(lines))


def _residency_counts(view: ResidencyView) -> str:
    counts = (
        (view.loads, "load"),
        (view.count(ActivityKind.EVICTION), "eviction"),
    )
    words = [count_of(count, noun) for count, noun in counts]
    failed = view.count(ActivityKind.FAILED)
    return " · ".join([*words, *([f"{failed} failed"] if failed else [])])


def residency_range(query: ActivityQuery, now: float) -> TimeRange:
    """Return the stretch of time that a query asks for; `now` is Unix time."""
    ended = now if query.ended is None else query.ended
    return TimeRange(ended - query.span, ended, max(1, query.cells))
