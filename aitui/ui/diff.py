"""A diff on screen: line numbers, signs, and the changed part of a line filled."""

import re
from collections.abc import Iterator, Sequence

from textual.content import Content

_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)")
_NUMBER_CELLS = 4
_HEAD_CELLS = _NUMBER_CELLS + 3
"""Cells of a line's number and sign."""
_LONGEST_LINE = 240


def render_diff(lines: Sequence[str], width: int, context: int = 1) -> Content:
    """Draw the lines of a unified diff; what a pair of lines differs in is filled, the rest tinted.

    Only so many unchanged lines are drawn beside those that change, no blank ones, and nothing of the
    indentation that all have. A line goes on below its own beginning.
    """
    near = _places_near_changes(lines, context)
    texts = [
        line[1:]
        for place, line in enumerate(lines)
        if place in near and line[1:].strip() and not _HUNK.match(line)
    ]
    indentation = min((len(text) - len(text.lstrip()) for text in texts), default=0)
    shown = [line if _HUNK.match(line) else line[:1] + line[1 + indentation :] for line in lines]
    rows = (_wrap(row, max(_HEAD_CELLS + 8, width)) for row in _rows(shown, near))
    return Content("\n").join(line for row in rows for line in row)


def _wrap(row: Content, width: int) -> Iterator[Content]:
    """Break a row at a blank if there is one after its indentation, else anywhere."""
    while row.cell_length > width:
        text = row.plain
        begins = _HEAD_CELLS + len(text[_HEAD_CELLS:]) - len(text[_HEAD_CELLS:].lstrip())
        at = text.rfind(" ", begins, width) + 1 or width
        yield row[:at]
        row = Content(" " * _HEAD_CELLS) + row[at:]
    yield row


def _places_near_changes(lines: Sequence[str], context: int) -> frozenset[int]:
    changes = [place for place, line in enumerate(lines) if line[:1] in {"-", "+"}]
    return frozenset(place + off for place in changes for off in range(-context, context + 1))


def _rows(lines: Sequence[str], near: frozenset[int]) -> Iterator[Content]:
    old = new = 0
    at = 0
    while at < len(lines):
        line = lines[at]
        if hunk := _HUNK.match(line):
            if old:
                yield Content.styled("⋮".rjust(_NUMBER_CELLS), "$muted")
            old, new = int(hunk.group(1)), int(hunk.group(2))
            at += 1
            continue
        removed = _run(lines, at, "-")
        added = _run(lines, at + len(removed), "+")
        if not removed and not added:
            if line[1:].strip() and at in near:
                yield _row(old, " ", line[1:], "", "")
            old, new, at = old + 1, new + 1, at + 1
            continue
        paired = len(removed) == len(added)
        for sign, run, others, color in (
            ("−", removed, added, "$error"),
            ("+", added, removed, "$ready"),
        ):
            first = old if sign == "−" else new
            for place, text in enumerate(run):
                other = others[place] if paired else text
                if text.strip():
                    yield _row(first + place, sign, text, color, other)
        old, new, at = old + len(removed), new + len(added), at + len(removed) + len(added)


def _run(lines: Sequence[str], at: int, sign: str) -> list[str]:
    run = []
    while at < len(lines) and lines[at].startswith(sign):
        run.append(lines[at][1:])
        at += 1
    return run


def _row(number: int, sign: str, text: str, color: str, other: str) -> Content:
    shown = text if len(text) <= _LONGEST_LINE else f"{text[:_LONGEST_LINE]}…"
    head = f"{number or '':>{_NUMBER_CELLS}} "
    if not color:
        return Content.assemble((head, "$muted"), f"{sign} ", (shown, "$muted"))
    drawn = Content.styled(shown, color)
    start, end = changed_part(text, other)
    if start < end:
        drawn = drawn.stylize(f"bold $background on {color}", start, min(end, len(shown)))
    return Content.assemble((head, "$muted"), (f"{sign} ", f"bold {color}"), drawn)


def changed_part(text: str, other: str) -> tuple[int, int]:
    """Return where the words begin and end in which a line differs from another one."""
    words, others = re.split(r"(\s+)", text), re.split(r"(\s+)", other)
    first = 0
    while first < min(len(words), len(others)) and words[first] == others[first]:
        first += 1
    last = 0
    while last < min(len(words), len(others)) - first and words[-1 - last] == others[-1 - last]:
        last += 1
    start = len("".join(words[:first]))
    return start, max(start, len(text) - len("".join(words[len(words) - last :])))
