"""The hardware in lines: which model uses each card's memory, and how things went lately."""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from operator import attrgetter

from msgspec import Struct
from msgspec.structs import replace
from rich.cells import cell_len, set_cell_size
from textual.content import Content

from aitui.domain.hardware.sample import (
    Figure,
    Gpu,
    HardwareSample,
    Machine,
    SampleHistory,
    gpu_metric,
)
from aitui.domain.memory.hardware_state import HardwareState
from aitui.domain.memory.usage import GpuMemoryUsage, MemoryUsage
from aitui.domain.units import format_bytes_gib, format_seconds
from aitui.format.hardware import format_machine, format_memory, host_info_rows, host_info_source
from aitui.ui.text import LineItem, fit_items, shorten_id

_STEPS = " ▁▂▃▄▅▆▇█"
_EIGHTHS = 8


def plot(
    values: Sequence[float | None], smallest: float, largest: float, rows: int
) -> tuple[str, ...]:
    """One column a value, the top row first. A value that is known leaves a trace, however small;
    what isn't known is blank.
    """
    span = max(largest - smallest, 1e-9)
    heights = [
        None
        if value is None
        else max(1, round(min(max((value - smallest) / span, 0.0), 1.0) * rows * _EIGHTHS))
        for value in values
    ]
    return tuple(
        "".join(
            " " if height is None else _STEPS[min(max(height - below, 0), _EIGHTHS)]
            for height in heights
        )
        for below in range((rows - 1) * _EIGHTHS, -1, -_EIGHTHS)
    )


def bar_cells(parts: Sequence[int], total: int, cells: int) -> tuple[int, ...]:
    """How many cells each part gets of a bar; what is there at all gets one, while there is room."""
    if total <= 0 or cells < 1:
        return tuple(0 for _ in parts)
    widths = [max(1, round(part * cells / total)) if part > 0 else 0 for part in parts]
    while sum(widths) > cells:
        widths[widths.index(max(widths))] -= 1
    return tuple(widths)


QUIET = "$foreground 65%"
LABEL, VALUE = 6, 7
COOLEST, HOTTEST = 20.0, 100.0
MIN_POWER_SCALE = 50.0
PAIRS_FROM, GAP = 100, 3
"""Cells from which two plots stand side by side, and those between them."""
MIN_ROWS_WITH_SCALE = 3
"""Rows from which a plot says what its top stands for."""

Lines = list[Content]


class PlotOptions(Struct, frozen=True):
    """How it is drawn: cells, seconds that a plot shows, rows of each plot; `wall` is Unix time."""

    width: int
    seconds: float
    rows: int
    wall: float


class PlotSeries(Struct, frozen=True):
    """One figure: its name, its value now in words, and what is plotted of each sample."""

    label: str
    value: str
    figure: Figure
    style: str = "$primary"
    smallest: float = 0.0
    largest: float = 100.0


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
    columns = max(8, frame.width - LABEL - VALUE - 3)
    column = frame.seconds / columns
    now = math.ceil(history.samples[-1].at / column) * column
    series = history.series(curve.figure, frame.seconds, columns, now)
    rows = plot(series, curve.smallest, curve.largest, frame.rows)
    # What the upper edge stands for, in the unit of the value.
    highest = f"{curve.largest:.0f} {curve.value.rpartition(' ')[2]}"
    lines: Lines = []
    for number, row in enumerate(rows):
        last = number == len(rows) - 1
        name, value = (curve.label, curve.value) if last else ("", "")
        top = highest if number == 0 and len(rows) >= MIN_ROWS_WITH_SCALE else ""
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

    def curve(
        label: str,
        unit: str,
        metric: Callable[[Gpu], float | None],
        style: str,
        scale: tuple[float, float] = (0.0, 100.0),
    ) -> PlotSeries:
        figure = gpu_metric(gpu.key, metric)
        return PlotSeries(label, _value_text(metric(gpu), unit), figure, style, *scale)

    measured = (one.power or 0.0 for sample in history.samples for one in sample.gpus)
    strongest = max((*measured, MIN_POWER_SCALE))
    return (
        curve("memory", "%", lambda one: _percent(one.used_bytes, one.total_bytes), "$primary"),
        curve("busy", "%", lambda one: one.use_percent, "$success"),
        curve("heat", "°C", lambda one: one.temperature, "$warning", (COOLEST, HOTTEST)),
        curve("power", "W", lambda one: one.power, "$accent", (0.0, strongest)),
    )


