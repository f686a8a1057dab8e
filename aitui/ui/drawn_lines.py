"""The drawn lines of a widget: only those that differ are repainted."""

from collections.abc import Callable, Sequence
from itertools import takewhile

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from aitui.format.fit import truncate
from aitui.ui.frame import Pieces


class DrawnLines:
    """The lines of one widget, which asks for them in its `render_line`.

    `redraw` shows them for another size. The widget's `on_resize` does that as well, but comes after the
    frame with that size, and isn't always called for its first one: Textual 8.2.8 sends no event to a
    widget that was asked for its region before it was laid out.
    """

    def __init__(self, widget: Widget, redraw: Callable[[], None]) -> None:
        self._widget = widget
        self._redraw = redraw
        self._size = Size()
        self._strips: Sequence[Strip] = ()

    def __len__(self) -> int:
        return len(self._strips)

    def show(self, strips: Sequence[Strip], *, scrolled: int = 0) -> None:
        """Replace the lines; `scrolled` is how many are above the widget."""
        before, self._strips = self._strips, strips
        widget = self._widget
        self._size = widget.size
        if len(before) != len(strips):
            widget.refresh()
            return
        width = widget.size.width
        changed = ((row, strip) for row, strip in enumerate(strips) if strip != before[row])
        places = ((first_change(before[row], strip), row - scrolled) for row, strip in changed)
        regions = [Region(x, y, width - x, 1) for x, y in places if x < width]
        if regions:
            widget.refresh(*regions)

    def strip(self, row: int, width: int) -> Strip:
        """Return a line on the widget's background, blank below the last one."""
        style = self._widget.visual_style.rich_style
        if self._size != self._widget.size:
            self._size = self._widget.size
            self._redraw()
        if row < len(self._strips):
            return self._strips[row].adjust_cell_length(width).apply_style(style)
        return Strip.blank(width, style)


def first_change(before: Strip, after: Strip) -> int:
    """Return the cell from which two lines differ, as far as that is certain."""
    cells = 0
    for one, other in zip(before, after, strict=False):
        if one == other:
            cells += one.cell_length
            continue
        if one.style == other.style:
            both = takewhile(
                lambda pair: pair[0] == pair[1], zip(one.text, other.text, strict=False)
            )
            # What follows may combine with the last sign.
            cells += cell_len("".join(sign for sign, _ in both)[:-1])
        break
    return cells


def title_strip(style: Callable[[str], Style], left: Pieces, right: Pieces, width: int) -> Strip:
    """Draw words at both ends of a line; those at the left are cut."""
    ends = [[(side, "")] if isinstance(side, str) else list(side) for side in (left, right)]
    room = width - sum(cell_len(text) for text, _ in ends[1])
    if room < 0:
        ends[1], room = [], width
    segments: list[Segment] = []
    for text, name in ends[0]:
        shown = truncate(text, room - bool(ends[1]))
        segments.append(Segment(shown, style(name)))
        room -= cell_len(shown)
    segments.append(Segment(" " * max(room, 0)))
    segments += [Segment(text, style(name)) for text, name in ends[1]]
    return Strip(segments).adjust_cell_length(max(width, 0))
