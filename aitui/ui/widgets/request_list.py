"""The requests under way: who uses which model, who waits, and whom that will evict."""

from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from aitui.domain.eviction import ClientRequest
from aitui.domain.snapshot import Clock
from aitui.ui.keymap import REQUESTS
from aitui.ui.motions import motion_rows
from aitui.ui.use_lines import WORD_WIDTH, use_line


class RequestList(ScrollView, can_focus=True, inherit_bindings=False):
    """One line a request; the cursor stays with its request."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "request-list--using",
        "request-list--waiting",
        "request-list--cursor",
    }
    BINDINGS: ClassVar[list[BindingType]] = REQUESTS.bindings()

    uses: reactive[tuple[ClientRequest, ...]] = reactive((), init=False)

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._clock = clock
        self._cursor_index = 0

    @property
    def selected_use(self) -> ClientRequest | None:
        """The request under the cursor."""
        return self.uses[self._cursor_index] if self._cursor_index < len(self.uses) else None

    def on_mount(self) -> None:
        """Let ages go on between two snapshots."""
        self.set_interval(1.0, self.refresh)

    def watch_uses(
        self, before: tuple[ClientRequest, ...], after: tuple[ClientRequest, ...]
    ) -> None:
        """Keep the cursor with its request."""
        chosen = before[self._cursor_index].request.id if self._cursor_index < len(before) else ""
        places = [index for index, use in enumerate(after) if use.request.id == chosen]
        self._cursor_index = (
            places[0] if places else min(self._cursor_index, max(0, len(after) - 1))
        )
        self.virtual_size = Size(self.size.width, len(after))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One request."""
        width, index = self.size.width, y + self.scroll_offset.y
        if index >= len(self.uses):
            return Strip.blank(width, self.rich_style)
        use = self.uses[index]
        chosen = index == self._cursor_index and self.has_focus
        style = self.rich_style
        word = self.get_component_rich_style(
            "request-list--waiting" if use.waits else "request-list--using"
        )
        if chosen:
            ground = self.get_component_rich_style("request-list--cursor").bgcolor
            style, word = (one.from_color(one.color, ground) for one in (style, word))
        text = use_line(use, self._clock.monotonic(), width - 2)
        mark = "▌" if chosen else " "
        line = [Segment(mark, style), Segment(text[:WORD_WIDTH], word)]
        line.append(Segment(text[WORD_WIDTH:], style))
        return Strip(line).adjust_cell_length(width, style)

    def on_click(self, event: events.Click) -> None:
        """The mouse puts the cursor where it clicks."""
        self._move_cursor(event.y + self.scroll_offset.y)

    def action_move(self, amount: float, unit: str = "rows") -> None:
        """Move the cursor."""
        self._move_cursor(self._cursor_index + motion_rows(self, amount, unit))

    def _move_cursor(self, index: int) -> None:
        self._cursor_index = max(0, min(index, len(self.uses) - 1))
        self.scroll_to_region(Region(0, self._cursor_index, 1, 1), animate=False)
        self.refresh()
