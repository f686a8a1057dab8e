"""Plots, bars and gauges as strips of exact cells; every color comes in as an argument.

Samples run from the oldest to the newest. None is one that wasn't taken, and so is what isn't a finite
number.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import accumulate, groupby, pairwise
from operator import itemgetter

from msgspec import Struct, field
from rich.cells import cell_len
from rich.color import Color, blend_rgb
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from aitui.ui.theme import label_color

Values = Sequence[float | None]
Cell = tuple[str, Style]

LEVELS = " ▁▂▃▄▅▆▇█"
EDGES = " ▏▎▍▌▋▊▉█"
_UP = (0, 0x40, 0x44, 0x46, 0x47), (0, 0x80, 0xA0, 0xB0, 0xB8)
_DOWN = (0, 0x01, 0x03, 0x07, 0x47), (0, 0x08, 0x18, 0x38, 0xB8)
_GRID = "⠁"
_STEPS, _EIGHTHS = 4, 8
_BLANK = " ", Style.null()


class Axis(Struct, frozen=True):
    """The scale of a plot: its upper end, its rows, and the labels of ticks by row from the top.

    A tick lies on the upper edge of its row; labels count `unit`s.
    """

    top: float
    rows: int
    ticks: Mapping[int, str] = field(default_factory=dict)
    unit: float = 1.0

    @property
    def label_width(self) -> int:
        """The cells that the labels take, with a blank behind them."""
        return max(map(len, self.ticks.values()), default=-1) + 1


class PlotInk(Struct, frozen=True):
    """The colors of labels, of gridlines, and of the base line while a figure is zero."""

    label: Color
    grid: Color
    quiet: Color


class Band(Struct, frozen=True):
    """A part of a bar or of a stack, with its color, and what can be written in it, the longest first.

    A label has the color `ink`, or else is bold and black or white. Without colors a stack has the
    `pattern`.
    """

    size: float
    color: Color
    labels: tuple[str, ...] = ()
    ink: Color | None = None
    pattern: str = "█"


def limit_axis(limit: float, rows: int, unit: float = 1.0) -> Axis:
    """Return the scale up to a known limit, with up to four ticks at round values.

    If that takes one row less there is one above the limit. `unit` is what a label counts, such as
    1000 for gigahertz of a limit in megahertz.
    """
    top = limit if math.isfinite(limit) and limit > 0 else unit
    ticks = _ticks(top / unit, rows)
    fewer = _ticks(top / unit, rows - 1) if len(ticks) == 1 and rows > 4 else {}
    if len(fewer) > 1:
        top *= rows / (rows - 1)
        ticks = {row + 1: label for row, label in fewer.items()}
    return Axis(top, max(rows, 0), ticks, unit)


def round_axis(peak: float, rows: int, unit: float = 1.0) -> Axis:
    """Return a scale that holds a peak with little room above it, with ticks at round values.

    Ticks are 1, 2 or 5 of their power of ten. If the peak would not reach three fifths of the height,
    they may be other short numbers.
    """
    height = max(rows, 1)
    known = min(peak / unit, _LARGEST) if math.isfinite(peak) and peak > 0 else 1.0
    top, tick, distance = _lowest_scale(known, height, (1, 2, 5, 10))
    if known < top * _WELL_USED:
        other = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
        top, tick, distance = _lowest_scale(known, height, other)
    ticks = {
        rows - number * distance: _tick_text(tick * number)
        for number in range(1, rows // distance + 1)
    }
    return Axis(top * unit, max(rows, 0), ticks, unit)


_LARGEST = 1e15
_WELL_USED = 0.6


def _lowest_scale(peak: float, rows: int, mantissas: Sequence[float]) -> tuple[float, float, int]:
    """Return the top of a scale, the step from tick to tick, and the rows of such a step."""
    scales = []
    least = min(rows, max(2, -(-rows // 4)))
    for distance in range(least, max(least, rows // 2) + 1):
        wanted = max(peak * distance / rows, 1 / _LARGEST)
        power = 10.0 ** math.floor(math.log10(wanted))
        tick = next(one * power for one in mantissas if one * power >= wanted * (1 - 1e-9))
        scales.append((tick * rows / distance, tick, distance))
    return min(scales)


def _ticks(top: float, rows: int) -> dict[int, str]:
    """Label as many rows as there is room for, if their values are round; else the top alone."""
    for distance in range(max(2, -(-rows // 4)), rows + 1):
        step = top / rows * distance
        if float(f"{step:.2g}") == float(f"{step:.6g}"):
            return {
                rows - number * distance: _tick_text(step * number)
                for number in range(1, rows // distance + 1)
            }
    return {0: _tick_text(top)} if rows > 0 else {}


def _tick_text(value: float) -> str:
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value / (size if size > 1e4 else 1e3):.3g}{sign}"
    return f"{value:.4g}"


HOLD_SECONDS = 60.0


class PeakScale:
    """The scale of a figure without a limit: it grows at once, and shrinks after a minute."""

    def __init__(self) -> None:
        self._axis = Axis(0.0, 0)
        self._needed_at = -math.inf

    def axis(self, peak: float, rows: int, now: float, unit: float = 1.0) -> Axis:
        """Return the scale for a peak; `now` is in seconds."""
        wanted = round_axis(peak, rows, unit)
        held = self._axis.rows == wanted.rows and now - self._needed_at < HOLD_SECONDS
        if wanted.top >= self._axis.top or not held:
            self._axis, self._needed_at = wanted, now
        return self._axis


Stops = Sequence[tuple[float, Color]]
"""Shares of a plot's height and the colors there, from the bottom up."""


