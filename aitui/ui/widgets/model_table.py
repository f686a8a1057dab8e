"""The live table of models: what it says of each, cell by cell; only what changed is drawn again."""

from collections.abc import Callable, Iterable, Mapping, Sequence
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

from aitui.domain.client_requests import list_uses
from aitui.domain.clients import client_name
from aitui.domain.models import Model, ModelKind, RunState, seconds_until_unload, state_counts
from aitui.domain.snapshot import Clock, ConnectionPhase, Snapshot
from aitui.domain.units import format_countdown, format_rate
from aitui.format.fit import shorten_id, truncate, truncate_words
from aitui.ui.frame import render_title
from aitui.ui.keymap import APP, MODEL_TABLE
from aitui.ui.models_layout import ColumnNeed, fit_columns
from aitui.ui.motions import motion_rows
from aitui.ui.plain import render_centered
from aitui.ui.theme import hue_of, shade, theme_style

EMPTY_CELL = "–"

GLYPHS = {
    RunState.STOPPED: "○",
    RunState.STARTING: "◔",
    RunState.READY: "●",
    RunState.STOPPING: "◔",
    RunState.UNKNOWN: "?",
}
LOADING_GLYPHS = "◔◑◕"
REMOTE_GLYPH = "◇"
WAITING_GLYPH = "◌"
FAILED_GLYPH = "✘"
HUE_MARK = "▌"
SETTLE_SECONDS = 5.0
"""Seconds for which the cursor stays on the first row while the first answers arrive."""


class RowFacts(Struct, frozen=True):
    """What a row shows besides its model: now on both clocks, and the clients of each model by its id.

    `monotonic` is in seconds, for ages; `wall` is Unix time, for what people read.
    """

    monotonic: float
    wall: float
    users: Mapping[str, str] = {}


class TableColumn(Struct, frozen=True):
    """A column of the table; `width` is the least that its content takes, in cells.

    One that is `descending` has its greatest figure first, or what matters most.
    """

    key: str
    title: str
    width: int
    text: Callable[[Model, RowFacts], str]
    sort_key: Callable[[Model, RowFacts], tuple[object, ...]]
    align_right: bool = False
    descending: bool = False


def glyph(model: Model, facts: RowFacts) -> str:
    """One character for the state, so that color is never the only sign."""
    if not model.loadable:
        return GLYPHS[RunState.STOPPED] if model.unread else REMOTE_GLYPH
    if model.state is RunState.STARTING:
        quarter = int((load_fraction(model, facts) or 0.0) * 4 - 1)
        return LOADING_GLYPHS[max(0, min(quarter, 2))]
    if model.resident:
        return GLYPHS[model.state]
    if model.is_awaited:
        return WAITING_GLYPH
    return FAILED_GLYPH if model.failed is not None else GLYPHS[model.state]


def state_style(model: Model) -> str:
    """The color of the glyph and the state: that of a state, or muted."""
    if model.state is RunState.READY:
        return "ready"
    if model.in_transit:
        return "transit"
    if model.is_awaited:
        return "warning"
    return "error" if model.failed is not None else "muted"


def state_text(model: Model, facts: RowFacts) -> str:
    """The state in words, with how far a load is."""
    if not model.loadable:
        return "unread" if model.unread else model.kind.value
    match model.state:
        case RunState.STOPPED:
            return _not_running_text(model, facts)
        case RunState.STARTING:
            return f"loading {load_progress(model, facts)}"
        case RunState.STOPPING:
            return f"stopping {max(0.0, facts.monotonic - model.since):.0f} s"
        case _:
            return "ready" if model.state is RunState.READY else "unknown"


def short_state_text(model: Model, facts: RowFacts) -> str:
    """The state in six cells or a little more, for a narrow table."""
    text = state_text(model, facts)
    return load_progress(model, facts) if text.startswith("loading ") else text.split(" ", 1)[0]


