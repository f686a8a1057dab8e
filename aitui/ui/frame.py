"""The lines of a frame: a name at the left, a value at the right, `─` in between."""

from collections.abc import Iterable, Sequence
from typing import Any, Self

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style as RichStyle
from textual.app import App
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Region
from textual.strip import Strip
from textual.style import Style
from textual.widget import Widget

from aitui.format.fit import shorten_words, truncate
from aitui.ui.theme import theme_style

Pieces = str | Sequence[tuple[str, str]]
"""A text, muted, or texts each with its style as `theme_style` takes it; `line` is the frame's own."""


class FramedPane(Vertical):
    """A frame around other widgets, of which every line but the first and the last is the same.

    Textual draws each line, and keeps up to six strips of it with seven caches each: for the frame
    around the models that was a third of all strips of the first screen, 90 of 290.
    """

    def render_line(self, y: int) -> Strip:  # noqa: ARG002 - as Textual calls it
        return Strip.blank(self.size.width, self.visual_style.rich_style)

    def render_lines(self, crop: Region) -> list[Strip]:
        ends = {0, self.outer_size.height - 1}
        rows = [y if y in ends else 1 for y in crop.line_range]
        drawn = {
            y: super(FramedPane, self).render_lines(Region(crop.x, y, crop.width, 1))[0]
            for y in set(rows)
        }
        return [drawn[y] for y in rows]


def set_frame_title(
    widget: Widget, name: str, words: Pieces = "", right: Pieces = "", *, bottom: bool = False
) -> None:
    """Write into the upper border of a widget, or into its lower one; every text as it is.

    The name is a filled chip while the focus is within. Where there is no room `words` go first, then
    `right`. Only the border is painted again, and only if a text has changed.
    """
    attribute = "_border_subtitle" if bottom else "_border_title"
    parts = (name, _pieces(words), _pieces(right))
    shown = getattr(widget, attribute)
    if isinstance(shown, _BorderLine) and shown.parts == parts:
        return
    # Textual's own setter makes a plain `Content` of it and paints the whole widget, also for the same
    # text: three titles once a second were 1.3 % of a core.
    setattr(widget, attribute, _BorderLine(widget, parts))
    size, offset = widget.outer_size, widget.content_offset
    line = Region(0, size.height - 1 if bottom else 0, size.width, 1)
    widget.refresh(line.translate((-offset.x, -offset.y)))


def render_title(
    app: App[Any],
    parts: tuple[str, Pieces, Pieces],
    width: int,
    line: RichStyle,
    *,
    focused: bool,
    fill: str = "─",
) -> list[Segment]:
    """Return exactly `width` cells of a frame's line: name, words and what is at the right.

    What isn't written is `fill`, drawn with `line`. Words without a name are shortened where there is
    no room for them, instead of being left out.
    """
    name, counts, values = parts[0], _pieces(parts[1]), _pieces(parts[2])
    at_left = cell_len(name) + 2 * bool(name)
    at_right = _width(values) + 2 * bool(values)
    between = _width(counts) + bool(counts) + (focused and bool(name))
    if at_left + between + at_right > width:
        counts = () if name else _shorten(counts, width - at_right - 2)
    if at_left + at_right > width and name:
        values, at_right = (), 0
    segments: list[Segment] = []
    if name:
        fitting = truncate(name, max(0, width - 2))
        chip = theme_style(app, "bold background", "accent") if focused else None
        style = chip or theme_style(app, "bold foreground")
        if focused and app.no_color:
            style += RichStyle(reverse=True)
        segments.append(Segment(f" {fitting} "[:width], line + style))
    if counts:
        segments.append(Segment(" " * (focused or not name), line))
        segments += _segments(app, counts, line)
        segments.append(Segment(" ", line))
    taken = sum(segment.cell_length for segment in segments)
    segments.append(Segment(fill * max(0, width - taken - at_right), line))
    if values:
        segments += [Segment(" ", line), *_segments(app, values, line), Segment(" ", line)]
    return [segment for segment in segments if segment.text]


def _pieces(text: Pieces) -> tuple[tuple[str, str], ...]:
    if isinstance(text, str):
        return ((text, ""),) if text else ()
    return tuple(piece for piece in text if piece[0])


def _shorten(pieces: Sequence[tuple[str, str]], width: int) -> tuple[tuple[str, str], ...]:
    kept: list[tuple[str, str]] = []
    over = _width(pieces) - width
    for text, style in pieces:
        shown = shorten_words(text, cell_len(text) - over)
        over -= cell_len(text) - cell_len(shown)
        room = width - _width(kept)
        kept.append((truncate(shown, max(0, room)), style))
    return tuple(piece for piece in kept if piece[0])


def _width(pieces: Iterable[tuple[str, str]]) -> int:
    return sum(cell_len(text) for text, _ in pieces)


def _segments(app: App[Any], pieces: Iterable[tuple[str, str]], line: RichStyle) -> list[Segment]:
    return [
        Segment(text, line if style == "line" else line + theme_style(app, style))
        for text, style in pieces
    ]


class _BorderLine(Content):
    """A border's text that is laid out when it is drawn: only then Textual 8.2.8 knows the room.

    Textual cuts a label to the room, pads it on the side of a corner, and then asks for its segments.
    """

    def __init__(self, widget: Widget, parts: tuple[str, Any, Any]) -> None:
        name, words, right = self.parts = parts
        # What is read of the title elsewhere, and not empty: Textual leaves out an empty one.
        super().__init__(" ".join((name, *(text for text, _ in (*words, *right)))) or "─")
        self._widget = widget
        self._room = 0

    def truncate(self, max_width: int, *, ellipsis: bool = False, pad: bool = False) -> Self:  # noqa: ARG002
        self._room = max_width
        return self

    def pad_left(self, count: int, character: str = " ") -> Self:  # noqa: ARG002
        self._room += count
        return self

    def pad_right(self, count: int, character: str = " ") -> Self:  # noqa: ARG002
        self._room += count
        return self

    def stylize_before(self, style: Style | str, start: int = 0, end: int | None = None) -> Self:  # noqa: ARG002
        return self

    def render_segments(self, base_style: Style = Style.null(), end: str = "") -> list[Segment]:  # noqa: ARG002, B008
        widget = self._widget
        focused = widget.has_focus or widget.has_focus_within
        line = base_style.rich_style
        return render_title(widget.app, self.parts, self._room, line, focused=focused)
