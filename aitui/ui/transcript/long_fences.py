"""Long fences coloured as a whole, once they are complete.

While a fence streams in, each part of it is coloured by itself, which gets a comment or a string
wrong that goes on across two parts. The rows stay the same ones: only their inks change.
"""

from collections.abc import Iterator, Sequence

from aitui.ui.transcript.drawing import code_lines, code_rows
from aitui.ui.transcript.highlighting import LONGEST_LINE, highlighted
from aitui.ui.transcript.inks import EMPTY, Run
from aitui.ui.transcript.layout import Laid
from aitui.ui.transcript.pieces import Kind


def long_fences(entries: Sequence[Laid]) -> Iterator[Sequence[Laid]]:
    """The entries of each fence of several parts that wasn't coloured as a whole yet."""
    fence: list[Laid] = []
    for laid in entries:
        if fence and not (_is_code(laid) and not laid.piece.begins):
            if _wants_colours(fence):
                yield fence
            fence = []
        if _is_code(laid) and (fence or laid.piece.begins):
            fence.append(laid)
    if _wants_colours(fence):
        yield fence


def colour(fence: Sequence[Laid], width: int) -> Iterator[None]:
    """Colour a fence, with a pause after every line of it; nothing changes before the end."""
    parts = [code_lines(laid.piece) for laid in fence]
    lines: list[list[Run]] = []
    for line in highlighted(
        [line for part in parts for line in part], fence[0].piece.shape.language
    ):
        lines.append(line)
        yield
    at = 0
    for laid, part in zip(fence, parts, strict=True):
        rows = code_rows(laid.piece, width, iter(lines[at : at + len(part)]))
        at += len(part)
        gap = (EMPTY,) if laid.piece.shape.gap and rows else ()
        laid.rows, laid.refined = (*gap, *rows), True


def _is_code(laid: Laid) -> bool:
    return laid.piece.shape.kind is Kind.CODE and bool(laid.piece.shape.fence)


def _wants_colours(fence: Sequence[Laid]) -> bool:
    return (
        len(fence) > 1
        and bool(fence[0].piece.shape.language)
        and not fence[0].refined
        and not any(len(line) > LONGEST_LINE for laid in fence for line in code_lines(laid.piece))
    )
