"""The first line: which server, is it alive, what runs there."""

from contextlib import suppress
from datetime import datetime

from rich.style import Style
from textual.color import Color, ColorParseError
from textual.strip import Strip
from textual.widget import Widget

from aitui.domain.eviction import list_uses
from aitui.domain.snapshot import Clock, ConnectionPhase, Server, Snapshot
from aitui.domain.units import count_of, format_seconds
from aitui.ui.plain import component_classes
from aitui.ui.text import LineItem, render_items, shorten_id, total_width

WARNING_DAYS = 30
URGENT_DAYS = 7

_DAY = 24 * 3600.0
_PRIORITY = 7


class ServerHeader(Widget):
    """One line that drops whole items, the least needed first, when there is no room."""

    COMPONENT_CLASSES = component_classes(
        "server-header", "name", "live", "lost", "waiting", "quiet"
    )

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._clock = clock
        self._server: Server | None = None
        self._snapshot = Snapshot()
        self._last_items: tuple[tuple[LineItem, ...], ...] = ()
        self._running_models = 0

    def on_mount(self) -> None:
        self.watch(self.app, "server", self._show_server)
        self.watch(self.app, "snapshot", self._show_snapshot)

    def render_line(self, y: int) -> Strip:  # noqa: ARG002 - there is one line
        self._last_items = left, right = self._items()
        return render_items(left, right, self.size.width, self._item_style, self.rich_style)

    def _show_server(self, server: Server | None) -> None:
        self._server = server
        self.refresh()

    def _show_snapshot(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._running_models = len(snapshot.resident)
        self.tick()

    def _item_style(self, name: str) -> Style:
        style = self.get_component_rich_style(f"server-header--{name}")
        if name == "name" and self._server is not None and self._server.color:
            with suppress(ColorParseError):
                style += Style(color=Color.parse(self._server.color).rich_color)
        return style

    def _items(self) -> tuple[tuple[LineItem, ...], tuple[LineItem, ...]]:
        if self._server is None:
            return (LineItem("aitui", 9, "name"),), (LineItem("no server", 8, "quiet"),)
        left = (
            LineItem(shorten_id(self._server.label, 28), 9, "name"),
            self._link_item(),
            self._memory_item(with_bar=False),
            certificate_item(self._snapshot.certificate_expires_at, self._clock.wall()),
            LineItem("read-only", 7, "waiting") if self._server.read_only else LineItem("", 0),
        )
        right = tuple(self._right_items())
        barred = (*left[:2], self._memory_item(with_bar=True), *left[3:])
        # The bar goes before anything else that tells more than the server's version.
        needed = [item for item in (*barred, *right) if item.text and item.priority > 1]
        fits = total_width(needed) <= self.size.width - 2
        return barred if fits else left, right

    def _memory_item(self, *, with_bar: bool) -> LineItem:
        """How full the memory is, in sight as long as the link itself."""
        picture = self._snapshot.hardware.usage
        if picture.total_bytes is None:
            return LineItem("", 8)
        from aitui.format.hardware import is_nearly_full, total_memory_text

        words = total_memory_text(picture, with_bar=with_bar)
        lost = self._snapshot.connection.phase is ConnectionPhase.LOST
        return LineItem(words, 8, "quiet" if lost else "waiting" if is_nearly_full(picture) else "")

    def _link_item(self) -> LineItem:
        link = self._snapshot.connection
        now = self._clock.monotonic()
        opened = now if link.opened_at is None else link.opened_at
        if (restart_by := self._snapshot.restart_by) is not None:
            left = restart_by - now
            return LineItem(f"◌ restarts{f', ≤ {left:.0f} s' if left > 0 else ''}", 8, "waiting")
        if link.phase is ConnectionPhase.LIVE:
            latency = "" if link.latency is None else f" {_latency_text(link.latency)}"
            return LineItem(f"● live{latency}", 8, "live")
        if link.phase is ConnectionPhase.CONNECTING:
            return LineItem(f"◌ connecting {now - opened:.0f} s", 8, "waiting")
        if link.last_response_at is None:
            return LineItem(f"✘ not reached for {format_seconds(now - opened)}", 8, "lost")
        lost = now if link.lost_at is None else link.lost_at
        return LineItem(f"✘ lost for {format_seconds(now - lost)}", 8, "lost")

    def _right_items(self) -> list[LineItem]:
        snapshot, link = self._snapshot, self._snapshot.connection
        items: list[LineItem] = []
        if link.phase is ConnectionPhase.LOST and link.retry_at is not None:
            left = max(0.0, link.retry_at - self._clock.monotonic())
            items.append(LineItem(f"retry in {left:.0f} s", 5, "quiet"))
        if link.last_response_at is not None:
            items.append(LineItem(f"{self._running_models} of {len(snapshot.models)} running", 6))
        waiting = sum(use.waits for use in list_uses(snapshot))
        if waiting:
            items.append(LineItem(f"{waiting} waiting", 5, "waiting"))
        if snapshot.requests.total:
            items.append(LineItem(count_of(snapshot.requests.total, "request"), 4))
        if snapshot.version:
            items.append(LineItem(f"llama-swap {snapshot.version}", 1, "quiet"))
        return items

    def tick(self) -> None:
        """Let the seconds of a lost server go on between two snapshots."""
        if self._items() != self._last_items:
            self.refresh()


def _latency_text(seconds: float) -> str:
    """Rounded so that a steady connection looks steady: `14 ms`, `<5 ms`, `1.2 s`."""
    milliseconds = seconds * 1000
    if milliseconds < 5:
        return "<5 ms"
    if milliseconds < 100:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / 10:.0f}0 ms" if milliseconds < 1000 else f"{seconds:.1f} s"


def certificate_item(ends: float | None, wall: float) -> LineItem:
    """An item for the last thirty days, red for the last six; empty before. Both are Unix time."""
    if ends is None:
        return LineItem("", 0)
    if ends <= wall:
        return LineItem("✘ certificate expired", _PRIORITY, "lost")
    days = int((ends - wall) / _DAY)
    if days > WARNING_DAYS:
        return LineItem("", 0)
    left = count_of(days, "day") if days else "expires today"
    return LineItem(f"! cert {left}", _PRIORITY, "lost" if days < URGENT_DAYS else "waiting")


def renewal_notice(ends: float, wall: float) -> tuple[str, str]:
    """Return title and text of the notice that comes once with the item; both times are Unix time."""
    day = datetime.fromtimestamp(ends).astimezone().strftime("%Y-%m-%d %H:%M")
    title = "The client certificate " + ("has expired" if ends <= wall else "expires soon")
    verb = "was" if ends <= wall else "is"
    words = (
        f"It {verb} valid until {day}. How to renew it: D, “client certificate dates”. "
        "A renewed file is picked up without a restart."
    )
    return title, words
