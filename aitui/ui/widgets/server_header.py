"""The first line, the same in every view: which server, is it alive, the views, how full, how fast."""

from contextlib import suppress
from datetime import datetime

from msgspec import Struct
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.color import Color, ColorParseError
from textual.strip import Strip
from textual.widget import Widget

from aitui.domain.snapshot import Clock, ConnectionPhase, Server, Snapshot
from aitui.domain.units import count_of, format_seconds
from aitui.format.fit import shorten_id
from aitui.ui.keymap import VIEW_TABS
from aitui.ui.text import LineItem
from aitui.ui.theme import hue_of, theme_color, theme_style

WARNING_DAYS = 30
URGENT_DAYS = 7
NEARLY_FULL, FULL = 0.85, 0.95
LATENCY_CELLS = 6
LONG_VERSION_COLUMNS = 180
"""Columns from which the version has the server's name before it."""

_DAY = 24 * 3600.0
_GIB = 1 << 30


class _Room(Struct, frozen=True):
    """The room in the header: cells of the memory bar, and the form of the view tabs."""

    bar: int = 6
    views: str = ""
    rate: bool = True
    memory_name: bool = False
    last: bool = False


_ROOMS = (
    _Room(12, "wide", memory_name=True, last=True),
    _Room(12, "wide", memory_name=True),
    _Room(views="wide"),
    _Room(views="close"),
    _Room(views="close", rate=False),
    _Room(0, "close", rate=False),
    _Room(views="numbers"),
    _Room(views="numbers", rate=False),
    _Room(),
    _Room(rate=False),
    _Room(0, rate=False),
)
"""From the widest to the narrowest; the first that fits is drawn."""
_ROOMS_FOR_LAST = (
    _ROOMS[0],
    _Room(views="wide", last=True),
    _Room(views="close", last=True),
    *_ROOMS[1:],
)
"""Those while the last item is more than the version."""

Side = list[tuple[str, str]]
"""Texts with their styles."""


