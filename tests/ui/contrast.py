"""How well text can be read: the contrast of every piece of text that reaches the terminal."""

from collections.abc import Iterator, Sequence

from rich.color import Color
from rich.style import Style
from textual.strip import Strip

from aitui.ui.terminal.filters import MIN_CONTRAST, Rgb, contrast_ratio


def unreadable(strips: Sequence[Strip]) -> Iterator[str]:
    """A line for each piece of text whose contrast is too small, or can't be told."""
    for row, strip in enumerate(strips):
        for text, style, control in strip:
            if control or not any(map(str.isalnum, text)):
                continue
            ratio = _contrast_of(style or Style.null())
            if ratio is None or ratio < MIN_CONTRAST:
                yield f"line {row}: {text.strip()!r} {style} has {ratio}"


def _contrast_of(style: Style) -> float | None:
    """The contrast as the terminal shows it; None where the terminal chooses a color itself."""
    ink, ground = _rgb(style.color), _rgb(style.bgcolor)
    if ink is None or ground is None or style.dim:
        return None
    return contrast_ratio(ink, ground)


def _rgb(color: Color | None) -> Rgb | None:
    if color is None or color.triplet is None:
        return None
    return (color.triplet.red, color.triplet.green, color.triplet.blue)
