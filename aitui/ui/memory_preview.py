"""The memory as it would be after a change, as bars: for the dialogs that ask for it."""

from collections.abc import Iterable
from typing import Any

from textual.app import App
from textual.strip import Strip

from aitui.domain.hues import free_hue
from aitui.domain.models import Model
from aitui.domain.snapshot import Snapshot
from aitui.ui.memory_bar import bar_labels, memory_bar, model_band, model_names
from aitui.ui.plots import Band
from aitui.ui.theme import shade, theme_color


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
