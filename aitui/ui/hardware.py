"""Drawing helpers for the hardware frames: colors, titled plots, lines side by side."""

import math
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

from msgspec import Struct
from rich.cells import cell_len
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.geometry import Size
from textual.strip import Strip

from aitui.domain.hardware.sample import Figure, HardwareSample, SampleHistory
from aitui.domain.memory.hardware_state import HardwareState
from aitui.domain.snapshot import Snapshot
from aitui.format.hardware import host_info_rows
from aitui.ui.drawn_lines import title_strip
from aitui.ui.frame import Pieces, render_title
from aitui.ui.memory_bar import percent_style, short_name
from aitui.ui.plots import (
    Axis,
    PeakScale,
    PlotInk,
    Stops,
    Values,
    area_plot,
    limit_axis,
    mix,
    row_colors,
)
from aitui.ui.text import LineItem, fit_items, wrap_text
from aitui.ui.theme import has_few_colors, shade, theme_color, theme_style

Strips = list[Strip]
Marks = Sequence[tuple[int, str]]
"""Texts in the lower line of a frame, each at a cell of its content."""
GAP, GUTTER = 2, 4
NARROW_PLOT = 20
"""Cells up to which a plot has no axis labels: its scale is in its title."""


class HardwareColors:
    """The colors of the active theme that these frames need, looked up once."""

    def __init__(self, app: App[Any]) -> None:
        self.app = app
        self.mixed = not has_few_colors(app) and app.theme_variables["background"].startswith("#")
        self._named: dict[str, Color] = {}
        self._areas: dict[str, Color] = {}
        self._styles: dict[str, Style] = {}
        base = self._toward_background("ready", 0.84)
        ready, warning, error = self["ready"], self["warning"], self["error"]
        self.load: Stops = ((0.08, base), (1 / 3, ready), (2 / 3, warning), (1, error))
        self.heat: Stops = ((0, base), (0.3, ready), (0.6, ready), (0.8, warning), (1, error))
        dim, light = (self._toward_background("muted", share) for share in (0.58, 0.84))
        self.gray: Stops = ((0, dim), (1, light))
        self.upward = self._toward_background("transit", 0.6)
        self.ink = PlotInk(self["muted"], self["faint"], self["frame"])

    def __getitem__(self, name: str) -> Color:
        if name not in self._named:
            self._named[name] = theme_color(self.app, name)
        return self._named[name]

    def style(self, name: str) -> Style:
        """Return the style of a text by its name."""
        if name not in self._styles:
            self._styles[name] = theme_style(self.app, name)
        return self._styles[name]

    def area(self, hue: str) -> Color:
        """Return the color of a model's area in a plot."""
        if hue not in self._areas:
            self._areas[hue] = shade(self.app, hue, "plot")
        return self._areas[hue]

    def _toward_background(self, name: str, share: float) -> Color:
        return mix(self[name], self["background"], share) if self.mixed else self[name]


class HardwareScene(Struct, frozen=True):
    """What is drawn: a snapshot, in its colors, over so many seconds.

    `scales` are those that shrink late, by figure. `now` is monotonic seconds, `wall` Unix time.
    """

    snapshot: Snapshot
    colors: HardwareColors
    seconds: float
    scales: dict[str, PeakScale]
    now: float
    wall: float

    @property
    def hardware(self) -> HardwareState:
        """The hardware of the snapshot."""
        return self.snapshot.hardware

    @property
    def history(self) -> SampleHistory:
        """Return the samples."""
        return self.snapshot.hardware.history

    def end(self, columns: int) -> float:
        """Return the right edge of a plot (Unix time): it moves by whole columns only."""
        samples = self.history.samples
        column = self.seconds / max(columns, 1)
        return math.ceil(samples[-1].at / column) * column if samples else self.wall

    def values(self, figure: Figure, columns: int) -> Values:
        """Return two values for each column of a plot."""
        return self.history.series(figure, self.seconds, columns * 2, self.end(columns))

    def growing_axis(self, name: str, values: Sequence[Values], rows: int, unit: float) -> Axis:
        """Return the scale of figures that have no limit."""
        peak = max((value for each in values for value in each if value is not None), default=0.0)
        scale = self.scales.setdefault(f"{name} {rows}", PeakScale())
        return scale.axis(peak, rows, self.now, unit)


def no_figure(_: HardwareSample) -> None:
    """Return that nothing was measured."""


class Reading(Struct, frozen=True):
    """A figure with its value now. `limit` is written beside it if it says more than the axis.

    `top` is the end of the scale, None if the figure has no limit; a label of the axis counts `unit`s.
    `high` and `full` are values from which the number is a warning, and an error.
    """

    label: str
    sign: str
    stops: Stops
    figure: Figure = no_figure
    value: float = 0.0
    top: float | None = 100.0
    limit: float | None = None
    unit: float = 1.0
    high: float = math.inf
    full: float = math.inf

    def words(self, room: int) -> Pieces:
        """Return the value, with its limit where there is room."""
        value, sign = f"{self.value:,.0f}", f" {self.sign}"
        plain = ((value, percent_style(self.value, self.high, self.full)), (sign, "foreground"))
        limit = "" if self.limit is None else f"{self.limit:,.0f}"
        for between in (" of ", " / ") if limit else ():
            # A value may become as long as its limit: the words stay the same then.
            if 2 * max(len(limit), len(value)) + len(between + sign) <= room:
                return plain[0], (between + limit, ""), plain[1]
        return plain


