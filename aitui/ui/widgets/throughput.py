"""The tokens per second of all clients together, over the last minutes."""

import math

from rich.color import Color
from textual.reactive import var
from textual.strip import Strip
from textual.widget import Widget

from aitui.domain.models import ActiveRequest, FinishedRequest
from aitui.domain.snapshot import Clock, Snapshot
from aitui.domain.throughput import RateColumn, active_spans, finished_spans, rate_columns
from aitui.ui.drawn_lines import DrawnLines
from aitui.ui.frame import Pieces, set_frame_title
from aitui.ui.plain import render_centered
from aitui.ui.plots import PeakScale, PlotInk, area_plot, row_colors
from aitui.ui.theme import has_few_colors, hue_of, shade, theme_color

SHORT, LONG = 300.0, 900.0
"""Seconds that are shown, and those of a plot of at least LONG_FROM cells."""
LONG_FROM = 50
_GUTTER = 4
_LEAST_PEAK = 10.0
"""The top of the scale while there is no data."""


class ThroughputPane(Widget):
    """A plot that moves by whole columns; with `prompt` of the reading of prompts.

    A reply that has ended is spread over the time that it was generated in. Of one under way that
    reports nothing there are no dots until it has ended.
    """

    finished: var[tuple[FinishedRequest, ...]] = var((), init=False)
    running: var[tuple[ActiveRequest, ...]] = var((), init=False)
    rate: var[float | None] = var(None, init=False)
    """Tokens per second now, None if unknown."""
    total: var[int | None] = var(None, init=False)
    """The number of running requests, None if it isn't reported."""

    def __init__(self, clock: Clock, *, prompt: bool = False, id: str) -> None:  # noqa: A002
        super().__init__(id=id, classes="frame")
        self._clock = clock
        self._prompt = prompt
        self._lines = DrawnLines(self, self._draw)
        self._scale = PeakScale()
        self._unknown_since: float | None = None
        self._end = 0.0
        self.snapshot = Snapshot()
        """The snapshot in which the hues of models are looked up."""
        self.is_alone = not prompt
        """Whether there is no other plot of tokens."""

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self._draw())

    def show(self, snapshot: Snapshot) -> None:
        """Take over a snapshot, and draw what ended since the last one."""
        self.snapshot = snapshot
        self.running = snapshot.requests.running or ()
        self.total = snapshot.requests.total
        self.rate = snapshot.generation_rate
        if self.rate is not None:
            self._unknown_since = None
        elif self._unknown_since is None:
            self._unknown_since = self._clock.wall()
        self.finished = snapshot.finished

    def tick(self) -> None:
        """Let the time go on: once a column, and each second while something is under way."""
        if self.is_mounted and (self.running or self._next_end() != self._end):
            self._draw()

    def watch_finished(self) -> None:
        self._draw()

    def watch_total(self) -> None:
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def render_line(self, y: int) -> Strip:
        if not len(self._lines):
            words = "not reported by this server" if self._is_live else ""
            return render_centered(words, y, self.size, self.visual_style.rich_style)
        return self._lines.strip(y, self.size.width)

    @property
    def _is_live(self) -> bool:
        return self.snapshot.connection.last_response_at is not None

    @property
    def _is_known(self) -> bool:
        return self._is_live and (self.total is not None or bool(self.finished))

    @property
    def _seconds(self) -> float:
        return LONG if self.size.width - _GUTTER >= LONG_FROM else SHORT

    @property
    def _title(self) -> str:
        if self._prompt:
            return "Prompt processing"
        return "Throughput" if self.is_alone else "Generation"

    def _next_end(self) -> float:
        """Return the right edge of the plot, at the end of the column that is begun (Unix time)."""
        column = self._seconds / max(self.size.width - _GUTTER, 1)
        return math.ceil(self._clock.wall() / column) * column

    def _draw(self) -> None:
        width, rows = self.size
        if not self.display or width <= _GUTTER or rows < 1:
            return
        set_frame_title(self, "", f"{self._seconds / 60:.0f} min ago", "now", bottom=True)
        if not self._is_known:
            set_frame_title(self, self._title, "tok/s")
            self._lines.show([])
            return
        self._end = self._next_end()
        columns = self._columns(width - _GUTTER)
        peak = max((column.rate or 0.0 for column in columns), default=0.0)
        if not self._prompt:
            peak = max(peak, self.rate or 0.0)
        set_frame_title(self, self._title, "tok/s", self._figures(peak))
        axis = self._scale.axis(max(peak, _LEAST_PEAK), rows, self._clock.monotonic())
        gutter = max(_GUTTER, axis.label_width)
        drawn = columns[2 * (gutter - _GUTTER) :]
        hues = [
            hue_of(self.snapshot, second.model or first.model)
            for first, second in zip(drawn[::2], drawn[1::2], strict=True)
        ]
        colors = {hue: self._row_colors(hue, rows) for hue in {*hues, "other"}}
        app = self.app
        ink = PlotInk(
            theme_color(app, "muted"), theme_color(app, "faint"), theme_color(app, "frame")
        )
        rates = [column.rate for column in drawn]
        by_column = [colors[hue] for hue in hues]
        plot = area_plot(
            rates, axis, width, colors["other"], ink, gutter=gutter, by_column=by_column
        )
        self._lines.show(plot)

    def _columns(self, cells: int) -> list[RateColumn]:
        """Return two values for each cell."""
        wall, now = self._clock.wall(), self._clock.monotonic()
        spans = list(finished_spans(self.finished, prompt=self._prompt))
        if not self._prompt:
            spans += active_spans(self.running, now, wall)
        unknown = self._unknown_since if not self._prompt else None
        return rate_columns(
            spans,
            cells * 2,
            self._seconds,
            self._end,
            known=(-math.inf, wall if unknown is None else unknown),
            highest=self._prompt,
        )

    def _figures(self, peak: float) -> Pieces:
        highest = (f"{peak:,.0f} peak" if peak else "", "")
        now = 0.0 if self._prompt and self.total == 0 else None if self._prompt else self.rate
        if now is None:
            return (highest,)
        return (f"{now:,.0f}", "bold foreground"), (" now · " if peak else " now", ""), highest

    def _row_colors(self, hue: str, rows: int) -> tuple[Color, ...]:
        app = self.app
        color = theme_color(app, hue)
        if has_few_colors(app) or not app.theme_variables["background"].startswith("#"):
            return (color,)
        return row_colors(((0.0, shade(app, hue, "plot")), (1.0, color)), rows)
