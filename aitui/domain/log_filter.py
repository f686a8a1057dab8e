"""Which lines of a log somebody wants to see."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aitui.domain.line_pattern import LinePattern
from aitui.domain.log_lines import LogLevel, LogLine

MATCH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class LogFilter:
    """The least level, a pattern that a line must have, and whether aitui's own polls show."""

    level: LogLevel = LogLevel.DEBUG
    pattern: LinePattern | None = None
    show_own: bool = False

    def passes(self, line: LogLine, seconds: float = MATCH_SECONDS) -> bool:
        """Whether that line is to be seen; a mark always is.

        Raises PatternTooSlow where computing that takes more than so many seconds.
        """
        if line.mark:
            return True
        if line.level < self.level or (line.own and not self.show_own):
            return False
        return self.pattern is None or self.pattern.matches(line.text, seconds)

    def passes_each(
        self, lines: Sequence[LogLine], seconds: float, clock: Callable[[], float]
    ) -> list[bool]:
        """The same of all lines, in so many seconds of that clock together."""
        if self.pattern is None:
            return [self.passes(line) for line in lines]
        end = clock() + seconds
        return [self.passes(line, end - clock()) for line in lines]
