"""Rows as strips of segments, in the colors of a theme."""

from collections.abc import Callable, Sequence

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from aitui.ui.transcript.style import TextStyle, TranscriptRow

PARTS = (
    "text",
    "prompt",
    "user",
    "who",
    "quiet",
    "reasoning",
    "footer",
    "heading",
    "marker",
    "line",
    "quote",
    "link",
    "code",
    "code-text",
    "code-keyword",
    "code-function",
    "code-string",
    "code-number",
    "code-comment",
    "code-deleted",
    "cursor",
    "hint",
)
GUTTER = 2


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
