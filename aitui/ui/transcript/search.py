"""What is found in a transcript: counted by what has changed, placed in the rows that are drawn."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence

from aitui.ui.transcript.blocks import PieceKind
from aitui.ui.transcript.layout import LaidOutPiece, TranscriptLayout
from aitui.ui.transcript.rows import TranscriptRow

Match = tuple[tuple[int, int, int], ...]
"""Where it stands: a row of its piece, and the characters from and to, for each row that it is in."""
Place = tuple[LaidOutPiece, int]
"""A piece, and which of its matches."""


def find_in_rows(rows: Sequence[TranscriptRow], needle: re.Pattern[str]) -> tuple[Match, ...]:
    """Find what stands in the rows of a piece, also over the ends of rows; decoration is no text."""
    starts, parts, at = list[int](), list[str](), 0
    for row in rows:
        glue, body = row.glue if parts else "", row.text[row.lead :]
        starts.append(at + len(glue))
        parts.append(glue + body)
        at += len(glue) + len(body)
    found = []
    for match in needle.finditer("".join(parts)):
        begin, end = match.span()
        first = max(0, bisect_right(starts, begin) - 1)
        places = []
        for number in range(first, bisect_right(starts, end - 1)):
            row, start = rows[number], starts[number]
            a, b = max(0, begin - start), min(end - start, len(row.text) - row.lead)
            if a < b:
                places.append((number, row.lead + a, row.lead + b))
        if places:
            found.append(tuple(places))
    return tuple(found)


class TranscriptSearch:
    """The matches of a needle. `folds` yields each line of folded reasoning with what it hides.

    Entries in front of the first that changed are not looked at again, and no piece twice.
    """

    def __init__(
        self,
        layout: TranscriptLayout,
        folds: Callable[[], Iterable[tuple[LaidOutPiece, Sequence[LaidOutPiece]]]],
    ) -> None:
        self._layout = layout
        self._folds = folds
        self.needle: re.Pattern[str] | None = None
        self.current: Place | None = None
        self._totals = [0]
        """The matches in front of each entry that was looked at, without those that are hidden."""
        self._hidden: dict[LaidOutPiece, int] = {}

    @property
    def is_complete(self) -> bool:
        """Whether every entry was looked at."""
        return len(self._totals) > len(self._layout.entries)

    @property
    def count(self) -> int:
        """The matches that are known."""
        return self._totals[-1] + sum(self._hidden.values())

    def search(self, needle: re.Pattern[str] | None) -> None:
        """Look for something else, or for nothing any more."""
        self.needle, self.current = needle, None
        self._totals, self._hidden = [0], {}
        self.update()

    def update(self) -> None:
        """Look at what has changed or was drawn since the last time."""
        layout = self._layout
        if self.needle is None:
            return
        del self._totals[layout.changed_from + 1 :]
        for index in range(len(self._totals) - 1, len(layout.entries)):
            laid = layout.entries[index]
            if laid.rows is None:
                break
            self._totals.append(self._totals[-1] + len(self.matches(laid)))
        layout.changed_from = len(layout.entries)
        self._hidden = {}
        for fold, pieces in self._folds():
            if count := sum(len(self._matches_of(laid)) for laid in pieces):
                self._hidden[fold] = count

    def matches(self, laid: LaidOutPiece) -> tuple[Match, ...]:
        """Return the matches of a piece that is drawn."""
        return () if laid.rows is None else self._matches_of(laid)

    def pieces_in_fold(self, fold: LaidOutPiece) -> list[LaidOutPiece]:
        """Return the pieces with a match that this line of folded reasoning hides."""
        pieces = next((pieces for one, pieces in self._folds() if one is fold), ())
        return [laid for laid in pieces if self._matches_of(laid)]

    def hidden_count(self, laid: LaidOutPiece) -> int:
        """Return how many matches this line of folded reasoning hides."""
        return self._hidden.get(laid, 0)

    def number(self) -> int:
        """Return which match is the current one, from 1; 0 if it is none, or has gone."""
        if self.current is None:
            return 0
        before = 0
        for laid, count in self._places():
            if laid is self.current[0]:
                return before + self.current[1] + 1 if self.current[1] < count else 0
            before += count
        return 0

    def first(self, start: int) -> Place | None:
        """Return the first match in that entry or behind it, else of all; one in sight if there is any."""
        entries, totals = self._layout.entries, self._totals
        last = len(totals) - 1
        shown = (
            at
            for at in (*range(start, last), *range(min(start, last)))
            if totals[at + 1] > totals[at]
        )
        index = next(shown, None)
        laid = next(iter(self._hidden), None) if index is None else entries[index]
        return None if laid is None else (laid, 0)

    def next(self, direction: int) -> Place | None:
        """Return the match behind the current one or in front of it, around the ends."""
        places = [(laid, at) for laid, count in self._places() for at in range(count)]
        if not places:
            return None
        if self.current is None or self.current not in places:
            return places[0 if direction > 0 else -1]
        return places[(places.index(self.current) + direction) % len(places)]

    def _places(self) -> Iterator[tuple[LaidOutPiece, int]]:
        """Yield each entry with a match, and how many; what folded reasoning hides counts as one."""
        entries, totals = self._layout.entries, self._totals
        for index in range(len(totals) - 1):
            laid = entries[index]
            if count := totals[index + 1] - totals[index] or self._hidden.get(laid, 0):
                yield laid, count

    def _matches_of(self, laid: LaidOutPiece) -> tuple[Match, ...]:
        if self.needle is None or laid.piece.kind is PieceKind.LABEL:
            return ()
        needle, rows, found = laid.found or (None, None, ())
        # Of what is hidden only the number counts, which no width changes.
        if needle is self.needle and (laid.rows is None or rows is laid.rows):
            return found
        rows = laid.rows
        if rows is None:
            rows = laid.render(self._layout.width, raw=self._layout.raw)
        found = find_in_rows(rows, self.needle)
        laid.found = self.needle, rows, found
        return found