def _not_running_text(model: Model, facts: RowFacts) -> str:
    if model.requested is not None:
        return f"waits {max(0.0, facts.monotonic - model.requested):.0f} s"
    if model.queued is not None:
        return f"queued {max(0.0, facts.monotonic - model.queued):.0f} s"
    if model.timed_out is not None and model.timed_out.unused:
        return f"unloaded {clock_time(model.timed_out.at)}"
    if model.failed is not None:
        word = "crashed" if model.failed.crashed else "failed"
        return f"{word} {clock_time(model.failed.at)}"
    return EMPTY_CELL if model.evicted is None else f"evicted {clock_time(model.evicted.at)}"


def load_progress(model: Model, facts: RowFacts) -> str:
    """Return the progress of a load if it is reported, else its time, in up to five cells."""
    if model.progress is not None:
        return f"{model.progress * 100:.0f} %"
    elapsed = max(0, int(facts.monotonic - model.since))
    if elapsed < 100:
        return f"{elapsed} s"
    return f"{elapsed // 60}m{elapsed % 60:02}" if elapsed < 6000 else f"{elapsed // 3600} h"


def load_fraction(model: Model, facts: RowFacts) -> float | None:
    """From 0 to 1, how far a load is: as reported, else of the time that it is expected to take."""
    if model.state is not RunState.STARTING:
        return None
    if model.progress is not None:
        return model.progress
    if not model.expected_load:
        return None
    return max(0.0, min(1.0, (facts.monotonic - model.since) / model.expected_load))


def clock_time(at: float) -> str:
    """Hours and minutes of a Unix time, in the local zone."""
    return datetime.fromtimestamp(at).astimezone().strftime("%H:%M")


def _context_text(model: Model, _facts: RowFacts) -> str:
    return model.context.label if model.loadable else EMPTY_CELL


def ttl_text(model: Model, facts: RowFacts) -> str:
    """The time until it unloads by itself, that of a whole timeout while it is used; `off`: never."""
    if model.state is not RunState.READY:
        return EMPTY_CELL
    if model.ttl <= 0:
        return "off"
    left = seconds_until_unload(model, facts.monotonic)
    return format_countdown(model.ttl if left is None else left)


def memory_text(model: Model, _facts: RowFacts) -> str:
    """The GB that it takes, or would: `≈` where that is calculated, `?` where it isn't known."""
    if model.memory is None:
        return "?" if model.loadable else EMPTY_CELL
    return model.memory.figure


def rate_text(model: Model, _facts: RowFacts) -> str:
    """Tokens a second of the last request that ended there."""
    return EMPTY_CELL if model.rate is None else format_rate(model.rate)


def users_text(model: Model, facts: RowFacts) -> str:
    """The clients that use it or wait for it."""
    return facts.users.get(model.id, "")


def note_text(model: Model, _facts: RowFacts) -> str:
    """The server's own words for the model, or what else its id stands for."""
    if model.unread:
        return f"in config.yaml, not read yet: {APP.sign('reload_config')}"
    if model.kind is ModelKind.PEER:
        return f"Served by the peer {model.peer}"
    if model.targets:
        return "→ " + ", ".join(model.targets)
    name = model.name if model.name != model.id else ""
    words = " — ".join(part for part in (name, model.description) if part)
    if words:
        return words
    if model.aliases:
        return "alias " + ", ".join(model.aliases)
    return "not listed by the server" if model.unlisted else ""


_STATE_ORDER = ("ready", "transit", "warning", "error", "muted")


def _state_sort_key(model: Model, _facts: RowFacts) -> tuple[object, ...]:
    """Sort loaded models first, the largest on top, and those that can't be loaded here last."""
    if model.resident:
        return (-1, -(model.memory.needed if model.memory else 0))
    return (_STATE_ORDER.index(state_style(model)) + 5 * (not model.loadable),)


def _ttl_sort_key(model: Model, facts: RowFacts) -> tuple[object, ...]:
    left = seconds_until_unload(model, facts.monotonic)
    return (left is None, left or 0.0)


_amount_column = partial(TableColumn, align_right=True, descending=True)

