"""Hostile text made harmless as it streams: a sequence in two pieces is removed as one."""

import re

from aitui.domain.clean import (
    _BIDI,
    _CONTROLS,
    _ESCAPES,
    _INVISIBLE,
    _STRING_BODY,
    _UNSAFE_IN_TEXT,
    sanitize_text,
)

LONGEST_PENDING = 4096

_CUT_C1_STRING = rf"[\x90\x98\x9d-\x9f]{_STRING_BODY}\x1b?\Z"
# What may be one with what comes next: a sequence, a run that is shown as one mark, half a CRLF.
_OPEN_ENDED = re.compile(rf"(?:{_CUT_C1_STRING}|{_ESCAPES}|[\r{_CONTROLS}{_BIDI}{_INVISIBLE}])+")


class StreamSanitizer:
    """Pieces in, harmless pieces out: joined they are what `clean_text` makes of the whole.

    Holds back at most `LONGEST_HELD` characters, whatever comes.
    """

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        self._pending = ""

    def feed(self, piece: str) -> str:
        """As much harmless text as is certain by now."""
        if not self._pending and not _UNSAFE_IN_TEXT.search(piece):
            return piece
        text = self._pending + piece
        start = _open_end(text)
        if len(text) - start > LONGEST_PENDING:
            start = len(text)
        self._pending = text[start:]
        return sanitize_text(text[:start])

    def finish(self) -> str:
        """What was held back, when nothing more comes."""
        held, self._pending = self._pending, ""
        return sanitize_text(held)


def _open_end(text: str) -> int:
    """Where the run begins that the next piece may go on with."""
    for found in _OPEN_ENDED.finditer(text):
        if found.end() == len(text):
            return found.start()
    return len(text)
