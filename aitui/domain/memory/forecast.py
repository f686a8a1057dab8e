"""Forecast the memory of a model from the best source, and whether it fits."""

from collections.abc import Callable, Iterable, Sequence
from enum import Enum

from msgspec import Struct, field
from msgspec.structs import replace

from aitui.domain.gguf import GgufHeader
from aitui.domain.hardware.sample import Gpu
from aitui.domain.memory.estimate import estimate, kv_cache_bytes, reason_not_estimable
from aitui.domain.memory.footprint import APPROXIMATELY, Footprint
from aitui.domain.memory.launch_profile import LaunchProfile
from aitui.domain.memory.measurement import SLOW_SHARE, MemoryRecords, expected_footprint
from aitui.domain.memory.usage import Headroom, MemoryUsage, headroom_in_machine, headroom_on_cards
from aitui.domain.units import format_bytes

_MARGIN_SHARE = 0.03
_LEAST_MARGIN = 512 << 20
_STEP = 256


class FitVerdict(Enum):
    """The expected result of a load."""

    FITS = "fits"
    TIGHT = "tight"
    NO = "does not fit"
    UNTRAINED = "larger than trained"
    UNKNOWN = "unknown"


class FitForecast(Struct, frozen=True):
    """What is needed and what is there, in bytes; None if that isn't known.

    `free_after` is what is free when everything has gone that will be evicted. `failed_at` is set
    if the model ran out of memory at this context size or at a smaller one. `largest_context` is
    the most tokens that would fit, None if that isn't known or nothing does; `limit` says what
    bounds it, if memory doesn't. `reason` says in words
    why it won't fit, or why that isn't known. `where` names the memory that counts, if it isn't
    all.
    """

    verdict: FitVerdict
    needed: Footprint | None = None
    free: int | None = None
    free_after: int | None = None
    failed_at: int | None = None
    largest_context: int | None = None
    reason: str = ""
    where: str = ""
    limit: str = ""


def check_fit(
    needed: Footprint | None,
    headroom: Headroom,
    *,
    context_size: int = 0,
    failed_at: int | None = None,
    footprint_at: Callable[[int], Footprint | None] | None = None,
    longest: int | None = None,
) -> FitForecast:
    """Compare what is needed with what is free. `longest` is the model's own maximum.

    A load that ran out of memory counts for more than any figure: that much or more won't fit.
    """
    after = headroom.after
    size = needed.context_size if needed is not None else context_size
    failed = failed_at if failed_at is not None and size >= failed_at else None
    largest, limit = None, ""
    if after is not None and footprint_at is not None and longest:
        below = longest if failed_at is None else min(longest, failed_at - 1)
        largest = largest_context(footprint_at, after, below, cards=headroom.cards)
        if largest == below // _STEP * _STEP:
            limit = "the training limit"
            if failed_at is not None and below < longest:
                limit = f"it ran out of memory with {failed_at:,}"
    if failed is not None:
        verdict = FitVerdict.NO
    elif needed is None or after is None:
        verdict = FitVerdict.UNKNOWN
    else:
        verdict = _fit_verdict(needed.needed, after, headroom.cards)
    untrained = longest is not None and size > longest
    if untrained and verdict is not FitVerdict.NO:
        verdict = FitVerdict.UNTRAINED
    return FitForecast(
        verdict,
        needed,
        headroom.now,
        after,
        failed,
        largest,
        reason=f"the model was trained for {longest:,} tokens" if untrained else "",
        where=headroom.where,
        limit=limit,
    )


def largest_context(
    footprint_at: Callable[[int], Footprint | None], headroom: int, longest: int, *, cards: int = 1
) -> int | None:
    """Return the most tokens that fit without being tight, in steps of 256."""
    low, high = 0, longest // _STEP
    while low < high:
        middle = (low + high + 1) // 2
        footprint = footprint_at(middle * _STEP)
        if footprint is None:
            return None
        if _fit_verdict(footprint.needed, headroom, cards) is FitVerdict.FITS:
            low = middle
        else:
            high = middle - 1
    return low * _STEP or None


def _fit_verdict(needed: int, headroom: int, cards: int) -> FitVerdict:
    """Compare, with a margin for each card: layers go to it whole, and it has buffers of its own."""
    if needed > headroom:
        return FitVerdict.NO
    margin = max(_LEAST_MARGIN * max(1, cards), round(needed * _MARGIN_SHARE))
    return FitVerdict.TIGHT if needed + margin > headroom else FitVerdict.FITS


def forecast_memory(
    known: MemoryRecords,
    profile: LaunchProfile,
    context_size: int,
    header: GgufHeader | None = None,
    *,
    has_gpu: bool = True,
) -> Footprint | None:
    """Return what was measured, else what follows from a measurement, else from the file's header."""

    def cache_bytes(tokens: int) -> int | None:
        # A projector or a LoRA takes the same whatever the context, and was measured with the rest.
        if header is None or profile.moved or profile.drafts:
            return None
        return kv_cache_bytes(header, tokens, profile.cache_k, profile.cache_v, profile.streams)

    found = expected_footprint(known.measurements, profile.fingerprint, context_size, cache_bytes)
    if found is not None or header is None:
        return found
    return estimate(header, profile, context_size, has_gpu=has_gpu)


