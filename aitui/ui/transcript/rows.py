"""Rows of the transcript: text in symbolic styles, broken to a width, and drawn as strips.

Breaking loses nothing but blanks at the end of a line. A theme gives the styles their colors when a row is drawn.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache

from msgspec import Struct
from rich.cells import cell_len, set_cell_size, split_graphemes
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip


class TextStyle(Struct, frozen=True):
    """The look of a run of text; `part` is one of `LOOKS`."""

    part: str = "text"
    bold: bool = False
    italic: bool = False
    strike: bool = False
    ground: str = ""
    """The part that gives the background, or none."""


Run = tuple[str, TextStyle]

TEXT_STYLE = TextStyle()
MARKER_STYLE = TextStyle("marker")
CODE_STYLE = TextStyle("code-text", ground="code")


class TranscriptRow(Struct, frozen=True):
    """One row of the screen.

    `glue` joins it to the row above when it is copied: a line break, or what stood at the
    place at which a long line was broken. The first `lead` characters are decoration and are not copied. `fill` is
    the style of the rest of the row.
    """

    runs: tuple[Run, ...]
    glue: str = "\n"
    lead: int = 0
    fill: TextStyle = TEXT_STYLE

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.runs)


EMPTY_ROW = TranscriptRow(())

_WIDE = (
    "\u1100-\u115f\u2e80-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60"
)
_MARKS = "\u0300-\u036f\u3099\u309a\ufe00-\ufe0f\u200d"


@cache
def _words() -> re.Pattern[str]:
    # Text of other characters than ASCII is rare, and this takes 2 ms of opening the first chat.
    return re.compile(
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
) -> list[TranscriptRow]:
    """Rows of at most `width` cells, with `lead` in front of each.

    They break at blanks; only a word that is wider than a row is cut. Of an indentation as much is
    shown as the first word leaves room for.
    """
    before = (lead,) if lead[0] else ()
    room = max(1, width - cell_len(lead[0]))
    text = "".join(text for text, _ in runs)
    if len(text) <= room and text.isascii() and "\n" not in text:
        # Most lines of code, and many others: there is nothing to break.
        return [TranscriptRow((*before, *runs), lead=len(lead[0]), fill=fill)]
    breaks = find_breaks(text, room)
    return [
        TranscriptRow((*before, *row), glue, len(lead[0]), fill)
        for (_, _, glue), row in zip(breaks, slice_runs(runs, breaks), strict=True)
    ]


def find_breaks(text: str, width: int) -> list[Break]:
    """The rows that a text takes: at blanks, a word wider than a row cut."""
    breaks: list[Break] = []
    start = 0
    for line in text.split("\n"):
        if cell_len(line) <= width:
            breaks.append((start, start + len(line), "\n"))
        else:
            for at, (begin, end, between) in enumerate(_break_at_words(line, width)):
                breaks.append((start + begin, start + end, between if at else f"\n{between}"))
        start += len(line) + 1
    return breaks


def _break_at_words(line: str, width: int) -> list[Break]:
    if line.isascii():
        return _break_at_blanks(line, width)
    breaks: list[Break] = []
    start = end = cells = 0
    glue = ""
    for match in _words().finditer(line):
        word = match[0]
        size = cell_len(word)
        if word[0] in " \t":
            cells += size
            continue
        if cells + size > width and end > start:
            breaks.append((start, end, glue))
            glue = line[end : match.start()]
            start, cells = match.start(), 0
        hidden = cells + size - width
        if hidden > 0 and size <= width:
            glue, start, cells = line[:hidden], hidden, cells - hidden
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
    indent = len(line) - len(line.lstrip(" "))
    word_end = line.find(" ", indent)
    word = (len(line) if word_end < 0 else word_end) - indent
    start = max(0, indent - max(0, width - word))
    glue = line[:start]
    while len(line) - start > width:
        end = line.rfind(" ", start, start + width + 1)
        text_end = len(line[start:end].rstrip(" ")) + start if end > start else start
        if text_end <= start:
            end = text_end = start + width
        following = end
        while following < len(line) and line[following] == " ":
            following += 1
        breaks.append((start, text_end, glue))
        glue, start = line[text_end:following], following
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


def slice_runs(runs: Sequence[Run], breaks: Sequence[Break]) -> list[tuple[Run, ...]]:
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


LOOKS = {
    **dict.fromkeys(("text", "prompt", "who", "code-text"), ("foreground", "")),
    **dict.fromkeys(("user", "heading", "marker", "cursor", "code-function"), ("accent", "")),
    **dict.fromkeys(("quiet", "reasoning", "footer", "quote"), ("muted", "")),
    **{hue: (hue, "") for hue in ("m1", "m2", "m3", "m4", "m5", "other", "error")},
    "line": ("frame", ""),
    "link": ("underline accent", ""),
    "code": ("foreground", "surface"),
    "code-keyword": ("bold accent", ""),
    "code-string": ("ready", ""),
    "code-number": ("warning", ""),
    "code-comment": ("italic muted", ""),
    "code-deleted": ("error", ""),
    "found": ("background", "warning"),
    "current": ("bold background", "accent"),
    "hint": ("bold background", "accent"),
}
"""What `theme_style` is asked for to draw each part of a text: its look, and its background or none.

