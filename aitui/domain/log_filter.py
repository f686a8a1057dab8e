"""Which lines of a log somebody wants to see."""

import re
from dataclasses import dataclass

from aitui.domain.log_lines import Level, LogLine
from aitui.errors import AituiError

_LONGEST_PATTERN = 500


@dataclass(frozen=True, slots=True)
class LogFilter:
    """The least level, a pattern that a line must have, and whether aitui's own polls show."""

    level: Level = Level.DEBUG
    pattern: re.Pattern[str] | None = None
    own: bool = False

    def passes(self, line: LogLine) -> bool:
        """Whether that line is to be seen; a mark always is."""
        if line.mark:
            return True
        if line.level < self.level or (line.own and not self.own):
            return False
        return self.pattern is None or self.pattern.search(line.text) is not None


def pattern_of(words: str) -> re.Pattern[str] | None:
    """The regular expression that was typed; None for nothing.

    Capitals count only where there are some. Raises AituiError where it is none.
    """
    if not words:
        return None
    flags = re.IGNORECASE if words == words.lower() else re.NOFLAG
    try:
        return re.compile(words[:_LONGEST_PATTERN], flags)
    except (re.error, RecursionError, OverflowError) as error:
        raise AituiError("That is no regular expression", why=str(error)) from error
