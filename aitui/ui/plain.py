"""Text from a server, a file or a model, for sinks in which Textual reads a `str` as markup.

Measured over 43 sinks of Textual 8.2.8: `[@click=app.quit]` in such a text becomes a button that ends
the app, and a stray `[/]` ends it at once. `textual.markup.escape` is not reliable.
"""

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.content import Content
from textual.geometry import Size
from textual.strip import Strip
from textual.visual import VisualType
from textual.widgets import Static


class PlainText(Static):
    """A Static that shows a `str` as it is, brackets included."""

    def __init__(
        self,
        content: VisualType = "",
        *,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(content, markup=False, id=id, classes=classes)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        # Textual 8.2.8 takes no rows for no columns. A scrollbar that takes the last column then
        # goes again, and comes again with the rows, for ever.
        return super().get_content_height(container, viewport, max(1, width))


def plain(text: str) -> Content:
    """Return the text as content, for placeholders, border titles, tooltips, options and labels."""
    return Content(text)


def component_classes(widget: str, *parts: str) -> set[str]:
    """Return the names by which the style sheet knows the parts that a widget draws itself."""
    return {f"{widget}--{part}" for part in parts}


def render_centered(text: str, y: int, size: Size, style: Style) -> Strip:
    """Return a row of a widget that has nothing to show but this text, in its middle."""
    lines = text.split("\n")
    top = max(0, (size.height - len(lines)) // 2)
    if not top <= y < top + len(lines):
        return Strip.blank(size.width, style)
    left = max(0, (size.width - cell_len(lines[y - top])) // 2)
    shown = Segment(" " * left + lines[y - top], style)
    return Strip([shown]).adjust_cell_length(size.width, style)
