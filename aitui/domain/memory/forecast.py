"""What a model will take, from the best that is known, and whether that will fit."""

from collections.abc import Iterable
from dataclasses import replace

from aitui.domain.gguf.header import Header
from aitui.domain.memory.estimate import estimate, unestimable
from aitui.domain.memory.fit import Fit, Verdict, fit
from aitui.domain.memory.footprint import Footprint
from aitui.domain.memory.kv_cache import kv_cache_bytes
from aitui.domain.memory.measurement import Known, expected
from aitui.domain.memory.picture import MemoryPicture
from aitui.domain.memory.setup import Setup


def forecast(
    known: Known,
    setup: Setup,
    context_size: int,
    header: Header | None = None,
    *,
    has_gpu: bool = True,
) -> Footprint | None:
    """What was measured, else what follows from a measurement, else what the file's header says."""

    def cache_bytes(tokens: int) -> int | None:
        if header is None or unestimable(header, setup):
            return None
        return kv_cache_bytes(header, tokens, setup.cache_k, setup.cache_v, setup.streams)

    found = expected(known.measurements, setup.fingerprint, context_size, cache_bytes)
    if found is not None or header is None:
        return found
    return estimate(header, setup, context_size, has_gpu=has_gpu)


def will_fit(
    picture: MemoryPicture,
    known: Known,
    setup: Setup,
    context_size: int,
    header: Header | None = None,
    *,
    leaving: Iterable[str] = (),
) -> Fit:
    """Whether a load at a context size will fit, once the models that are `leaving` have gone.

    A model that is loaded anew with another context size leaves, too.
    """

    def at(tokens: int) -> Footprint | None:
        return forecast(known, setup, tokens, header, has_gpu=picture.on_cards)

    found = fit(
        at(context_size),
        picture.free_bytes,
        picture.freed_by(leaving),
        context_size=context_size,
        failed_at=known.failed_at(setup.fingerprint),
        footprint_at=at,
        longest=None if header is None else header.context_length,
    )
    return replace(found, reason=_reason(found, setup, header, picture))


def _reason(found: Fit, setup: Setup, header: Header | None, picture: MemoryPicture) -> str:
    if found.failed_at is not None:
        return f"it ran out of memory with {found.failed_at:,} tokens"
    if found.verdict is not Verdict.UNKNOWN:
        return ""
    if found.needed is None:
        why = "" if header is None else unestimable(header, setup)
        return f"{why}: only a load can tell" if why else "it has not been measured yet"
    return "it isn't known what is free" if picture.free_bytes is None else ""
