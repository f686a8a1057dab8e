"""The last gate before the terminal: no control character of any origin gets through."""

import re
from collections.abc import Sequence
from functools import lru_cache

from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

# C0 without a place in a line, DEL, C1, bidi controls, line separators.
_CONTROL_CHARACTERS = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)


class FilterChain(LineFilter):
    """Applies filters one after the other.

    Textual keeps what each filter makes of each line, 1.2 KB: one in place of three is a third less.
    """

    def __init__(self, filters: Sequence[LineFilter]) -> None:
        super().__init__()
        self.filters = tuple(filters)

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments after the last filter."""
        for one in self.filters:
            segments = one.apply(segments, background)
        return segments


class ControlCharFilter(LineFilter):
    """Replaces control characters by a visible mark of one cell.

    Everything from a server is cleaned where it comes in; this catches what a place forgot.
    Textual's own control segments have no text and stay.
    """

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002
        """The segments, with harmful characters replaced by `�`."""
        if not any(
            _CONTROL_CHARACTERS.search(text) for text, _, control in segments if not control
        ):
            return segments
        return [
            segment
            if segment.control
            else Segment(_CONTROL_CHARACTERS.sub("\ufffd", segment.text), segment.style)
            for segment in segments
        ]


MIN_CONTRAST = 4.5
BLACK, WHITE = (0, 0, 0), (255, 255, 255)

Rgb = tuple[int, int, int]


class ContrastFilter(LineFilter):
    """Moves the color of text towards black or white until it can be read on its background.

    Borders and bars are left alone: they are no text. Colors of the terminal's own palette can't
    be judged and stay as they are.
    """

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments, with the foreground of words and numbers adjusted where needed."""
        behind = background.rgb
        return [_contrast_segment(segment, behind) for segment in segments]


def _contrast_segment(segment: Segment, behind: Rgb) -> Segment:
    """Return the segment itself if it can be read: Textual keeps the lines before the filter, too."""
    text, style, control = segment
    if style is None or control or not any(map(str.isalnum, text)):
        return segment
    adjusted = _contrast_style(style, behind)
    return segment if adjusted == style else Segment(text, adjusted)


def contrast_ratio(one: Rgb, other: Rgb) -> float:
    """The contrast ratio of two colors, 1 to 21 (WCAG 2.2, "contrast ratio")."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@lru_cache(4096)
def ensure_contrast(color: Rgb, background: Rgb) -> Rgb:
    """The nearest color towards black or white that has the least contrast."""
    if contrast_ratio(color, background) >= MIN_CONTRAST:
        return color
    goal = max(BLACK, WHITE, key=lambda end: contrast_ratio(end, background))
    for step in range(1, 21):
        red, green, blue = (
            round(a + (b - a) * step / 20) for a, b in zip(color, goal, strict=True)
        )
        mixed = (red, green, blue)
        if contrast_ratio(mixed, background) >= MIN_CONTRAST:
            return mixed
    return goal


def xterm_color(number: int) -> Rgb:
    """Return a color of the palette of 256, from 16 on; those below are up to the terminal."""
    if number >= 232:
        gray = 8 + 10 * (number - 232)
        return gray, gray, gray
    red, rest = divmod(number - 16, 36)
    green, blue = divmod(rest, 6)
    return _CUBE[red], _CUBE[green], _CUBE[blue]


_CUBE = (0, 95, 135, 175, 215, 255)
_PALETTE = {xterm_color(number): number for number in range(16, 256)}


class PaletteFilter(LineFilter):
    """Sends the colors of the palette by their numbers; for terminals that have no others.

    Rich takes a color of little saturation for a gray, also where the palette has exactly that one.
    """

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002
        """The segments, with each color of the palette as its number."""
        return [
            segment
            if segment.style is None or segment.control
            else Segment(segment.text, _palette_style(segment.style))
            for segment in segments
        ]


@lru_cache(4096)
def _palette_style(style: Style) -> Style:
    return style + Style(color=_numbered(style.color), bgcolor=_numbered(style.bgcolor))


def _numbered(color: RichColor | None) -> RichColor | None:
    number = None if color is None or color.triplet is None else _PALETTE.get(color.triplet)
    return color if number is None else RichColor.from_ansi(number)


@lru_cache(4096)
def _contrast_style(style: Style, behind: Rgb) -> Style:
    if style.color is None or style.color.is_default or style.color.triplet is None:
        return style
    if style.bgcolor is not None and style.bgcolor.triplet is not None:
        behind = style.bgcolor.triplet
    ink: Rgb = style.color.triplet
    if style.reverse:
        ink, behind = behind, ink
    better = ensure_contrast(ink, behind)
    if better == ink and not style.dim:
        return style
    changed = RichColor.from_rgb(*better)
    if style.reverse:
        return style + Style(bgcolor=changed, dim=False)
    return style + Style(color=changed, dim=False)


def _luminance(color: Rgb) -> float:
    """Relative luminance, 0 to 1 (WCAG 2.2, "relative luminance")."""
    red, green, blue = (
        channel / 3294.6 if channel <= 10 else ((channel / 255 + 0.055) / 1.055) ** 2.4
        for channel in color
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
