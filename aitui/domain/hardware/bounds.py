"""Figures from outside, believed only as far as a machine could have them."""

import math

LARGEST_MEMORY = 1 << 52
"""Bytes: 4 PiB, which no single machine has."""


def number_in_range(value: object, smallest: float, largest: float) -> float | None:
    """A finite number between the two, None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return float(value) if smallest <= value <= largest else None


def percentage(value: object) -> float | None:
    """A share in percent. Rounding may lead a little beyond 100, which is cut off."""
    share = number_in_range(value, 0.0, 1000.0)
    return None if share is None else min(share, 100.0)


def memory_bytes(value: object, unit: int = 1) -> int | None:
    """An amount of memory in bytes, from a figure in units of so many bytes."""
    amount = number_in_range(value, 0, LARGEST_MEMORY / unit)
    return None if amount is None else int(amount * unit)


def parse_number(text: str) -> float | None:
    """A number as programs print it, None for anything else: `[N/A]`, words, nothing."""
    stripped = text.strip()
    if not stripped or len(stripped) > 32 or not stripped[-1].isdecimal():
        return None
    try:
        value = float(stripped) if stripped.isascii() and "_" not in stripped else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None
