"""Whether a load will fit, in sentences."""

from aitui.domain.amounts import format_bytes_gib
from aitui.domain.memory.fit import FitForecast, FitVerdict
from aitui.domain.memory.footprint import APPROXIMATELY

_VERDICTS = {
    FitVerdict.FITS: "✔ fits",
    FitVerdict.TIGHT: "! tight: it may not come up, or be slow",
    FitVerdict.NO: "✘ does not fit",
}
_GIB = 1 << 30
_ROUGH_FROM = 10 * _GIB


def describe_fit(fit: FitForecast) -> tuple[str, ...]:
    """The verdict with what is needed and free, and the largest context that fits.

    Empty where nothing is known: no figure is better than a made-up one.
    """
    if fit.verdict is FitVerdict.UNKNOWN and fit.needed is None and fit.free is None:
        return ()
    verdict = _VERDICTS.get(fit.verdict, "? whether it fits isn't known")
    if fit.reason:
        verdict = f"{verdict.partition(': ')[0]}: {fit.reason}"
    facts = [verdict]
    if fit.needed is not None:
        facts.append(f"needs {fit.needed.label}, {fit.needed.origin.value}")
    if fit.free is not None:
        grows = fit.free_after is not None and fit.free_after > fit.free
        after = f", {_format_rough(fit.free_after or 0)} after what goes" if grows else ""
        where = f" {fit.where}" if fit.where else ""
        facts.append(f"{_format_rough(fit.free)} free{where}{after}")
    if fit.verdict in {FitVerdict.NO, FitVerdict.TIGHT} and fit.largest_context is not None:
        facts.append(f"the largest context that fits: {APPROXIMATELY}{fit.largest_context:,}")
    return tuple(facts)


def _format_rough(amount: int) -> str:
    """In whole GiB where it is much: a question must not change with every sample."""
    return f"{amount / _GIB:.0f}G" if amount >= _ROUGH_FROM else format_bytes_gib(amount)
