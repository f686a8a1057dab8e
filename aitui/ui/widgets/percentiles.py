"""How durations and rates of requests are spread: a histogram each, with its percentiles."""

from collections.abc import Sequence

from msgspec import Struct
from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from aitui.domain.activity import ActivityTotals, Distribution
from aitui.domain.units import format_tokens
from aitui.ui.drawn_lines import DrawnLines
from aitui.ui.frame import set_frame_title
from aitui.ui.theme import theme_style

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_FIXED_ROWS = 3
"""Rows of a histogram's name, its marks and its figures."""


class _Spread(Struct, frozen=True):
    name: str
    figures: Distribution
    form: str
    slow_end_low: bool = False
    """Whether small figures are the bad ones, as those of rates are."""

    @property
    def marks(self) -> tuple[tuple[str, float, str], ...]:
        """Return the percentiles: name, figure and color."""
        found = self.figures
        if self.slow_end_low:
            bad = ("p5", found.p5, "warning"), ("p1", found.p1, "error")
        else:
            bad = ("p95", found.p95, "warning"), ("p99", found.p99, "error")
        return ("p50", found.p50, "foreground"), *bad


class Percentiles(Widget):
    """Four histograms side by side, or their figures alone in a low frame."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes="frame")
        self._drawn = DrawnLines(self, self._draw)
        self._totals = ActivityTotals()

    def show(self, totals: ActivityTotals) -> None:
        """Show these totals."""
        self._totals = totals
        sums = totals.sums
        finished = sums.requests - sums.failed
        share = "" if sums.cached_share is None else f", {sums.cached_share * 100:.0f} % cached"
        right = f"{format_tokens(sums.prompt)} prompt tokens{share} · {format_tokens(sums.tokens)} generated"
        words = f"of {finished:,} finished request{'' if finished == 1 else 's'}"
        set_frame_title(self, "Percentiles", words, right if sums.requests else "")
        self._draw()

    def render_line(self, y: int) -> Strip:
        return self._drawn.strip(y, self.size.width)

    def _draw(self) -> None:
        totals = self._totals
        spreads = (
            _Spread("duration, s", totals.seconds, "{:.1f}"),
            _Spread("first token, s", totals.first_token, "{:.1f}"),
            _Spread("prompt tok/s", totals.prompt_rate, "{:,.0f}", slow_end_low=True),
            _Spread("generation tok/s", totals.rate, "{:.1f}", slow_end_low=True),
        )
        width, height = self.size.width, self.size.height
        if width < len(spreads) or height < 1:
            return
        cells = width // len(spreads)
        columns = [self._histogram(spread, cells, height) for spread in spreads]
        self._drawn.show([Strip.join(parts) for parts in zip(*columns, strict=True)])

    def _histogram(self, spread: _Spread, cells: int, height: int) -> list[Strip]:
        style = theme_style
        name = Segment(f" {spread.name}"[:cells].ljust(cells), style(self.app, ""))
        figures = self._figures(spread, cells)
        if height == 1:
            return [figures]
        if height < _FIXED_ROWS + 1 or not spread.figures.count:
            blank = Strip.blank(cells)
            return [Strip([name]), figures, *[blank] * (height - 2)]
        width = cells - 3
        rows, marks = self._bars(spread, width, height - _FIXED_ROWS), self._marks(spread, width)
        return [Strip([name]), *rows, marks, figures]

    def _figures(self, spread: _Spread, cells: int) -> Strip:
        segments = [Segment(" ")]
        if not spread.figures.count:
            segments.append(Segment("–", theme_style(self.app, "")))
        else:
            for name, figure, color in spread.marks:
                text = spread.form.format(figure)
                taken = sum(one.cell_length for one in segments)
                if taken + len(name) + len(text) + 2 > cells:
                    break
                label = "" if color == "foreground" else color
                segments += [
                    Segment(f"{name} ", theme_style(self.app, label)),
                    Segment(f"{text} ", theme_style(self.app, "bold foreground")),
                ]
        return Strip(segments).adjust_cell_length(cells)

    def _bars(self, spread: _Spread, width: int, rows: int) -> list[Strip]:
        """Draw the bins as columns; what lies beyond the percentiles has their color."""
        found = spread.figures
        bins = _stretch(found.bins, width)
        top = max(bins) or 1
        edge = (found.high - found.low) / width
        colors = [self._color(spread, found.low + (at + 0.5) * edge) for at in range(width)]
        heights = [max(1, round(count / top * rows * 8)) if count else 0 for count in bins]
        strips: list[Strip] = []
        for row in range(rows - 1, -1, -1):
            segments = [Segment(" ")]
            for height, color in zip(heights, colors, strict=True):
                eighths = max(0, min(8, height - row * 8))
                text, ink = _EIGHTHS[eighths], color
                if not eighths and not row:
                    text, ink = "▁", "faint"
                segments.append(Segment(text, theme_style(self.app, ink)))
            strips.append(Strip(segments).simplify().adjust_cell_length(width + 3))
        return strips

    def _color(self, spread: _Spread, value: float) -> str:
        _, (_, near, _), (_, far, _) = spread.marks
        if spread.slow_end_low:
            return "error" if value < far else "warning" if value < near else "other"
        return "error" if value > far else "warning" if value > near else "other"

    def _marks(self, spread: _Spread, width: int) -> Strip:
        found, cells = spread.figures, [(" ", "")] * width
        for _, figure, color in spread.marks:
            span = found.high - found.low
            at = int((figure - found.low) / span * width) if span else 0
            cells[max(0, min(width - 1, at))] = ("▴", color)
        segments = [
            Segment(" "),
            *(Segment(text, theme_style(self.app, name)) for text, name in cells),
        ]
        return Strip(segments).simplify().adjust_cell_length(width + 3)


def _stretch(bins: Sequence[int], width: int) -> list[int]:
    """Return a count for each of `width` cells: a bin's for all of its cells, of several the most."""
    count = len(bins)
    return [
        max(bins[at * count // width : max((at + 1) * count // width, at * count // width + 1)])
        for at in range(width)
    ]