class ServerHeader(Widget):
    """One line that leaves out whole parts, the least needed first, where there is no room."""

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._clock = clock
        self._server: Server | None = None
        self._snapshot = Snapshot()
        self._last_line: list[Segment] = []
        self._plain = Style.null()
        self._tabs: list[tuple[int, int, str]] = []
        self._view = ""

    def on_mount(self) -> None:
        self._view = f"app.{self.screen.name or 'models'}"
        self.watch(self.app, "server", self._show_server)
        self.watch(self.app, "snapshot", self._show_snapshot)

    def render_line(self, y: int) -> Strip:  # noqa: ARG002 - there is one line
        self._last_line = self._draw()
        return Strip(self._last_line).adjust_cell_length(
            self.size.width, self.visual_style.rich_style
        )

    async def on_click(self, event: events.Click) -> None:
        for start, end, action in self._tabs:
            if start <= event.x < end and self.screen.is_current:
                await self.screen.run_action(action)

    def tick(self) -> None:
        """Let the seconds of a lost server go on between two snapshots; a live one has none."""
        if self._snapshot.connection.phase is not ConnectionPhase.LIVE or self._snapshot.restart_by:
            self._redraw()

    def _redraw(self) -> None:
        # Before the first drawing there is neither a size to draw for, nor a line to compare.
        if self._last_line and self._draw() != self._last_line:
            self.refresh()

    def _show_server(self, server: Server | None) -> None:
        self._server = server
        self.refresh()

    def _show_snapshot(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._redraw()

    def _draw(self) -> list[Segment]:
        """Draw the line for the widest room that it has, without notes only where nothing else helps."""
        width = self.size.width
        self._plain = self.visual_style.rich_style
        name = self._name_and_link()
        # The views stay where they are when the latency changes.
        live = self._snapshot.connection.phase is ConnectionPhase.LIVE
        gap = max(1, LATENCY_CELLS + 2 - len(name[-1][0])) if live else 1
        sides = [self._segments(name + shown) for shown in (self._notes(), [])]
        snapshot = self._snapshot
        ends = certificate_item(snapshot.certificate_expires_at, self._clock.wall())
        rooms = _ROOMS_FOR_LAST if ends.text or snapshot.profile else _ROOMS
        for left, room in ((left, room) for left in sides for room in rooms):
            tabs = self._draw_tabs(room.views, _width(left) + 1, gap)
            right = self._draw_facts(room, width)
            taken = 1 + _width(left) + _width(tabs) + _width(right) + 2 * bool(right) + 1
            if taken <= width:
                break
        blank = Segment(" " * (width - taken + 2 * bool(right)), self._plain)
        margin = Segment(" ", self._plain)
        return [margin, *left, *tabs, blank, *right, margin]

    def _segments(self, side: Side) -> list[Segment]:
        plain = self._plain
        return [
            Segment(text, plain + self._style(style) if style else plain) for text, style in side
        ]

    def _style(self, name: str) -> Style:
        if name != "server":
            return theme_style(self.app, name)
        style = theme_style(self.app, "bold foreground")
        if self._server is not None and self._server.color:
            with suppress(ColorParseError):
                style += Style(color=Color.parse(self._server.color).rich_color)
        return style

    def _name_and_link(self) -> Side:
        server, link, now = self._server, self._snapshot.connection, self._clock.monotonic()
        if server is None:
            return [("aitui", "server"), (" ○ no server yet", "muted")]
        name = shorten_id(server.label, min(28, max(10, self.size.width // 4)))
        opened = now if link.opened_at is None else link.opened_at
        if (restart_by := self._snapshot.restart_by) is not None:
            left = restart_by - now
            words = f"◌ restarts{f', ≤ {left:.0f} s' if left > 0 else ''}"
            return [(f"{name} ", "server"), (words, "warning")]
        if link.phase is ConnectionPhase.LIVE:
            latency = "live" if link.latency is None else _latency_text(link.latency)
            return [(f"{name} ", "server"), ("●", "ready"), (f" {latency}", "muted")]
        if link.phase is ConnectionPhase.CONNECTING:
            return [(f"{name} ", "server"), (f"◌ connecting {now - opened:.0f} s", "warning")]
        reached = link.last_response_at is not None
        since = opened if link.lost_at is None else link.lost_at
        verb = "lost for" if reached else "not reached for"
        words = f"✘ {verb} {format_seconds(now - since)}"
        return [(f"{name} ", "server"), (words, "bold error")]

    def _notes(self) -> Side:
        if self._server is None:
            return []
        link = self._snapshot.connection
        items = [("read-only" if self._server.read_only else "", "warning")]
        if link.phase is ConnectionPhase.LOST and link.retry_at is not None:
            left = max(0.0, link.retry_at - self._clock.monotonic())
            items.append((f"retry in {left:.0f} s", "muted"))
        return [(f"  {words}", style) for words, style in items if words]

    def _draw_tabs(self, views: str, start: int, gap: int) -> list[Segment]:
        """Draw the views from a column on, behind a gap, the one that is shown marked."""
        self._tabs = []
        if not views or self._server is None:
            return []
        plain = self._plain
        number_style = plain + theme_style(self.app, "bold accent")
        chip = theme_style(self.app, "bold background", "accent")
        if self.app.no_color:
            chip += Style(reverse=True)
        segments = [Segment(" " * gap, plain)]
        start += gap
        for key, name, action in VIEW_TABS:
            active = action == self._view
            margin = " " if active or views == "wide" else ""
            words = "" if views == "numbers" and not active else f" {name}"
            drawn = [Segment(f"{margin}{key}{words}{margin}", plain + chip)]
            if not active:
                drawn = [Segment(margin + key, number_style)]
                drawn.append(Segment(words + margin, plain + theme_style(self.app, "muted")))
            width = _width(drawn)
            self._tabs.append((start, start + width, action))
            segments += drawn
            start += width
            if views != "wide":
                segments.append(Segment(" ", plain))
                start += 1
        return segments

    def _draw_facts(self, room: _Room, width: int) -> list[Segment]:
        snapshot = self._snapshot
        memory = self._draw_memory(room)
        rate = snapshot.generation_rate
        rate_side: Side = []
        if room.rate and rate is not None:
            figure = f"{rate:.0f}"
            rate_side = [(figure, "bold foreground" if rate >= 0.5 else ""), (" tok/s", "muted")]
        elif room.rate and snapshot.requests.running is None and snapshot.requests.total:
            # All that a server says of its requests before v235.
            rate_side = [(count_of(snapshot.requests.total, "request"), "muted")]
        last_side = self._last_item(width) if room.last else []
        parts = [memory, self._segments(rate_side), self._segments(last_side)]
        if not room.memory_name:
            parts[:2] = parts[1::-1]
        segments: list[Segment] = []
        for part in filter(None, parts):
            if segments:
                segments.append(Segment("   ", self._plain))
            segments += part
        return segments

    def _last_item(self, width: int) -> Side:
        """Return what is last: how long the certificate is valid, else the profile, else the version."""
        snapshot = self._snapshot
        certificate = certificate_item(snapshot.certificate_expires_at, self._clock.wall())
        if certificate.text:
            return [(certificate.text, certificate.style)]
        if snapshot.profile:
            return [("profile ", "muted"), (shorten_id(snapshot.profile, 20), "foreground")]
        if not snapshot.version:
            return []
        long = "llama-swap " if width >= LONG_VERSION_COLUMNS else ""
        return [(long + snapshot.version_name, "muted")]

    def _draw_memory(self, room: _Room) -> list[Segment]:
        """Draw how full the memory is, each model's part in its hue; near its end the number warns."""
        usage = self._snapshot.hardware.usage
        used, total = usage.used_bytes, usage.total_bytes
        if total is None:
            return []
        side: Side = []
        if room.memory_name:
            side.append(("VRAM " if usage.on_cards else "RAM ", "muted"))
        unit = " GB" if room.memory_name else "G"
        if used is None:
            return self._segments([*side, (f"{total / _GIB:.0f}{unit}", "muted")])
        lost = self._snapshot.connection.phase is ConnectionPhase.LOST
        share = used / total if total else 0.0
        color = "error" if share >= FULL else "warning" if share >= NEARLY_FULL else "foreground"
        figures = [
            (f"{used / _GIB:.0f}", "muted" if lost else f"bold {color}"),
            (f"/{total / _GIB:.0f}{unit}", "muted"),
        ]
        segments = self._segments(side)
        if room.bar:
            segments += self._draw_bar(room.bar, used, total)
            segments.append(Segment(" ", self._plain))
        return segments + self._segments(figures)

    def _draw_bar(self, cells: int, used: int, total: int) -> list[Segment]:
        # Only now, and not with the first frame: it knows nothing of the memory.
        from aitui.ui.plots import Band, gauge

        usage, hues = self._snapshot.hardware.usage, self._snapshot.hues.numbers
        by_model = usage.bytes_by_model(model.id for model in self._snapshot.resident)
        ordered = sorted(by_model, key=lambda model_id: hues.get(model_id, 0) or len(hues) + 1)
        bands = [
            Band(by_model[model_id], theme_color(self.app, hue_of(self._snapshot, model_id)))
            for model_id in ordered
        ]
        others = max(0, used - sum(by_model.values()))
        bands.append(Band(others, theme_color(self.app, "other")))
        drawn = gauge(bands, total, cells, theme_color(self.app, "frame"))
        return [Segment(text, self._plain + (style or Style.null())) for text, style, _ in drawn]


def _width(segments: list[Segment]) -> int:
    return sum(segment.cell_length for segment in segments)


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
        return LineItem("✘ certificate expired", 0, "bold error")
    days = int((ends - wall) / _DAY)
    if days > WARNING_DAYS:
        return LineItem("", 0)
    left = count_of(days, "day") if days else "expires today"
    return LineItem(f"! cert {left}", 0, "bold error" if days < URGENT_DAYS else "warning")


def renewal_notice(ends: float, wall: float) -> tuple[str, str]:
    """Return title and text of the notice that comes once with the item; both times are Unix time."""
    day = datetime.fromtimestamp(ends).astimezone().strftime("%Y-%m-%d %H:%M")
    title = "The client certificate " + ("has expired" if ends <= wall else "expires soon")
    verb = "was" if ends <= wall else "is"
    words = (
        f"Renew it: aitui certs renew. It {verb} valid until {day}. "
        "A renewed file is used without a restart."
    )
    return title, words
