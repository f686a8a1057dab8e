"""The memory of a card as a bar: a part for each model in its hue, the other processes, what is free."""

import re
from collections.abc import Iterable
from typing import Any

from textual.app import App
from textual.strip import Strip

from aitui.domain.hardware.sample import Gpu
from aitui.domain.memory.usage import GpuMemoryUsage, MemoryUsage
from aitui.domain.snapshot import Snapshot
from aitui.domain.units import format_gb
from aitui.format.fit import truncate
from aitui.ui.plots import Band, bar
from aitui.ui.theme import hue_of, theme_color

GIB = 1 << 30
HIGH_PERCENT, FULL_PERCENT = 85.0, 95.0
"""Percentages from which the number is a warning, and an error."""
_OWNER = re.compile(r"^(?:[^/]+/)*(?:([A-Za-z]+)_(?=\1))?")
_MAKERS = re.compile(r"^(?:NVIDIA|AMD|Intel(?:\(R\))?) (?:GeForce )?(?=\S)| Generation$")


def whole_gb(amount: float) -> str:
    """Format the size of a memory, which is whole but for what the driver keeps for itself."""
    size = amount / GIB
    return f"{size:.0f}" if size >= 10 or size == int(size) else f"{size:.1f}"


def percent_style(percent: float, high: float = HIGH_PERCENT, full: float = FULL_PERCENT) -> str:
    """Name the style of a number that nears a limit."""
    return f"bold {'error' if percent >= full else 'warning' if percent >= high else 'foreground'}"


def card_name(gpu: Gpu) -> str:
    """Return the name of a card without those of its maker."""
    return _MAKERS.sub("", gpu.name)


def model_names(model_id: str) -> tuple[str, ...]:
    """Return the id, and fewer and fewer of its words: the last is the one that says most."""
    first, *others = words = _OWNER.sub("", model_id).split("-")
    # Of `Qwen3-Coder`, beside `Qwen3.6-35B`.
    telling = others[0] if others and others[0].isalpha() and not first.isalpha() else first
    shorter = ("-".join(words[:count]) for count in range(len(words), 1, -1))
    return tuple(dict.fromkeys((model_id, *shorter, telling)))


def short_name(model_id: str, cells: int) -> str:
    """Return as many words of a model's name as fit."""
    names = model_names(model_id)
    return next((name for name in names if len(name) <= cells), truncate(names[-1], cells))


def bar_labels(names: Iterable[str], size: float) -> tuple[str, ...]:
    """Return what can be written into a part: a name with its size, else the name."""
    chosen = tuple(names)
    return (*(f"{name} {format_gb(size)}" for name in chosen), *chosen)


def model_band(app: App[Any], snapshot: Snapshot, model_id: str, size: float) -> Band:
    """Return a model's part of a memory, in its hue."""
    color = theme_color(app, hue_of(snapshot, model_id))
    return Band(size, color, bar_labels(model_names(model_id)[-2:], size))


def card_bar(
    app: App[Any], snapshot: Snapshot, card: GpuMemoryUsage, width: int, *, with_free: bool = False
) -> Strip:
    """Draw a card's memory in one row; `with_free` writes into it how much is free."""
    gpu = card.gpu
    bands = [model_band(app, snapshot, share.model, share.used_bytes) for share in card.models]
    free = gpu.free_bytes or 0
    return memory_bar(app, bands, card.others or 0, free, width, with_free=with_free)


def machine_bar(app: App[Any], snapshot: Snapshot, width: int) -> Strip:
    """Draw the machine's own memory in one row, for where models run in it."""
    usage = snapshot.hardware.usage
    machine = usage.machine
    if machine is None or not machine.memory_total:
        return Strip.blank(width)
    shares = machine_shares(usage)
    bands = [model_band(app, snapshot, model, size) for model, size in shares]
    others = max(0, (machine.memory_used or 0) - sum(size for _, size in shares))
    return memory_bar(app, bands, others, machine.memory_available or 0, width)


def machine_shares(usage: MemoryUsage) -> list[tuple[str, int]]:
    """Return what running models have of the machine's own memory, the largest first."""
    found = ((model, usage.footprints[model].host or 0) for model in usage.observed_now)
    return sorted((one for one in found if one[1]), key=lambda one: (-one[1], one[0]))


def memory_bar(
    app: App[Any],
    bands: Iterable[Band],
    others: float,
    free: float,
    width: int,
    *,
    with_free: bool = False,
) -> Strip:
    """Draw a memory in one row: parts, what other processes have, what is free."""
    other = Band(others, theme_color(app, "other"), bar_labels(("other",), others))
    words = (f"free {format_gb(free)}",) if with_free else ()
    rest = Band(0, theme_color(app, "faint"), words, theme_color(app, "muted"))
    parts = (*bands, other)
    total = sum(band.size for band in parts) + free
    return bar(parts, total, width, free=rest, colorless=app.no_color)
