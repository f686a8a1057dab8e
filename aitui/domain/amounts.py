"""Amounts as people read and type them; what is shown fits a table cell of seven characters."""

import math
import re

WIDEST = 7

_CONTEXT_SIZE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)\s*([kKmM]?)")
_UNITS = {"": 1, "k": 1024, "m": 1024**2}
_LARGEST_CONTEXT = 2**31 - 1
_GIB = 1024**3


def format_tokens(tokens: int) -> str:
    """Tokens in thousands, rounded down: 262,144 is "262k", 1,048,576 "1M", 999 "999"."""
    size = abs(tokens)
    sign = "-" if tokens < 0 else ""
    for factor, unit in ((1, ""), (1000, "k"), (1000**2, "M"), (1000**3, "G")):
        if size < factor * 1000:
            return f"{sign}{size // factor}{unit}"
    return f"{sign}>999G"


def parse_context_size(text: str) -> int:
    """Tokens of "262144", "256k" or "0.25M", with k = 1024 and M = 1024².

    Raises ValueError, with words for a person, for anything else and for what llama-server can't
    hold (1 to 2³¹ − 1).
    """
    match = _CONTEXT_SIZE.fullmatch(text.strip().replace(",", "").replace("_", ""))
    if match is None:
        raise ValueError("a context size is a number of tokens: 262144, 256k or 0.25M")
    number, unit = match.groups()
    tokens = float(number) * _UNITS[unit.lower()]
    if tokens != int(tokens):
        raise ValueError(f"{text.strip()} is not a whole number of tokens")
    if not 1 <= tokens <= _LARGEST_CONTEXT:
        raise ValueError(f"a context size is between 1 and {_LARGEST_CONTEXT} tokens")
    return int(tokens)


def format_seconds(seconds: float) -> str:
    """A time in its two largest units, rounded down: "18 s", "1m 35s", "2h 05m", "3d 04h"."""
    whole = _whole(seconds)
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


def format_countdown(seconds: float) -> str:
    """A time in its largest unit, rounded down, for the TTL column: "45s", "24m", "3h", "12d"."""
    whole = _whole(seconds)
    if whole is None:
        return "–"
    for length, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if whole >= length:
            return f"{min(whole // length, 99999)}{unit}"
    return f"{whole}s"


def format_rate(per_second: float) -> str:
    """Tokens per second without their unit: "0.42", "48.3", "1204"; "–" where there are none."""
    if not math.isfinite(per_second) or per_second < 0:
        return "–"
    if per_second >= 9_999_999:
        return ">9999k"
    places = 2 if per_second < 0.995 else 1 if per_second < 99.95 else 0
    return f"{per_second:.{places}f}"


def format_bytes_gib(amount: float) -> str:
    """Bytes in GiB, as the memory column shows them: "41.2G"; below a tenth "<0.1G"."""
    gib = amount / _GIB
    if not math.isfinite(gib) or gib < 0:
        return "–"
    if 0 < gib < 0.05:
        return "<0.1G"
    return f"{gib:.1f}G" if gib < 9999.95 else f"{min(gib, 99999):.0f}G"


def _whole(seconds: float) -> int | None:
    return max(0, int(seconds)) if math.isfinite(seconds) else None
