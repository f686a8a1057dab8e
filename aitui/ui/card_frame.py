"""The frame of a graphics card: its memory over time by model, and plots of its figures."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from datetime import datetime
from operator import attrgetter

from msgspec import Struct
from msgspec.structs import replace
from textual.strip import Strip

from aitui.domain.hardware.sample import HOLD_SECONDS, Gpu, gpu_metric
from aitui.domain.memory.hardware_state import MemoryRecord
from aitui.domain.memory.usage import GpuMemoryUsage
from aitui.domain.units import format_gb
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
    hue_pattern,
    items_strip,
    legend_line,
    time_marks,
)
from aitui.ui.memory_bar import (
    GIB,
    card_bar,
    card_name,
    model_names,
    percent_style,
    whole_gb,
)
from aitui.ui.plots import Band, limit_axis, stacked_plot
from aitui.ui.text import LineItem
from aitui.ui.theme import hue_of

_LEGEND_WIDTH, _WIDE_LEGEND_WIDTH, _WIDE = 20, 28, 90
_CLOCK_STEP = 500.0
_NOTICED_SECONDS = 5.0
"""Maximum seconds between a failed load and its detection."""
_UNRECORDED = ("not recorded by model", "not recorded")


class CardLayout(Struct, frozen=True):
    """Rows of the memory, of which one is a bar, and of a plot, none for its title alone.

    Plots are two by two, or all `across` the frame.
    """

    memory_rows: int
    plot_rows: int
    across: bool = False

    @property
    def height(self) -> int:
        """The rows of the frame."""
        return 2 + self.memory_rows + (1 + self.plot_rows) * (1 if self.across else 2)


def card_frame(
    card: GpuMemoryUsage,
    scene: HardwareScene,
    size: tuple[int, int],
    layout: CardLayout,
    *,
    focused: bool,
) -> Strips:
    """Draw a card."""
    width = size[0] - 4
    content = _memory(card, scene, width, layout.memory_rows)
    readings = card_readings(card.gpu, scene)
    count = len(readings) if layout.across else 2
    places: list[tuple[int, int]] = []
    for first in range(0, len(readings), max(count, 1)):
        row = readings[first : first + count]
        gap = GAP + layout.across
        widths = _split_width(width, len(row), gap)
        blocks = [
            (each, draw_reading(reading, scene, each, layout.plot_rows))
            for each, reading in zip(widths, row, strict=True)
        ]
        content += beside(blocks, gap)
        gutters = [GUTTER if each > NARROW_PLOT else 0 for each in widths]
        starts = [sum(widths[:number]) + number * gap for number in range(len(row))]
        places = [
            (start + gutter, each - gutter)
            for start, each, gutter in zip(starts, widths, gutters, strict=True)
        ]
    has_axis = bool(layout.plot_rows) and not layout.across
    marks = time_marks(places, scene.seconds) if has_axis else []
    title = f"GPU {card.gpu.index}", card_name(card.gpu), memory_title(card.gpu)
    return framed(scene.colors, title, content, size, focused=focused, marks=marks)


def card_line(card: GpuMemoryUsage, scene: HardwareScene, width: int) -> Strip:
    """Draw a card in one line: what has no room is left out, its memory last."""
    gpu = card.gpu
    items = [LineItem(f"GPU {gpu.index}", 9, "bold foreground")]
    if gpu.total_bytes and gpu.used_bytes is not None:
        percent = 100 * gpu.used_bytes / gpu.total_bytes
        words = f"{format_gb(gpu.used_bytes)}/{whole_gb(gpu.total_bytes)} GB"
        items.append(LineItem(words, 8, percent_style(percent)))
    for number, reading in enumerate(card_readings(gpu, scene)):
        style = percent_style(reading.value, reading.high, reading.full).removeprefix("bold ")
        items.append(LineItem(f"{reading.value:,.0f} {reading.sign}", 7 - number, style))
    items.append(LineItem(card_name(gpu), 1))
    return items_strip(scene.colors, items, width)


def _split_width(width: int, count: int, gap: int) -> list[int]:
    room = width - gap * (count - 1)
    return [room // count + (number < room % count) for number in range(count)]


def memory_title(gpu: Gpu) -> Pieces:
    """Return how full a card is."""
    used, total = gpu.used_bytes, gpu.total_bytes
    if used is None or not total:
        return "memory not reported"
    percent = 100 * used / total
    return (
        ("shared memory " if gpu.unified else "memory ", ""),
        (format_gb(used), percent_style(percent)),
        (f" / {whole_gb(total)} GB · {percent:.0f} %", ""),
    )


def card_readings(gpu: Gpu, scene: HardwareScene) -> list[Reading]:
    """Return the figures that are plotted, as far as they are reported: at most four."""
    limit, fastest, colors = gpu.power_limit, gpu.clock_limit, scene.colors
    top = None if fastest is None else max(_CLOCK_STEP, fastest // _CLOCK_STEP * _CLOCK_STEP)
    metrics: dict[str, Callable[[Gpu], float | None]] = {
        "utilization": lambda each: each.use_percent,
        "temperature": lambda each: each.temperature,
        "power": lambda each: each.power,
        "clock": lambda each: each.clock,
        "fan": lambda each: each.fan_percent,
    }
    figures = {label: gpu_metric(gpu.key, metric) for label, metric in metrics.items()}
    found = (
        Reading("utilization", "%", colors.load),
        Reading("temperature", "°C", colors.heat, high=80, full=90),
        Reading("power", "W", colors.load, top=limit, limit=limit),
        Reading("clock", "MHz", colors.gray, top=top, limit=fastest, unit=1000),
        Reading("fan", "%", colors.gray),
    )
    values = {label: scene.history.latest(figure) for label, figure in figures.items()}
    values = {
        label: metrics[label](gpu) if value is None else value for label, value in values.items()
    }
    return [
        replace(reading, figure=figures[reading.label], value=value)
        for reading in found
        if (value := values[reading.label]) is not None
    ][:4]


def _memory(card: GpuMemoryUsage, scene: HardwareScene, width: int, rows: int) -> Strips:
    """Draw the memory over time and its legend; in one row, or where nothing is known, a bar."""
    app, total = scene.colors.app, card.gpu.total_bytes
    if not total:
        return []
    if rows < 2 or not scene.history.samples:
        return [card_bar(app, scene.snapshot, card, width, with_free=True)]
    legend = _WIDE_LEGEND_WIDTH if width > _WIDE else _LEGEND_WIDTH
    columns = width - GUTTER - legend - GAP
    plot = stacked_plot(
        memory_columns(card, scene, columns),
        limit_axis(round(total / GIB) * GIB or total, rows, GIB),
        columns + GUTTER,
        scene.colors.ink,
        gutter=GUTTER,
        colorless=app.no_color,
    )
    return beside([(columns + GUTTER, plot), (legend, _legend(card, scene, legend, rows))])


def memory_columns(card: GpuMemoryUsage, scene: HardwareScene, columns: int) -> list[list[Band]]:
    """Return who had the card's memory in each column, as far as that was recorded.

    Before that a model had what it has now for as long as it has been ready.
    """
    key, end, step = card.gpu.key, scene.end(columns), scene.seconds / columns
    figure = gpu_metric(key, lambda gpu: gpu.used_bytes)
    used = scene.history.series(figure, scene.seconds, columns, end)
    ready, order = _ready_since(card, scene), _stacking_order(card, scene)
    records = scene.hardware.records
    failed = failed_loads(scene)
    found: list[list[Band]] = []
    for column, amount in enumerate(used):
        began = end - scene.seconds + column * step
        if amount is None:
            found.append([])
            continue
        record = _record_at(records, key, began, began + step)
        if record is None:
            shares = {model: size for model, (at, size) in ready.items() if at <= began + step}
        else:
            shares = dict(record.cards.get(key, {}))
        bands = [
            _area(model, shares[model], scene, failed=(id(record), model) in failed)
            for model in sorted(shares, key=order.__getitem__)
        ]
        rest = amount - sum(shares.values())
        labels = _UNRECORDED if record is None else ()
        hue = scene.colors.area("other")
        bands.append(Band(rest, hue, labels, pattern=hue_pattern("other")))
        found.append(bands)
    return found


def _stacking_order(card: GpuMemoryUsage, scene: HardwareScene) -> dict[str, int]:
    """Return the place of each model in the stack, from the bottom up: those that came first."""
    seen = (
        model for record in scene.hardware.records for model in record.cards.get(card.gpu.key, ())
    )
    present = (share.model for share in card.models)
    found = dict.fromkeys((*_ready_since(card, scene), *seen, *present))
    return {model: number for number, model in enumerate(found)}


def _area(model: str, size: float, scene: HardwareScene, *, failed: bool) -> Band:
    hue = "error" if failed else hue_of(scene.snapshot, model)
    return Band(size, scene.colors.area(hue), model_names(model), pattern=hue_pattern(hue))


def _ready_since(card: GpuMemoryUsage, scene: HardwareScene) -> dict[str, tuple[float, int]]:
    """Return since when (Unix time) each model of a card is ready, and its bytes, the oldest first."""
    found: dict[str, tuple[float, int]] = {}
    for share in card.models:
        model = scene.snapshot.model(share.model)
        uptime = None if model is None else model.uptime(scene.now)
        if uptime is not None:
            found[share.model] = scene.wall - uptime, share.used_bytes
    return dict(sorted(found.items(), key=lambda one: one[1]))


def _record_at(
    records: Sequence[MemoryRecord], key: str, began: float, ended: float
) -> MemoryRecord | None:
    """Return the record of a time; of several the one with the most memory, so that none is missed."""
    first = bisect_left(records, began, key=attrgetter("ended"))
    within = [record for record in records[first:] if record.began < ended]
    if within:
        return max(within, key=lambda record: sum(record.cards.get(key, {}).values()))
    before = records[first - 1] if first else None
    return before if before is not None and began - before.ended < HOLD_SECONDS else None


def failed_loads(scene: HardwareScene) -> set[tuple[int, str]]:
    """Return the records, by id, of loads that failed in the end, with their models."""
    found: set[tuple[int, str]] = set()
    for model in scene.snapshot.models:
        if model.failed is None or model.failed.crashed:
            continue
        began = False
        for record in reversed(scene.hardware.records):
            if record.began > model.failed.at + _NOTICED_SECONDS:
                continue
            if model.id in record.loading:
                found.add((id(record), model.id))
                began = True
            elif began or any(model.id in shares for shares in record.cards.values()):
                break
    return found


def _legend(card: GpuMemoryUsage, scene: HardwareScene, width: int, rows: int) -> Strips:
    """Name the areas: what has the memory now, then what had it before."""
    wide = width > _LEGEND_WIDTH
    lines: list[tuple[str, str, str, str]] = []  # hue, name, value, style
    if wide and card.gpu.free_bytes is not None:
        lines.append(("faint", "free", format_gb(card.gpu.free_bytes), ""))
    order = _stacking_order(card, scene)
    for share in sorted(card.models, key=lambda share: -order[share.model]):
        size = f"{'≈' if share.approximate else ''}{format_gb(share.used_bytes)}"
        hue = hue_of(scene.snapshot, share.model)
        lines.append((hue, share.model, size, "foreground"))
    if card.others:
        lines.append(("other", "other", format_gb(card.others), ""))
    earlier = _earlier(card, scene, wide=wide)
    gap = rows - len(lines) - len(earlier) - 1
    if wide and earlier and gap >= 0:
        lines += [("", "", "", "")] * gap + [("", "earlier", "", "")]
    return [
        legend_line(scene.colors, hue, (name, style), (value, f"bold {style}" * bool(style)), width)
        for hue, name, value, style in (*lines, *earlier)[:rows]
    ]


def _earlier(
    card: GpuMemoryUsage, scene: HardwareScene, *, wide: bool
) -> list[tuple[str, str, str, str]]:
    present = {share.model for share in card.models}
    failed, begins = failed_loads(scene), scene.wall - scene.seconds
    last: dict[str, MemoryRecord] = {}
    for record in scene.hardware.records:
        if record.ended >= begins:
            last |= dict.fromkeys(record.cards.get(card.gpu.key, ()), record)
    found = []
    for model, record in sorted(last.items(), key=lambda one: -one[1].ended):
        if model in present:
            continue
        at = datetime.fromtimestamp(record.ended).astimezone().strftime("%H:%M")
        if (id(record), model) in failed:
            found.append(("error", model, f"failed {at}" if wide else "✘", ""))
        else:
            found.append((hue_of(scene.snapshot, model), model, f"until {at}" if wide else "–", ""))
    return found
