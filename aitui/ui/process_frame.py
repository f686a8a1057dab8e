"""The frames beside the host: the processes on the cards, and the cards' limits and health."""

from collections.abc import Callable

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from aitui.domain.hardware.host_sample import GpuProcess
from aitui.domain.hardware.sample import Gpu
from aitui.domain.units import format_gb, format_seconds
from aitui.format.fit import truncate
from aitui.ui.hardware import HardwareScene, Strips, framed
from aitui.ui.memory_bar import short_name
from aitui.ui.theme import hue_of

_LABEL_WIDTH, _NAME_WIDTH = 20, 16
_HEADS = (
    ("PID", "<7"),
    ("  MODEL", f"<{_NAME_WIDTH + 3}"),
    ("GPU", "<5"),
    ("GB", ">5"),
    ("TIME", ">10"),
)


def process_frame(scene: HardwareScene, size: tuple[int, int]) -> Strips:
    """Draw the processes, those with the most memory first."""
    width, rows = size[0] - 4, size[1] - 3
    style = scene.colors.style
    heads = "".join(f"{head:{layout}}" for head, layout in _HEADS) + "  COMMAND"
    lines = [Strip([Segment(heads, style("bold muted"))])]
    processes = scene.hardware.processes
    lines += [_process_line(process, scene, width) for process in processes[:rows]]
    cards = len(scene.hardware.usage.cards)
    words = f"on {'both' if cards == 2 else 'all'} cards" if cards > 1 else ""
    more = len(processes) - rows
    right = f"{more} more" if more > 0 else "by memory"
    return framed(scene.colors, ("Processes", words, right), lines, size)


def _process_line(process: GpuProcess, scene: HardwareScene, width: int) -> Strip:
    colors = scene.colors
    indexes = {card.gpu.key: card.gpu.index for card in scene.hardware.usage.cards}
    cards = sorted(indexes[key] for key in process.cards if key in indexes)
    model = scene.snapshot.model(process.model) if process.model else None
    name = short_name(process.model, _NAME_WIDTH) if process.model else "other"
    seconds = "" if process.seconds is None else format_seconds(process.seconds)
    figures = (
        f"{name:<{_NAME_WIDTH}} {' '.join(map(str, cards)):<4} "
        f"{format_gb(sum(process.cards.values())):>5}{seconds:>10}  "
    )
    command = " ".join(model.command.split()) if model is not None else process.name
    ground = colors[hue_of(scene.snapshot, process.model)] if process.model else colors["other"]
    room = width - 9 - len(figures)
    return Strip(
        [
            Segment(f"{process.pid:<7}", colors.style("")),
            Segment(" ", Style(bgcolor=ground)),
            Segment(f" {figures}", colors.style("foreground" if process.model else "")),
            Segment(truncate(command, room), colors.style("")),
        ]
    )


def limit_rows(scene: HardwareScene) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return what is reported of the cards beside what is plotted: a label, and words for each card."""
    gpus = [card.gpu for card in scene.hardware.usage.cards]
    plots_fan = all(gpu.clock is None for gpu in gpus)
    metrics: dict[str, Callable[[Gpu], tuple[str, str]]] = {
        "PCIe": lambda gpu: (gpu.link, "foreground"),
        "fan": lambda gpu: _number("" if plots_fan else "%", gpu.fan_percent),
        "memory temperature": lambda gpu: _number("°C", gpu.memory_temperature),
        "memory clock": lambda gpu: _number("MHz", gpu.memory_clock),
        "memory bus": lambda gpu: _number("%", gpu.bus_percent),
        "persistence": lambda gpu: (
            "" if gpu.persistent is None else "on" if gpu.persistent else "off",
            "foreground",
        ),
        "throttling": _throttling,
        "ECC errors": lambda gpu: (
            "" if gpu.memory_errors is None else f"{gpu.memory_errors:,}",
            "error" if gpu.memory_errors else "foreground",
        ),
    }
    rows = ((label, [metric(gpu) for gpu in gpus]) for label, metric in metrics.items())
    return [row for row in rows if any(words for words, _ in row[1])]


def _number(sign: str, value: float | None) -> tuple[str, str]:
    return ("" if value is None or not sign else f"{value:,.0f} {sign}"), "foreground"


def _throttling(gpu: Gpu) -> tuple[str, str]:
    if gpu.throttled_by is None:
        return "", ""
    return (", ".join(gpu.throttled_by), "warning") if gpu.throttled_by else ("none", "ready")


def limits_frame(scene: HardwareScene, size: tuple[int, int]) -> Strips:
    """Draw a column for each card."""
    cards, style = scene.hardware.usage.cards, scene.colors.style
    cells = max(1, (size[0] - 4 - _LABEL_WIDTH) // max(1, len(cards)))
    heads = "".join(f"{f'GPU {card.gpu.index}':<{cells}}" for card in cards)
    lines = [Strip([Segment(" " * _LABEL_WIDTH), Segment(heads, style("bold muted"))])]
    for label, values in limit_rows(scene):
        segments = [Segment(f"{label:<{_LABEL_WIDTH}}", style(""))]
        for words, name in values:
            segments.append(Segment(f"{truncate(words or '–', cells - 1):<{cells}}", style(name)))
        lines.append(Strip(segments))
    driver = scene.hardware.facts.nvidia_driver
    title = "Cards", "limits and health", f"driver {driver}" if driver else ""
    return framed(scene.colors, title, lines, size)
