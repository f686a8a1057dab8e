"""The memory of a card as a bar: a part for each model in its hue, the other processes, what is free."""

import re
from collections.abc import Iterable
from typing import Any

from textual.app import App
from textual.strip import Strip

from aitui.domain.hardware.sample import Gpu
from aitui.domain.memory.usage import GpuMemoryUsage
from aitui.domain.snapshot import Snapshot
from aitui.ui.plots import Band, bar
from aitui.ui.text import truncate
from aitui.ui.theme import hue_of, theme_color

GIB = 1 << 30
HIGH_PERCENT, FULL_PERCENT = 85.0, 95.0
"""From when on the number of a memory is a warning, and an error."""
_OWNER = re.compile(r"^(?:[^/]+/)*(?:([A-Za-z]+)_(?=\1))?")
_MAKERS = re.compile(r"^(?:NVIDIA|AMD|Intel(?:\(R\))?) (?:GeForce )?(?=\S)| Generation$")


def format_gb(amount: float) -> str:
    """Format bytes as the number alone, in units of 2^30."""
    return f"{amount / GIB:.1f}"


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


def card_bands(app: App[Any], snapshot: Snapshot, card: GpuMemoryUsage) -> tuple[Band, ...]:
    """Return the parts of a card's memory: its models, then the other processes."""
    bands = [
        Band(
            share.used_bytes,
            theme_color(app, hue_of(snapshot, share.model)),
            bar_labels(model_names(share.model)[-2:], share.used_bytes),
        )
        for share in card.models
    ]
    if card.others:
        bands.append(Band(card.others, theme_color(app, "other"), bar_labels(("other",), card.others)))
    return tuple(bands)


def card_bar(
    app: App[Any], snapshot: Snapshot, card: GpuMemoryUsage, width: int, *, with_free: bool = False
) -> Strip:
    """Draw a card's memory in one row."""
    gpu = card.gpu
    words = f"free {format_gb(gpu.free_bytes)}" if with_free and gpu.free_bytes else ""
    free = Band(0, theme_color(app, "faint"), (words,) if words else (), theme_color(app, "muted"))
    bands = card_bands(app, snapshot, card)
    return bar(bands, gpu.total_bytes or 1, width, free=free, colorless=app.no_color)
