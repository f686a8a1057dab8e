"""The live table of models: what it says of each, cell by cell; only what changed is drawn again."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from msgspec import Struct
from msgspec.structs import replace
from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from aitui.domain.models import Model, ModelKind, RunState, seconds_until_unload
from aitui.domain.snapshot import Clock, ConnectionPhase, Snapshot
from aitui.domain.units import format_countdown, format_rate, format_tokens
from aitui.ui.keymap import MODEL_TABLE
from aitui.ui.motions import motion_rows
from aitui.ui.plain import component_classes, render_centered
from aitui.ui.text import shorten_id, truncate

EMPTY_CELL = "–"

GLYPHS = {
    RunState.STOPPED: "○",
    RunState.STARTING: "◐",
    RunState.READY: "●",
    RunState.STOPPING: "◑",
    RunState.UNKNOWN: "?",
}
REMOTE_GLYPH = "◇"
WAITING_GLYPH = "◔"
FAILED_GLYPH = "✘"


class ClockReading(Struct, frozen=True):
    """Now, on both clocks: monotonic seconds for ages, Unix time for what people read."""

    monotonic: float
    wall: float


class TableColumn(Struct, frozen=True):
    """A column of the table.

    `width` is in cells, 0 takes what is left; `from_width` is the narrowest table that shows it.
    One that `falls` has its greatest figure first.
    """

    key: str
    title: str
    width: int
    min_width: int
    text: Callable[[Model, ClockReading], str]
    sort_key: Callable[[Model, ClockReading], tuple[object, ...]]
    align_right: bool = False
    descending: bool = False


def glyph(model: Model) -> str:
    """One character for the state, so that colour is never the only sign."""
    if not model.loadable:
        return REMOTE_GLYPH
    if model.resident:
        return GLYPHS[model.state]
    if model.is_awaited:
        return WAITING_GLYPH
    return FAILED_GLYPH if model.failed is not None else GLYPHS[model.state]


def state_style(model: Model) -> str:
    """The style of the glyph and the state: ready, transit, failed or quiet."""
    if model.state is RunState.READY:
        return "ready"
    if model.in_transit or model.is_awaited:
        return "transit"
    return "failed" if model.failed is not None else "quiet"


def state_text(model: Model, moment: ClockReading) -> str:
    """The state in words, with seconds so far and expected ones where it is about to change."""
    if not model.loadable:
        return model.kind.value
    if model.state is RunState.STOPPED:
        return _not_running_text(model, moment)
    texts = {
        RunState.READY: _ready_text(model, moment),
        RunState.STARTING: f"loading {load_progress(model, moment)}",
        RunState.STOPPING: f"stopping {max(0.0, moment.monotonic - model.since):.0f} s",
    }
    return texts.get(model.state, "unknown state")


def _ready_text(model: Model, moment: ClockReading) -> str:
    if model.requests:
        return f"ready · {model.requests} req"
    uptime = model.uptime(moment.monotonic) or 0.0
    # Whole minutes: seconds would draw the row again each second.
    return f"ready · {format_countdown(uptime)}" if uptime >= 60 else "ready"


def _not_running_text(model: Model, moment: ClockReading) -> str:
    if model.requested is not None:
        return f"waits {max(0.0, moment.monotonic - model.requested):.0f} s"
    if model.queued is not None:
        return f"queued {max(0.0, moment.monotonic - model.queued):.0f} s"
    if model.evicted is not None and model.failed is None:
        return f"evicted {clock_time(model.evicted.at)}"
    if model.timed_out is not None and model.timed_out.unused:
        return f"unloaded {clock_time(model.timed_out.at)}"
    if model.failed is not None:
        word = "crashed" if model.failed.crashed else "failed"
        return f"{word} {clock_time(model.failed.at)}"
    return EMPTY_CELL


def load_progress(model: Model, moment: ClockReading) -> str:
    """How far a load is, if that is reported, else its seconds, and of how many: `18/≈29 s`."""
    if model.progress is not None:
        return f"{model.progress * 100:.0f} %"
    elapsed = f"{max(0.0, moment.monotonic - model.since):.0f}"
    if model.expected_load is None:
        return f"{elapsed} s"
    return f"{elapsed}/≈{model.expected_load:.0f} s"


def clock_time(at: float) -> str:
    """Hours and minutes of a Unix time, in the local zone."""
    return datetime.fromtimestamp(at).astimezone().strftime("%H:%M")


def context_text(model: Model, _moment: ClockReading) -> str:
    """Format the context size; `?` marks one that was not reported."""
    if model.kind is not ModelKind.MODEL:
        return EMPTY_CELL
    mark = "?" if model.context.source.name == "FALLBACK" else ""
    return format_tokens(model.context.tokens) + mark


def ttl_text(model: Model, moment: ClockReading) -> str:
    """The time until it unloads by itself, `≈` since that is inferred."""
    left = seconds_until_unload(model, moment.monotonic)
    return EMPTY_CELL if left is None else f"≈ {format_countdown(left)}"


def memory_text(model: Model, _moment: ClockReading) -> str:
    """What it takes, or would: `≈` where that is calculated."""
    return EMPTY_CELL if model.memory is None else model.memory.label


def rate_text(model: Model, _moment: ClockReading) -> str:
    """Tokens a second of the last request that ended there."""
    return EMPTY_CELL if model.rate is None else format_rate(model.rate)


def note_text(model: Model, _moment: ClockReading) -> str:
    """The server's own words for the model, or what else its id stands for."""
    if model.kind is ModelKind.PEER:
        return f"at {model.peer}"
    if model.targets:
        return "→ " + ", ".join(model.targets)
    name = model.name if model.name != model.id else ""
    words = " — ".join(part for part in (name, model.description) if part)
    if words:
        return words
    if model.aliases:
        return "alias " + ", ".join(model.aliases)
    return "not listed by the server" if model.unlisted else ""


