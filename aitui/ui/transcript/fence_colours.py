"""Fences coloured by a lexer, as a whole and once they are complete.

The rows stay the same ones: only their inks change.
"""

from collections.abc import Iterator, Sequence

from aitui.ui.transcript.drawing import code_lines, render_code
from aitui.ui.transcript.highlighting import find_lexer, highlight_lines
from aitui.ui.transcript.inks import EMPTY_ROW, Run
from aitui.ui.transcript.layout import LaidOutPiece
from aitui.ui.transcript.pieces import PieceKind


def next_fence(entries: Sequence[LaidOutPiece], start: int, end: int) -> Sequence[LaidOutPiece]:
    """The entries of the first fence from `start` on, none where there is none before `end`."""
    while start < end and not (_is_code(entries[start]) and entries[start].piece.begins):
        start += 1
    last = min(start + 1, end)
    while last < end and _is_code(entries[last]) and not entries[last].piece.begins:
        last += 1
    return entries[start:last]


def highlight_fence(fence: Sequence[LaidOutPiece], width: int) -> Iterator[None]:
    """Colour a fence, with a pause after every line of it; nothing changes before the end."""
    parts = [code_lines(laid.piece) for laid in fence]
    lines: list[list[Run]] = []
    for line in highlight_lines(
        [line for part in parts for line in part], fence[0].piece.shape.language
    ):
        lines.append(line)
        yield
    at = 0
    for laid, part in zip(fence, parts, strict=True):
        rows = render_code(laid.piece, width, iter(lines[at : at + len(part)]))
        at += len(part)
        gap = (EMPTY_ROW,) if laid.piece.shape.gap and rows else ()
        laid.rows, laid.refined = (*gap, *rows), True


def _is_code(laid: LaidOutPiece) -> bool:
    return laid.piece.shape.kind is PieceKind.CODE and not laid.aside


def can_highlight(fence: Sequence[LaidOutPiece]) -> bool:
    """Whether there is a lexer for a fence that has not had its turn yet."""
    return not fence[0].refined and find_lexer(fence[0].piece.shape.language) is not None