def machine_curves(machine: Machine) -> tuple[PlotSeries, ...]:
    ram = _value_text(_ram_percent(machine), "%")
    busy = _machine_figure(lambda one: one.use_percent)
    return (
        PlotSeries("cpu", _value_text(machine.use_percent, "%"), busy, "$success"),
        PlotSeries("ram", ram, _machine_figure(_ram_percent)),
    )


def total_curve(picture: MemoryUsage) -> PlotSeries:
    """The memory of all cards, or the machine's where there are none."""
    value = _value_text(_percent(picture.used_bytes, picture.total_bytes), "%")
    figure = _cards_percent if picture.on_cards else _machine_figure(_ram_percent)
    return PlotSeries("memory", value, figure)


def _cards_percent(sample: HardwareSample) -> float | None:
    sized = [gpu for gpu in sample.gpus if gpu.total_bytes and gpu.used_bytes is not None]
    used = sum(gpu.used_bytes or 0 for gpu in sized)
    return _percent(used, sum(gpu.total_bytes or 0 for gpu in sized))


def _machine_figure(metric: Callable[[Machine], float | None]) -> Figure:
    return lambda sample: None if sample.machine is None else metric(sample.machine)


def _ram_percent(machine: Machine) -> float | None:
    return _percent(machine.memory_used, machine.memory_total)


def _percent(used: int | None, total: int | None) -> float | None:
    return None if used is None or not total else 100.0 * used / total


def _value_text(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.0f} {unit}"


FILLS = (
    ("█", "$primary"),
    ("▓", "$success"),
    ("▒", "$accent"),
    ("█", "$secondary"),
    ("▓", "$warning"),
)
OTHERS, FREE = ("░", QUIET), ("·", QUIET)
SEPARATOR = " · "
STALE_AFTER = 60.0
"""Seconds after which a sample's age is shown."""


class BarSegment(Struct, frozen=True):
    """A piece of a bar, with its words for the legend."""

    name: str
    size: int
    words: str


def hardware_lines(hardware: HardwareState, frame: PlotOptions) -> Lines:
    """Everything, the most needed first."""
    picture = hardware.usage
    lines: Lines = []
    if picture.source is None:
        lines += _no_data_lines(hardware)
    for card in picture.cards:
        lines += [*card_lines(card, hardware, frame), Content("")]
    lines += [Content.styled(f"✘ {words}", "$error") for words in missing_card_warnings(hardware)]
    lines += _machine_section(hardware, frame)
    warnings = picture.errors
    if hardware.error and picture.source is not None:
        warnings = (hardware.error, *warnings)
    lines += [Content.styled(f"! {words}", "$warning") for words in warnings]
    return lines


def card_lines(card: GpuMemoryUsage, hardware: HardwareState, frame: PlotOptions) -> Lines:
    """One card: its name and memory, a bar by models, the legend, and its plots."""
    gpu = card.gpu
    shared = ", the machine's own" if gpu.unified else ""
    free = "" if gpu.free_bytes is None else f" · {format_bytes_gib(gpu.free_bytes)} free"
    lines = [
        _justify_line(
            f"GPU {gpu.index}  {gpu.name or 'unnamed'}",
            f"{format_memory(gpu.used_bytes, gpu.total_bytes)}{free}{shared}",
            frame.width,
        )
    ]
    lines += _usage_bar_lines(_card_parts(card), gpu.total_bytes, frame.width, hardware.usage)
    lines += plot_curves(card_curves(gpu, hardware.history), hardware.history, frame)
    return lines


