"""Whether a load will fit, and the largest context that would."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from aitui.domain.memory.footprint import Footprint

_MARGIN_SHARE = 0.03
_LEAST_MARGIN = 512 << 20
_STEP = 256


class Verdict(Enum):
    """How a load will end, as far as that can be told."""

    FITS = "fits"
    TIGHT = "tight"
    NO = "does not fit"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Fit:
    """What is needed and what is there, in bytes, None where that isn't known.

    `free_after` is what is free when everything has gone that will be evicted. `failed_at` is set
    where the model has run out of memory at this context size or at a smaller one.
    `largest_context` is the most tokens that would fit, None where that can't be told or nothing
    does. `reason` says in words why it is known not to fit, or not known at all.
    """

    verdict: Verdict
    needed: Footprint | None = None
    free: int | None = None
    free_after: int | None = None
    failed_at: int | None = None
    largest_context: int | None = None
    reason: str = ""


def fit(
    needed: Footprint | None,
    free: int | None,
    evicted: int = 0,
    *,
    context_size: int = 0,
    failed_at: int | None = None,
    footprint_at: Callable[[int], Footprint | None] | None = None,
    longest: int | None = None,
) -> Fit:
    """Compares. `evicted` is what will be free in addition, `longest` the model's own maximum.

    A load that ran out of memory is believed more than any figure: that much or more won't fit.
    """
    after = None if free is None else free + max(0, evicted)
    size = needed.context_size if needed is not None else context_size
    failed = failed_at if failed_at is not None and size >= failed_at else None
    largest = None
    if after is not None and footprint_at is not None and longest:
        below = longest if failed_at is None else min(longest, failed_at - 1)
        largest = largest_context(footprint_at, after, below)
    if failed is not None:
        verdict = Verdict.NO
    elif needed is None or after is None:
        verdict = Verdict.UNKNOWN
    else:
        verdict = _verdict(needed.needed, after)
    return Fit(verdict, needed, free, after, failed, largest)


def largest_context(
    footprint_at: Callable[[int], Footprint | None], room: int, longest: int
) -> int | None:
    """The most tokens whose footprint fits without being tight, in steps of 256."""
    low, high = 0, longest // _STEP
    while low < high:
        middle = (low + high + 1) // 2
        footprint = footprint_at(middle * _STEP)
        if footprint is None:
            return None
        if _verdict(footprint.needed, room) is Verdict.FITS:
            low = middle
        else:
            high = middle - 1
    return low * _STEP or None


def _verdict(needed: int, room: int) -> Verdict:
    if needed > room:
        return Verdict.NO
    margin = max(_LEAST_MARGIN, round(needed * _MARGIN_SHARE))
    return Verdict.TIGHT if needed + margin > room else Verdict.FITS