COLUMNS = (
    TableColumn("id", "MODEL", 5, lambda m, _: m.id, lambda m, _: (m.id.casefold(),)),
    TableColumn("state", "STATE", 12, state_text, _state_sort_key, descending=True),
    _amount_column("context", "CTX", 4, _context_text, lambda m, _: (-m.context.tokens,)),
    # One of its cells is the model's hue.
    _amount_column(
        "memory", "GB", 6, memory_text, lambda m, _: (-m.memory.needed if m.memory else 0,)
    ),
    TableColumn("ttl", "TTL", 4, ttl_text, _ttl_sort_key, align_right=True),
    _amount_column("rate", "TOK/S", 5, rate_text, lambda m, _: (-(m.rate or 0.0),)),
    TableColumn("users", "USED BY", 18, users_text, lambda m, f: (not (u := users_text(m, f)), u)),
    TableColumn("about", "ABOUT", 16, note_text, lambda m, f: (note_text(m, f).casefold(),)),
)
_COLUMN_BY_KEY = {column.key: column for column in COLUMNS}
_MOST_CELLS = {"id": 200, "users": 40, "about": 60}
"""Cells beyond which the content of a column isn't measured."""
LEAST_CELLS = {"state": 6, "about": 16}


class TableQuery(Struct, frozen=True):
    """A person's choice of rows: words that must all occur, and the column to sort by."""

    words: str = ""
    sort: str = "state"
    reverse: bool = False

    def sorted_by(self, key: str) -> "TableQuery":
        """Return the query that a click on that column's title asks for; a second click reverses it."""
        return replace(self, sort=key, reverse=key == self.sort and not self.reverse)

    def next_sort(self, shown: Sequence[str]) -> "TableQuery":
        """Return the query that sorts by the column behind this one among those shown."""
        at = shown.index(self.sort) + 1 if self.sort in shown else 0
        return replace(self, sort=shown[at % len(shown)], reverse=False)


def sort_mark(column: TableColumn, view: TableQuery) -> str:
    """Return the arrow of the sorted column's title, "" for the others."""
    if column.key != view.sort:
        return ""
    return "▾" if column.descending != view.reverse else "▴"


def visible_rows(models: Sequence[Model], view: TableQuery, facts: RowFacts) -> tuple[Model, ...]:
    """The models to show; equal ones keep the server's order."""
    words, column = view.words.casefold().split(), _COLUMN_BY_KEY[view.sort]
    shown: Sequence[Model] = models
    if words:
        shown = [one for one in models if all(word in _searchable_text(one) for word in words)]
    ordered = sorted(shown, key=lambda model: column.sort_key(model, facts), reverse=view.reverse)
    if column.align_right:
        # Without a figure there is nothing to compare, in either order.
        ordered.sort(key=lambda model: column.text(model, facts) in {EMPTY_CELL, "?"})
    return tuple(ordered)


def _searchable_text(model: Model) -> str:
    parts = (model.id, model.name, model.description, model.peer, model.state.value, *model.aliases)
    return "\n".join(parts).casefold()


def count_text(models: Sequence[Model], room: int) -> str:
    """How many models are in which state, and of how many: "2 ready · 1 loading of 14".

    In fewer cells the last states are left out, in the end all of them.
    """
    if not models:
        return ""
    parts = state_counts(models) or ("none loaded",)
    whole = (f"{' · '.join(parts[:end])} of {len(models):,}" for end in range(len(parts), 0, -1))
    return next((text for text in whole if len(text) <= room), f"{len(models):,}")


EDGE_CELLS = 4
"""The mark of the cursor, the glyph with a blank cell, and a blank cell at the right end."""


