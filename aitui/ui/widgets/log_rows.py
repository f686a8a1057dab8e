"""Which lines of a log are shown, and which rows of the view they take.

Lines and rows are counted from the beginning of time, so that their numbers stay the same while
the oldest go. Everything that is asked for each frame costs the same however long the log is.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from time import thread_time
from typing import Generic, TypeVar

from rich.cells import cell_len, chop_cells

from aitui.domain.logs import MATCH_SECONDS, LogFilter, LogLine, LogRing, PatternTooSlow

T = TypeVar("T")

_COMPACT_THRESHOLD = 64


class RingBuffer(Generic[T]):
    """Items by number; taking the first away costs, on average, as much as adding one.

    `items` from `gone` on are there, for bisection; item n stands at `items[n - shift]`.
    """

    def __init__(self, first: int = 0) -> None:
        self.items: list[T] = []
        self.removed = 0
        self.offset = first

    def __len__(self) -> int:
        return len(self.items) - self.removed

    def __getitem__(self, number: int) -> T:
        at = number - self.offset
        if at < self.removed:
            raise IndexError(number)
        return self.items[at]

    @property
    def first(self) -> int:
        """The number of the first item that is there, or will be."""
        return self.removed + self.offset

    @property
    def end(self) -> int:
        """One more than the number of the last item."""
        return len(self.items) + self.offset

    def append(self, item: T) -> None:
        self.items.append(item)

    def pop(self) -> T:
        return self.items.pop()

    def popleft(self) -> T:
        item = self.items[self.removed]
        self.removed += 1
        if self.removed > _COMPACT_THRESHOLD and self.removed * 8 > len(self.items):
            del self.items[: self.removed]
            self.offset += self.removed
            self.removed = 0
        return item


NO_WRAP = 0
LIVE_FILTER_TIMEOUT = 0.25
"""Seconds that the pattern of a filter may compute for lines that came just now."""


class LogRows:
    """The stored lines of a log, and those that are shown: filtered, wrapped, searched."""

    def __init__(self, ring: LogRing | None = None) -> None:
        self.ring = LogRing() if ring is None else ring
        self.widest = 0
        self.hidden_polls = 0
        self.filter = LogFilter()
        self._width = NO_WRAP
        self.needle: re.Pattern[str] | None = None
        self._partial_line: LogLine | None = None
        self._lines: RingBuffer[LogLine] = RingBuffer()
        self._row_ends: RingBuffer[int] = RingBuffer()
        self._matches: RingBuffer[int] = RingBuffer()
        self.first_row = 0

    @property
    def first(self) -> int:
        """The number of the oldest shown line."""
        return self._lines.first

    @property
    def end(self) -> int:
        """One more than the number of the newest shown line."""
        return self._lines.end

    @property
    def end_row(self) -> int:
        """One more than the newest row."""
        return self._row_ends[self.end - 1] if self._lines else self.first_row

    @property
    def match_count(self) -> int:
        """Return the number of shown lines that match the search."""
        return len(self._matches)

    def line(self, number: int) -> LogLine:
        return self._lines[number]

    def visible_lines(self) -> Iterator[LogLine]:
        """All shown lines, the oldest first."""
        return (self._lines[number] for number in range(self.first, self.end))

    def row_of(self, number: int) -> int:
        """The first row of a line."""
        return self.first_row if number <= self.first else self._row_ends[number - 1]

    def line_at_row(self, row: int) -> tuple[int, int]:
        """The line of a row, and which of its own rows that is."""
        number = (
            bisect_right(self._row_ends.items, row, lo=self._row_ends.removed)
            + self._row_ends.offset
        )
        return number, row - self.row_of(number)

    def row_text(self, row: int) -> tuple[LogLine, int, int]:
        """A row's line, and the start and end of what the row shows of its text."""
        number, part = self.line_at_row(row)
        line = self._lines[number]
        starts = row_starts(line.text, self._width)
        end = starts[part + 1] if part + 1 < len(starts) else len(line.text)
        return line, starts[part], end

    def extend(self, lines: Iterable[LogLine], unfinished: LogLine | None) -> None:
        """Add lines; `unfinished` stands at the end until the next time.

        Raises PatternTooSlow if the filter's pattern takes too long; nothing is added then.
        """
        new = tuple(lines)
        last = () if unfinished is None else (unfinished,)
        passes = self._filter_results((*new, *last), LIVE_FILTER_TIMEOUT)
        if self._partial_line is not None:
            self._drop_newest(self._partial_line)
        for line in new:
            self._append_line(line, passes=next(passes))
        gone = self.ring.extend(new)
        self._partial_line = unfinished
        for line in last:
            self._append_line(line, passes=next(passes))
            gone += self.ring.extend((line,))
        for line in gone:
            self._drop_oldest(line)

    def clear(self) -> None:
        """Forget every line; what is shown of the next ones stays as it was chosen."""
        self.ring.take()
        self._partial_line = None
        self._rebuild()

    def set_filter(self, log_filter: LogFilter) -> None:
        """Show other lines.

        Raises PatternTooSlow if the pattern takes too long; the filter stays the same then.
        """
        before, self.filter = self.filter, log_filter
        try:
            self._rebuild()
        except PatternTooSlow:
            self.filter = before
            raise

    def set_wrap_width(self, width: int) -> bool:
        """Let lines go on below themselves after so many cells, or not at all; whether that is new.

        Rows have other numbers afterwards, lines keep theirs.
        """
        if width == self._width:
            return False
        self._width = width
        self._update_row_ends()
        return True

    def search(self, needle: re.Pattern[str] | None) -> None:
        """Search all shown lines, and new ones."""
        self.needle = needle
        self._matches = RingBuffer()
        if needle is not None:
            for number in range(self.first, self.end):
                if needle.search(self._lines[number].text):
                    self._matches.append(number)

    def next_match(self, number: int, direction: int) -> int | None:
        """The nearest line after or before that one which has it; goes round at the ends."""
        found = self._matches
        if not found:
            return None
        if direction > 0:
            at = bisect_right(found.items, number, lo=found.removed)
            return found.items[at] if at < len(found.items) else found.items[found.removed]
        at = bisect_left(found.items, number, lo=found.removed) - 1
        return found.items[at] if at >= found.removed else found.items[-1]

    def match_number(self, number: int) -> int:
        """Return the number of a match, from 1; 0 if the line doesn't match."""
        items, gone = self._matches.items, self._matches.removed
        at = bisect_left(items, number, lo=gone)
        return at - gone + 1 if at < len(items) and items[at] == number else 0

    def line_number(self, line: LogLine) -> int:
        """The number of a line, or of the nearest shown one after it."""
        place = self.first
        for kept in self.ring:
            if kept is line or place >= self.end:
                break
            if self._lines[place] is kept:
                place += 1
        return max(self.first, min(place, self.end - 1))

    def _filter_results(self, lines: Sequence[LogLine], seconds: float) -> Iterator[bool]:
        return iter(self.filter.passes_each(lines, seconds, thread_time))

    def _append_line(self, line: LogLine, *, passes: bool) -> None:
        if not passes:
            self.hidden_polls += line.own
            return
        number = self.end
        self._row_ends.append(self.end_row + self._row_count(line.text))
        self._lines.append(line)
        if self.needle is not None and self.needle.search(line.text):
            self._matches.append(number)

    def _drop_newest(self, line: LogLine) -> None:
        self.ring.pop()
        if self._lines and self._lines[self.end - 1] is line:
            self._lines.pop()
            self._row_ends.pop()
            if self._matches and self._matches.items[-1] == self.end:
                self._matches.pop()
        else:
            self.hidden_polls -= line.own

    def _drop_oldest(self, line: LogLine) -> None:
        if line is self._partial_line:
            self._partial_line = None
        if not self._lines or self._lines[self.first] is not line:
            self.hidden_polls -= line.own
            return
        self.first_row = self._row_ends.popleft()
        self._lines.popleft()
        if self._matches and self._matches.items[self._matches.removed] < self.first:
            self._matches.popleft()

    def _rebuild(self) -> None:
        """Rebuild all lines, with new numbers and rows."""
        kept, unfinished = tuple(self.ring), self._partial_line
        passing = self._filter_results(kept, MATCH_SECONDS)
        self._lines, self._row_ends, self._matches = RingBuffer(), RingBuffer(), RingBuffer()
        self.first_row = self.hidden_polls = self.widest = 0
        for line, passes in zip(kept, passing, strict=True):
            self._append_line(line, passes=passes)
        self._partial_line = unfinished

    def _update_row_ends(self) -> None:
        lines = self._lines
        first, self._row_ends = self.first_row, RingBuffer(lines.first)
        row = first
        for number in range(lines.first, lines.end):
            row += self._row_count(lines[number].text)
            self._row_ends.append(row)

    def _row_count(self, text: str) -> int:
        cells = len(text) if text.isascii() else cell_len(text)
        self.widest = max(self.widest, cells)
        if self._width == NO_WRAP or cells <= self._width:
            return 1
        return -(-cells // self._width) if text.isascii() else len(row_starts(text, self._width))


@lru_cache(512)
def row_starts(text: str, width: int) -> Sequence[int]:
    """Where each row of a text begins, when it goes on below itself after so many cells."""
    if width == NO_WRAP or len(text) * 2 <= width:
        return (0,)
    if text.isascii():
        return range(0, len(text), width) or (0,)
    starts = [0]
    for piece in chop_cells(text, width):
        starts.append(starts[-1] + len(piece))
    return tuple(starts[:-1]) or (0,)


MAX_SCANNED_LINES = 5000
"""Lines; a run that failed is among the last ones."""


@dataclass(slots=True)
class FailureLines:
    """`lines` are those of the failed load. `jump_pending` until the cursor is moved elsewhere."""

    lines: tuple[str, ...] = ()
    jump_pending: bool = False
    found_at: int | None = None
    """The number of the first of them in the log, None while it has none."""
    _texts: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self._texts = frozenset(_normalize(line) for line in self.lines)

    def __bool__(self) -> bool:
        return bool(self.lines)

    def locate(self, rows: LogRows) -> int | None:
        """The first of the lines by which the latest run says why; None if that is known."""
        seen: set[str] = set()
        at: int | None = None
        for number in range(rows.end - 1, max(rows.first, rows.end - MAX_SCANNED_LINES) - 1, -1):
            text = _normalize(rows.line(number).text)
            if text not in self._texts:
                continue
            if text in seen:
                break  # an earlier run, which failed in the same way
            seen.add(text)
            at = number
            if len(seen) == len(self._texts):
                break
        if at is None or at == self.found_at:
            return None
        self.found_at = at
        return at

    def is_failure_line(self, number: int, line: LogLine) -> bool:
        """Whether a shown line is one of them; those of earlier runs are not."""
        return (
            self.found_at is not None
            and number >= self.found_at
            and _normalize(line.text) in self._texts
        )


def _normalize(text: str) -> str:
    return " ".join(text.split())
