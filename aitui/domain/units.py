"""Amounts in short words; each fits a table cell of seven characters."""

import math
import time
from collections.abc import Sequence

_GIB = 1024**3


def count_of(number: int, noun: str) -> str:
    """Format a number of things: "1 model", "1,204 models"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def join_some(words: Sequence[str], most: int, separator: str = ", ") -> str:
    """Join words; `most` of them are followed by "and 3 more"."""
    more = len(words) - most
    return separator.join(words[:most]) + (f" and {more} more" if more > 0 else "")


def format_position(number: int, count: int) -> str:
    """Format which of the found places this is, from 1, 0 for none: "3 of 12", "not found"."""
    return f"{number or '–'} of {count:,}" if count else "not found"


def format_tokens(tokens: int) -> str:
    """Format tokens in units of 1024, as context sizes are typed: 131,072 is "128k", 1,234 "1.2k".

    Rounded down: what is left of a context is never more than what is shown.
    """
    sign, size = "-" if tokens < 0 else "", abs(tokens)
    if size < 1024:
        return f"{sign}{size}"
    for power, unit in ((1, "k"), (2, "M"), (3, "G")):
        whole, rest = divmod(size, 1024**power)
        if whole < 1000:
            tenth = rest * 10 // 1024**power if whole < 10 else 0
            return f"{sign}{whole}{f'.{tenth}' if tenth else ''}{unit}"
    return f"{sign}>999G"


def format_elapsed(seconds: float) -> str:
    """Format how long something took or takes, with tenths below ten seconds."""
    return f"{min(seconds, 9.9):.1f} s" if seconds < 10 else format_seconds(seconds)


def format_seconds(seconds: float) -> str:
    """Format a time in its two largest units, rounded down: "18 s", "1m 35s", "2h 05m"."""
    whole = _whole_seconds(seconds)
    if whole is None:
        return "–"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02}m"
    if whole < 100 * 86400:
        return f"{whole // 86400}d {whole % 86400 // 3600:02}h"
    return f"{min(whole // 86400, 99999)}d"


def format_moment(at: float, now: float, form: str = "%H:%M") -> str:
    """Format a Unix time in this machine's zone, with its date unless it is of the day of `now`.

    "–" for a number that no clock ever shows, such as one of a damaged file.
    """
    try:
        moment = time.localtime(at)
    except (OverflowError, ValueError, OSError):
        return "–"
    is_today = moment[:3] == time.localtime(now)[:3]
    return time.strftime(form if is_today else "%Y-%m-%d %H:%M", moment)


def format_age(seconds: float) -> str:
    """Format an age in its largest unit, rounded down: "now", "5 min", "2 h", "9 d", "2 y"."""
    whole = _whole_seconds(seconds)
    if whole is None:
        return "–"
    years = whole // (365 * 86400)
    if years > 1:
        return f"{min(years, 999)} y"
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if whole >= length:
            return f"{whole // length} {unit}"
    return "now"


def format_countdown(seconds: float) -> str:
    """Format a time in its largest unit, rounded down, for the TTL column: "45s", "24m", "3h"."""
    whole = _whole_seconds(seconds)
    if whole is None:
        return "–"
    for length, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if whole >= length:
            return f"{min(whole // length, 99999)}{unit}"
    return f"{whole}s"


def format_rate(per_second: float) -> str:
    """Format tokens per second without their unit: "0.42", "48.3", "1204"; "–" for none."""
    if not math.isfinite(per_second) or per_second < 0:
        return "–"
    if per_second >= 9_999_999:
        return ">9999k"
    places = 2 if per_second < 0.995 else 1 if per_second < 99.95 else 0
    return f"{per_second:.{places}f}"


def format_bytes(amount: float) -> str:
    """Format bytes for a sentence, in units of 2^30: "41.2 GB"."""
    return f"{format_gb(amount)} GB"


def format_gb(amount: float) -> str:
    """Format bytes as the number alone, in units of 2^30: "41.2", "131"; below a tenth "<0.1"."""
    gib = amount / _GIB
    if not math.isfinite(gib) or gib < 0:
        return "–"
    if 0 < gib < 0.05:
        return "<0.1"
    return f"{gib:.1f}" if gib < 99.95 else f"{min(gib, 99999):.0f}"


def _whole_seconds(seconds: float) -> int | None:
    return max(0, int(seconds)) if math.isfinite(seconds) else None
