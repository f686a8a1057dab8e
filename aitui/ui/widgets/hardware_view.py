"""All of the hardware in frames: the cards side by side, the host below them."""

from collections.abc import Sequence

from msgspec import Struct
from textual import events
from textual.geometry import Region, Size
from textual.reactive import var
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.theme import Theme

from aitui.domain.memory.usage import GpuMemoryUsage
from aitui.domain.snapshot import Clock, Snapshot
from aitui.ui.card_frame import CardLayout, card_frame, card_line
from aitui.ui.drawn_lines import DrawnLines
from aitui.ui.hardware import HardwareColors, HardwareScene, Strips, beside, no_data_lines
from aitui.ui.host_frame import host_frame, host_line
from aitui.ui.memory_bar import card_bar
from aitui.ui.plots import PeakScale

SPANS = (300.0, 900.0, 3600.0)
"""Seconds that the plots can show."""

_LAYOUTS = (
    *(CardLayout(*rows) for rows in ((24, 10), (18, 8), (16, 6), (12, 6), (8, 6), (6, 6), (6, 4))),
    *(CardLayout(*rows) for rows in ((4, 4), (4, 3), (1, 3), (1, 2), (1, 0))),
)
_ACROSS = tuple(
    CardLayout(*rows, across=True) for rows in ((12, 8), (8, 6), (6, 4), (4, 4), (1, 3), (1, 0))
)
_ACROSS_FROM, _CARD_FROM, _NARROWEST = 76, 56, 50
_BESIDE_FROM, _BESIDE_ROWS, _LEAST_PROCESS_ROWS, _ROWS_ABOVE = 160, 19, 6, 22
"""From when on processes and limits are beside the host."""
_HOST_ROWS, _LEAST_HOST_ROWS = 11, 8
"""Rows of the host's frame: those that it should have, and those that it needs."""


class Arrangement(Struct, frozen=True):
    """How the frames share the view: cards in a row, the layout of each, and the host's rows.

    Without a layout there is a line a card.
    """

    across: int
    layout: CardLayout | None
    host_rows: int = 0


