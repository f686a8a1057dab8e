"""A row of a log as it is drawn: the server's colors, what was found, what is selected."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from rich.color import Color as RichColor
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip

from aitui.domain.ansi import AnsiColor, AnsiStyle
from aitui.domain.logs import LogLevel, LogLine

PARTS = ("text", "debug", "warning", "error", "mark", "found", "cursor", "evidence", "more")
GUTTER = 2
MAX_MATCH_LENGTH = 200
_BY_LEVEL = {LogLevel.DEBUG: "debug", LogLevel.WARNING: "warning", LogLevel.ERROR: "error"}


@dataclass(frozen=True, slots=True)
class LogRow:
    """A row: characters `start` to `end` of its line, and what is to be seen of it.

    `selected` are characters of the line. `width` is in cells, the gutter not counted.
    """

    line: LogLine
    start: int
    end: int
    row: int
    width: int
    sideways: int = 0
    cursor: bool = False
    is_failure_line: bool = False
    needle: re.Pattern[str] | None = None
    selected: tuple[int, int] | None = None


def render_row(
    row: LogRow, styles: Mapping[str, Style], selection: Style, console: Console
) -> Strip:
    """The gutter with its sign, then the text."""
    line = row.line
    base = styles["mark"] if line.mark else styles[_BY_LEVEL.get(line.level, "text")]
    if row.cursor:
        base += Style(bgcolor=styles["cursor"].bgcolor)
    # Of a line that isn't wrapped no more is looked at than can be seen; some marks take no cell.
    end = min(row.end, row.start + (row.sideways + row.width) * 4 + 64)
    text = Text(line.text[row.start : end], no_wrap=True, end="")
    text.stylize(base)  # as a span: Rich leaves the style of a text without spans out

    def lay(style: Style, first: int, last: int) -> None:
        text.stylize(style, max(0, first - row.start), max(0, min(last, end) - row.start))

    for span in line.spans:
        if span.start < end and span.end > row.start:
            lay(rich_style(span.style), span.start, span.end)
    if row.needle is not None and not line.mark:
        for match in row.needle.finditer(line.text, max(0, row.start - MAX_MATCH_LENGTH), end):
            lay(styles["found"], *match.span())
    if row.selected is not None:
        lay(selection, *row.selected)
    strip = Strip(text.render(console))
    more = strip.cell_length > row.sideways + row.width
    strip = strip.crop_extend(row.sideways, row.sideways + row.width, base)
    strip = strip.apply_offsets(row.start + row.sideways, row.row)
    if more:
        strip = Strip(
            [
                *strip.crop(0, row.width - 1),
                Segment("›", styles["more"] + Style(bgcolor=base.bgcolor)),
            ]
        )
    return Strip([_render_gutter(row, base, styles), *strip], row.width + GUTTER)


def _render_gutter(row: LogRow, base: Style, styles: Mapping[str, Style]) -> Segment:
    ground = Style(bgcolor=base.bgcolor)
    if row.is_failure_line:
        return Segment("✘ ", styles["evidence"] + ground)
    return Segment("▌ " if row.cursor else "  ", styles["text"] + ground)


@lru_cache(1024)
def rich_style(style: AnsiStyle) -> Style:
    """Return the style as Rich has it; flags that are off stay open."""
    return Style(
        color=_rich_color(style.foreground),
        bgcolor=_rich_color(style.background),
        bold=style.bold or None,
        dim=style.dim or None,
        italic=style.italic or None,
        underline=style.underline or None,
        reverse=style.reverse or None,
        strike=style.strike or None,
    )


def _rich_color(color: AnsiColor | None) -> RichColor | None:
    if color is None:
        return None
    return RichColor.from_rgb(*color) if isinstance(color, tuple) else RichColor.from_ansi(color)
