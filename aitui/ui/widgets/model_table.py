"""The live table of models below its titles: draws the lines in sight, and of those only what changed."""

from collections.abc import Sequence

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

from aitui.domain.models import Model
from aitui.domain.snapshot import Clock
from aitui.ui.keymap import MODEL_TABLE
from aitui.ui.models_table import (
    COLUMNS,
    SORT_KEYS,
    ClockReading,
    TableColumn,
    TableQuery,
    glyph,
    sort_after_click,
    sort_mark,
    state_style,
    visible_rows,
)
from aitui.ui.motions import motion_rows
from aitui.ui.plain import component_classes
from aitui.ui.text import shorten_id, truncate

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

        def __init__(self, model: Model | None) -> None:
            super().__init__()
            self.model = model

    class WidthChanged(Message):
        """The rows have another width."""

        def __init__(self, width: int) -> None:
            super().__init__()
            self.width = width

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._clock = clock
        self._rows: tuple[Model, ...] = ()
        self._cursor_index: int = 0
        self._cursor_id = ""
        self._last_texts: dict[str, tuple[str, ...]] = {}

    @property
    def visible_models(self) -> tuple[Model, ...]:
        """The rows, in the order on screen."""
        return self._rows

    @property
    def selected_model(self) -> Model | None:
        return self._rows[self._cursor_index] if self._rows else None

    def on_mount(self) -> None:
        """Let the seconds of loads and TTLs go on between two snapshots."""
        self.set_interval(1.0, self._refresh_changed_rows)

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
            return self._render_empty_line(y, width)
        index = y + self.scroll_offset.y
        if index >= len(self._rows):
            return Strip.blank(width, self.rich_style)
        return self._render_row(self._rows[index], width, cursor=index == self._cursor_index)

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, len(self._rows))
        self.post_message(self.WidthChanged(self.size.width))

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
                    self._refresh_row(index)
            self._refresh_row(at)
            self._refresh_row(self._cursor_index)
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
        self._refresh_row(before)
        self._refresh_row(self._cursor_index)
        self.scroll_to_region(Region(0, self._cursor_index, 1, 1), animate=False)
        self._post_selection()

    def _post_selection(self) -> None:
        model = self.selected_model
        self._cursor_id = model.id if model is not None else self._cursor_id
        self.post_message(self.Highlighted(model))

    def _refresh_row(self, index: int) -> None:
        self.refresh_lines(index, 1)

    def _refresh_changed_rows(self) -> None:
        """Repaint the rows that changed by the mere passing of time."""
        first, moment = self.scroll_offset.y, self._moment()
        for index, model in enumerate(self._rows[first : first + self.size.height], first):
            if self._last_texts.get(model.id) != self._cell_texts(model, moment):
                self._refresh_row(index)

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

    def _render_empty_line(self, y: int, width: int) -> Strip:
        style = self._style("text", cursor=False)
        lines: Sequence[str] = self.empty_text.split("\n")
        top = max(0, (self.size.height - len(lines)) // 2)
        if not top <= y < top + len(lines):
            return Strip.blank(width, style)
        text = lines[y - top]
        left = max(0, (width - cell_len(text)) // 2)
        return Strip([Segment(" " * left + text, style)]).adjust_cell_length(width, style)


def align_text(text: str, column: TableColumn, cells: int) -> str:
    """The text in exactly that many cells: ids lose their middle, other words their end."""
    if column.key == "id":
        return set_cell_size(shorten_id(text, cells), cells)
    text = truncate(text, cells)
    return (
        " " * (cells - cell_len(text)) + text if column.align_right else set_cell_size(text, cells)
    )


class ColumnTitles(Widget):
    """One line; the column that the rows are sorted by carries a mark: `▴` rises, `▾` falls."""

    sort: reactive[str] = reactive("")
    note: reactive[str] = reactive("")
    """What the rows don't show, behind the title of the first column."""
    table_width: reactive[int] = reactive(0)
    """Cells of the table below, which may have a scroll bar."""

    class SortRequested(Message):
        """The rows are to be sorted by that column, or in the server's order again."""

        def __init__(self, sort: str) -> None:
            super().__init__()
            self.sort = sort

    def render_line(self, y: int) -> Strip:
        """The titles, placed as the table places its cells."""
        width, style = self.size.width, self.rich_style
        if y:
            return Strip.blank(width, style)
        text = " " * GLYPH_WIDTH
        for number, (column, cells) in enumerate(visible_columns(self.table_width or width)):
            title = column.title + sort_mark(column, self.sort)
            if self.note and not number:
                title += f" · {self.note}"
            text += align_text(title, column, cells) + " " * GAP
        return Strip([Segment(text, style)]).adjust_cell_length(width, style)

    def on_click(self, event: events.Click) -> None:
        start = GLYPH_WIDTH
        for column, cells in visible_columns(self.table_width or self.size.width):
            if start <= event.x < start + cells and column.key in SORT_KEYS:
                self.post_message(self.SortRequested(sort_after_click(column.key, self.sort)))
            start += cells + GAP