def arrange(size: Size, cards: int, *, host_rows: int) -> Arrangement:
    """Return the arrangement with the most room for each card that leaves some for the host."""
    width, height = size
    if width < _NARROWEST or not cards:
        return Arrangement(1, None, height if width >= _NARROWEST else 0)
    across = max(1, min(cards, width // _CARD_FROM))
    rows = -(-cards // across)
    across = -(-cards // rows)
    layouts = [*_LAYOUTS, *(_ACROSS if width // across - 4 >= _ACROSS_FROM else ())]
    layouts.sort(key=lambda layout: -layout.height)
    plotted = [layout for layout in layouts if layout.plot_rows]
    bare = [layout for layout in layouts if not layout.plot_rows]
    enough, least = host_rows, min(host_rows, _LEAST_HOST_ROWS)
    # Plots come before a larger frame of the host.
    for wanted, group in ((enough, plotted), (least, plotted), (enough, bare), (least, bare)):
        for layout in group:
            left = height - rows * layout.height
            if left >= wanted:
                return Arrangement(across, layout, left)
    return Arrangement(1, None)


class HardwareView(ScrollView, can_focus=True):
    """The frames, drawn as lines; the one in focus can have the whole view."""

    snapshot: var[Snapshot] = var(Snapshot(), init=False)
    seconds: var[float] = var(SPANS[1], init=False)
    zoomed: var[bool] = var(False, init=False)
    shows_processes: var[bool] = var(False, init=False)

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._clock = clock
        self._lines = DrawnLines(self, self.redraw)
        self._colors: HardwareColors | None = None
        self._scales: dict[str, PeakScale] = {}
        self._chosen = 0
        self._places: list[tuple[Region, int]] = []

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, self._change_colors)
        self.redraw()

    def _change_colors(self, _: Theme) -> None:
        self._colors = None
        self.redraw()

    def on_click(self, event: events.Click) -> None:
        at = event.get_content_offset(self)
        if at is None:
            return
        x, y = at + self.scroll_offset
        found = (card for area, card in self._places if area.contains(x, y))
        self._choose(next(found, self._chosen))

    def choose_next(self, step: int) -> None:
        """Put the focus on the next card, or on the one before."""
        self._choose((self._chosen + step) % max(1, len(self._cards)))

    def on_focus(self) -> None:
        self.redraw()

    def on_blur(self) -> None:
        self.redraw()

    def render_line(self, y: int) -> Strip:
        return self._lines.strip(y + self.scroll_offset.y, self.size.width)

    def redraw(self) -> None:
        """Draw everything, and paint the lines that changed. A view that isn't shown draws nothing."""
        if not self.size or not self.screen.is_active:
            return
        lines = self._draw(self.scrollable_content_region.size)
        self.virtual_size = Size(self.size.width, len(lines))
        self._lines.show(lines, scrolled=self.scroll_offset.y)

    def watch_snapshot(self, before: Snapshot, after: Snapshot) -> None:
        """Requests and tokens change many snapshots, and nothing here."""
        if before.hardware is not after.hardware or before.hues != after.hues:
            self.redraw()

    on_resize = watch_seconds = watch_zoomed = watch_shows_processes = redraw

    @property
    def _cards(self) -> tuple[GpuMemoryUsage, ...]:
        return self.snapshot.hardware.usage.cards

    def _choose(self, card: int) -> None:
        self._chosen = card
        self.redraw()

    def _draw(self, size: Size) -> Strips:
        self._colors = self._colors or HardwareColors(self.app)
        scene = HardwareScene(
            self.snapshot,
            self._colors,
            self.seconds,
            self._scales,
            self._clock.monotonic(),
            self._clock.wall(),
        )
        self._chosen = min(self._chosen, max(0, len(self._cards) - 1))
        self._places = []
        if self.snapshot.hardware.usage.source is None:
            return no_data_lines(scene, size)
        cards = self._cards[self._chosen :][:1] if self.zoomed else self._cards
        machine = self.snapshot.hardware.usage.machine
        host_rows = _HOST_ROWS if machine is not None and not self.zoomed else 0
        if host_rows and self._has_room_beside(size.width, size.height):
            host_rows = max(_HOST_ROWS, min(_BESIDE_ROWS, size.height - _ROWS_ABOVE))
        plan = arrange(size, len(cards), host_rows=host_rows)
        if plan.layout is None and cards:
            rows: Strips = []
            for card in cards:
                rows.append(card_line(card, scene, size.width))
                if size.height > 2 * len(cards):
                    bar = card_bar(self.app, self.snapshot, card, size.width - 2, with_free=True)
                    rows.append(Strip.join([Strip.blank(1), bar, Strip.blank(1)]))
            return [*rows, host_line(scene, size.width)]
        lines = self._draw_cards(cards, plan, scene, size.width)
        if plan.host_rows >= _LEAST_HOST_ROWS and not self.zoomed:
            lines += self._draw_lower(scene, size.width, plan.host_rows)
        return lines

    def _draw_lower(self, scene: HardwareScene, width: int, rows: int) -> Strips:
        """Draw the host, and beside it or in its place the processes."""
        beside_host = self._has_room_beside(width, rows)
        if not beside_host and not self.shows_processes:
            return host_frame(scene, (width, rows))
        own = width * (35 if beside_host else 60 if width >= _CARD_FROM * 2 else 100) // 100
        from aitui.ui.process_frame import limit_rows, limits_frame, process_frame

        if not beside_host:
            blocks = [(own, process_frame(scene, (own, rows)))]
            if own < width:
                blocks.append((width - own, limits_frame(scene, (width - own, rows))))
            return beside(blocks, gap=0)
        count = len(limit_rows(scene)) + 3
        lower = limits_frame(scene, (own, min(count, rows - _LEAST_PROCESS_ROWS)))
        upper = process_frame(scene, (own, rows - len(lower)))
        host = host_frame(scene, (width - own, rows))
        return beside([(width - own, host), (own, [*upper, *lower])], gap=0)

    def _has_room_beside(self, width: int, rows: int) -> bool:
        known = bool(self.snapshot.hardware.processes)
        return known and width >= _BESIDE_FROM and rows >= _BESIDE_ROWS

    def _draw_cards(
        self, cards: Sequence[GpuMemoryUsage], plan: Arrangement, scene: HardwareScene, width: int
    ) -> Strips:
        lines: Strips = []
        layout = plan.layout
        for first in range(0, len(cards) if layout else 0, plan.across):
            row = cards[first : first + plan.across]
            blocks: list[tuple[int, Strips]] = []
            for number, card in enumerate(row):
                own = width // len(row) + (number < width % len(row))
                at = sum(each for each, _ in blocks), len(lines)
                index = self._chosen if self.zoomed else first + number
                focused = self.has_focus and index == self._chosen
                assert layout is not None
                frame = card_frame(card, scene, (own, layout.height), layout, focused=focused)
                blocks.append((own, frame))
                self._places.append((Region(*at, own, layout.height), index))
            lines += beside(blocks, gap=0)
        return lines