def draw_reading(reading: Reading, scene: HardwareScene, width: int, rows: int) -> Strips:
    """Draw the title of a figure, and its plot."""
    gutter = GUTTER if width > NARROW_PLOT else 0
    values = scene.values(reading.figure, width - gutter)
    if reading.top is None:
        axis = scene.growing_axis(reading.label, [values], rows, reading.unit)
    else:
        axis = limit_axis(reading.top, rows, reading.unit)
    colors = row_colors(reading.stops, rows, mixed=scene.colors.mixed)
    title = title_strip(
        scene.colors.style, reading.label, reading.words(width - len(reading.label) - 1), width
    )
    return [title, *area_plot(values, axis, width, colors, scene.colors.ink, gutter=gutter)]


def no_data_lines(scene: HardwareScene, size: Size) -> Strips:
    """Return what stands in the place of the hardware of which nothing is known, in the middle."""
    hardware = scene.hardware
    lines = [("Nothing measured yet: the server has not responded", "foreground")]
    if hardware.last_sample_at is not None or hardware.error:
        lines = [
            ("This server doesn't report its hardware", "bold foreground"),
            (hardware.error, "warning"),
            ("llama-swap ≥ v217 reports it unless performance.disabled is set.", ""),
            ("With ssh_host set for this server, aitui measures it over SSH.", ""),
        ]
    rows = host_info_rows(hardware.facts, scene.wall, with_cards=True)
    lines += [(" · ".join(fact.words for fact in row), "foreground") for row in rows]
    wrapped = [
        (line, style) for text, style in lines if text for line in wrap_text(text, size.width - 4)
    ]
    top = max(0, (size.height - len(wrapped)) // 2)
    left = max(0, (size.width - max(cell_len(line) for line, _ in wrapped)) // 2)
    strips = [Strip.blank(size.width)] * top
    for line, style in wrapped:
        strips.append(Strip([Segment(" " * left), Segment(line, scene.colors.style(style))]))
    return strips


def beside(blocks: Sequence[tuple[int, Strips]], gap: int = GAP) -> Strips:
    """Arrange blocks of lines side by side, each with its width."""
    rows = zip_longest(*(strips for _, strips in blocks))
    space = Strip.blank(gap)
    joined = []
    for row in rows:
        parts: list[Strip] = []
        for (width, _), strip in zip(blocks, row, strict=True):
            parts += [space] if parts else []
            parts.append(Strip.blank(width) if strip is None else strip.adjust_cell_length(width))
        joined.append(Strip.join(parts))
    return joined


def framed(
    colors: HardwareColors,
    title: tuple[str, Pieces, Pieces],
    content: Strips,
    size: tuple[int, int],
    *,
    focused: bool = False,
    marks: Marks = (),
) -> Strips:
    """Draw lines within a frame of that width and height, with its title and what is in its lower line."""
    width, height = size
    style = colors.style("accent" if focused else "frame")
    top = render_title(colors.app, title, width - 4, style, focused=focused)
    lines = [Strip([Segment("╭─", style), *top, Segment("─╮", style)])]
    left, right = Strip([Segment("│ ", style)]), Strip([Segment(" │", style)])
    blank = Strip.blank(width - 4)
    for row in range(height - 2):
        strip = content[row].adjust_cell_length(width - 4) if row < len(content) else blank
        lines.append(Strip.join([left, strip, right]))
    segments, reached = [Segment("╰─", style)], 0
    for at, text in marks:
        if at - 1 < reached or at + len(text) + 1 > width - 4:
            continue
        segments.append(Segment("─" * (at - 1 - reached), style))
        segments.append(Segment(f" {text} ", style + colors.style("")))
        reached = at + len(text) + 1
    segments.append(Segment("─" * (width - 4 - reached), style))
    segments.append(Segment("─╯", style))
    lines.append(Strip(segments).adjust_cell_length(width))
    return lines


def time_marks(places: Iterable[tuple[int, int]], seconds: float) -> list[tuple[int, str]]:
    """Return where the time axis of plots begins and ends; places are first cells and widths."""
    minutes = f"{seconds / 60:.0f} min"
    marks = []
    for at, width in places:
        begins = f"{minutes} ago" if width > len(minutes) + 10 else f"−{minutes}"
        marks += [(at + 1, begins), (at + width - 4, "now")]
    return marks


def items_strip(colors: HardwareColors, items: Sequence[LineItem], width: int) -> Strip:
    """Draw what has room of the items in one line."""
    kept = fit_items(items, width - 2)
    segments = [Segment(" ")]
    for item in kept:
        segments += [Segment(item.text, colors.style(item.style)), Segment("  ")]
    return Strip(segments).adjust_cell_length(width)


_PATTERNS = {"m1": "█", "m2": "▓", "m3": "▒", "m4": "░", "m5": "▚", "error": "✘", "other": "·"}


def hue_pattern(hue: str) -> str:
    """Return the sign of a hue where there are no colors."""
    return _PATTERNS.get(hue, " ")


def legend_line(
    colors: HardwareColors, hue: str, name: tuple[str, str], value: tuple[str, str], width: int
) -> Strip:
    """Draw what an area stands for: its color, a name and a figure, each with its style."""
    room = width - 2 * bool(hue)
    shown = short_name(name[0], room - len(value[0]) - 1), name[1]
    text = title_strip(colors.style, (shown,), (value,), room)
    if not hue:
        return text
    swatch = Segment(" ", Style(bgcolor=colors[hue]))
    if colors.app.no_color:
        swatch = Segment(hue_pattern(hue))
    return Strip.join([Strip([swatch, Segment(" ")]), text])
