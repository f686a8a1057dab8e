"""Tables: columns as wide as their cells, or narrower with the cells broken into lines."""

from collections.abc import Sequence

from rich.cells import cell_len

from aitui.ui.transcript.inks import TEXT_STYLE, Run, TextStyle, TranscriptRow
from aitui.ui.transcript.inline import parse_inline
from aitui.ui.transcript.line_starts import split_cells
from aitui.ui.transcript.wrapping import wrap_runs

COLUMN_SEPARATOR: Run = (" │ ", TextStyle("line"))
NARROWEST_COLUMN = 3
HEADER_STYLE = TextStyle("text", bold=True)

Cells = list[tuple[Run, ...]]


def table_rows(
    lines: Sequence[str], width: int, head: Sequence[str], lead: Run
) -> list[TranscriptRow] | None:
    """The rows of a table, or of the part of one whose first part is `head`.

    The first part alone gives the columns their widths. None where the columns don't fit.
    """
    begins = head or lines
    names, delimiters = split_cells(begins[0]), split_cells(begins[1])
    wanted = [1] * len(names)
    first = [
        _parse_cells(line, len(names), HEADER_STYLE if not at else TEXT_STYLE)
        for at, line in enumerate(begins)
    ]
    for at, cells in enumerate(first):
        if at != 1:
            wanted = [
                max(size, _cell_width(cell)) for size, cell in zip(wanted, cells, strict=True)
            ]
    room = width - cell_len(lead[0]) - cell_len(COLUMN_SEPARATOR[0]) * (len(names) - 1)
    widths = _column_widths(wanted, room)
    if widths is None:
        return None
    shown = [_parse_cells(line, len(names), TEXT_STYLE) for line in lines] if head else first
    rows: list[TranscriptRow] = []
    for at, cells in enumerate(shown):
        if at == 1 and not head:
            line = "─┼─".join("─" * size for size in widths)
            rows.append(TranscriptRow((lead, (line, TextStyle("line"))), lead=len(lead[0])))
        else:
            rows.extend(_render_row(cells, widths, delimiters, lead))
    return rows


def _parse_cells(line: str, count: int, ink: TextStyle) -> Cells:
    texts = split_cells(line)
    # More cells than columns: the last column takes them all, so that no text is lost.
    if len(texts) > count:
        texts = [*texts[: count - 1], " | ".join(texts[count - 1 :])]
    return [parse_inline(text, ink) for text in (*texts, *[""] * (count - len(texts)))]


def _cell_width(cell: Sequence[Run]) -> int:
    return sum(cell_len(text) for text, _ in cell)


def _column_widths(wanted: Sequence[int], room: int) -> list[int] | None:
    """The widths that columns get: narrow ones what they want, the others equal shares."""
    if sum(wanted) <= room:
        return list(wanted)
    if room < NARROWEST_COLUMN * len(wanted):
        return None
    widths = [0] * len(wanted)
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    for place, index in enumerate(order):
        widths[index] = min(wanted[index], room // (len(order) - place))
        room -= widths[index]
    return widths


def _render_row(
    cells: Cells, widths: Sequence[int], delimiters: Sequence[str], lead: Run
) -> list[TranscriptRow]:
    columns = [wrap_runs(cell, size) for cell, size in zip(cells, widths, strict=True)]
    rows: list[TranscriptRow] = []
    for height in range(max(len(column) for column in columns)):
        runs: list[Run] = [lead]
        for at, (column, size) in enumerate(zip(columns, widths, strict=True)):
            if at:
                runs.append(COLUMN_SEPARATOR)
            row = column[height].runs if height < len(column) else ()
            before, after = _padding(size - _cell_width(row), delimiters[at])
            last = at == len(widths) - 1
            runs.extend((*before, *row, *(() if last else after)))
        rows.append(TranscriptRow(tuple(run for run in runs if run[0]), lead=len(lead[0])))
    return rows


def _padding(free: int, delimiter: str) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
    if not delimiter.endswith(":"):
        before = 0
    elif delimiter.startswith(":"):
        before = free // 2
    else:
        before = free
    return ((" " * before, TEXT_STYLE),), ((" " * (free - before), TEXT_STYLE),)