def row_colors(stops: Stops, rows: int, *, mixed: bool = True) -> tuple[Color, ...]:
    """Return a color for each row from the bottom up: what is at its middle.

    Unless they may be `mixed` it is the color of the nearest stop.
    """
    return tuple(_color_at(stops, (row + 0.5) / rows, mixed=mixed) for row in range(rows))


def _color_at(stops: Stops, share: float, *, mixed: bool) -> Color:
    low, first = max((stop for stop in stops if stop[0] <= share), key=_height, default=stops[0])
    high, second = min((stop for stop in stops if stop[0] > share), key=_height, default=stops[-1])
    part = (share - low) / (high - low) if high > low else 0.0
    if not mixed:
        return second if part > 0.5 else first
    return mix(second, first, min(max(part, 0.0), 1.0))


_height = itemgetter(0)


@lru_cache(1024)
def mix(color: Color, ground: Color, share: float) -> Color:
    """Return so much of a color before another one."""
    if share <= 0 or color == ground:
        return ground
    return Color.from_triplet(blend_rgb(ground.get_truecolor(), color.get_truecolor(), share))


def area_plot(
    values: Values,
    axis: Axis,
    width: int,
    colors: Sequence[Color],
    ink: PlotInk,
    *,
    gutter: int = 0,
    by_column: Sequence[Sequence[Color]] = (),
) -> list[Strip]:
    """Draw a figure as a filled area of braille, two samples a cell, the newest at the right.

    `colors` are those of the rows from the bottom up, `gutter` the cells for labels at the left.
    `by_column` has the colors of each column of cells, where they aren't the same in all.
    """
    columns = max(width - gutter, 0)
    known = _last_values(values, columns * 2)
    heights = _dot_heights(known, axis.top, axis.rows)
    still = [not left and not right for left, right in zip(known[::2], known[1::2], strict=True)]
    strips = []
    for row in range(axis.rows):
        below = axis.rows - 1 - row
        inks = [each[min(below, len(each) - 1)] for each in by_column or [colors] * columns]
        cells = _braille_row(heights, below, _UP, inks, _empty_cell(axis, row, ink))
        if not below:
            zero = cell_style(ink.quiet)
            cells = [
                (cell[0], zero) if quiet and cell[0] > _GRID else cell
                for cell, quiet in zip(cells, still, strict=True)
            ]
        strips.append(_strip([*_gutter(axis.ticks.get(row, ""), gutter, ink), *cells], width))
    return strips


def mirror_plot(
    pair: tuple[Values, Values],
    axis: Axis,
    width: int,
    *,
    colors: tuple[Color, Color],
    ink: PlotInk,
    gutter: int = 0,
) -> list[Strip]:
    """Draw a pair of figures from the middle line up and down; `axis` is the scale of each half."""
    columns = max(width - gutter, 0)
    up, down = (
        _dot_heights(_last_values(values, columns * 2), axis.top, axis.rows) for values in pair
    )
    top = _tick_text(axis.top / axis.unit)
    strips = []
    for row in range(axis.rows * 2):
        upper = row < axis.rows
        level = axis.rows - 1 - row if upper else row - axis.rows
        heights, dots, color = (up, _UP, colors[0]) if upper else (down, _DOWN, colors[1])
        empty = _BLANK if row else (_GRID, cell_style(ink.grid))
        cells = _braille_row(heights, level, dots, [color] * columns, empty)
        label = top if row in {0, axis.rows * 2 - 1} else ""
        strips.append(_strip([*_gutter(label, gutter, ink), *cells], width))
    return strips


def _empty_cell(axis: Axis, row: int, ink: PlotInk) -> Cell:
    return (_GRID, cell_style(ink.grid)) if row in axis.ticks else _BLANK


