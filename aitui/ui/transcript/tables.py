"""Tables: columns as wide as their cells, or narrower with the cells broken into lines."""

from collections.abc import Sequence

from rich.cells import cell_len

from aitui.ui.transcript.inks import TEXT, Ink, Row, Run
from aitui.ui.transcript.inline import inline
from aitui.ui.transcript.line_starts import cells_of
from aitui.ui.transcript.wrapping import wrapped_runs

BAR: Run = (" │ ", Ink("line"))
NARROWEST = 3
HEAD = Ink("text", bold=True)

Cells = list[tuple[Run, ...]]


def table_rows(
    lines: Sequence[str], width: int, head: Sequence[str], lead: Run
) -> list[Row] | None:
    """The rows of a table, or of the part of one whose first part is `head`.

    The first part alone gives the columns their widths. None where the columns don't fit.
    """
    begins = head or lines
    names, delimiters = cells_of(begins[0]), cells_of(begins[1])
    wanted = [1] * len(names)
    first = [_cells(line, len(names), HEAD if not at else TEXT) for at, line in enumerate(begins)]
    for at, cells in enumerate(first):
        if at != 1:
            wanted = [max(size, _size(cell)) for size, cell in zip(wanted, cells, strict=True)]
    room = width - cell_len(lead[0]) - cell_len(BAR[0]) * (len(names) - 1)
    widths = _shared(wanted, room)
    if widths is None:
        return None
    shown = [_cells(line, len(names), TEXT) for line in lines] if head else first
    rows: list[Row] = []
    for at, cells in enumerate(shown):
        if at == 1 and not head:
            line = "─┼─".join("─" * size for size in widths)
            rows.append(Row((lead, (line, Ink("line"))), lead=len(lead[0])))
        else:
            rows.extend(_row(cells, widths, delimiters, lead))
    return rows


def _cells(line: str, count: int, ink: Ink) -> Cells:
    texts = cells_of(line)
    # More cells than columns: the last column takes them all, so that no text is lost.
    if len(texts) > count:
        texts = [*texts[: count - 1], " | ".join(texts[count - 1 :])]
    return [inline(text, ink) for text in (*texts, *[""] * (count - len(texts)))]


def _size(cell: Sequence[Run]) -> int:
    return sum(cell_len(text) for text, _ in cell)


def _shared(wanted: Sequence[int], room: int) -> list[int] | None:
    """The widths that columns get: narrow ones what they want, the others equal shares."""
    if sum(wanted) <= room:
        return list(wanted)
    if room < NARROWEST * len(wanted):
        return None
    widths = [0] * len(wanted)
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    for place, index in enumerate(order):
        widths[index] = min(wanted[index], room // (len(order) - place))
        room -= widths[index]
    return widths


def _row(cells: Cells, widths: Sequence[int], delimiters: Sequence[str], lead: Run) -> list[Row]:
    columns = [wrapped_runs(cell, size) for cell, size in zip(cells, widths, strict=True)]
    rows: list[Row] = []
    for height in range(max(len(column) for column in columns)):
        runs: list[Run] = [lead]
        for at, (column, size) in enumerate(zip(columns, widths, strict=True)):
            if at:
                runs.append(BAR)
            row = column[height].runs if height < len(column) else ()
            before, after = _padding(size - _size(row), delimiters[at])
            last = at == len(widths) - 1
            runs.extend((*before, *row, *(() if last else after)))
        rows.append(Row(tuple(run for run in runs if run[0]), lead=len(lead[0])))
    return rows


def _padding(free: int, delimiter: str) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
    if not delimiter.endswith(":"):
        before = 0
    elif delimiter.startswith(":"):
        before = free // 2
    else:
        before = free
    return ((" " * before, TEXT),), ((" " * (free - before), TEXT),)
