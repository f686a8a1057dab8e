"""What models were measured to take, and what follows from that for other context sizes."""

from collections.abc import Callable, Iterable
from typing import Annotated, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from aitui.domain.memory.footprint import Footprint, FootprintOrigin

MEASUREMENTS_KEPT = 12
FAILURES_KEPT = 12
RATES_KEPT = 12
SLOW_SHARE = 0.6
"""The share of its usual rate below which a model has become slow."""

_WEIGHTS_RATIO = 1.5
_GROWTH_RATIO = 1.1

# The limits hold for what is read from the file of measurements.
_Tokens = Annotated[int, msgspec.Meta(ge=1, le=1 << 40)]
_Bytes = Annotated[int, msgspec.Meta(ge=0, le=1 << 52)]
_Rate = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
_CardKey = Annotated[str, msgspec.Meta(max_length=200)]
_Cards = Annotated[tuple[tuple[_CardKey, _Bytes], ...], msgspec.Meta(max_length=64)]

CacheBytes = Callable[[int], int | None]
"""The cache at a context size, as a formula has it; None for models that have no formula."""


class Measurement(Struct, frozen=True):
    """What a model took at one context size. `at` is Unix time.

    `setup` is the fingerprint of the launch profile: a measurement holds for no other one. `gpu`
    and `host` are bytes; the parts are None if the log didn't have them. `cards` are the bytes on
    each card by its key, empty if only the sum is known.
    """

    context_size: _Tokens
    gpu: _Bytes
    host: _Bytes | None = None
    weights: _Bytes | None = None
    cache: _Bytes | None = None
    compute: _Bytes | None = None
    setup: str = ""
    at: float = 0.0
    cards: _Cards = ()

    @property
    def footprint(self) -> Footprint:
        """The measurement as a figure to show."""
        parts = self.weights, self.cache, self.compute
        measured = FootprintOrigin.MEASURED
        return Footprint(self.context_size, self.gpu, self.host, *parts, measured, self.cards)


class OutOfMemory(Struct, frozen=True):
    """A load that ran out of memory: at how many tokens, with which setup, when (Unix time)."""

    context_size: _Tokens
    setup: str = ""
    at: float = 0.0


class UsualRate(Struct, frozen=True):
    """How fast a model wrote at one context size: tokens per second, seen until `at` (Unix time)."""

    context_size: _Tokens
    rate: _Rate
    setup: str = ""
    at: float = 0.0


MemoryRecord = Measurement | OutOfMemory | UsualRate
_Kept = TypeVar("_Kept", bound=MemoryRecord)


class MemoryRecords(Struct, frozen=True):
    """Everything that is remembered of one model at one server, the oldest first."""

    measurements: tuple[Measurement, ...] = ()
    failures: tuple[OutOfMemory, ...] = ()
    rates: tuple[UsualRate, ...] = ()

    @property
    def last_context(self) -> int | None:
        """The context size of its newest measurement."""
        newest = max(self.measurements, key=lambda one: one.at, default=None)
        return None if newest is None else newest.context_size

    def at(self, context_size: int) -> Measurement | None:
        """Return what it took at that context size when it was last measured."""
        same = (one for one in self.measurements if one.context_size == context_size)
        return max(same, key=lambda one: one.at, default=None)

    def failed_at(self, setup: str) -> int | None:
        """Return the smallest context at which it ran out of memory, None if it never did."""
        sizes = [failure.context_size for failure in self.failures if failure.setup == setup]
        return min(sizes, default=None)

    def last_cards(self, setup: str) -> frozenset[str]:
        """Return the keys of the cards that it was on when that was last known."""
        placed = [one for one in self.measurements if one.setup == setup and one.cards]
        if not placed:
            return frozenset()
        last = max(placed, key=lambda one: one.at)
        return frozenset(key for key, size in last.cards if size)

    def with_record(self, new: MemoryRecord) -> "MemoryRecords":
        """Add a record.

        A load that succeeded forgets failures at no more than its size, and measurements that
        contradict it.
        """
        match new:
            case OutOfMemory():
                return replace(self, failures=_replace_or_append(self.failures, new, FAILURES_KEPT))
            case UsualRate():
                return replace(self, rates=_replace_or_append(self.rates, new, RATES_KEPT))
            case Measurement(setup=setup, context_size=tokens):
                failures = (f for f in self.failures if f.setup != setup or f.context_size > tokens)
                possible = tuple(one for one in self.measurements if not _contradicts(one, new))
                kept = _replace_or_append(possible, new, MEASUREMENTS_KEPT)
                return replace(self, measurements=kept, failures=tuple(failures))

    def usual_rate(self, setup: str, context_size: int) -> UsualRate | None:
        """Return how fast it was with that context size."""
        same = (one for one in self.rates if (one.setup, one.context_size) == (setup, context_size))
        return next(same, None)

    def fast_rate_below(self, setup: str, context_size: int) -> UsualRate | None:
        """Return the largest smaller context with which it was fast."""
        below = [
            one for one in self.rates if one.setup == setup and one.context_size < context_size
        ]
        best = max((one.rate for one in below), default=0.0)
        fast = [one for one in below if one.rate >= best * SLOW_SHARE]
        return max(fast, key=lambda one: one.context_size, default=None)

    def without_larger_contexts(self, context_size: int) -> "MemoryRecords":
        """Remove what it took at that context size or a larger one."""
        kept = tuple(one for one in self.measurements if one.context_size < context_size)
        return replace(self, measurements=kept)


