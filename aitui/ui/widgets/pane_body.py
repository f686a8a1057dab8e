"""The panes of view 1 in their places, and the lines of a frame that several of them share."""

from collections.abc import Callable, Mapping

from rich.segment import Segment
from textual.containers import Container
from textual.geometry import NULL_OFFSET, NULL_SPACING, Region, Size
from textual.layout import ArrangeResult, Layout, WidgetPlacement
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from aitui.ui.frame import Pieces, render_title
from aitui.ui.theme import theme_style


class PaneLayout(Layout):
    """Places each child by its id; one without a region is left out."""

    name = "panes"

    def __init__(self, find_regions: Callable[[Size], Mapping[str, Region]]) -> None:
        self._find_regions = find_regions

    def arrange(
        self,
        parent: Widget,  # noqa: ARG002
        children: list[Widget],
        size: Size,
        greedy: bool = True,  # noqa: ARG002, FBT001, FBT002
    ) -> ArrangeResult:
        """Return the places of the children in a body of that size."""
        regions = self._find_regions(size)
        return [
            WidgetPlacement(region, NULL_OFFSET, NULL_SPACING, child)
            for child in children
            if (region := regions.get(child.id or "")) is not None
        ]


class PaneBody(Container):
    """Holds the panes; where they go is decided for each size, before they are drawn."""

    BLANK = True

    def __init__(self, find_regions: Callable[[Size], Mapping[str, Region]], *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self._pane_layout = PaneLayout(find_regions)

    @property
    def layout(self) -> Layout:
        """The places of the panes."""
        return self._pane_layout


class FrameLine(Widget):
    """A line of a frame that panes share: the rule above a pane, or the frame's lower edge."""

    title: reactive[tuple[str, Pieces, Pieces]] = reactive(("", "", ""))
    """Name, words and what is at the right, as `render_title` takes them."""
    focused: reactive[bool] = reactive(False)
    """Whether the pane below it has the focus, which fills its name."""
    accent: reactive[bool] = reactive(False)
    """Whether it bounds the pane that has the focus."""

    def __init__(self, ends: str = "├┤", *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self._ends = ends

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        line = theme_style(self.app, "accent" if self.accent else "frame", "background")
        if y or width < 4:
            return Strip.blank(width, line)
        words = render_title(self.app, self.title, width - 4, line, focused=self.focused)
        ends = self._ends
        return Strip([Segment(f"{ends[0]}─", line), *words, Segment(f"─{ends[1]}", line)])
