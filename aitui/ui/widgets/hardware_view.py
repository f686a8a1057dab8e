"""The hardware drawn to the width that there is."""

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.reactive import reactive

from aitui.domain.memory.hardware_state import HardwareState
from aitui.domain.snapshot import Clock
from aitui.ui.hardware import PlotOptions, hardware_lines, strip_lines
from aitui.ui.plain import PlainText

HEIGHTS = (6, 5, 4, 3, 2, 1)
"""Rows of a plot: the most with which everything has room."""
SPANS = (300.0, 900.0, 3600.0)
"""Seconds that the plots can show."""


class HardwareView(VerticalScroll):
    """All of it, in a pane that scrolls."""

    hardware: reactive[HardwareState] = reactive(HardwareState(), init=False)
    seconds: reactive[float] = reactive(SPANS[1], init=False)

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._clock = clock
        self._text = PlainText()

    def compose(self) -> ComposeResult:
        yield self._text

    def on_mount(self) -> None:
        self.redraw()

    def redraw(self) -> None:
        """Repaint the lines; plots grow where there is room for all of them."""
        region = self.scrollable_content_region
        if not region.width:
            return
        for rows in HEIGHTS:
            frame = PlotOptions(region.width, self.seconds, rows, self._clock.wall())
            lines = hardware_lines(self.hardware, frame)
            if len(lines) <= region.height:
                break
        self._text.update(Content("\n").join(lines))

    on_resize = watch_hardware = watch_seconds = redraw


class MemoryStrip(PlainText):
    """Memory and its last hour, in a few lines."""

    hardware: reactive[HardwareState] = reactive(HardwareState(), init=False)

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._clock = clock
        self.border_title = "Memory · the last hour"

    def on_resize(self) -> None:
        """The lines follow the width; their number asks for another layout, after this one."""
        self.call_after_refresh(self._redraw)

    def watch_hardware(self) -> None:
        self._redraw()

    def _redraw(self) -> None:
        width = self.content_region.width
        if width > 0:
            frame = PlotOptions(width, SPANS[-1], 2, self._clock.wall())
            self.update(Content("\n").join(strip_lines(self.hardware, frame)))