def _last_values(values: Values, count: int) -> list[float | None]:
    recent = list(values[-count:]) if count else []
    missing: list[float | None] = [None] * (count - len(recent))
    return missing + [
        value if value is not None and math.isfinite(value) else None for value in recent
    ]


def _dot_heights(values: Values, top: float, rows: int) -> list[int]:
    """Return the dots of each sample; one that is known has at least the base line."""
    full = rows * _STEPS
    return [
        0 if value is None else max(1, round(min(max(value / top, 0.0), 1.0) * full))
        for value in values
    ]


def _braille_row(
    heights: Sequence[int],
    level: int,
    dots: tuple[Sequence[int], Sequence[int]],
    colors: Sequence[Color],
    empty: Cell,
) -> list[Cell]:
    base = level * _STEPS
    left, right = dots
    cells = []
    for one, other, color in zip(heights[::2], heights[1::2], colors, strict=True):
        bits = left[min(max(one - base, 0), _STEPS)] | right[min(max(other - base, 0), _STEPS)]
        cells.append((chr(0x2800 + bits), cell_style(color)) if bits else empty)
    return cells


def _gutter(label: str, gutter: int, ink: PlotInk) -> list[Cell]:
    style = cell_style(ink.label)
    return [(sign, style) for sign in f"{label[: gutter - 1].rjust(gutter - 1)} "[:gutter]]


def stacked_plot(
    columns: Sequence[Sequence[Band] | None],
    axis: Axis,
    width: int,
    ink: PlotInk,
    *,
    gutter: int = 0,
    colorless: bool = False,
) -> list[Strip]:
    """Draw bands on one another in eighths of a cell, one column a cell, the newest at the right.

    The longest label that has room is written into the widest place of its area.
    """
    count = max(width - gutter, 0)
    shown = [bands or () for bands in columns[-count:]] if count else []
    shown = [()] * (count - len(shown)) + shown
    stacks = [_stack(bands, axis.top, axis.rows * _EIGHTHS) for bands in shown]
    rows: list[list[Cell]] = []
    owners: list[list[Band | None]] = []
    for row in range(axis.rows):
        low = (axis.rows - 1 - row) * _EIGHTHS
        parts = [stack[low : low + _EIGHTHS] for stack in stacks]
        empty = _empty_cell(axis, row, ink)
        draw = _pattern_cell if colorless else partial(_split_cell, signs=LEVELS)
        rows.append([draw(part, empty=empty) for part in parts])
        owners.append([_owner(part) for part in parts])
    _write_labels(rows, owners, colorless=colorless)
    return [
        _strip([*_gutter(axis.ticks.get(row, ""), gutter, ink), *cells], width)
        for row, cells in enumerate(rows)
    ]


Eighths = Sequence[Band | None]


def _stack(bands: Sequence[Band], total: float, full: int) -> list[Band | None]:
    """Return what is in each eighth, None at the end for the rest; what is there at all has one."""
    shown = [band for band in bands if math.isfinite(band.size) and band.size > 0]
    whole = total if math.isfinite(total) and total > 0 else 1.0
    found: list[Band | None] = []
    for number, end in enumerate(accumulate(band.size for band in shown)):
        room = max(len(found), full - (len(shown) - 1 - number))
        reached = max(round(min(end / whole, 1.0) * full), len(found) + 1)
        found += [shown[number]] * (min(reached, room) - len(found))
    return (found + [None] * (full - len(found)))[:full]


def _pattern_cell(part: Eighths, empty: Cell) -> Cell:
    """Draw the band that has most of a cell."""
    most = max(part, key=part.count)
    return empty if most is None else (most.pattern, Style.null())


def _split_cell(part: Eighths, signs: str, empty: Cell) -> Cell:
    """Draw a cell that belongs to two bands at most: its first eighths, and most of the others."""
    first = part[0]
    if first is None:
        return empty
    length = part.count(first)
    rest = part[length:]
    if not rest:
        return " ", cell_style(None, first.color)
    other = max(rest, key=rest.count)
    return signs[length], cell_style(first.color, other.color if other is not None else None)


def _owner(part: Eighths) -> Band | None:
    return part[0] if part.count(part[0]) == len(part) else None