class ColumnWidths:
    """The cells that each column needs; they grow with their content, and shrink with another list."""

    def __init__(self) -> None:
        self._ids: tuple[str, ...] = ()
        self._models: tuple[Model, ...] = ()
        self.cells = {column.key: column.width for column in COLUMNS}
        self.short_state = LEAST_CELLS["state"]

    def measure(self, models: tuple[Model, ...], facts: RowFacts) -> None:
        """Take in what changed."""
        ids = tuple(model.id for model in models)
        changed: Iterable[Model] = models
        if ids == self._ids:
            changed = (new for old, new in zip(self._models, models, strict=True) if old is not new)
        else:
            self.cells = {column.key: column.width for column in COLUMNS}
            self.short_state = LEAST_CELLS["state"]
        self._ids, self._models = ids, models
        for model in changed:
            for column in COLUMNS:
                cells = cell_len(column.text(model, facts)) + (column.key == "memory")
                cells = min(cells, _MOST_CELLS.get(column.key, 16))
                self.cells[column.key] = max(self.cells[column.key], cells)
            self.short_state = max(self.short_state, cell_len(short_state_text(model, facts)))

    def grow(self, key: str, texts: Iterable[str]) -> None:
        """Give a column the cells for these texts."""
        cells = max(map(cell_len, texts), default=0)
        self.cells[key] = max(self.cells[key], min(cells, _MOST_CELLS[key]))

    def fit(self, width: int) -> list[tuple[TableColumn, int]]:
        """The columns that a table of that width shows, each with its cells."""
        least = LEAST_CELLS | {"state": self.short_state}
        needs = [ColumnNeed(key, cells, least.get(key, 0)) for key, cells in self.cells.items()]
        fitted = fit_columns(needs, max(1, width - EDGE_CELLS))
        return [(column, fitted[column.key]) for column in COLUMNS if column.key in fitted]

    @property
    def pane_widths(self) -> tuple[int, int, int]:
        """The cells of the framed table with the columns up to TTL, with all, and with id and state."""
        keys = [column.key for column in COLUMNS]
        upto = [sum(self.cells[key] + 1 for key in keys[:count]) for count in (5, len(keys))]
        frame = EDGE_CELLS + 1
        return upto[0] + frame, upto[1] + frame, self.cells["id"] + self.short_state + frame + 2


