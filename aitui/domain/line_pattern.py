"""A regular expression that somebody typed, matched with a limit to how long that may take."""

import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aitui.errors import AituiError

if TYPE_CHECKING:
    from regex import Pattern

_LONGEST_PATTERN = 500


class PatternTooSlow(AituiError):
    """Matching a pattern took longer than somebody who waits should have to."""


@dataclass(frozen=True, slots=True)
class LinePattern:
    """The pattern as it was typed, and what matches it."""

    words: str
    _compiled: "Pattern[str]"

    def matches(self, text: str, seconds: float) -> bool:
        """Whether the text has it. Raises PatternTooSlow after so many seconds of computing."""
        if seconds > 0:
            try:
                return self._compiled.search(text, timeout=seconds) is not None
            except TimeoutError:
                pass
        raise PatternTooSlow(
            "That pattern takes too long",
            why="a repeat inside a repeat does that, as in (a+)+, or a choice inside one, (a|a)*",
            remedy="write a simpler one (f), or look for plain words (/)",
        )


def compile_pattern(words: str) -> LinePattern | None:
    """The regular expression that was typed, of Python's own kind; None for nothing.

    Capitals count only where there are some. Raises AituiError where it is none.
    """
    import regex  # Python's own module can't be told to give up.

    if not words:
        return None
    flags = regex.IGNORECASE if words == words.lower() else regex.V0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            # Refuses what only the other one knows: recursion takes memory as long as it runs.
            re.compile(words[:_LONGEST_PATTERN])
            return LinePattern(words, regex.compile(words[:_LONGEST_PATTERN], flags | regex.V0))
    except (re.error, regex.error, RecursionError, OverflowError) as error:
        raise AituiError("That is no regular expression", why=str(error)) from error
