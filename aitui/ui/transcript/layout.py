"""Pieces below each other: which rows they take, as far as they have been drawn yet."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

from aitui.ui.transcript.drawing import drawn, drawn_aside, estimated_height
from aitui.ui.transcript.inks import Row
from aitui.ui.transcript.pieces import Kind, Piece


class Laid:
    """A piece and its rows, None until somebody looks at them at this width.

    `aside`: it is reasoning. `refined`: it was coloured together with the rest of its fence.
    """

    __slots__ = ("aside", "height", "piece", "refined", "rows")

    def __init__(self, piece: Piece, *, aside: bool = False) -> None:
        self.piece = piece
        self.aside = aside
        self.rows: tuple[Row, ...] | None = None
        self.height = 0
        self.refined = False

    @property
    def is_label(self) -> bool:
        """Whether it is a line of ours."""
        return self.piece.shape.kind is Kind.LABEL


class Layout:
    """The entries in their order. Rows are counted from the top; `height` may be an estimate."""

    def __init__(self) -> None:
        self.width = 0
        self.raw = False
        self._entries: list[Laid] = []
        self._tops = [0]
        self._undrawn = 0

    @property
    def entries(self) -> Sequence[Laid]:
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

    def at(self, row: int) -> int:
        """The index of the entry that has the row."""
        return min(bisect_right(self._tops, row) - 1, len(self._entries) - 1)

    def truncate(self, count: int) -> None:
        """Keep the first entries only."""
        self._undrawn -= sum(laid.rows is None for laid in self._entries[count:])
        del self._entries[count:]
        del self._tops[count + 1 :]

    def extend(self, entries: Iterable[Laid], draw_last: int = 64) -> None:
        """Add entries at the end; of those without rows only the last ones are drawn at once."""
        new = list(entries)
        for laid in new[-draw_last:]:
            self._draw(laid)
        for laid in new:
            if laid.rows is None:
                self._undrawn += 1
                laid.height = estimated_height(laid.piece, self.width)
            self._entries.append(laid)
            self._tops.append(self._tops[-1] + laid.height)

    def reflow(self, width: int, *, raw: bool) -> None:
        """Forget all rows; heights are estimates until the entries are drawn."""
        self.width, self.raw = width, raw
        for laid in self._entries:
            laid.rows, laid.refined = None, False
            laid.height = estimated_height(laid.piece, width)
        self._undrawn = len(self._entries)
        self._retop(0)

    def draw_below(self, index: int, rows: int) -> None:
        """Draw entries from that one downwards until they fill so many rows."""
        start = index
        while index < len(self._entries) and rows > 0:
            rows -= self._draw_counted(self._entries[index])
            index += 1
        self._retop(start)

    def draw_last(self, rows: int) -> None:
        """Draw entries from the last one upwards until they fill so many rows."""
        index = len(self._entries)
        while index > 0 and rows > 0:
            index -= 1
            rows -= self._draw_counted(self._entries[index])
        self._retop(index)

    def draw_rest(self, near: int, enough: Callable[[], bool]) -> None:
        """Draw what isn't drawn yet, what is above `near` first, until it is `enough`."""
        if self.exact:
            return
        least = len(self._entries)
        for index in (*range(min(near, least - 1), -1, -1), *range(near + 1, least)):
            laid = self._entries[index]
            if laid.rows is None:
                self._draw_counted(laid)
                least = min(least, index)
                if enough():
                    break
        self._retop(least)

    def replace(self, index: int, laid: Laid) -> None:
        """Put another entry in the place of one."""
        self._undrawn += (laid.rows is None) - (self._entries[index].rows is None)
        self._entries[index] = laid
        self._draw_counted(laid)
        self._retop(index)

    def row(self, number: int) -> Row | None:
        """A row, its entry drawn where it was not; None beyond the last."""
        if not 0 <= number < self.height:
            return None
        index = self.at(number)
        laid = self._entries[index]
        if laid.rows is None:
            self.draw_below(index, 1)
            return self.row(number)
        return laid.rows[number - self._tops[index]]

    def _draw_counted(self, laid: Laid) -> int:
        self._undrawn -= laid.rows is None
        self._draw(laid)
        return laid.height

    def _draw(self, laid: Laid) -> None:
        if laid.rows is None:
            draw = drawn_aside if laid.aside else drawn
            laid.rows = draw(laid.piece, self.width, raw=self.raw)
        laid.height = len(laid.rows)

    def _retop(self, index: int) -> None:
        tops = self._tops
        top = tops[index]
        for at in range(index, len(self._entries)):
            top += self._entries[at].height
            tops[at + 1] = top
