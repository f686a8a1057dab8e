"""Styled text broken into rows of a limited width, in cells: no character is lost."""

import re
from collections.abc import Sequence

from rich.cells import cell_len, split_graphemes

from aitui.ui.transcript.style import TEXT_STYLE, Run, TextStyle, TranscriptRow

_WIDE = (
    "\u1100-\u115f\u2e80-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60"
)
_MARKS = "\u0300-\u036f\u3099\u309a\ufe00-\ufe0f\u200d"
_WORDS = re.compile(
    rf"[ \t]+|[{_WIDE}\uffe0-\uffe6\U00020000-\U0003fffd][{_MARKS}]*|[^ \t{_WIDE}]+"
)

Break = tuple[int, int, str]
"""Start and end of a row in the text, and what stood between it and the row before."""


def wrap_runs(
    runs: Sequence[Run],
    width: int,
    *,
    lead: Run = ("", TEXT_STYLE),
    fill: TextStyle = TEXT_STYLE,
    anywhere: bool = False,
) -> list[TranscriptRow]:
    """Rows of at most `width` cells, with `lead` in front of each.

    Code breaks `anywhere`, prose at blanks.
    """
    before = (lead,) if lead[0] else ()
    room = max(1, width - cell_len(lead[0]))
    text = "".join(text for text, _ in runs)
    if len(text) <= room and text.isascii() and "\n" not in text:
        # Most lines of code, and many others: there is nothing to break.
        return [TranscriptRow((*before, *runs), lead=len(lead[0]), fill=fill)]
    breaks = _find_breaks(text, room, anywhere=anywhere)
    return [
        TranscriptRow((*before, *row), glue, len(lead[0]), fill)
        for (_, _, glue), row in zip(breaks, _slice_runs(runs, breaks), strict=True)
    ]


def _find_breaks(text: str, width: int, *, anywhere: bool) -> list[Break]:
    breaks: list[Break] = []
    start = 0
    for line in text.split("\n"):
        glue = "\n"
        if cell_len(line) <= width:
            breaks.append((start, start + len(line), glue))
        else:
            cut = _chop_line(line, width) if anywhere else _break_at_words(line, width)
            for begin, end, between in cut:
                breaks.append((start + begin, start + end, glue if not begin else between))
        start += len(line) + 1
    return breaks


def _break_at_words(line: str, width: int) -> list[Break]:
    if line.isascii():
        return _break_at_blanks(line, width)
    breaks: list[Break] = []
    start = end = cells = 0
    glue = ""
    for match in _WORDS.finditer(line):
        word = match[0]
        size = cell_len(word)
        if word[0] in " \t":
            cells += size
            continue
        if cells + size > width and end > start:
            breaks.append((start, end, glue))
            glue = " " if end < match.start() else ""
            start, cells = match.start(), 0
        if size + cells > width:
            *whole, last = _chop_line(line[start : match.end()], width)
            breaks.extend((start + a, start + b, glue if not a else "") for a, b, _ in whole)
            if whole:
                glue = ""
            start += last[0]
            cells = cell_len(line[start : match.end()])
        else:
            cells += size
        end = match.end()
    breaks.append((start, len(line) if cells <= width else end, glue))
    return breaks


def _break_at_blanks(line: str, width: int) -> list[Break]:
    breaks: list[Break] = []
    start, glue = 0, ""
    while len(line) - start > width:
        end = line.rfind(" ", start, start + width + 1)
        text_end = len(line[start:end].rstrip(" ")) + start if end > start else start
        if text_end <= start:
            end = text_end = start + width
        following = end
        while following < len(line) and line[following] == " ":
            following += 1
        breaks.append((start, text_end, glue))
        glue = " " if following > text_end else ""
        start = following
    if start < len(line) or not breaks:
        breaks.append((start, len(line), glue))
    return breaks


def _chop_line(line: str, width: int) -> list[Break]:
    if line.isascii():
        return [(at, min(at + width, len(line)), "") for at in range(0, len(line), width)]
    breaks: list[Break] = []
    start = cells = 0
    for begin, _, size in split_graphemes(line)[0]:
        if cells + size > width and begin > start:
            breaks.append((start, begin, ""))
            start, cells = begin, 0
        cells += size
    breaks.append((start, len(line), ""))
    return breaks


def _slice_runs(runs: Sequence[Run], breaks: Sequence[Break]) -> list[tuple[Run, ...]]:
    """The runs of each row. Rows are in order and don't overlap."""
    rows: list[tuple[Run, ...]] = []
    index, offset = 0, 0
    for start, end, _ in breaks:
        row: list[Run] = []
        while index < len(runs):
            text, style = runs[index]
            begin, stop = max(0, start - offset), min(len(text), end - offset)
            if begin < stop:
                row.append((text[begin:stop], style))
            if offset + len(text) > end:
                break
            offset += len(text)
            index += 1
        rows.append(tuple(row))
    return rows