# With 1,000 rows and 8 columns, once a second (Textual 8.2.8): comparing and repainting what changed
# costs 1.0, writing every cell of a DataTable 2.3, clearing and filling it 3.6 and the cursor, and
# `update_width=True` more than 20, with stalls of seconds. So widths only grow and equal lines stay.
class ModelTable(ScrollView, can_focus=True, inherit_bindings=False):
    """One row a model; the cursor stays with its model whatever happens around it."""

    BINDINGS = MODEL_TABLE.bindings()

    # Repainted by their watchers, and only where something changed.
    models: reactive[tuple[Model, ...]] = reactive((), init=False, repaint=False)
    view: reactive[TableQuery] = reactive(TableQuery(), init=False, repaint=False)
    stale: reactive[bool] = reactive(False, init=False, repaint=False)
    empty_text: reactive[str] = reactive("", init=False, repaint=False)
    users: reactive[Mapping[str, str]] = reactive(dict[str, str], init=False)
    """The clients of each model by its id."""
    bare: reactive[bool] = reactive(False, init=False)
    """Whether there is room for the ids and one more column only."""

    class Highlighted(Message):
        """A key, the mouse or another order brought the cursor to a model; a snapshot sends none."""

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._clock = clock
        self._rows: tuple[Model, ...] = ()
        self._cursor_index: int = 0
        self._cursor_id = ""
        self._cursor_set = False
        self._first_shown_at = float("inf")
        self.selected_model: Model | None = None
        """The model under the cursor."""
        self._last_texts: dict[str, tuple[str, ...]] = {}
        self._snapshot = Snapshot()
        self._fitted: tuple[object, list[tuple[TableColumn, int]]] = (None, [])
        self._styles: dict[str, Style] = {}
        self.widths = ColumnWidths()

    def on_mount(self) -> None:
        self.watch(self.app, "snapshot", self._show_snapshot)

    def notify_style_update(self) -> None:
        """Take the colors of another theme."""
        super().notify_style_update()
        self._styles.clear()

    def _show_snapshot(self, snapshot: Snapshot) -> None:
        hues, cells = self._snapshot.hues, dict(self.widths.cells)
        self._snapshot = snapshot
        self.widths.measure(snapshot.models, self.facts)
        self.stale = snapshot.connection.phase is ConnectionPhase.LOST
        self.models = snapshot.models
        if (hues, cells) != (snapshot.hues, self.widths.cells):
            self.refresh()

    def watch_models(self, before: tuple[Model, ...], _after: tuple[Model, ...]) -> None:
        """Show what is new; where the rows keep their places only changed ones are drawn."""
        self._show_rows(before)

    def watch_view(self) -> None:
        """Show other rows, or the same in another order.

        If the model under the cursor isn't among them, the cursor goes to the first: that was looked for.
        """
        self._show_rows((), otherwise=0)
        self.post_message(self.Highlighted())

    def watch_users(self) -> None:
        self.widths.grow("users", self.users.values())

    def watch_stale(self) -> None:
        self.refresh()

    def watch_empty_text(self) -> None:
        if not self._rows:
            self.refresh()

    def select(self, model_id: str) -> None:
        """Move the cursor to a model if it is shown."""
        for index, model in enumerate(self._rows):
            if model.id == model_id:
                self._move_cursor(index)
                return

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if not self._rows:
            size = Size(width, self.size.height)
            return render_centered(self.empty_text, y, size, self.visual_style.rich_style)
        index = y + self.scroll_offset.y
        if index >= len(self._rows):
            return Strip.blank(width, self.visual_style.rich_style)
        return self._render_row(self._rows[index], width, cursor=index == self._cursor_index)

    def on_resize(self) -> None:
        if self._rows:  # an empty table would lay the screen out once more behind the first frame
            self.virtual_size = Size(self.size.width, len(self._rows))
            self._scroll_to_cursor()

    def on_key(self) -> None:
        """Stop moving the cursor automatically once a key was pressed."""
        self._cursor_set = True

    def on_click(self, event: events.Click) -> None:
        index = event.y + self.scroll_offset.y
        if index < len(self._rows):
            self._move_cursor(index)

    def action_move(self, amount: float, unit: str = "rows") -> None:
        self._move_cursor(self._cursor_index + motion_rows(self, amount, unit))

    def _show_rows(self, before: tuple[Model, ...], otherwise: int | None = None) -> None:
        old_rows, at = self._rows, self._cursor_index
        self._rows = visible_rows(self.models, self.view, self.facts)
        self._cursor_index = self._find_cursor_row(otherwise)
        if len(old_rows) != len(self._rows):
            self.virtual_size = Size(self.size.width, len(self._rows))
        if not before or len(old_rows) != len(self._rows):
            self.refresh()
        else:
            for index, (old, new) in enumerate(zip(old_rows, self._rows, strict=True)):
                if old is not new:
                    self.refresh_lines(index, 1)
            self._redraw_cursor(at)
        self._scroll_to_cursor()
        self._choose_row()

    def _redraw_cursor(self, before: int) -> None:
        if before != self._cursor_index:
            self.refresh_lines(before, 1)
            self.refresh_lines(self._cursor_index, 1)

    def _find_cursor_row(self, otherwise: int | None) -> int:
        now = self._clock.monotonic()
        if self._rows:
            self._first_shown_at = min(self._first_shown_at, now)
        if not self._cursor_set and now - self._first_shown_at < SETTLE_SECONDS:
            return 0
        near = max(0, min(self._cursor_index, len(self._rows) - 1))
        if self._rows and self._rows[near].id == self._cursor_id:
            return near
        same = (index for index, model in enumerate(self._rows) if model.id == self._cursor_id)
        return next(same, near if otherwise is None else otherwise)

    def _move_cursor(self, index: int) -> None:
        self._cursor_set = True
        before, self._cursor_index = self._cursor_index, max(0, min(index, len(self._rows) - 1))
        self._redraw_cursor(before)
        self._scroll_to_cursor()
        self._choose_row()
        self.post_message(self.Highlighted())

    def _scroll_to_cursor(self) -> None:
        self.scroll_to_region(Region(0, self._cursor_index, 1, 1), animate=False)

    def _choose_row(self) -> None:
        model = self.selected_model = self._rows[self._cursor_index] if self._rows else None
        self._cursor_id = model.id if model is not None else self._cursor_id

    def tick(self) -> None:
        """Repaint rows that change with time alone, such as those of loads and TTLs."""
        first, facts = self.scroll_offset.y, self.facts
        for index, model in enumerate(self._rows[first : first + self.size.height], first):
            moves = model.resident or model.is_awaited
            if moves and self._last_texts.get(model.id) != self._cell_texts(model, facts):
                self.refresh_lines(index, 1)

    @property
    def columns(self) -> list[tuple[TableColumn, int]]:
        """The columns that are shown, each with its width in cells."""
        width, state = self.size.width, self.widths.short_state
        needed = width, self.bare, state, tuple(self.widths.cells.values())
        if self._fitted[0] != needed:
            fitted = self.widths.fit(width)
            if self.bare:
                ids = max(1, width - EDGE_CELLS - 1 - state)
                fitted = [(_COLUMN_BY_KEY["id"], ids), (_COLUMN_BY_KEY["state"], state)]
            self._fitted = needed, fitted
        return self._fitted[1]

    def _cell_texts(self, model: Model, facts: RowFacts) -> tuple[str, ...]:
        texts = [glyph(model, facts)]
        for column, cells in self.columns:
            text = column.text(model, facts)
            if column.key == "state" and cells < cell_len(text):
                text = short_state_text(model, facts)
            if self.bare and text == EMPTY_CELL:
                text = memory_text(model, facts)
            texts.append(text)
        return tuple(texts)

    @property
    def shown_models(self) -> tuple[Model, ...]:
        """The models that the filter leaves, in their order."""
        return self._rows

    @property
    def facts(self) -> RowFacts:
        """The clocks now, and the clients of each model."""
        return RowFacts(self._clock.monotonic(), self._clock.wall(), self.users)

    def _render_row(self, model: Model, width: int, *, cursor: bool) -> Strip:
        facts = self.facts
        texts = self._cell_texts(model, facts)
        if len(self._last_texts) > 4 * max(64, self.size.height):
            self._last_texts.clear()
        self._last_texts[model.id] = texts
        plain = self._style("foreground", cursor=cursor)
        muted = self._style("muted", cursor=cursor)
        known = model.resident or model.failed is not None
        state = muted if self.stale else self._style(state_style(model), cursor=cursor)
        name = muted if self.stale else plain + Style(bold=known or None)
        mark = self._style("accent" if self.has_focus else "muted", cursor=cursor)
        segments = [Segment("▌" if cursor else " ", mark), Segment(f"{texts[0]} ", state)]
        for (column, cells), text in zip(self.columns, texts[1:], strict=True):
            if column.key != "id":
                segments.append(Segment(" ", plain))
            if column.key == "state":
                part = None if cells < 10 else load_fraction(model, facts)
                style = muted if text == EMPTY_CELL or text[0] in "≈?" else state
                shown = align_text(text, column, cells)
                if self.bare:
                    shown = text[:cells].rjust(cells)
                segments += self._state_cell(shown, part, style, plain)
            elif column.key == "memory":
                hue = self._style(hue_of(self._snapshot, model.id), cursor=cursor)
                segments.append(Segment(HUE_MARK if model.resident else " ", hue))
                sure = model.resident and not self.stale
                segments.append(
                    Segment(align_text(text, column, cells - 1), plain if sure else muted)
                )
            else:
                style = plain if known or column.key == "users" else muted
                style = name if column.key == "id" else style
                style = muted if text == EMPTY_CELL or self.stale else style
                segments.append(Segment(align_text(text, column, cells), style))
        return Strip(segments).adjust_cell_length(width, plain)

    def _state_cell(
        self, text: str, part: float | None, style: Style, plain: Style
    ) -> list[Segment]:
        """The state; that of a load is filled like a bar."""
        if part is None or self.stale:
            return [Segment(text, style)]
        filled = round(part * len(text))
        ground = Style(bgcolor=shade(self.app, "transit", "progress"))
        return [Segment(text[:filled], plain + ground), Segment(text[filled:], style)]

    def _style(self, name: str, *, cursor: bool) -> Style:
        key = f"{name} on select" if cursor else name
        if key not in self._styles:
            ground = "select" if cursor else "background"
            self._styles[key] = theme_style(self.app, name, ground)
        return self._styles[key]


