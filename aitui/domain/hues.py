"""One hue per model, the same in every view."""

from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct, field

from aitui.domain.models import Model, RunState

MOST_HUES = 5
"""A sixth model is gray."""
VISIBLE_SECONDS = 3600.0
"""The longest time range of any plot: so long a model that was unloaded keeps its hue."""


class Hues(Struct, frozen=True):
    """The hue of each model, from 1 on, 0 for gray; `left` is when it was unloaded (monotonic)."""

    numbers: Mapping[str, int] = field(default_factory=dict)
    left: Mapping[str, float] = field(default_factory=dict)


def assign_hues(hues: Hues, before: Iterable[Model], models: Iterable[Model], now: float) -> Hues:
    """Return the hues after a change of what runs: the next free one for each model that began to load.

    A load that failed or was aborted gives its hue back at once, since it never owned memory.
    """
    resident = {model.id for model in models if model.resident}
    loading = {model.id for model in before if model.state is RunState.STARTING}
    left: dict[str, float] = {}
    numbers: dict[str, int] = {}
    for model_id, number in hues.numbers.items():
        gone_at = None if model_id in resident else hues.left.get(model_id, now)
        if gone_at is None:
            numbers[model_id] = number
        elif now - gone_at < VISIBLE_SECONDS and model_id not in loading:
            numbers[model_id], left[model_id] = number, gone_at
    # Of several at once, as at the first poll, those that have loaded come first.
    for model in sorted(models, key=lambda model: model.state is RunState.STARTING):
        if model.resident and model.id not in numbers:
            numbers[model.id] = free_hue(numbers.values())
    return Hues(numbers, left)


def free_hue(taken: Collection[int]) -> int:
    """Return the next free hue, 0 for gray if there is none."""
    return next((number for number in range(1, MOST_HUES + 1) if number not in taken), 0)
