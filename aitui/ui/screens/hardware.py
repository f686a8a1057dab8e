"""View 4: which model uses each card's memory, and how cards and machine did lately."""

from textual.app import ComposeResult
from textual.screen import Screen

from aitui.domain.snapshot import Clock, Snapshot
from aitui.ui.hardware import host_info_source_text, source_text
from aitui.ui.keymap import APP, HARDWARE
from aitui.ui.plain import PlainText
from aitui.ui.text import LineItem, fit_items
from aitui.ui.widgets.hardware_view import SPANS, HardwareView
from aitui.ui.widgets.key_bar import KeyBar
from aitui.ui.widgets.server_header import ServerHeader


class HardwareScreen(Screen[None]):
    """Shows what each snapshot tells of the hardware."""

    CSS_PATH = "hardware.tcss"
    BINDINGS = HARDWARE.bindings()

    def __init__(self, clock: Clock) -> None:
        super().__init__(name="hardware")
        self._clock = clock
        self._place = PlainText(id="place")
        self._view = HardwareView(clock, id="hardware")
        self._snapshot = Snapshot()

    def compose(self) -> ComposeResult:
        yield ServerHeader(self._clock, id="header")
        yield self._place
        yield self._view
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        self._view.focus()
        hints = [HARDWARE.hint(action) for action in ("next_span", "scroll(1)")]
        self.query_one(KeyBar).hints = (*hints, APP.hint("help"))
        self.watch(self.app, "snapshot", self._show_snapshot)

    def tick(self) -> None:
        """Let ages and seconds go on."""
        for header in self.query(ServerHeader):  # none yet while the screen opens
            header.tick()

    def _show_snapshot(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._view.hardware = snapshot.hardware
        self._show_status_line()

    def on_resize(self) -> None:
        self._show_status_line()

    def action_next_span(self) -> None:
        view = self._view
        view.seconds = SPANS[(SPANS.index(view.seconds) + 1) % len(SPANS)]
        self._show_status_line()

    def action_scroll(self, lines: int) -> None:
        self._view.scroll_relative(y=lines, animate=False)

    def _show_status_line(self) -> None:
        source = source_text(self._snapshot.hardware, self._clock.monotonic())
        items = (
            LineItem("Hardware", 4),
            LineItem(f"the plots show {self._view.seconds / 60:.0f} min", 3),
            LineItem(source, 2),
            LineItem(host_info_source_text(self._snapshot.hardware), 1),
        )
        words = fit_items(items, self.size.width - 2)
        self._place.update("  ".join(item.text for item in words))