def users_by_model(snapshot: Snapshot, wall: float) -> dict[str, str]:
    """The clients of each model by its id: those that use it, else wait for it, else were the last.

    `wall` is Unix time, by which the last one has its age.
    """
    found: dict[str, dict[str, None]] = {}
    waiting: dict[str, dict[str, None]] = {}
    for use in list_uses(snapshot):
        if use.model is not None:
            names = (waiting if use.waits else found).setdefault(use.model.id, {})
            names[client_name(use.request)] = None
    users = {model_id: ", ".join(names) for model_id, names in (waiting | found).items()}
    idle = {model.id for model in snapshot.resident} - users.keys()
    for row in snapshot.finished if idle else ():
        if row.model in idle and row.who and row.at is not None:
            idle.remove(row.model)
            age = max(0.0, wall - row.at)
            ago = format_countdown(age) if age >= 60 else "<1m"
            users[row.model] = f"{row.who}, {ago} ago"
    return users


def align_text(text: str, column: TableColumn, cells: int) -> str:
    """The text in exactly that many cells: ids lose their middle, other words their end."""
    if cell_len(text) > cells:
        text = shorten_id(text, cells) if column.key == "id" else truncate_words(text, cells)
    return (
        " " * (cells - cell_len(text)) + text if column.align_right else set_cell_size(text, cells)
    )