_STATE_ORDER = ("ready", "transit", "failed", "quiet")


def _state_sort_key(model: Model, _moment: ClockReading) -> tuple[object, ...]:
    return (_STATE_ORDER.index(state_style(model)), not model.loadable)


def _ttl_sort_key(model: Model, moment: ClockReading) -> tuple[object, ...]:
    left = seconds_until_unload(model, moment.monotonic)
    return (left is None, left or 0.0)


_amount_column = partial(TableColumn, align_right=True, descending=True)

COLUMNS = (
    TableColumn("id", "Model", 0, 0, lambda m, _: m.id, lambda m, _: (m.id.casefold(),)),
    TableColumn("state", "State", 17, 0, state_text, _state_sort_key),
    _amount_column("context", "Ctx", 6, 0, context_text, lambda m, _: (-m.context.tokens,)),
    _amount_column(
        "memory", "Mem", 7, 52, memory_text, lambda m, _: (-m.memory.needed if m.memory else 0,)
    ),
    _amount_column("rate", "tok/s", 6, 84, rate_text, lambda m, _: (-(m.rate or 0.0),)),
    TableColumn("ttl", "TTL", 8, 66, ttl_text, _ttl_sort_key, align_right=True),
    TableColumn("note", "Note", 34, 110, note_text, lambda m, t: (note_text(m, t).casefold(),)),
)


SORT_KEYS = ("", *(column.key for column in COLUMNS if column.key != "note"))
"""Orders that `s` walks through; the empty one is the server's own."""
DESCENDING_PREFIX = "-"
"""Before a key: the same order the other way round."""


class TableQuery(Struct, frozen=True):
    """A person's choice of rows: words that must all occur, and the column to sort by."""

    words: str = ""
    sort: str = ""

    def next_sort(self) -> str:
        """The order after this one."""
        at = SORT_KEYS.index(self.sort.removeprefix(DESCENDING_PREFIX))
        return SORT_KEYS[(at + 1) % len(SORT_KEYS)]


def sort_after_click(key: str, sort: str) -> str:
    """The order that a click on a title brings: that column's, then turned, then the server's."""
    return {key: DESCENDING_PREFIX + key, DESCENDING_PREFIX + key: ""}.get(sort, key)


def sort_mark(column: TableColumn, sort: str) -> str:
    """What the title carries: whether the column rises or falls, where it is the sorted one."""
    if column.key != sort.removeprefix(DESCENDING_PREFIX):
        return ""
    return " ▾" if column.descending != sort.startswith(DESCENDING_PREFIX) else " ▴"


def visible_rows(
    models: Sequence[Model], view: TableQuery, moment: ClockReading
) -> tuple[Model, ...]:
    """The models to show; equal ones keep the server's order."""
    words, key = view.words.casefold().split(), view.sort.removeprefix(DESCENDING_PREFIX)
    shown: Sequence[Model] = models
    if words:
        shown = [one for one in models if all(word in _searchable_text(one) for word in words)]
    column = next((column for column in COLUMNS if column.key == key), None)
    if column is None:
        return tuple(shown)
    turned = view.sort.startswith(DESCENDING_PREFIX)
    ordered = sorted(shown, key=lambda model: column.sort_key(model, moment), reverse=turned)
    if column.align_right:
        # Where there is no figure there is nothing to compare, whichever way round.
        ordered.sort(key=lambda model: column.text(model, moment) == EMPTY_CELL)
    return tuple(ordered)


