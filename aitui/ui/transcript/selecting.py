"""What of the rows is selected: decoration is not, and broken lines are whole again."""

from textual.selection import Selection

from aitui.ui.transcript.inks import TranscriptRow
from aitui.ui.transcript.layout import TranscriptLayout
from aitui.ui.transcript.strips import GUTTER


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
