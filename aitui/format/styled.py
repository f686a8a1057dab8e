"""Text with a style, for the command line: what a style looks like is the terminal's own theme."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

# The 16 colors that each terminal theme chooses itself: readable on dark and on light backgrounds.
_SGR: Mapping[str, str] = {
    "title": "1",
    "strong": "1",
    "muted": "2",
    "ready": "32",
    "transit": "36",
    "warning": "33",
    "error": "31",
}


class Span(NamedTuple):
    """A piece of a line; `style` is one of the names above, "" for none."""

    text: str
    style: str = ""


Line = Sequence[Span]


def plain_text(lines: Iterable[Line]) -> str:
    """Join lines without their styles."""
    return "\n".join("".join(span.text for span in line).rstrip() for line in lines)


def ansi_text(lines: Iterable[Line]) -> str:
    """Join lines with ANSI colors."""
    return "\n".join("".join(ansi(span) for span in line) for line in lines)


def ansi(span: Span) -> str:
    """Format a span with the ANSI color of its style."""
    code = _SGR.get(span.style)
    return f"\x1b[{code}m{span.text}\x1b[0m" if code and span.text.strip() else span.text


class Cell(NamedTuple):
    """A cell of a table."""

    text: str
    style: str = ""


class Column(NamedTuple):
    """A column of a table: the lower `need`, the earlier it leaves; None for one that stays."""

    title: str
    right: bool = False
    need: int | None = None


def table(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int | None, shrinking: int
) -> list[Line]:
    """Lay out a table in `width` cells, None for as many as it takes.

    Columns without any content are left out. Where the rest is too wide, the column `shrinking` loses
    the middle of its texts, down to 16 cells, and then columns leave in the order of their need.
    """
    kept = [
        place
        for place, column in enumerate(columns)
        if column.need is None or any(row[place].text.strip("–") for row in rows)
    ]
    widths = {
        place: max(
            [cell_width(columns[place].title), *(cell_width(row[place].text) for row in rows)]
        )
        for place in kept
    }

    def excess() -> int:
        return 0 if width is None else sum(widths.values()) + 2 * (len(widths) - 1) - width

    whole = widths[shrinking]
    while excess() > 0:
        widths[shrinking] = max(min(whole, 16), widths[shrinking] - excess())
        if excess() <= 0:
            break
        needs = [(columns[place].need or 0, place) for place in widths if columns[place].need]
        if not needs:
            break
        widths.pop(min(needs)[1])
        widths[shrinking] = whole
    head = tuple(Cell(column.title, "muted") for column in columns)
    return [
        _join([_fit(columns[place], row[place], widths[place]) for place in widths])
        for row in (head, *rows)
    ]


def _fit(column: Column, cell: Cell, width: int) -> Span:
    text = cell.text
    if cell_width(text) > width:
        from aitui.format.fit import (
            shorten_id,  # with rich: 10 ms, which a wide terminal has no use for
        )

        text = shorten_id(text, width)
    blanks = " " * (width - cell_width(text))
    return Span(blanks + text if column.right else text + blanks, cell.style)


def _join(cells: Sequence[Span]) -> Line:
    line = [cells[0]]
    for cell in cells[1:]:
        line += Span("  "), cell
    return line


_ONE_CELL = frozenset(map(chr, range(32, 127))) | frozenset("●◐◌○◇–≈≤…")


def cell_width(text: str) -> int:
    """Return the cells that a terminal gives a text."""
    if _ONE_CELL.issuperset(text):
        return len(text)
    from rich.cells import cell_len  # 10 ms, which `aitui status` has no use for otherwise

    return cell_len(text)
