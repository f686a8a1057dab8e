"""Hostile text made safe to show: what a server sent can't steer the terminal or break a column.

Removed whole: escape sequences (ECMA-48, 7-bit and C1 forms, incomplete ones as well), bidi
controls, and characters without a width of their own. Shown as `�`, a run of them as one: every
other control character and lone surrogates. An unterminated string sequence ends at the next
control character; of its C1 form only the opener is removed, since U+009D is a common piece of text
decoded wrongly (`â€` and U+009D for a quotation mark) and would swallow the rest of the line.

ESC and C1 reach the terminal raw from nearly every Textual widget. Sanitizing all that a server
sends, together with the app's line filter, left no leak in 43 widgets × 4 payloads.
"""

import re
from functools import cache

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
ELLIPSIS = "…"
HIDDEN = "(hidden)"
"""What stands for a secret."""
LEAST_SECRET = 4
"""Characters: what is shorter would hide common words."""

_STRING_BODY = r"[^\x00-\x1f\x7f-\x9f]*"
_STRING_END = r"(?:\x07|\x1b\\|\x9c)"
_ESCAPES = "|".join(
    (
        rf"\x1b[\]PX^_]{_STRING_BODY}{_STRING_END}?",  # OSC, DCS, SOS, PM, APC
        rf"[\x90\x98\x9d-\x9f]{_STRING_BODY}{_STRING_END}",
        r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?",  # CSI
        r"\x1b[ -/]*[0-~]?",
    )
)
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_INVISIBLE = (
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u2060-\u2065\u206a-\u206f\u3164"
    "\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# Joiners and variation selectors: right in prose, where Persian, Hindi and emoji need them, and
# wrong in a cell, because terminals disagree about the width that they give their neighbours.
_JOINERS = "\u200c\u200d\ufe00-\ufe0f"
_BREAKS = "\n\r\x0b\x0c\x85\u2028\u2029"
_CONTROLS = r"\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff"

_REMOVED_FROM_TEXT = f"{_ESCAPES}|[{_BIDI}{_INVISIBLE}]+"
_REMOVED_FROM_LINE = f"{_ESCAPES}|[{_BIDI}{_INVISIBLE}{_JOINERS}]+"
_REPLACED_CONTROLS = f"[{_CONTROLS}]+"
_BREAKS_AND_TABS = f"[\t{_BREAKS}]+"
_OTHER_BREAKS = "[\r\x0b\x0c\x85\u2028\u2029]"
_UNSAFE_IN_TEXT = f"[{_CONTROLS}{_BIDI}{_INVISIBLE}\r\x0b\x0c\x85\u2028\u2029]"
_UNSAFE_IN_LINE = f"[{_CONTROLS}{_BIDI}{_INVISIBLE}{_JOINERS}\t{_BREAKS}]"


@cache
def _compile(pattern: str) -> "re.Pattern[str]":
    """Compile a pattern when it is first needed: together they take 2 ms, of plain ASCII none is."""
    return re.compile(pattern)


def sanitize_line(text: str, limit: int | None = None) -> str:
    """Return one safe line of at most `limit` characters, the last of them `…` if it was cut.

    Runs of tabs and line breaks become one blank, line breaks at either end vanish, zero-width
    joiners and variation selectors are removed. No more than a few times `limit` characters are
    read, so a longer run of what is removed ends the line early.
    """
    head = clean = _head(text, limit)
    if not (head.isascii() and head.isprintable()) and _compile(_UNSAFE_IN_LINE).search(head):
        clean = _compile(_REMOVED_FROM_LINE).sub("", head.strip("\r\n"))
        clean = _compile(_BREAKS_AND_TABS).sub(" ", clean)
        clean = _compile(_REPLACED_CONTROLS).sub(REPLACEMENT, clean)
    return _truncate(clean, limit, more=len(head) < len(text))


def sanitize_text(text: str, limit: int | None = None) -> str:
    r"""Return safe text of at most `limit` characters that keeps its `\n` and `\t`.

    Every other line break becomes `\n`; joiners and variation selectors stay.
    """
    head = clean = _head(text, limit)
    if _compile(_UNSAFE_IN_TEXT).search(head):
        clean = _compile(_REMOVED_FROM_TEXT).sub("", head).replace("\r\n", "\n")
        clean = _compile(_OTHER_BREAKS).sub("\n", clean)
        clean = _compile(_REPLACED_CONTROLS).sub(REPLACEMENT, clean)
    return _truncate(clean, limit, more=len(head) < len(text))


def remove_joiners(text: str) -> str:
    """Return text without zero-width joiners and variation selectors, as it is drawn.

    Rich measures `A`, a joiner and `B` as one cell; terminals draw two, of emoji two or four.
    """
    return text if text.isascii() else _compile("[\u200d\ufe00-\ufe0f]+").sub("", text)


def _head(text: str, limit: int | None) -> str:
    """Return as much of the text as `limit` characters are likely made of, colors included."""
    return text if limit is None else text[: max(limit, 0) * 4 + 1024]


def _truncate(clean: str, limit: int | None, *, more: bool) -> str:
    if limit is None or (len(clean) <= limit and not more):
        return clean
    return clean[: limit - 1] + ELLIPSIS if limit > 0 else ""


LONGEST_PENDING = 4096

_CUT_C1_STRING = rf"[\x90\x98\x9d-\x9f]{_STRING_BODY}\x1b?\Z"
# What the next piece may continue: a sequence, a run that is shown as one mark, half a CRLF.
_OPEN_ENDED = rf"(?:{_CUT_C1_STRING}|{_ESCAPES}|[\r{_CONTROLS}{_BIDI}{_INVISIBLE}])+"


class StreamSanitizer:
    """Pieces in, safe pieces out: joined they are what `sanitize_text` makes of the whole.

    At most LONGEST_PENDING characters are held back.
    """

    def __init__(self) -> None:
        self._pending = ""

    def feed(self, piece: str) -> str:
        """Return as much safe text as is certain by now."""
        if not self._pending and not _compile(_UNSAFE_IN_TEXT).search(piece):
            return piece
        text = self._pending + piece
        # Where the run begins that the next piece may continue.
        runs = ((found.start(), found.end()) for found in re.finditer(_OPEN_ENDED, text))
        start = next((start for start, end in runs if end == len(text)), len(text))
        if len(text) - start > LONGEST_PENDING:
            start = len(text)
        self._pending = text[start:]
        return sanitize_text(text[:start])

    def finish(self) -> str:
        """Return what was held back, when nothing more comes."""
        held, self._pending = self._pending, ""
        return sanitize_text(held)