def _write_labels(
    rows: Sequence[list[Cell]], owners: Sequence[Eighths], *, colorless: bool
) -> None:
    """Write each label into the longest stretch of whole cells, in the middle one of equal rows."""
    found: dict[tuple[str, ...], list[tuple[int, int, int, Band]]] = {}
    for row, bands in enumerate(owners):
        for start, length, band in _stretches(bands):
            found.setdefault(band.labels, []).append((length, row, start, band))
    for places in found.values():
        longest = max(length for length, *_ in places)
        equal = [place for place in places if place[0] == longest]
        _, row, start, band = equal[(len(equal) - 1) // 2]
        _write_label(rows[row], start, longest, band, colorless=colorless)


def _stretches(owners: Eighths) -> Iterable[tuple[int, int, Band]]:
    """Where cells of one band begin, how many they are, and the band."""
    start = 0
    for labels, run in groupby(owners, key=lambda band: band.labels if band else ()):
        bands = list(run)
        if labels and bands[0] is not None:
            yield start, len(bands), bands[0]
        start += len(bands)


def _write_label(
    cells: list[Cell], start: int, length: int, band: Band, *, colorless: bool, left: bool = False
) -> None:
    """Write the longest label that has a blank at both sides; wide characters never fit."""
    fitting = (one for one in band.labels if cell_len(one) == len(one) <= length - 2)
    label = next(fitting, "")
    at = start + (1 if left else (length - len(label)) // 2)
    color, ground = band.ink or label_color(band.color), band.color
    style = cell_style(*(None, None) if colorless else (color, ground), bold=band.ink is None)
    cells[at : at + len(label)] = [(sign, style) for sign in label]


def bar(
    bands: Sequence[Band], total: float, width: int, *, free: Band, colorless: bool = False
) -> Strip:
    """Draw parts of a whole, their edges exact to an eighth of a cell, and labels where they fit.

    `free` is the rest: its color, and its labels.
    """
    width = max(width, 0)
    full = [band or free for band in _stack(bands, total, width * _EIGHTHS)]
    parts: list[Sequence[Band]] = [full[at : at + _EIGHTHS] for at in range(0, len(full), _EIGHTHS)]
    owners = [_owner(part) for part in parts]
    if colorless:
        edges = [
            one is None or (one is not before and before is not None)
            for before, one in pairwise([*owners[:1], *owners])
        ]
        cells = [
            ("│" if edge else "·" if one is free else " ", Style.null())
            for edge, one in zip(edges, owners, strict=True)
        ]
    else:
        cells = [_split_cell(part, EDGES, _BLANK) for part in parts]
    for start, length, band in _stretches(owners):
        _write_label(cells, start, length, band, colorless=colorless, left=band is not free)
    return _strip(cells, width)


def gauge(bands: Sequence[Band], total: float, width: int, rest: Color) -> Strip:
    """Draw parts of a whole as a thin line, its end exact to half a cell."""
    halves = _stack(bands, total, max(width, 0) * 2)
    cells: list[Cell] = []
    for first, second in zip(halves[::2], halves[1::2], strict=True):
        if first is None:
            cells.append(("─", cell_style(rest)))
        else:
            cells.append(("━" if second is not None else "╸", cell_style(first.color)))
    return _strip(cells, width)


def core_columns(values: Values, rows: int, width: int, colors: Sequence[Color]) -> list[Strip]:
    """Draw shares in percent as columns in eighths of a cell, as wide as there is room for.

    Of more shares than cells, neighbors are drawn as their mean.
    """
    rows, width = max(rows, 0), max(width, 0)
    known = [value or 0.0 for value in _last_values(values, len(values))]
    count = min(len(known), width)
    edges = [number * len(known) // count for number in range(count + 1)] if count else []
    means = [sum(known[first:end]) / (end - first) for first, end in pairwise(edges)]
    heights = [max(1, round(min(max(one / 100, 0.0), 1.0) * rows * _EIGHTHS)) for one in means]
    cells = width // count if count else 0
    gap = " " if cells > 2 else ""
    strips = []
    for row in range(rows):
        below = rows - 1 - row
        style = cell_style(colors[min(below, len(colors) - 1)])
        signs = (LEVELS[min(max(one - below * _EIGHTHS, 0), _EIGHTHS)] for one in heights)
        text = "".join(sign * (cells - len(gap)) + gap for sign in signs)
        strips.append(_strip([(sign, style) for sign in text], width))
    return strips


def _strip(cells: Iterable[Cell], width: int) -> Strip:
    """Join cells of one style; the strip is exactly as wide as asked."""
    runs = groupby(cells, key=itemgetter(1))
    segments = [Segment("".join(sign for sign, _ in run), style) for style, run in runs]
    return Strip(segments).adjust_cell_length(max(width, 0), Style.null())


@lru_cache(2048)
def cell_style(color: Color | None, ground: Color | None = None, *, bold: bool = False) -> Style:
    """Return the style of a cell; what is None is as the cell lies on it."""
    return Style(color=color, bgcolor=ground, bold=bold or None)
