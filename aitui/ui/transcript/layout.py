"""Pieces below each other: which rows they take, as far as they have been drawn yet."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

from aitui.ui.transcript.drawing import estimate_height, render_piece, render_reasoning
from aitui.ui.transcript.inks import TranscriptRow
from aitui.ui.transcript.pieces import Piece, PieceKind


class LaidOutPiece:
    """A piece and its rows, None until somebody looks at them at this width.

    `aside`: it is reasoning. `refined`: it was coloured together with the rest of its fence.
    """

    __slots__ = ("aside", "height", "piece", "refined", "rows")

    def __init__(self, piece: Piece, *, aside: bool = False) -> None:
        self.piece = piece
        self.aside = aside
        self.rows: tuple[TranscriptRow, ...] | None = None
        self.height = 0
        self.refined = False

    @property
    def is_label(self) -> bool:
        """Whether it is a line of ours."""
        return self.piece.shape.kind is PieceKind.LABEL


class TranscriptLayout:
    """The entries in their order. Rows are counted from the top; `height` may be an estimate."""

    def __init__(self) -> None:
        self.width = 0
        self.raw = False
        self._entries: list[LaidOutPiece] = []
        self._tops = [0]
        self._undrawn = 0

    @property
    def entries(self) -> Sequence[LaidOutPiece]:
        """All entries."""
        return self._entries

    @property
    def height(self) -> int:
        """Rows that all entries take."""
        return self._tops[-1]

    @property
    def exact(self) -> bool:
        """Whether every entry is drawn."""
        return not self._undrawn

    def top(self, index: int) -> int:
        """The first row of an entry; of the one behind the last, the height."""
        return self._tops[index]

    def entry_at(self, row: int) -> int:
        """The index of the entry that has the row."""
        return min(bisect_right(self._tops, row) - 1, len(self._entries) - 1)

    def truncate(self, count: int) -> None:
        """Keep the first entries only."""
        self._undrawn -= sum(laid.rows is None for laid in self._entries[count:])
        del self._entries[count:]
        del self._tops[count + 1 :]

    def extend(self, entries: Iterable[LaidOutPiece], draw_last: int = 64) -> None:
        """Add entries at the end; of those without rows only the last ones are drawn at once."""
        new = list(entries)
        for laid in new[-draw_last:]:
            self._draw(laid)
        for laid in new:
            if laid.rows is None:
                self._undrawn += 1
                laid.height = estimate_height(laid.piece, self.width)
            self._entries.append(laid)
            self._tops.append(self._tops[-1] + laid.height)

    def reflow(self, width: int, *, raw: bool) -> None:
        """Forget all rows; heights are estimates until the entries are drawn."""
        self.width, self.raw = width, raw
        for laid in self._entries:
            laid.rows, laid.refined = None, False
            laid.height = estimate_height(laid.piece, width)
        self._undrawn = len(self._entries)
        self._update_tops(0)

    def draw_below(self, index: int, rows: int) -> None:
        """Draw entries from that one downwards until they fill so many rows."""
        start = index
        while index < len(self._entries) and rows > 0:
            rows -= self._draw_and_count(self._entries[index])
            index += 1
        self._update_tops(start)

    def draw_last(self, rows: int) -> None:
        """Draw entries from the last one upwards until they fill so many rows."""
        index = len(self._entries)
        while index > 0 and rows > 0:
            index -= 1
            rows -= self._draw_and_count(self._entries[index])
        self._update_tops(index)

    def draw_rest(self, near: int, enough: Callable[[], bool]) -> None:
        """Draw what isn't drawn yet, what is above `near` first, until it is `enough`."""
        if self.exact:
            return
        least = len(self._entries)
        for index in (*range(min(near, least - 1), -1, -1), *range(near + 1, least)):
            laid = self._entries[index]
            if laid.rows is None:
                self._draw_and_count(laid)
                least = min(least, index)
                if enough():
                    break
        self._update_tops(least)

    def replace(self, index: int, laid: LaidOutPiece) -> None:
        """Put another entry in the place of one."""
        self._undrawn += (laid.rows is None) - (self._entries[index].rows is None)
        self._entries[index] = laid
        self._draw_and_count(laid)
        self._update_tops(index)

    def row(self, number: int) -> TranscriptRow | None:
        """A row, its entry drawn where it was not; None beyond the last."""
        if not 0 <= number < self.height:
            return None
        index = self.entry_at(number)
        laid = self._entries[index]
        if laid.rows is None:
            self.draw_below(index, 1)
            return self.row(number)
        return laid.rows[number - self._tops[index]]

    def _draw_and_count(self, laid: LaidOutPiece) -> int:
        self._undrawn -= laid.rows is None
        self._draw(laid)
        return laid.height

    def _draw(self, laid: LaidOutPiece) -> None:
        if laid.rows is None:
            draw = render_reasoning if laid.aside else render_piece
            laid.rows = draw(laid.piece, self.width, raw=self.raw)
        laid.height = len(laid.rows)

    def _update_tops(self, index: int) -> None:
        tops = self._tops
        top = tops[index]
        for at in range(index, len(self._entries)):
            top += self._entries[at].height
            tops[at + 1] = top
