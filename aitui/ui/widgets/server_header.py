"""The first line: which server, is it alive, what runs there."""

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.color import Color, ColorParseError
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from aitui.domain.amounts import format_seconds
from aitui.domain.clients import uses
from aitui.domain.clock import Clock
from aitui.domain.server import Server
from aitui.domain.snapshot import LinkPhase, Snapshot
from aitui.ui.certificate_days import certificate_item
from aitui.ui.memory_words import is_nearly_full, total_words
from aitui.ui.model_id import shortened_id
from aitui.ui.packing import Item, packed, total_width


class ServerHeader(Widget):
    """One line that drops whole items, the least needed first, when there is no room."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "server-header--name",
        "server-header--live",
        "server-header--lost",
        "server-header--waiting",
        "server-header--quiet",
    }

    server: reactive[Server | None] = reactive(None)
    snapshot: reactive[Snapshot] = reactive(Snapshot(), repaint=False)

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._clock = clock
        self._drawn: tuple[Item, ...] = ()
        self._running_models = 0

    def on_mount(self) -> None:
        """Let the seconds of a lost server go on between two snapshots."""
        self.set_interval(1.0, self._redraw_what_ages)

    def watch_snapshot(self) -> None:
        """Draw the line anew only where its words changed."""
        self._running_models = len(self.snapshot.resident)
        self._redraw_what_ages()

    def render_line(self, y: int) -> Strip:
        """The line, with one blank at either end."""
        width = self.size.width
        plain = self.rich_style
        if y:
            return Strip.blank(width, plain)
        left, right = self._items()
        kept = packed((*left, *right), width - 2)
        self._drawn = (*left, *right)
        left = tuple(item for item in left if item in kept)
        right = tuple(item for item in right if item in kept)
        room = width - 2 - total_width(left) - total_width(right)
        segments = [Segment(" ", plain), *self._segments(left, plain)]
        segments.append(Segment(" " * max(0, room), plain))
        segments.extend(self._segments(right, plain))
        return Strip(segments).adjust_cell_length(width, plain)

    def _segments(self, items: tuple[Item, ...], plain: Style) -> list[Segment]:
        segments: list[Segment] = []
        for item in items:
            if segments:
                segments.append(Segment("  ", plain))
            segments.append(Segment(item.text, self._item_style(item, plain)))
        return segments

    def _item_style(self, item: Item, plain: Style) -> Style:
        if not item.style:
            return plain
        style = self.get_component_rich_style(f"server-header--{item.style}")
        if item.style == "name" and self.server is not None and self.server.colour:
            try:
                style += Style(color=Color.parse(self.server.colour).rich_color)
            except ColorParseError:
                return style
        return style

    def _items(self) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
        if self.server is None:
            return (Item("aitui", 9, "name"),), (Item("no server", 8, "quiet"),)
        left = (
            Item(shortened_id(self.server.label, 28), 9, "name"),
            self._link_item(),
            self._memory_item(with_bar=False),
            certificate_item(self.snapshot.certificate_ends, self._clock.wall()),
            Item("read-only", 7, "waiting") if self.server.read_only else Item("", 0),
        )
        right = tuple(self._right_items())
        barred = (*left[:2], self._memory_item(with_bar=True), *left[3:])
        # The bar goes before anything else that tells more than the server's version.
        needed = [item for item in (*barred, *right) if item.text and item.need > 1]
        fits = total_width(needed) <= self.size.width - 2
        return barred if fits else left, right

    def _memory_item(self, *, with_bar: bool) -> Item:
        """How full the memory is, in sight as long as the link itself."""
        picture = self.snapshot.hardware.picture
        words = total_words(picture, with_bar=with_bar)
        lost = self.snapshot.link.phase is LinkPhase.LOST
        return Item(words, 8, "quiet" if lost else "waiting" if is_nearly_full(picture) else "")

    def _link_item(self) -> Item:
        link = self.snapshot.link
        now = self._clock.monotonic()
        opened = now if link.opened is None else link.opened
        if link.phase is LinkPhase.LIVE:
            latency = "" if link.latency is None else f" {_milliseconds(link.latency)}"
            return Item(f"● live{latency}", 8, "live")
        if link.phase is LinkPhase.CONNECTING:
            return Item(f"◌ connecting {now - opened:.0f} s", 8, "waiting")
        since = opened if link.heard is None else link.heard
        verb = "not reached for" if link.heard is None else "lost for"
        return Item(f"✘ {verb} {format_seconds(now - since)}", 8, "lost")

    def _right_items(self) -> list[Item]:
        snapshot, link = self.snapshot, self.snapshot.link
        items: list[Item] = []
        if link.phase is LinkPhase.LOST and link.retry_at is not None:
            left = max(0.0, link.retry_at - self._clock.monotonic())
            items.append(Item(f"retry in {left:.0f} s", 5, "quiet"))
        if link.heard is not None:
            items.append(Item(f"{self._running_models} of {len(snapshot.models)} running", 6))
        waiting = sum(use.waits for use in uses(snapshot))
        if waiting:
            items.append(Item(f"{waiting} waiting", 5, "waiting"))
        if snapshot.requests.total:
            noun = "request" if snapshot.requests.total == 1 else "requests"
            items.append(Item(f"{snapshot.requests.total} {noun}", 4))
        if snapshot.version:
            items.append(Item(f"llama-swap {snapshot.version}", 1, "quiet"))
        return items

    def _redraw_what_ages(self) -> None:
        left, right = self._items()
        if (*left, *right) != self._drawn:
            self.refresh()


def _milliseconds(seconds: float) -> str:
    """Rounded so that a steady connection looks steady: `14 ms`, `<5 ms`, `1.2 s`."""
    milliseconds = seconds * 1000
    if milliseconds < 5:
        return "<5 ms"
    if milliseconds < 100:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / 10:.0f}0 ms" if milliseconds < 1000 else f"{seconds:.1f} s"