def strip_lines(hardware: HardwareState, frame: PlotOptions) -> Lines:
    """The memory and its history in a few lines, for the view of models on a large screen."""
    picture = hardware.usage
    lines: Lines = []
    names = [f"GPU {card.gpu.index}" for card in picture.cards]
    left = max(map(cell_len, names), default=0) + 1 if len(names) > 1 else 0
    for name, card in zip(names, picture.cards, strict=True):
        stack = _usage_bar_lines(
            _card_parts(card), card.gpu.total_bytes, frame.width - left, picture
        )
        for number, line in enumerate(stack):
            margin = name if left and number == 0 else ""
            lines.append(Content.assemble((margin.ljust(left), QUIET), line))
    lines += _machine_bar_lines(picture, frame.width)
    lines += plot_curves([total_curve(picture)], hardware.history, frame)
    return lines


def missing_card_warnings(hardware: HardwareState) -> list[str]:
    """Cards that were measured within the last hour and no longer are."""
    picture, samples = hardware.usage, hardware.history.samples
    there = {card.gpu.key for card in picture.cards}
    last: dict[str, tuple[Gpu, float]] = {}
    for sample in samples:
        for gpu in sample.gpus:
            last[gpu.key] = gpu, sample.at
    # Two sources may call the same cards differently.
    if there and not there & last.keys():
        return []
    return [
        f"GPU {gpu.index} {gpu.name} has vanished: it was measured last "
        f"{format_seconds(samples[-1].at - at)} ago"
        for key, (gpu, at) in last.items()
        if key not in there
    ]


def source_text(hardware: HardwareState, now: float) -> str:
    """Who measured, and how old that is where it is old."""
    picture = hardware.usage
    if picture.source is None:
        return ""
    age = 0.0 if hardware.last_sample_at is None else now - hardware.last_sample_at
    old = f", {format_seconds(age)} ago" if age > STALE_AFTER else ""
    return f"measured by {picture.source.value}{old}"


def host_info_source_text(hardware: HardwareState) -> str:
    """Name the source of the host's facts, if it isn't the source of the samples."""
    source, measured = host_info_source(hardware.facts), hardware.usage.source
    same = measured is not None and source == measured.value
    return f"facts from {source}" if source and not same else ""


def _no_data_lines(hardware: HardwareState) -> Lines:
    if hardware.last_sample_at is None and not hardware.error:
        return [Content("Nothing has been measured yet: the server hasn't answered so far")]
    return [
        Content("Memory usage is not available from this server"),
        Content.styled(hardware.error, QUIET),
        Content.styled("llama-swap ≥ v217 measures unless performance.disabled is set;", QUIET),
        Content.styled("with ssh_host set for this server, aitui asks its machine itself", QUIET),
    ]


def _card_parts(card: GpuMemoryUsage) -> list[BarSegment]:
    parts = [
        BarSegment(
            share.model,
            share.used_bytes,
            f"{'≈' if share.approximate else ''}{format_bytes_gib(share.used_bytes)}",
        )
        for share in card.models
    ]
    if card.others:
        parts.append(BarSegment("", card.others, f"{format_bytes_gib(card.others)} others"))
    return parts


def _machine_bar_lines(picture: MemoryUsage, width: int) -> Lines:
    """Where there is no card, the models are in the machine's memory."""
    machine = picture.machine
    if machine is None or picture.cards:
        return []
    parts = [
        BarSegment(name, one.host or 0, one.label)
        for name, one in picture.footprints.items()
        if name in picture.observed_now
    ]
    known = sum(part.size for part in parts)
    others = max(0, (machine.memory_used or 0) - known)
    parts.append(BarSegment("", others, f"{format_bytes_gib(others)} others"))
    return _usage_bar_lines(parts, machine.memory_total, width, picture)


