"""Context sizes as people write them: `131072`, `128k`, `0.25M`."""

import re
from contextlib import suppress
from decimal import Decimal

from aitui.domain.sanitize import sanitize_line
from aitui.domain.units import format_tokens
from aitui.errors import ConfigRefused

SMALLEST = 256
LARGEST = 16 * 1024 * 1024
REPLY_HEADROOM_FACTOR = 1.1

_SIZE = r"([0-9]{1,12}(?:\.[0-9]{1,6})?|\.[0-9]{1,6})\s*(?:([km])(?:i?b?)?)?"
_GROUPED = r"[0-9]{1,3}(?:[ ,_'][0-9]{3})+"
_UNITS = {"": 1, "k": 1024, "m": 1024 * 1024}


def parse_context_size(text: str) -> int:
    """Return the tokens of a size; `k` is 1,024 and `M` 1,048,576 of them, with or without an `i`.

    Raises ConfigRefused for anything else, for a fraction of a token, and outside SMALLEST to
    LARGEST.
    """
    given = text.strip()
    if re.fullmatch(_GROUPED, given):
        given = re.sub(r"[^0-9]", "", given)
    shown, remedy = f"“{sanitize_line(text, 40)}”", "Give tokens, such as 131072 or 128k."
    found = re.fullmatch(_SIZE, given, re.IGNORECASE)
    if not found:
        raise ConfigRefused(f"{shown} is not a context size.", remedy=remedy)
    tokens = Decimal(found[1]) * _UNITS[(found[2] or "").lower()]
    if tokens != tokens.to_integral_value():
        raise ConfigRefused(f"{shown} is not a whole number of tokens.", remedy=remedy)
    if not SMALLEST <= tokens <= LARGEST:
        why = f"It must be from {SMALLEST:,} to {LARGEST:,}."
        raise ConfigRefused(f"A context of {int(tokens):,} tokens is out of range.", why=why)
    return int(tokens)


def half(tokens: int) -> int:
    """Return half a context, and no less than SMALLEST."""
    return max(SMALLEST, tokens // 2)


def double(tokens: int) -> int:
    """Return twice a context, and no more than LARGEST."""
    return min(LARGEST, tokens * 2)


def next_size(tokens: int, needed: int) -> int:
    """Double a context until it holds `needed` tokens and part of a reply."""
    size = max(SMALLEST, tokens)
    while size < needed * REPLY_HEADROOM_FACTOR and size < LARGEST:
        size = double(size)
    return size


def format_context_size(tokens: int) -> str:
    """Format tokens so that the same number is read from it: `64k`, else all digits."""
    short = format_tokens(tokens)
    with suppress(ConfigRefused):  # 5,000 are about 4.9k, which are no whole number of tokens.
        if parse_context_size(short) == tokens:
            return short
    return str(tokens)
