"""The figures of cards and machine over the last minutes, as lines of plots."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import zip_longest

from textual.content import Content

from aitui.domain.hardware.history import Figure, SampleHistory, gpu_metric
from aitui.domain.hardware.sample import Gpu, HardwareSample, Machine
from aitui.domain.memory.picture import MemoryUsage
from aitui.ui.plots import plot

QUIET = "$foreground 65%"
LABEL, VALUE = 6, 7
COOLEST, HOTTEST = 20.0, 100.0
MIN_POWER_SCALE = 50.0
PAIRS_FROM, GAP = 100, 3
"""Cells from which two plots stand side by side, and those between them."""
MIN_ROWS_WITH_SCALE = 3
"""Rows from which a plot says what its top stands for."""

Lines = list[Content]


@dataclass(frozen=True, slots=True)
class PlotOptions:
    """How it is drawn: cells, seconds that a plot shows, rows of each plot.

    `now` is monotonic, `wall` Unix time.
    """

    width: int
    seconds: float
    rows: int
    now: float
    wall: float

    @property
    def columns(self) -> int:
        """Cells of a plot."""
        return max(8, self.width - LABEL - VALUE - 3)


@dataclass(frozen=True, slots=True)
class PlotSeries:
    """One figure: its name, its value now in words, and what is plotted of each sample."""

    label: str
    value: str
    figure: Figure
    style: str = "$primary"
    smallest: float = 0.0
    largest: float = 100.0

    @property
    def top(self) -> str:
        """What the upper edge of its plot stands for, in the unit of its value."""
        return f"{self.largest:.0f} {self.value.rpartition(' ')[2]}"


def plot_curves(curves: Iterable[PlotSeries], history: SampleHistory, frame: PlotOptions) -> Lines:
    """Those that have a value now, two side by side where there is room for it.

    Columns end at whole multiples of their width: a plot stands still while nothing changes.
    """
    if not history.samples:
        return []
    shown = [curve for curve in curves if curve.value]
    if len(shown) < 2 or frame.width < PAIRS_FROM:
        return [line for curve in shown for line in _plot_curve(curve, history, frame)]
    half = replace(frame, width=(frame.width - GAP) // 2)
    plots = [_plot_curve(curve, history, half) for curve in shown]
    lines: Lines = []
    for left, right in zip_longest(plots[::2], plots[1::2], fillvalue=[Content("")] * frame.rows):
        lines += [
            Content.assemble(one, " " * (half.width + GAP - one.cell_length), other)
            for one, other in zip(left, right, strict=True)
        ]
    return lines


def _plot_curve(curve: PlotSeries, history: SampleHistory, frame: PlotOptions) -> Lines:
    """Name and value beside the last row; beside the first, where it is high, what its top means."""
    column = frame.seconds / frame.columns
    now = math.ceil(history.samples[-1].at / column) * column
    series = history.series(curve.figure, frame.seconds, frame.columns, now)
    rows = plot(series, curve.smallest, curve.largest, frame.rows)
    lines: Lines = []
    for number, row in enumerate(rows):
        last = number == len(rows) - 1
        name, value = (curve.label, curve.value) if last else ("", "")
        top = curve.top if number == 0 and len(rows) >= MIN_ROWS_WITH_SCALE else ""
        lines.append(
            Content.assemble(
                (name.rjust(LABEL), QUIET),
                " ",
                (value.rjust(VALUE), "") if last else (top.rjust(VALUE), QUIET),
                "  ",
                (row, curve.style),
            )
        )
    return lines


def card_curves(gpu: Gpu, history: SampleHistory) -> tuple[PlotSeries, ...]:
    """Memory, use, temperature and power of one card."""

    def known(figure: Callable[[Gpu], float | None]) -> Figure:
        return gpu_metric(gpu.key, figure)

    strongest = max(
        (one.power or 0.0 for sample in history.samples for one in sample.gpus), default=0.0
    )
    heat = "" if gpu.temperature is None else f"{gpu.temperature:.0f} °C"
    power = "" if gpu.power is None else f"{gpu.power:.0f} W"
    return (
        PlotSeries("memory", _percent_text(_card_memory_percent(gpu)), known(_card_memory_percent)),
        PlotSeries(
            "busy", _percent_text(gpu.use_percent), known(lambda one: one.use_percent), "$success"
        ),
        PlotSeries("heat", heat, known(lambda one: one.temperature), "$warning", COOLEST, HOTTEST),
        PlotSeries(
            "power",
            power,
            known(lambda one: one.power),
            "$accent",
            0.0,
            max(strongest, MIN_POWER_SCALE),
        ),
    )


def machine_curves(machine: Machine) -> tuple[PlotSeries, ...]:
    """Processors and memory."""
    return (
        PlotSeries(
            "cpu",
            _percent_text(machine.use_percent),
            _machine_figure(lambda one: one.use_percent),
            "$success",
        ),
        PlotSeries("ram", _percent_text(_ram_percent(machine)), _machine_figure(_ram_percent)),
    )


def total_curve(picture: MemoryUsage) -> PlotSeries:
    """The memory of all cards, or the machine's where there are none."""
    used, total = picture.used_bytes, picture.total_bytes
    value = _percent_text(None if used is None or not total else 100.0 * used / total)
    return PlotSeries(
        "memory", value, _total_card_percent if picture.on_cards else _machine_figure(_ram_percent)
    )


def _total_card_percent(sample: HardwareSample) -> float | None:
    sized = [gpu for gpu in sample.gpus if gpu.total_bytes and gpu.used_bytes is not None]
    total = sum(gpu.total_bytes or 0 for gpu in sized)
    return 100.0 * sum(gpu.used_bytes or 0 for gpu in sized) / total if total else None


def _card_memory_percent(gpu: Gpu) -> float | None:
    if gpu.used_bytes is None or not gpu.total_bytes:
        return None
    return 100.0 * gpu.used_bytes / gpu.total_bytes


def _ram_percent(machine: Machine) -> float | None:
    if machine.memory_used is None or not machine.memory_total:
        return None
    return 100.0 * machine.memory_used / machine.memory_total


def _machine_figure(figure: Callable[[Machine], float | None]) -> Figure:
    return lambda sample: None if sample.machine is None else figure(sample.machine)


def _percent_text(value: float | None) -> str:
    return "" if value is None else f"{value:.0f} %"
