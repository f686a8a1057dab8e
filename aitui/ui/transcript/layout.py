"""Pieces below each other: which rows they take, as far as they have been drawn yet."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from msgspec import Struct, field
from textual.selection import Selection

from aitui.ui.transcript.blocks import Piece, PieceKind, References
from aitui.ui.transcript.highlight import find_lexer, highlight_lines
from aitui.ui.transcript.render import (
    REASONING_INDENT,
    code_lines,
    estimate_height,
    indent_reasoning,
    render_piece,
)
from aitui.ui.transcript.rows import GUTTER, Run, TranscriptRow


class LaidOutPiece(Struct, eq=False):
    """A piece and its rows, None until they are needed at this width.

    `aside`: it is reasoning. `refined`: it was colored together with the rest of its fence.
    `references` are the link targets of its text, which may come below it.
    """

    piece: Piece
    aside: bool = False
    references: References = field(default_factory=dict)
    rows: tuple[TranscriptRow, ...] | None = None
    height: int = 0
    refined: bool = False
    found: Any = None
    """What a search keeps of it."""

    def render(
        self, width: int, *, raw: bool = False, code: Sequence[list[Run]] | None = None
    ) -> tuple[TranscriptRow, ...]:
        """The rows at a width; `code` are its lines in color."""
        if self.aside:
            width -= len(REASONING_INDENT[0])
        rows = render_piece(self.piece, width, raw=raw, references=self.references, code=code)
        return indent_reasoning(rows) if self.aside else rows


class TranscriptLayout:
    """The entries in their order. Rows are counted from the top; `height` may be an estimate."""

    def __init__(self) -> None:
        self.width = 0
        self.raw = False
        self.entries: list[LaidOutPiece] = []
        self.changed_from = 0
        """Entries in front of which nothing has changed since a search last looked."""
        self._tops = [0]
        self._undrawn = 0

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
        return min(bisect_right(self._tops, row) - 1, len(self.entries) - 1)

    def truncate(self, count: int) -> None:
        """Keep the first entries only."""
        self._undrawn -= sum(laid.rows is None for laid in self.entries[count:])
        self.changed_from = min(self.changed_from, count)
        del self.entries[count:]
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
            self.entries.append(laid)
            self._tops.append(self._tops[-1] + laid.height)

    def reflow(self, width: int, *, raw: bool) -> None:
        """Forget all rows; heights are estimates until the entries are drawn."""
        self.width, self.raw, self.changed_from = width, raw, 0
        for laid in self.entries:
            laid.rows, laid.refined = None, False
            laid.height = estimate_height(laid.piece, width)
        self._undrawn = len(self.entries)
        self._update_tops(0)

    def draw_below(self, index: int, rows: int) -> None:
        """Draw entries from that one downwards until they fill so many rows."""
        start = index
        while index < len(self.entries) and rows > 0:
            rows -= self._draw_and_count(self.entries[index])
            index += 1
        self._update_tops(start)

    def draw_last(self, rows: int) -> None:
        """Draw entries from the last one upwards until they fill so many rows."""
        index = len(self.entries)
        while index > 0 and rows > 0:
            index -= 1
            rows -= self._draw_and_count(self.entries[index])
        self._update_tops(index)

    def draw_rest(self, near: int, enough: Callable[[], bool]) -> None:
        """Draw what isn't drawn yet, what is above `near` first, until it is `enough`."""
        if self.exact:
            return
        least = len(self.entries)
        for index in (*range(min(near, least - 1), -1, -1), *range(near + 1, least)):
            laid = self.entries[index]
            if laid.rows is None:
                self._draw_and_count(laid)
                least = min(least, index)
                if enough():
                    break
        self._update_tops(least)

    def row(self, number: int) -> TranscriptRow | None:
        """A row, its entry drawn first if needed; None beyond the last."""
        if not 0 <= number < self.height:
            return None
        index = self.entry_at(number)
        laid = self.entries[index]
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
            laid.rows = laid.render(self.width, raw=self.raw)
        laid.height = len(laid.rows)

    def _update_tops(self, index: int) -> None:
        tops = self._tops
        top = tops[index]
        for at in range(index, len(self.entries)):
            top += self.entries[at].height
            tops[at + 1] = top


def block_start(entries: Sequence[LaidOutPiece], index: int) -> int | None:
    """The first entry of the block that has an entry, else of the nearest one before."""
    for at in range(min(index, len(entries) - 1), -1, -1):
        if entries[at].piece.opens:
            return at
    return None


