"""The newest lines of a log, bounded in number and in memory."""

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from aitui.domain.log_lines import LogLine

MOST_LINES = 50_000
MOST_BYTES = 32 * 1024 * 1024

_OBJECTS = 160
_SPAN = 200


@dataclass(slots=True)
class LogRing:
    """Adding to a full ring lets go of the oldest lines. `bytes` is close to what they take."""

    most_lines: int = MOST_LINES
    most_bytes: int = MOST_BYTES
    bytes: int = 0
    _lines: deque[LogLine] = field(default_factory=deque)

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[LogLine]:
        return iter(self._lines)

    def extend(self, lines: Iterable[LogLine]) -> list[LogLine]:
        """Add lines; returns those that had to go, the oldest first."""
        for line in lines:
            self._lines.append(line)
            self.bytes += _size(line)
        gone: list[LogLine] = []
        while len(self._lines) > self.most_lines or self.bytes > self.most_bytes:
            line = self._lines.popleft()
            self.bytes -= _size(line)
            gone.append(line)
        return gone

    def pop(self) -> LogLine:
        """Take the newest line away. Raises IndexError where there is none."""
        line = self._lines.pop()
        self.bytes -= _size(line)
        return line

    def take(self) -> tuple[LogLine, ...]:
        """All lines; the ring is empty afterwards."""
        lines = tuple(self._lines)
        self._lines.clear()
        self.bytes = 0
        return lines


def _size(line: LogLine) -> int:
    return _OBJECTS + sys.getsizeof(line.text) + _SPAN * len(line.spans)
