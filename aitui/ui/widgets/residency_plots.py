"""What goes with a residency timeline: requests that waited for loads, and the memory of the cards."""

from collections.abc import Callable, Mapping

from msgspec import Struct
from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from aitui.domain.hardware.sample import HardwareSample
from aitui.domain.residency import ResidencyView
from aitui.domain.snapshot import Snapshot
from aitui.domain.units import format_elapsed, format_gb
from aitui.ui.drawn_lines import DrawnLines, title_strip
from aitui.ui.frame import Pieces, set_frame_title
from aitui.ui.hardware import HardwareColors, hue_pattern, legend_line
from aitui.ui.memory_bar import GIB, whole_gb
from aitui.ui.plots import Axis, Band, limit_axis, round_axis, stacked_plot
from aitui.ui.theme import hue_of

_GUTTER = 5
_LONGEST_LEGEND = 40
_INDENT = Strip([Segment("   ")])


class _PlotScene(Struct, frozen=True):
    """What is drawn: a view in the colors of a theme, in so many rows, with a legend of `room` cells."""

    snapshot: Snapshot
    view: ResidencyView
    colors: HardwareColors
    rows: int
    room: int


class _PlotParts(Struct, frozen=True):
    """The words of a frame, its legend, and the bands of each column on their scale."""

    words: str
    figures: Pieces
    legend: list[Strip]
    columns: list[list[Band]]
    axis: Axis


class ResidencyPlot(Widget):
    """A plot whose columns are those of the timeline above it, with a legend before them."""

    def __init__(
        self,
        title: str,
        parts: Callable[[_PlotScene], _PlotParts],
        *,
        id: str,  # noqa: A002
    ) -> None:
        super().__init__(id=id, classes="frame")
        self._title = title
        self._parts = parts
        self._drawn = DrawnLines(self, self._draw)
        self._snapshot = Snapshot()
        self._view: ResidencyView | None = None
        self._left = 0

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self._draw())

    def show(self, snapshot: Snapshot, view: ResidencyView, left: int) -> None:
        """Show a view; `left` is the cell of its first column."""
        self._snapshot, self._view, self._left = snapshot, view, left
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def render_line(self, y: int) -> Strip:
        return self._drawn.strip(y, self.size.width)

    def _draw(self) -> None:
        view, rows, width = self._view, self.size.height, self._left - _GUTTER
        if view is None or rows < 1 or width < 1:
            return
        colors = HardwareColors(self.app)
        room = min(width - 1, _LONGEST_LEGEND)
        parts = self._parts(_PlotScene(self._snapshot, view, colors, rows, room))
        set_frame_title(self, self._title, parts.words, parts.figures)
        plot = stacked_plot(
            parts.columns,
            parts.axis,
            view.range.cells + _GUTTER,
            colors.ink,
            gutter=_GUTTER,
            colorless=self.app.no_color,
        )
        legend = [line.adjust_cell_length(width) for line in parts.legend[:rows]]
        legend += [Strip.blank(width)] * (rows - len(legend))
        self._drawn.show([Strip.join(pair) for pair in zip(legend, plot, strict=True)])


def queue_parts(scene: _PlotScene) -> _PlotParts:
    """Return how many requests waited for a load in each column, and for how long those of each client."""
    view, colors = scene.view, scene.colors
    peak, waited = max(view.queue, default=0), sum(view.waits.values())
    longest = sorted(view.waits.items(), key=lambda pair: -pair[1])
    legend = [
        title_strip(
            colors.style,
            ((f"   {client or 'unknown client'}", ""),),
            ((format_elapsed(wait), "bold foreground"),),
            scene.room,
        )
        for client, wait in longest
    ]
    figures = f"{peak} peak · {format_elapsed(waited)} waited in total" if peak else "none"
    color = colors["warning"]
    return _PlotParts(
        "requests that waited for a load",
        figures,
        legend,
        [[Band(float(count), color)] for count in view.queue],
        round_axis(max(peak, 1), scene.rows),
    )


def memory_parts(scene: _PlotScene) -> _PlotParts:
    """Return the memory of all cards in each column, by the models that were loaded then.

    A model had what it has now, or would have; what was in use beyond that is "other".
    """
    view, over, usage = scene.view, scene.view.range, scene.snapshot.hardware.usage
    total, used = usage.total_bytes or GIB, usage.used_bytes
    history = scene.snapshot.hardware.history
    amounts = history.series(_used_bytes, over.ended - over.began, over.cells, over.ended)
    peak = max((amount for amount in amounts if amount is not None), default=0.0)
    sizes = _model_sizes(scene.snapshot)
    columns, seen = [], dict[str, None]()
    for column, amount in enumerate(amounts):
        models = _models_at(view, column) if amount is not None else []
        seen.update(dict.fromkeys(models))
        columns.append(_bands(scene, models, sizes, amount or 0.0))
    figures: Pieces = "not recorded in this time"
    if used is not None and peak:
        most = f" / {whole_gb(total)} GB · {format_gb(round(peak))} peak"
        figures = ((format_gb(used), "bold foreground"), (most, ""))
    axis = limit_axis(round(total / GIB) * GIB or total, scene.rows, GIB)
    return _PlotParts("all cards, by model", figures, _memory_legend(scene, seen), columns, axis)


def _used_bytes(sample: HardwareSample) -> float | None:
    found = [gpu.used_bytes for gpu in sample.gpus if gpu.used_bytes is not None]
    return float(sum(found)) if found else None


def _model_sizes(snapshot: Snapshot) -> dict[str, float]:
    expected = {model.id: float(model.memory.gpu) for model in snapshot.models if model.memory}
    return expected | {model: float(size) for model, size in _held(snapshot).items()}


def _held(snapshot: Snapshot) -> dict[str, int]:
    return snapshot.hardware.usage.bytes_by_model(model.id for model in snapshot.resident)


def _models_at(view: ResidencyView, column: int) -> list[str]:
    """Return the models that were loaded in a column, those that came first at the bottom."""
    began = view.range.began + column * view.range.step
    found = [
        stay.model
        for stay in view.timeline.stays
        if stay.began < began + view.range.step and stay.ended >= began
    ]
    found += [model for model, shares in view.busy.items() if shares[column] > 0]
    return list(dict.fromkeys(found))


def _bands(
    scene: _PlotScene, models: list[str], sizes: Mapping[str, float], amount: float
) -> list[Band]:
    bands, rest = [], amount
    for model in models:
        size = min(rest, sizes.get(model, 0.0))
        hue = hue_of(scene.snapshot, model)
        bands.append(Band(size, scene.colors.area(hue), pattern=hue_pattern(hue)))
        rest -= size
    return [*bands, Band(rest, scene.colors.area("other"), pattern=hue_pattern("other"))]


def _memory_legend(scene: _PlotScene, seen: Mapping[str, None]) -> list[Strip]:
    """Name what has memory now, the most first, then what had some."""
    held = _held(scene.snapshot)
    others = [card.others for card in scene.snapshot.hardware.usage.cards if card.others]
    lines = [(model, hue_of(scene.snapshot, model), size) for model, size in held.items()]
    lines.sort(key=lambda line: -line[2])
    lines += [("other", "other", sum(others))] if others else []
    lines += [(model, hue_of(scene.snapshot, model), 0) for model in seen if model not in held]
    return [
        Strip.join(
            [
                _INDENT,
                legend_line(
                    scene.colors,
                    hue,
                    (name, "foreground" if size else ""),
                    (format_gb(size) if size else "–", "bold foreground" if size else ""),
                    scene.room - 3,
                ),
            ]
        )
        for name, hue, size in lines
    ]