class ColumnTitles(Widget):
    """One line; the column that the rows are sorted by carries a mark: `▴` rises, `▾` falls.

    In a frame that several panes share it is the upper edge of that frame.
    """

    """A note after the title of the first column about rows that aren't shown."""
    edge: reactive[bool] = reactive(False)
    """Whether it is the edge of a frame."""
    focused: reactive[bool] = reactive(False)
    """Whether the focus is within that frame."""

    def __init__(self, table: ModelTable, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._table = table

    def on_mount(self) -> None:
        self.watch(self._table, "view", self._follow_table)
        self.watch(self._table, "models", self._follow_counts, init=False)
        # The table may have a scroll bar.
        self.watch(self._table, "virtual_size", self._follow_table)

    def _follow_table(self) -> None:
        self.refresh()

    def _follow_counts(self) -> None:
        if self.edge:
            self.refresh()

    @property
    def _titles(self) -> list[tuple[TableColumn, str, int, int]]:
        """Each column, its title, where that begins, and where the column ends; none without a row."""
        titles, start = [], 3 + self.edge
        if not self._table.models:
            return []
        for column, cells in self._table.columns:
            mark = sort_mark(column, self._table.view)
            text = f"{column.title} {mark}" if mark else column.title
            if cell_len(text) > cells:
                text = truncate(text.replace(f" {mark}", mark) if mark else text, cells + 1)
            at = start + cells - cell_len(text) if column.align_right else start
            titles.append((column, text, at, start + cells))
            start += cells + 1
        return titles

    def render_line(self, y: int) -> Strip:
        """The titles, placed as the table places its cells."""
        width = self.size.width
        if y:
            return Strip.blank(width, self.visual_style.rich_style)
        titles, style = self._titles, self.visual_style.rich_style
        if not self.edge:
            text = ""
            for _, title, at, _ in titles:
                text += " " * (at - cell_len(text)) + title
            return Strip([Segment(text, style)]).adjust_cell_length(width, style)
        line = theme_style(self.app, "accent" if self.focused else "frame", "background")
        room = (titles[1][2] if len(titles) > 1 else width) - 4
        name = ("Models", count_text(self._table.models, room - 11), "")
        segments = [Segment("╭─", line)]
        segments += render_title(self.app, name, room, line, focused=self.focused)
        at = 2 + room
        for _, title, start, _ in titles[1:]:
            segments.append(Segment("─" * (start - 1 - at), line))
            segments.append(Segment(" " * (start > at) + title + " ", style))
            at = max(at + 1, start) + cell_len(title) + (start > at)
        segments.append(Segment("─" * (width - 1 - at) + "╮", line))
        return Strip(segments).adjust_cell_length(width, line)

    def on_click(self, event: events.Click) -> None:
        begin = 3 + self.edge
        for column, _, _, end in self._titles:
            if begin <= event.x < end:
                self._table.view = self._table.view.sorted_by(column.key)
                return
            begin = end + 1