def _contradicts(old: Measurement, new: Measurement) -> bool:
    """Return whether both can't be true of one setup: other weights, or less memory for more context.

    Weights vary with what is mapped, so only much larger or smaller ones count.
    """
    if old.setup != new.setup:
        return False
    weights = old.weights or 0, new.weights or 0
    if min(weights) and max(weights) > _WEIGHTS_RATIO * min(weights):
        return True
    with_host = old.host is not None and new.host is not None
    small, large = (
        one.gpu + (one.host or 0 if with_host else 0)
        for one in sorted((old, new), key=lambda one: one.context_size)
    )
    return small > large * _GROWTH_RATIO


def _replace_or_append(ones: tuple[_Kept, ...], new: _Kept, most: int) -> tuple[_Kept, ...]:
    """Add a record; it replaces an older one of the same setup and context size."""
    same = (new.setup, new.context_size)
    others = [one for one in ones if (one.setup, one.context_size) != same]
    return tuple([*others, new][-most:])


def expected_footprint(
    known: Iterable[Measurement],
    setup: str,
    context_size: int,
    cache_bytes: CacheBytes | None = None,
) -> Footprint | None:
    """Return what a model probably takes, from what was measured with the same setup.

    At the same context size, what was measured. Else, for a dense model, the nearest measurement
    with its cache replaced: memory is linear in the context, and the cache is all that grows. For
    others, the line through two measurements. None if neither is possible.
    """
    fitting = [one for one in known if one.setup == setup and one.context_size > 0]
    if not fitting:
        return None
    fitting.sort(key=lambda one: (abs(one.context_size - context_size), -one.at))
    nearest = fitting[0]
    if nearest.context_size == context_size:
        return nearest.footprint
    others = [one for one in fitting if one.context_size != nearest.context_size]
    if others:
        return _interpolate(nearest, others[0], context_size)
    return _scale_cache(nearest, context_size, cache_bytes) if cache_bytes else None


def _scale_cache(one: Measurement, context_size: int, cache_bytes: CacheBytes) -> Footprint | None:
    before, after = cache_bytes(one.context_size), cache_bytes(context_size)
    if before is None or after is None:
        return None
    on_gpu = one.gpu > 0
    growth = after - before
    return Footprint(
        context_size=context_size,
        gpu=max(0, one.gpu + growth) if on_gpu else 0,
        host=one.host if on_gpu or one.host is None else max(0, one.host + growth),
        weights=one.weights,
        cache=after,
        compute=one.compute,
        origin=FootprintOrigin.SCALED,
    )


def _interpolate(one: Measurement, other: Measurement, context_size: int) -> Footprint:
    def at(first: int, second: int) -> int:
        slope = (second - first) / (other.context_size - one.context_size)
        return max(0, round(first + slope * (context_size - one.context_size)))

    both = one.host is not None and other.host is not None
    return Footprint(
        context_size=context_size,
        gpu=at(one.gpu, other.gpu),
        host=at(one.host or 0, other.host or 0) if both else one.host,
        weights=one.weights,
        origin=FootprintOrigin.SCALED,
    )