def forecast_fit(
    usage: MemoryUsage,
    known: MemoryRecords,
    profile: LaunchProfile,
    context_size: int,
    header: GgufHeader | None = None,
    *,
    evicted: Iterable[str] = (),
) -> FitForecast:
    """Forecast whether a load at a context size will fit, once the `evicted` models have gone.

    A model that is reloaded with another context size goes, too. If a model needs the cards and the
    machine's memory, the cards decide, and the memory may make it tight: what doesn't fit there is
    read from the file again and again.
    """
    evicted_ids = frozenset(evicted)
    cards = placement_cards([card.gpu for card in usage.cards], known, profile)

    def at(tokens: int) -> Footprint | None:
        return forecast_memory(known, profile, tokens, header, has_gpu=bool(cards))

    needed = at(context_size)
    on_cards = bool(cards) if needed is None else needed.gpu > 0
    in_machine = headroom_in_machine(usage, evicted_ids)
    headroom = in_machine
    if on_cards:
        cards = cards or usage.eligible_gpus
        headroom = headroom_on_cards(usage, cards, profile.placement, evicted_ids)
    found = check_fit(
        needed,
        headroom,
        context_size=context_size,
        failed_at=known.failed_at(profile.fingerprint),
        footprint_at=at,
        longest=None if header is None else header.context_length,
    )
    if on_cards and needed is not None and found.verdict is FitVerdict.FITS:
        host, free = needed.host or 0, in_machine.after
        if free is not None and host > free:
            there = f"{format_bytes(host)} of it goes to RAM, which has {format_bytes(free)} free"
            found = replace(found, verdict=FitVerdict.TIGHT, reason=there)
    return replace(found, reason=found.reason or _fit_reason(found, profile, header))


def placement_cards(
    gpus: Sequence[Gpu], known: MemoryRecords, profile: LaunchProfile
) -> tuple[Gpu, ...]:
    """Return the cards that a model is put on, by its command and its earlier loads."""
    if not profile.on_gpu:
        return ()
    return profile.placement.cards(gpus, known.last_cards(profile.fingerprint))


def _fit_reason(found: FitForecast, profile: LaunchProfile, header: GgufHeader | None) -> str:
    if found.failed_at is not None:
        return f"it ran out of memory with {found.failed_at:,} tokens"
    if found.verdict is not FitVerdict.UNKNOWN:
        return ""
    if found.needed is None:
        why = "" if header is None else reason_not_estimable(header, profile)
        return (
            f"{why}, so it is only known after a load"
            if why
            else "this model has not been loaded yet"
        )
    return "free memory is unknown" if found.free is None else ""


_VERDICTS = {
    FitVerdict.FITS: "✔ fits",
    FitVerdict.TIGHT: "! tight: it may fail to load, or be slow",
    FitVerdict.NO: "✘ does not fit",
    FitVerdict.UNTRAINED: "! larger than trained",
}
_GIB = 1 << 30
_ROUGH_FROM = 10 * _GIB


def describe_fit(fit: FitForecast) -> tuple[str, ...]:
    """Describe the verdict, what is needed and free, and the largest context that fits.

    Empty if nothing is known: no figure is better than a made-up one.
    """
    if fit.verdict is FitVerdict.UNKNOWN and fit.needed is None and fit.free is None:
        return ()
    verdict = _VERDICTS.get(fit.verdict, "? memory use unknown")
    if fit.reason:
        verdict = f"{verdict.partition(': ')[0]}: {fit.reason}"
    facts = [verdict]
    if fit.needed is not None:
        facts.append(f"needs {fit.needed.label}, {fit.needed.origin.value}")
    if fit.free is not None:
        grows = fit.free_after is not None and fit.free_after > fit.free
        after = f", {_format_rough(fit.free_after or 0)} after unloading" if grows else ""
        where = f" {fit.where}" if fit.where else ""
        facts.append(f"{_format_rough(fit.free)} free now{where}{after}")
    if fit.verdict in {FitVerdict.NO, FitVerdict.TIGHT} and fit.largest_context is not None:
        limit = f" ({fit.limit})" if fit.limit else ""
        largest = f"{APPROXIMATELY}{fit.largest_context:,}{limit}"
        facts.append(f"the largest context that fits: {largest}")
    return tuple(facts)


def _format_rough(amount: int) -> str:
    """Format in whole GiB from 10 on: a question must not change with every sample."""
    return f"{amount / _GIB:.0f} GB" if amount >= _ROUGH_FROM else format_bytes(amount)


class ModelMemory(Struct, frozen=True):
    """The sources of a memory forecast: command, measurements, and the file's header."""

    launch_profile: LaunchProfile = field(default_factory=LaunchProfile)
    known: MemoryRecords = field(default_factory=MemoryRecords)
    header: GgufHeader | None = None


_VERY_SLOW_SHARE = 1 / 3
_ALL_ON_GPU = 0.97


class OffloadSlowdown(Struct, frozen=True):
    """A model that became slow with a larger context. Rates in tokens per second."""

    model: str
    context_size: int
    context_before: int
    rate: float
    usual: float


def find_slowdown(
    model: str, memory: ModelMemory, context_size: int, rate: float | None, seen: Footprint | None
) -> OffloadSlowdown | None:
    """Compare a running model's rate with the one it had with a smaller context.

    `seen` is what it takes by now, None if that isn't known. A long prompt slows a model as well:
    if all of it is on the cards, it must be slower by far.
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


def expected_memory(model: ModelMemory, context_size: int, gpus: Sequence[Gpu]) -> Footprint | None:
    """Return what a model that doesn't run will take, of the cards or of the machine."""
    cards = placement_cards(gpus, model.known, model.launch_profile)
    return forecast_memory(
        model.known, model.launch_profile, context_size, model.header, has_gpu=bool(cards)
    )