def next_block_start(entries: Sequence[LaidOutPiece], index: int, direction: int) -> int | None:
    """The first entry of the following block, or of the one before; None at the end."""
    at = index + direction
    while 0 <= at < len(entries):
        if entries[at].piece.opens:
            return at
        at += direction
    return None


def find_entry(
    entries: Sequence[LaidOutPiece], marked: LaidOutPiece, index: int | None
) -> int | None:
    """The index of an entry after others have come or gone; of its block's start if it has gone too."""
    if index is not None and index < len(entries) and entries[index] is marked:
        return index
    found = (at for at, laid in enumerate(entries) if laid is marked)
    return next(found, block_start(entries, len(entries) if index is None else index))


def block_end(entries: Sequence[LaidOutPiece], index: int) -> int:
    """The entry behind the last one of a block."""
    at = index + 1
    while at < len(entries):
        piece = entries[at].piece
        if piece.opens or piece.kind is PieceKind.LABEL:
            break
        at += 1
    return at


def block_text(entries: Sequence[LaidOutPiece], index: int | None) -> str:
    """The source of a block, of a fence its code alone; of the last block if none is chosen."""
    index = block_start(entries, len(entries) if index is None else index)
    if index is None:
        return ""
    pieces = [laid.piece for laid in entries[index : block_end(entries, index)]]
    pieces = [piece for piece in pieces if piece.kind is not PieceKind.NOTHING] or pieces
    if all(piece.kind is PieceKind.CODE for piece in pieces):
        return "".join(piece.text for piece in pieces).removesuffix("\n")
    return "".join(piece.source for piece in pieces).strip("\n")


def block_contains_row(layout: TranscriptLayout, index: int | None, row: int) -> bool:
    """Whether a row belongs to the block that begins with an entry, gaps not counted."""
    if index is None or index >= len(layout.entries):
        return False
    first = layout.top(index) + (layout.entries[index].piece.gap is not None)
    return first <= row < layout.top(block_end(layout.entries, index))


def next_fence(entries: Sequence[LaidOutPiece], start: int, end: int) -> Sequence[LaidOutPiece]:
    """The entries of the first fence from `start` on, none if there is none before `end`."""
    while start < end and not (_is_code(entries[start]) and entries[start].piece.begins):
        start += 1
    last = min(start + 1, end)
    while last < end and _is_code(entries[last]) and not entries[last].piece.begins:
        last += 1
    return entries[start:last]


def highlight_fence(fence: Sequence[LaidOutPiece], width: int) -> Iterator[None]:
    """Color a fence, with a pause after every line of it; nothing changes before the end."""
    parts = [code_lines(laid.piece) for laid in fence]
    lines: list[list[Run]] = []
    code = [line for part in parts for line in part]
    for line in highlight_lines(code, fence[0].piece.language):
        lines.append(line)
        yield
    at = 0
    for laid, part in zip(fence, parts, strict=True):
        laid.rows = laid.render(width, code=lines[at : at + len(part)])
        laid.refined = True
        at += len(part)


def _is_code(laid: LaidOutPiece) -> bool:
    return laid.piece.kind is PieceKind.CODE


def can_highlight(fence: Sequence[LaidOutPiece]) -> bool:
    """Whether there is a lexer for a fence that has not had its turn yet."""
    return not fence[0].refined and find_lexer(fence[0].piece.language) is not None


def selection_span(selection: Selection, number: int, row: TranscriptRow) -> tuple[int, int] | None:
    """The selected characters of a row, counted with its gutter."""
    span = selection.get_span(number)
    if span is None:
        return None
    length = GUTTER + len(row.text)
    start, end = span
    start = max(GUTTER + row.lead, start)
    end = length if end == -1 else min(end, length)
    return (start, end) if start < end else None


def selection_text(layout: TranscriptLayout, selection: Selection) -> str:
    """The text between two places."""
    first = 0 if selection.start is None else max(0, selection.start.y)
    last = layout.height - 1 if selection.end is None else selection.end.y
    text, number = "", first
    parts: list[str] = []
    while number <= last and (row := layout.row(number)) is not None:
        span = selection_span(selection, number, row)
        text = row.text[span[0] - GUTTER : span[1] - GUTTER] if span is not None else ""
        parts.append((row.glue if parts else "") + text)
        number += 1
    return "".join(parts)
