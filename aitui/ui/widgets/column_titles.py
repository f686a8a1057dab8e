"""The titles above the table; a click on one sorts by it, a second one turns that round."""

from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from aitui.ui.models_table import SORT_KEYS, sort_after_click, sort_mark
from aitui.ui.widgets.model_table import GAP, GLYPH_WIDTH, align_text, visible_columns


class ColumnTitles(Widget):
    """One line; the column that the rows are sorted by carries a mark: `▴` rises, `▾` falls."""

    sort: reactive[str] = reactive("")
    note: reactive[str] = reactive("")
    """What the rows don't show, behind the title of the first column."""
    table_width: reactive[int] = reactive(0)
    """Cells of the table below, which may have a scroll bar."""

    class SortRequested(Message):
        """Somebody wants the rows sorted by that column, or in the server's order again."""

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
        """Find the column that was clicked."""
        start = GLYPH_WIDTH
        for column, cells in visible_columns(self.table_width or self.size.width):
            if start <= event.x < start + cells and column.key in SORT_KEYS:
                self.post_message(self.SortRequested(sort_after_click(column.key, self.sort)))
            start += cells + GAP
