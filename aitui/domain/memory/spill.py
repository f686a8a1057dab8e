"""A model that became much slower with a larger context: part of it is no longer on the cards.

Drivers that move memory to the machine's own when a card is full say nothing of it, and neither does
a llama-server that then puts fewer layers on it (`--fit`).
"""

from dataclasses import dataclass

from aitui.domain.memory.footprint import Footprint
from aitui.domain.memory.forecast import forecast_memory
from aitui.domain.memory.known_model import ModelMemory
from aitui.domain.memory.measurement import SLOW_SHARE

_VERY_SLOW_SHARE = 1 / 3
_ALL_ON_GPU = 0.97


@dataclass(frozen=True, slots=True)
class OffloadSlowdown:
    """What happened to which model. Rates in tokens a second."""

    model: str
    context_size: int
    context_before: int
    rate: float
    usual: float


def find_slowdown(
    model: str, memory: ModelMemory, context_size: int, rate: float | None, seen: Footprint | None
) -> OffloadSlowdown | None:
    """Compares a running model's rate with the one it had with a smaller context.

    `seen` is what it takes by now, None where that isn't known. A long prompt makes a model slower,
    too: where all of it is on the cards, it must be slower by far.
    """
    before = memory.known.fast_rate_below(memory.launch_profile.fingerprint, context_size)
    if before is None or rate is None or not 0 < rate < before.rate * SLOW_SHARE:
        return None
    earlier = memory.known.without_larger_contexts(context_size)
    wanted = forecast_memory(earlier, memory.launch_profile, context_size, memory.header)
    all_there = seen is not None and wanted is not None and seen.gpu >= wanted.gpu * _ALL_ON_GPU
    if all_there and rate >= before.rate * _VERY_SLOW_SHARE:
        return None
    return OffloadSlowdown(model, context_size, before.context_size, rate, before.rate)