def _searchable_text(model: Model) -> str:
    parts = (model.id, model.name, model.description, model.peer, model.state.value, *model.aliases)
    return "\n".join(parts).casefold()


GLYPH_WIDTH = 3
GAP = 1


def visible_columns(width: int) -> list[tuple[TableColumn, int]]:
    """The columns that a table of that width shows, each with its width in cells."""
    shown = [column for column in COLUMNS if width >= column.min_width]
    fixed = sum(column.width for column in shown) + GAP * len(shown) + GLYPH_WIDTH
    return [(column, column.width or max(8, width - fixed)) for column in shown]


# With 1,000 rows and 8 columns, once a second (Textual 8.2.8): comparing and repainting what changed
# costs 1.0, writing every cell of a DataTable 2.3, clearing and filling it 3.6 and the cursor, and
# `update_width=True` more than 20, with stalls of seconds. So widths are fixed and equal lines stay.
class ModelTable(ScrollView, can_focus=True, inherit_bindings=False):
    """One row a model; the cursor stays with its model whatever happens around it."""

    COMPONENT_CLASSES = component_classes(
        "model-table", "text", "ready", "transit", "failed", "quiet", "cursor", "stale"
    )
    BINDINGS = MODEL_TABLE.bindings()

    # Repainted by their watchers, and only where something changed.
    models: reactive[tuple[Model, ...]] = reactive((), init=False, repaint=False)
    view: reactive[TableQuery] = reactive(TableQuery(), init=False, repaint=False)
    stale: reactive[bool] = reactive(False, init=False, repaint=False)
    empty_text: reactive[str] = reactive("", init=False, repaint=False)

    class Highlighted(Message):
        """The cursor came to another model, or to none."""

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._clock = clock
        self._rows: tuple[Model, ...] = ()
        self._cursor_index: int = 0
        self._cursor_id = ""
        self.selected_model: Model | None = None
        """The model under the cursor."""
        self._last_texts: dict[str, tuple[str, ...]] = {}

    def on_mount(self) -> None:
        self.watch(self.app, "snapshot", self._show_snapshot)

    def _show_snapshot(self, snapshot: Snapshot) -> None:
        self.stale = snapshot.connection.phase is ConnectionPhase.LOST
        self.models = snapshot.models

    def watch_models(self, before: tuple[Model, ...], _after: tuple[Model, ...]) -> None:
        """Show what is new; where the rows keep their places only changed ones are drawn."""
        self._show_rows(before)

    def watch_view(self) -> None:
        """Show other rows, or the same in another order.

        If the model under the cursor isn't among them, the cursor goes to the first: that was looked for.
        """
        self._show_rows((), otherwise=0)

    def watch_stale(self) -> None:
        self.refresh()

    def watch_empty_text(self) -> None:
        if not self._rows:
            self.refresh()

    def select(self, model_id: str) -> None:
        """Put the cursor on that model, if it is shown."""
        for index, model in enumerate(self._rows):
            if model.id == model_id:
                self._move_cursor(index)
                return

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if not self._rows:
            style = self._style("text", cursor=False)
            return render_centered(self.empty_text, y, Size(width, self.size.height), style)
        index = y + self.scroll_offset.y
        if index >= len(self._rows):
            return Strip.blank(width, self.rich_style)
        return self._render_row(self._rows[index], width, cursor=index == self._cursor_index)

    def on_resize(self) -> None:
        if self._rows:  # an empty table would lay the screen out once more behind the first frame
            self.virtual_size = Size(self.size.width, len(self._rows))

    def on_click(self, event: events.Click) -> None:
        index = event.y + self.scroll_offset.y
        if index < len(self._rows):
            self._move_cursor(index)

    def action_move(self, amount: float, unit: str = "rows") -> None:
        self._move_cursor(self._cursor_index + motion_rows(self, amount, unit))

    def _show_rows(self, before: tuple[Model, ...], otherwise: int | None = None) -> None:
        old_rows, at = self._rows, self._cursor_index
        self._rows = visible_rows(self.models, self.view, self._moment())
        self._cursor_index = self._find_cursor_row(otherwise)
        if len(old_rows) != len(self._rows):
            self.virtual_size = Size(self.size.width, len(self._rows))
        if not before or len(old_rows) != len(self._rows):
            self.refresh()
        else:
            for index, (old, new) in enumerate(zip(old_rows, self._rows, strict=True)):
                if old is not new:
                    self.refresh_lines(index, 1)
            self.refresh_lines(at, 1)
            self.refresh_lines(self._cursor_index, 1)
        self.scroll_to_region(Region(0, self._cursor_index, 1, 1), animate=False)
        self._post_selection()

    def _find_cursor_row(self, otherwise: int | None) -> int:
        near = max(0, min(self._cursor_index, len(self._rows) - 1))
        if self._rows and self._rows[near].id == self._cursor_id:
            return near
        same = (index for index, model in enumerate(self._rows) if model.id == self._cursor_id)
        return next(same, near if otherwise is None else otherwise)

    def _move_cursor(self, index: int) -> None:
        before, self._cursor_index = self._cursor_index, max(0, min(index, len(self._rows) - 1))
        self.refresh_lines(before, 1)
        self.refresh_lines(self._cursor_index, 1)
        self.scroll_to_region(Region(0, self._cursor_index, 1, 1), animate=False)
        self._post_selection()

    def _post_selection(self) -> None:
        model = self.selected_model = self._rows[self._cursor_index] if self._rows else None
        self._cursor_id = model.id if model is not None else self._cursor_id
        self.post_message(self.Highlighted())

    def tick(self) -> None:
        """Repaint the rows that changed by the mere passing of time, as those of loads and TTLs do."""
        first, moment = self.scroll_offset.y, self._moment()
        for index, model in enumerate(self._rows[first : first + self.size.height], first):
            moves = model.resident or model.is_awaited
            if moves and self._last_texts.get(model.id) != self._cell_texts(model, moment):
                self.refresh_lines(index, 1)

    def _cell_texts(self, model: Model, moment: ClockReading) -> tuple[str, ...]:
        return (glyph(model), *(column.text(model, moment) for column in COLUMNS))

    def _moment(self) -> ClockReading:
        return ClockReading(self._clock.monotonic(), self._clock.wall())

    def _render_row(self, model: Model, width: int, *, cursor: bool) -> Strip:
        texts = self._cell_texts(model, self._moment())
        if len(self._last_texts) > 4 * max(64, self.size.height):
            self._last_texts.clear()
        self._last_texts[model.id] = texts
        plain = self._style("stale" if self.stale else "text", cursor=cursor)
        state = self._style("stale" if self.stale else state_style(model), cursor=cursor)
        quiet = self._style("stale" if self.stale else "quiet", cursor=cursor)
        styles = {"id": plain, "state": state, "note": quiet}
        mark = "▌" if cursor and self.has_focus else " "
        segments = [Segment(mark, plain), Segment(texts[0] + " ", state)]
        by_key = dict(zip((column.key for column in COLUMNS), texts[1:], strict=True))
        for column, cells in visible_columns(width):
            text = align_text(by_key[column.key], column, cells) + " " * GAP
            segments.append(Segment(text, styles.get(column.key, plain)))
        return Strip(segments).adjust_cell_length(width, plain)

    def _style(self, part: str, *, cursor: bool) -> Style:
        style = self.get_component_rich_style(f"model-table--{part}")
        if cursor:
            ground = self.get_component_rich_style("model-table--cursor")
            style += Style(bgcolor=ground.bgcolor, bold=self.has_focus)
        return style


