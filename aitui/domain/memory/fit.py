"""Whether a load will fit, and the largest context that would."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from aitui.domain.memory.footprint import Footprint
from aitui.domain.memory.room import Headroom

_MARGIN_SHARE = 0.03
_LEAST_MARGIN = 512 << 20
_STEP = 256


class FitVerdict(Enum):
    """How a load will end, as far as that can be told."""

    FITS = "fits"
    TIGHT = "tight"
    NO = "does not fit"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class FitForecast:
    """What is needed and what is there, in bytes, None where that isn't known.

    `free_after` is what is free when everything has gone that will be evicted. `failed_at` is set
    where the model has run out of memory at this context size or at a smaller one.
    `largest_context` is the most tokens that would fit, None where that can't be told or nothing
    does. `reason` says in words why it is known not to fit, or not known at all. `where` names the
    memory that counts, where it isn't all there is.
    """

    verdict: FitVerdict
    needed: Footprint | None = None
    free: int | None = None
    free_after: int | None = None
    failed_at: int | None = None
    largest_context: int | None = None
    reason: str = ""
    where: str = ""


def check_fit(
    needed: Footprint | None,
    room: Headroom,
    *,
    context_size: int = 0,
    failed_at: int | None = None,
    footprint_at: Callable[[int], Footprint | None] | None = None,
    longest: int | None = None,
) -> FitForecast:
    """Compares. `longest` is the model's own maximum.

    A load that ran out of memory is believed more than any figure: that much or more won't fit.
    """
    after = room.after
    size = needed.context_size if needed is not None else context_size
    failed = failed_at if failed_at is not None and size >= failed_at else None
    largest = None
    if after is not None and footprint_at is not None and longest:
        below = longest if failed_at is None else min(longest, failed_at - 1)
        largest = largest_context(footprint_at, after, below, cards=room.cards)
    if failed is not None:
        verdict = FitVerdict.NO
    elif needed is None or after is None:
        verdict = FitVerdict.UNKNOWN
    else:
        verdict = _fit_verdict(needed.needed, after, room.cards)
    return FitForecast(verdict, needed, room.now, after, failed, largest, where=room.where)


def largest_context(
    footprint_at: Callable[[int], Footprint | None], room: int, longest: int, *, cards: int = 1
) -> int | None:
    """The most tokens whose footprint fits without being tight, in steps of 256."""
    low, high = 0, longest // _STEP
    while low < high:
        middle = (low + high + 1) // 2
        footprint = footprint_at(middle * _STEP)
        if footprint is None:
            return None
        if _fit_verdict(footprint.needed, room, cards) is FitVerdict.FITS:
            low = middle
        else:
            high = middle - 1
    return low * _STEP or None


def _fit_verdict(needed: int, room: int, cards: int) -> FitVerdict:
    """Each card needs some room to spare: layers go to it whole, and each has buffers of its own."""
    if needed > room:
        return FitVerdict.NO
    margin = max(_LEAST_MARGIN * max(1, cards), round(needed * _MARGIN_SHARE))
    return FitVerdict.TIGHT if needed + margin > room else FitVerdict.FITS
