"""Blocks: what a person moves by and copies. A long fence is one, however it was cut."""

from collections.abc import Sequence

from aitui.ui.transcript.drawing import code_lines
from aitui.ui.transcript.layout import LaidOutPiece, TranscriptLayout
from aitui.ui.transcript.pieces import PieceKind


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
    """Where an entry is after others have come or gone; where it has gone itself, where it was."""
    if index is not None and index < len(entries) and entries[index] is marked:
        return index
    found = (at for at, laid in enumerate(entries) if laid is marked)
    return next(found, block_start(entries, len(entries) if index is None else index))


def block_end(entries: Sequence[LaidOutPiece], index: int) -> int:
    """The entry behind the last one of a block."""
    at = index + 1
    while at < len(entries) and not entries[at].piece.opens and not entries[at].is_label:
        at += 1
    return at


def block_text(entries: Sequence[LaidOutPiece], index: int | None) -> str:
    """The source of a block, of a fence its code alone; the last block where none is chosen."""
    index = block_start(entries, len(entries) if index is None else index)
    if index is None:
        return ""
    pieces = [laid.piece for laid in entries[index : block_end(entries, index)]]
    if pieces[0].shape.kind is PieceKind.CODE:
        return "\n".join(line for piece in pieces for line in code_lines(piece))
    return "".join(piece.source for piece in pieces).strip("\n")


def block_contains_row(layout: TranscriptLayout, index: int | None, row: int) -> bool:
    """Whether a row belongs to the block that begins with an entry, gaps not counted."""
    if index is None or index >= len(layout.entries):
        return False
    first = layout.top(index) + layout.entries[index].piece.shape.gap
    return first <= row < layout.top(block_end(layout.entries, index))