def align_text(text: str, column: TableColumn, cells: int) -> str:
    """The text in exactly that many cells: ids lose their middle, other words their end."""
    if cell_len(text) > cells:
        text = shorten_id(text, cells) if column.key == "id" else truncate(text, cells)
    return (
        " " * (cells - cell_len(text)) + text if column.align_right else set_cell_size(text, cells)
    )


class ColumnTitles(Widget):
    """One line; the column that the rows are sorted by carries a mark: `▴` rises, `▾` falls."""

    note: reactive[str] = reactive("")
    """What the rows don't show, behind the title of the first column."""

    def __init__(self, table: ModelTable, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._table = table

    def on_mount(self) -> None:
        self.watch(self._table, "view", self._follow_table)
        # The table may have a scroll bar.
        self.watch(self._table, "virtual_size", self._follow_table)

    def _follow_table(self) -> None:
        self.refresh()

    @property
    def _columns(self) -> list[tuple[TableColumn, int]]:
        return visible_columns(self._table.size.width or self.size.width)

    def render_line(self, y: int) -> Strip:
        """The titles, placed as the table places its cells."""
        width, style = self.size.width, self.rich_style
        if y:
            return Strip.blank(width, style)
        text = " " * GLYPH_WIDTH
        for number, (column, cells) in enumerate(self._columns):
            title = column.title + sort_mark(column, self._table.view.sort)
            if self.note and not number:
                title += f" · {self.note}"
            text += align_text(title, column, cells) + " " * GAP
        return Strip([Segment(text, style)]).adjust_cell_length(width, style)

    def on_click(self, event: events.Click) -> None:
        start = GLYPH_WIDTH
        for column, cells in self._columns:
            if start <= event.x < start + cells and column.key in SORT_KEYS:
                view = self._table.view
                self._table.view = replace(view, sort=sort_after_click(column.key, view.sort))
            start += cells + GAP