def _model_fills(picture: MemoryUsage) -> dict[str, tuple[str, str]]:
    """A model looks the same on every card."""
    on_cards = (share.model for card in picture.cards for share in card.models)
    names = dict.fromkeys((*on_cards, *sorted(picture.observed_now)))
    return {name: FILLS[number % len(FILLS)] for number, name in enumerate(names)}


def _usage_bar_lines(
    parts: Sequence[BarSegment], total: int | None, width: int, picture: MemoryUsage
) -> Lines:
    if not total or not parts:
        return []
    fills = _model_fills(picture)
    cells = bar_cells([part.size for part in parts], total, width)
    pieces: list[tuple[str, str]] = []
    legend: list[list[tuple[str, str]]] = []
    for part, count in zip(parts, cells, strict=True):
        fill, style = fills.get(part.name, FILLS[0]) if part.name else OTHERS
        pieces.append((fill * count, style))
        name = f"{shorten_id(part.name, max(16, min(48, width - 14)))} " if part.name else ""
        legend.append([(f"{fill} ", style), (f"{name}{part.words}", "")])
    pieces.append((FREE[0] * max(0, width - sum(cells)), FREE[1]))
    return [Content.assemble(*pieces), *_legend_lines(legend, width)]


def _legend_lines(items: Sequence[list[tuple[str, str]]], width: int) -> Lines:
    lines: list[list[tuple[str, str]]] = []
    used = width
    for item in items:
        length = sum(cell_len(text) for text, _ in item)
        if lines and used + 3 + length <= width:
            lines[-1] += [("   ", ""), *item]
            used += 3 + length
        else:
            lines.append(item)
            used = length
    return [Content.assemble(*line) for line in lines]


def _machine_section(hardware: HardwareState, frame: PlotOptions) -> Lines:
    picture, machine = hardware.usage, hardware.usage.machine
    facts = _host_info_lines(hardware, frame)
    if machine is None and not facts:
        return []
    lines = [_justify_line("Machine", _network_text(hardware.history), frame.width)]
    lines += _machine_bar_lines(picture, frame.width)
    if machine is not None:
        lines += plot_curves(machine_curves(machine), hardware.history, frame)
    return [*lines, *(Content.styled(line, QUIET) for line in (*format_machine(machine), *facts))]


def _host_info_lines(hardware: HardwareState, frame: PlotOptions) -> list[str]:
    """What the machine is, as far as there is room for it."""
    lines = []
    for row in host_info_rows(hardware.facts, frame.wall, with_cards=not hardware.usage.cards):
        facts = [LineItem(fact.words, fact.need) for fact in row]
        kept = fit_items(facts, frame.width, len(SEPARATOR))
        lines.append(SEPARATOR.join(item.text for item in kept))
    return [line for line in lines if line]


def _network_text(history: SampleHistory) -> str:
    """Bytes a second since the sample before, all interfaces together."""
    machines = [one.machine for one in history.samples[-8:] if one.machine is not None]
    if len(machines) < 2 or not machines[-1].network:
        return ""
    before, after = machines[-2:]
    seconds = after.sampled_at - before.sampled_at
    down, up = (
        sum(map(count, after.network)) - sum(map(count, before.network))
        for count in (attrgetter("received_bytes"), attrgetter("sent_bytes"))
    )
    if seconds <= 0 or down < 0 or up < 0:
        return ""
    return f"net ↓ {_rate_text(down / seconds)}  ↑ {_rate_text(up / seconds)}"


def _rate_text(amount: float) -> str:
    for size, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if amount >= size:
            return f"{amount / size:.1f} {unit}/s"
    return "<1 KiB/s"


def _justify_line(left: str, right: str, width: int) -> Content:
    """Words at both ends of a line; the left ones give way."""
    room = width - cell_len(right) - 1
    if room < 8:
        return Content.styled(set_cell_size(left, width), "bold")
    if cell_len(left) > room:
        left = shorten_id(left, room)
    gap = " " * (width - cell_len(left) - cell_len(right))
    return Content.assemble((left, "bold"), gap, right)
