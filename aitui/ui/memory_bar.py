"""The memory of a card as a bar: a part for each model in its hue, the other processes, what is free."""

import re
from collections.abc import Iterable
from typing import Any

from textual.app import App
from textual.strip import Strip

from aitui.domain.hardware.sample import Gpu
from aitui.domain.hues import free_hue
from aitui.domain.memory.usage import GpuMemoryUsage, MemoryUsage
from aitui.domain.models import Model
from aitui.domain.snapshot import Snapshot
from aitui.domain.units import format_gb
from aitui.format.fit import truncate
from aitui.ui.plots import Band, bar
from aitui.ui.theme import hue_of, shade, theme_color

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


def load_bars(
    app: App[Any], snapshot: Snapshot, model_id: str, evicted: Iterable[str], width: int
) -> tuple[Strip, Strip] | None:
    """Draw the memory now, and after a load that evicts those models, over the same scale.

    None if the memory, or what the model takes, isn't known.
    """
    usage, goes = snapshot.hardware.usage, frozenset(evicted)
    total, used = usage.total_bytes, usage.used_bytes
    model = snapshot.model(model_id)
    footprint = None if model is None else model.memory
    if not total or used is None or footprint is None:
        return None
    now = usage.bytes_by_model(running.id for running in snapshot.resident)
    others = max(0, used - sum(now.values()))
    after = {name: size for name, size in now.items() if name not in goes and name != model_id}
    hue = _hue_when_loaded(snapshot, model_id)
    names = bar_labels(model_names(model_id), footprint.needed)
    new = Band(footprint.needed, theme_color(app, hue), names)

    def draw(parts: dict[str, int], *bands: Band) -> Strip:
        shown = (*bands, *(model_band(app, snapshot, name, size) for name, size in parts.items()))
        free = total - others - sum(band.size for band in shown)
        return memory_bar(app, shown, others, max(0, free), width, with_free=True)

    return draw(now), draw(after, new)


def _hue_when_loaded(snapshot: Snapshot, model_id: str) -> str:
    """Name the color that a model has, or gets when it is loaded next; one that left keeps its own."""
    numbers = snapshot.hues.numbers
    number = numbers.get(model_id, free_hue(numbers.values()))
    return f"m{number}" if number else "other"


def context_bar(
    app: App[Any], snapshot: Snapshot, model: Model, tokens: int, width: int
) -> Strip | None:
    """Draw the memory with a model at another context size: its parts, then what else is loaded.

    None if the memory, or what the model takes then, isn't known.
    """
    usage = snapshot.hardware.usage
    needed = snapshot.hardware.fit(model.id, tokens).needed
    total, used = usage.total_bytes, usage.used_bytes
    if not total or used is None or needed is None:
        return None
    hue = _hue_when_loaded(snapshot, model.id)
    color = theme_color(app, hue)
    parts = (("weights", needed.weights), ("KV", needed.cache), ("compute", needed.compute))
    shades = {
        "weights": color,
        "KV": shade(app, hue, "cache"),
        "compute": shade(app, hue, "compute"),
    }
    known = [(name, size) for name, size in parts if size]
    if sum(size for _, size in known) < needed.needed * 0.9:
        known = []
    bands = [Band(size, shades[name], bar_labels((name,), size)) for name, size in known]
    bands = bands or [Band(needed.needed, color, bar_labels(model_names(model.id), needed.needed))]
    held = usage.bytes_by_model(running.id for running in snapshot.resident)
    foreign = max(0, used - sum(held.values()))
    held.pop(model.id, None)
    bands += [model_band(app, snapshot, name, size) for name, size in held.items()]
    free = max(0, total - foreign - sum(band.size for band in bands))
    return memory_bar(app, bands, foreign, free, width, with_free=True)
