"""The list items that a line may belong to, from the outermost to the innermost."""

from dataclasses import dataclass

from rich.cells import cell_len

from aitui.ui.transcript.line_starts import BULLET, NUMBER, RULE, TAB, TASK, skip_blanks

BULLETS = "•◦▪"
MAX_INDENT = 24
"""Cells of indentation; what is nested deeper is not indented further."""


@dataclass(frozen=True, slots=True)
class ListLevel:
    """One list item: the source column of its text, the cells of its indentation, its mark.

    `mark` is what siblings share. `number` is that of an ordered list.
    """

    column: int
    cells: int
    mark: str
    number: int


@dataclass(frozen=True, slots=True)
class ListMarker:
    """What a marker stands for: its level, how it is shown, and where its text begins."""

    level: ListLevel
    marker: str
    position: int
    column: int


def leave_levels(
    levels: tuple[ListLevel, ...], column: int
) -> tuple[tuple[ListLevel, ...], ListLevel | None]:
    """The levels that a line at that column belongs to, and the outermost one that it leaves."""
    gone = None
    while levels and column < levels[-1].column:
        gone, levels = levels[-1], levels[:-1]
    return levels, gone


def parse_item(
    text: str, position: int, column: int, levels: tuple[ListLevel, ...], gone: ListLevel | None
) -> ListMarker | None:
    """The list item that begins at a place in a line, a sibling of `gone` if it has its mark."""
    content = text[position:]
    if RULE.match(content):
        return None
    bullet, number = BULLET.match(content), NUMBER.match(content)
    if bullet is not None:
        mark, width, count = bullet[1], 1, 0
        shown = BULLETS[min(len(levels), len(BULLETS) - 1)] + " "
    elif number is not None:
        mark, width, count = number[2], len(number[1]) + 1, int(number[1])
        if gone is not None and gone.mark == mark:
            count = gone.number + 1
        shown = f"{count}{mark} "
    else:
        return None
    cells = min(MAX_INDENT, (levels[-1].cells if levels else 0) + cell_len(shown))
    after = column + width
    position, text_column = skip_blanks(text, position + width, after)
    # Five blanks and more are one, and four of indented code, which is shown as text here.
    inner = after + 1 if position == len(text) or text_column - after > TAB else text_column
    task = TASK.match(text, position) if bullet is not None else None
    if task is not None:
        shown += "☐ " if task[1] == " " else "☑ "
        position = task.end()
    return ListMarker(ListLevel(inner, cells, mark, count), shown, position, inner)