As component classes, they took a tenth of what opening the first chat took.
"""
GUTTER = 2
_OWN_PARTS = frozenset({"user", "prompt"})
"""Parts of the user's own turns, which have an edge."""


class StyleCache:
    """The styles of runs, looked up once. `look_up` returns the style of a part."""

    def __init__(self, look_up: Callable[[str], Style]) -> None:
        self._look_up = look_up
        self._styles: dict[TextStyle, Style] = {}

    def clear(self) -> None:
        """Forget the styles: the theme has changed."""
        self._styles.clear()

    def style(self, text_style: TextStyle) -> Style:
        """Return what Rich calls the style of a run."""
        style = self._styles.get(text_style)
        if style is None:
            style = self._look_up(text_style.part) + Style(
                bold=text_style.bold or None,
                italic=text_style.italic or None,
                strike=text_style.strike or None,
            )
            if text_style.ground:
                style += Style(bgcolor=self._look_up(text_style.ground).bgcolor)
            self._styles[text_style] = style
        return style

    def render_strip(self, row: TranscriptRow, width: int, *, cursor: bool) -> Strip:
        """A row of exactly that many cells, the gutter with the cursor's mark in front."""
        mark = Segment(" " * GUTTER, self.style(TextStyle()))
        if cursor:
            mark = Segment("▌ ", self.style(TextStyle("cursor")))
        elif row.fill.part in _OWN_PARTS:
            mark = Segment("▎ ", self.style(TextStyle("cursor")))
        segments = [mark, *(Segment(text, self.style(text_style)) for text, text_style in row.runs)]
        return Strip(segments).adjust_cell_length(width, self.style(row.fill))


def highlight_selection(strip: Strip, start: int, end: int, style: Style) -> Strip:
    """The strip with characters `start` to `end` in another style."""
    segments: list[Segment] = []
    at = 0
    for text, own, _ in strip:
        a, b = max(0, min(len(text), start - at)), max(0, min(len(text), end - at))
        parts: Sequence[tuple[str, Style | None]] = (
            (text[:a], own),
            (text[a:b], own + style if own else style),
            (text[b:], own),
        )
        segments.extend(Segment(part, look) for part, look in parts if part)
        at += len(text)
    return Strip(segments, strip.cell_length)


def add_hint(strip: Strip, words: str, style: Style, end: int) -> Strip:
    """The strip with words that end at a cell."""
    size = min(end, cell_len(words))
    hint = Segment(set_cell_size(words, size), style)
    return Strip([*strip.crop(0, end - size), hint, *strip.crop(end)], strip.cell_length)
