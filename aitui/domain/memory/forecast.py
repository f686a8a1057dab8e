"""What a model will take, from the best that is known, and whether that will fit."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from aitui.domain.amounts import format_bytes_gib
from aitui.domain.gguf.header import GgufHeader
from aitui.domain.hardware.sample import Gpu
from aitui.domain.memory.estimate import estimate, reason_not_estimable
from aitui.domain.memory.fit import FitForecast, FitVerdict, check_fit
from aitui.domain.memory.footprint import Footprint
from aitui.domain.memory.kv_cache import kv_cache_bytes
from aitui.domain.memory.measurement import MemoryRecords, expected_footprint
from aitui.domain.memory.picture import MemoryUsage
from aitui.domain.memory.room import Headroom, headroom_in_machine, headroom_on_cards
from aitui.domain.memory.setup import LaunchProfile


def forecast_memory(
    known: MemoryRecords,
    setup: LaunchProfile,
    context_size: int,
    header: GgufHeader | None = None,
    *,
    has_gpu: bool = True,
) -> Footprint | None:
    """What was measured, else what follows from a measurement, else what the file's header says."""

    def cache_bytes(tokens: int) -> int | None:
        if header is None or reason_not_estimable(header, setup):
            return None
        return kv_cache_bytes(header, tokens, setup.cache_k, setup.cache_v, setup.streams)

    found = expected_footprint(known.measurements, setup.fingerprint, context_size, cache_bytes)
    if found is not None or header is None:
        return found
    return estimate(header, setup, context_size, has_gpu=has_gpu)


def forecast_fit(
    picture: MemoryUsage,
    known: MemoryRecords,
    setup: LaunchProfile,
    context_size: int,
    header: GgufHeader | None = None,
    *,
    leaving: Iterable[str] = (),
) -> FitForecast:
    """Whether a load at a context size will fit, once the models that are `leaving` have gone.

    A model that is loaded anew with another context size leaves, too. Where a model goes to the
    cards and to the machine's memory, the cards decide, and the memory may make it tight: what it
    lacks there is read from the file again and again.
    """
    going = frozenset(leaving)
    cards = placement_cards([card.gpu for card in picture.cards], known, setup)

    def at(tokens: int) -> Footprint | None:
        return forecast_memory(known, setup, tokens, header, has_gpu=bool(cards))

    needed = at(context_size)
    on_cards = bool(cards) if needed is None else needed.gpu > 0
    in_machine = headroom_in_machine(picture, going)
    cards = cards or picture.eligible_gpus
    room = headroom_on_cards(picture, cards, setup.placement, going) if on_cards else in_machine
    found = check_fit(
        needed,
        room,
        context_size=context_size,
        failed_at=known.failed_at(setup.fingerprint),
        footprint_at=at,
        longest=None if header is None else header.context_length,
    )
    if on_cards and needed is not None and found.verdict is FitVerdict.FITS:
        found = _limit_by_ram(found, needed.host or 0, in_machine)
    return replace(found, reason=found.reason or _fit_reason(found, setup, header))


def placement_cards(
    gpus: Sequence[Gpu], known: MemoryRecords, setup: LaunchProfile
) -> tuple[Gpu, ...]:
    """The cards that a model is put on, as far as its command and its earlier loads tell."""
    if not setup.on_gpu:
        return ()
    return setup.placement.cards(gpus, known.last_cards(setup.fingerprint))


def _limit_by_ram(found: FitForecast, host: int, room: Headroom) -> FitForecast:
    if room.after is None or host <= room.after:
        return found
    words = (
        f"{format_bytes_gib(host)} of it go to RAM, where {format_bytes_gib(room.after)} are free"
    )
    return replace(found, verdict=FitVerdict.TIGHT, reason=words)


def _fit_reason(found: FitForecast, setup: LaunchProfile, header: GgufHeader | None) -> str:
    if found.failed_at is not None:
        return f"it ran out of memory with {found.failed_at:,} tokens"
    if found.verdict is not FitVerdict.UNKNOWN:
        return ""
    if found.needed is None:
        why = "" if header is None else reason_not_estimable(header, setup)
        return f"{why}, so only a load can tell" if why else "it has not been measured yet"
    return "it isn't known what is free" if found.free is None else ""
