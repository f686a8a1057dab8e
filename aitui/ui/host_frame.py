"""The frame of the host: processor, cores, memory, network and disk."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from operator import attrgetter

from msgspec import Struct
from msgspec.structs import replace
from textual.strip import Strip

from aitui.domain.hardware.info import NATIVE, HostInfo
from aitui.domain.hardware.sample import Figure, HardwareSample, Machine
from aitui.domain.units import count_of, format_gb, format_seconds
from aitui.format.hardware import processor_name
from aitui.ui.drawn_lines import title_strip
from aitui.ui.frame import Pieces
from aitui.ui.hardware import (
    GAP,
    GUTTER,
    NARROW_PLOT,
    HardwareScene,
    Reading,
    Strips,
    beside,
    draw_reading,
    framed,
    items_strip,
    legend_line,
    time_marks,
)
from aitui.ui.memory_bar import (
    machine_shares,
    model_band,
    percent_style,
    whole_gb,
)
from aitui.ui.plots import Band, Values, area_plot, bar, core_columns, mirror_plot, row_colors
from aitui.ui.text import LineItem, fit_items
from aitui.ui.theme import hue_of

_CORES_FROM = 100
"""Cells from which each core is shown."""
_HOT, _HOTTEST = 85.0, 95.0
_LABELS_FROM = 14
_CORES_TITLE = 26
_CODENAME = re.compile(r" \([^()]*\)$")
_SIZES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))


def machine_figure(metric: Callable[[Machine], float | None]) -> Figure:
    """Return a function that reads a figure of the machine; None while that is missing."""

    def pick(sample: HardwareSample) -> float | None:
        return None if sample.machine is None else metric(sample.machine)

    return pick


def host_frame(scene: HardwareScene, size: tuple[int, int]) -> Strips:
    """Draw the host."""
    width, rows = size[0] - 4, size[1] - 3
    machine = scene.hardware.usage.machine
    blocks = [] if machine is None else _blocks(machine, scene, width)
    room = width - (GAP + (width < _CORES_FROM)) * (len(blocks) - 1)
    widths = _share_out(room, [block.cells for block in blocks])
    drawn = [
        (each, block.draw(scene, each, rows)) for each, block in zip(widths, blocks, strict=True)
    ]
    marks = []
    if blocks and blocks[0].draw is _draw_processor:
        gutter = GUTTER if widths[0] > NARROW_PLOT else 0
        marks = time_marks([(gutter, widths[0] - gutter)], scene.seconds)
    facts = scene.hardware.facts
    title = "Host", facts.name, _facts_text(facts, scene.wall, size[0] - len(facts.name) - 16)
    content = beside(drawn, GAP + (width < _CORES_FROM))
    return framed(scene.colors, title, content, size, marks=marks)


def host_line(scene: HardwareScene, width: int) -> Strip:
    """Draw the host in one line."""
    machine = scene.hardware.usage.machine
    items = [LineItem("Host", 9, "bold foreground")]
    if machine is not None and machine.use_percent is not None:
        items.append(LineItem(f"CPU {machine.use_percent:.0f} %", 7, "foreground"))
    if machine is not None and machine.memory_total and machine.memory_used is not None:
        words = f"RAM {format_gb(machine.memory_used)}/{whole_gb(machine.memory_total)} GB"
        items.append(LineItem(words, 8, "foreground"))
    return items_strip(scene.colors, items, width)


def _facts_text(facts: HostInfo, wall: float, room: int) -> str:
    system = _CODENAME.sub("", facts.system.replace(" GNU/Linux", ""))
    up = "" if facts.booted_at is None else f"up {format_seconds(max(0.0, wall - facts.booted_at))}"
    environment = "" if facts.environment == NATIVE else facts.environment
    items = (
        LineItem(processor_name(facts), 4),
        LineItem(system, 3),
        LineItem(environment, 1),
        LineItem(up, 2),
    )
    return " · ".join(item.text for item in fit_items(items, room, 3))


class Block(Struct, frozen=True):
    """A column of the frame: the cells that it needs, and what draws it in its width and rows."""

    cells: int
    draw: Callable[[HardwareScene, int, int], Strips]


def _blocks(machine: Machine, scene: HardwareScene, width: int) -> list[Block]:
    """Return a column for everything that is reported; narrow ones are all as wide."""
    wide = width >= _CORES_FROM
    found = []
    if machine.cores:
        found.append(Block(24 if wide else 1, _draw_processor))
        count = len(machine.cores)
        cells = next((count // part for part in (1, 2, 4, 8) if count // part <= 32), 32)
        if wide:
            found.append(Block(max(cells, _CORES_TITLE), _draw_cores))
    if machine.memory_total:
        found.append(Block(20 if wide else 1, _draw_memory))
    if machine.network:
        found.append(Block(18 if wide else 1, _draw_network))
    if any(
        one.machine is not None and one.machine.disk_bytes is not None
        for one in scene.history.samples[-8:]
    ):
        found.append(Block(14 if wide else 1, _draw_disk))
    return found


def _share_out(room: int, wanted: Sequence[int]) -> list[int]:
    """Return the width of each column: what it needs, and its part of what is left."""
    left, total = room - sum(wanted), sum(wanted)
    edges = [left * sum(wanted[:number]) // max(total, 1) for number in range(len(wanted) + 1)]
    return [
        cells + end - start for cells, (start, end) in zip(wanted, pairwise(edges), strict=True)
    ]


def _draw_processor(scene: HardwareScene, width: int, rows: int) -> Strips:
    figure = machine_figure(lambda machine: machine.use_percent)
    value = scene.history.latest(figure)
    machine = scene.hardware.usage.machine
    if value is None and machine is not None:
        value = machine.use_percent
    return draw_reading(
        Reading("CPU", "%", scene.colors.load, figure, value or 0.0), scene, width, rows
    )


def _draw_cores(scene: HardwareScene, width: int, rows: int) -> Strips:
    machine = scene.hardware.usage.machine
    assert machine is not None
    right: list[tuple[str, str]] = []
    if machine.load is not None:
        right += [("load ", ""), (f"{machine.load[0]:.1f}", "bold foreground")]
    if machine.temperature is not None:
        heat = percent_style(machine.temperature, _HOT, _HOTTEST)
        right += [(" · ", "")] if right else []
        right += [(f"{machine.temperature:.0f} °C", heat)]
    words = count_of(len(machine.cores), "core")
    title = title_strip(scene.colors.style, words, right, width)
    colors = row_colors(scene.colors.load, rows, mixed=scene.colors.mixed)
    return [title, *core_columns(machine.cores, rows, width, colors)]


def _draw_memory(scene: HardwareScene, width: int, rows: int) -> Strips:
    machine, colors = scene.hardware.usage.machine, scene.colors
    assert machine is not None
    total, used = machine.memory_total or 0, machine.memory_used
    lines = [title_strip(colors.style, "RAM", _used_text(used, total, width - 4), width)]
    shares = machine_shares(scene.hardware.usage)
    bands = [model_band(colors.app, scene.snapshot, model, size) for model, size in shares]
    others = max(0, (used or 0) - sum(size for _, size in shares))
    cached = min(machine.file_cache or 0, machine.memory_available or 0)
    parts = [*bands, Band(others, colors["other"]), Band(cached, colors["frame"])]
    parts = [replace(band, labels=()) for band in parts]
    free = Band(0, colors["faint"])
    lines.append(bar(parts, total, width, free=free, colorless=colors.app.no_color))
    legend = [(hue_of(scene.snapshot, model), model, size) for model, size in shares]
    legend.append(("other", "other", others))
    if cached:
        legend.append(("frame", "file cache", cached))
    swap = bool(machine.swap_total)
    room = rows - 1 - 2 * swap
    if len(legend) > room and shares:
        models = ("other", "models", sum(size for _, size in shares))
        legend = [models, *legend[len(shares) :]]
    for hue, name, size in legend[:room]:
        lines.append(legend_line(colors, hue, (name, ""), (format_gb(size), ""), width))
    if swap and machine.swap_total:
        # The blank goes first where there is no room.
        lines += [Strip.blank(width)] * (len(lines) < rows - 1)
        taken = machine.swap_used
        lines.append(
            title_strip(
                colors.style, "swap", _used_text(taken, machine.swap_total, width - 5), width
            )
        )
        part = Band(taken or 0, colors["ready"])
        lines.append(
            bar([part], machine.swap_total, width, free=free, colorless=colors.app.no_color)
        )
    return lines


def _used_text(used: int | None, total: int, room: int) -> Pieces:
    if used is None:
        return ((f"{whole_gb(total)} GB", ""),)
    number = (format_gb(used), percent_style(100 * used / total))
    limit = f" of {whole_gb(total)} "
    if len(number[0]) + len(limit) + 2 > room:
        limit = f" / {whole_gb(total)} "
    return number, (limit, ""), ("GB", "foreground")


def _draw_network(scene: HardwareScene, width: int, rows: int) -> Strips:
    down, up = (
        scene.history.rate(machine_figure(partial(_network_bytes, name)))
        for name in ("received_bytes", "sent_bytes")
    )
    gutter = 3 if width >= _LABELS_FROM else 0
    values = scene.values(down, width - gutter), scene.values(up, width - gutter)
    now = [scene.history.latest(figure) or 0.0 for figure in (down, up)]
    size, unit = _unit((*values, now))
    number = "bold foreground"
    right = [("↓", "transit"), (_amount(now[0] / size), number), (" " * (width > 17), "")]
    right += [("↑", "transit"), (_amount(now[1] / size), number), (f" {unit}/s", "foreground")]
    colors, half = scene.colors, rows // 2
    # The scale has no ticks within: its ends are round, not its rows.
    axis = replace(scene.growing_axis("net", values, 1, size), rows=half)
    tones = colors["transit"], colors.upward
    plot = mirror_plot(values, axis, width, colors=tones, ink=colors.ink, gutter=gutter)
    return [title_strip(colors.style, "net", right, width), *plot]


def _network_bytes(name: str, machine: Machine) -> float | None:
    return sum(map(attrgetter(name), machine.network)) if machine.network else None


def _draw_disk(scene: HardwareScene, width: int, rows: int) -> Strips:
    figure = scene.history.rate(machine_figure(lambda machine: machine.disk_bytes))
    now = scene.history.latest(figure) or 0.0
    values = scene.values(figure, width)
    size, unit = _unit((values, [now]))
    axis = scene.growing_axis("disk", [values], rows, size)
    gutter = axis.label_width if width >= _LABELS_FROM else 0
    values = scene.values(figure, width - gutter)
    colors = scene.colors
    right = ((_amount(now / size), "bold foreground"), (f" {unit}/s", "foreground"))
    plot = area_plot(values, axis, width, [colors["transit"]], colors.ink, gutter=gutter)
    return [title_strip(colors.style, "disk", right, width), *plot]


def _amount(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def _unit(values: Sequence[Values]) -> tuple[float, str]:
    """Return the unit in which the highest value is written."""
    amount = max((value for each in values for value in each if value is not None), default=0.0)
    return next((one for one in _SIZES if amount >= one[0] / 2), _SIZES[-1])
