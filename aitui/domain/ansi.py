"""The colors of a log line: SGR sequences (ECMA-48, 8.3.117) parsed into spans, the text sanitized.

Only `ESC [ … m` with digits, `;` and `:` counts as a color. Everything else that begins with an
escape is removed as `sanitize_line` removes it, so the text can't steer a terminal. Blinking,
concealing and alternative fonts are left out: hidden text would not be what the server said.
"""

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from aitui.domain.sanitize import sanitize_line

AnsiColor = int | tuple[int, int, int]
"""An index into the terminal's palette, 0 to 255, or red, green and blue."""

_ANSI_STYLE_SEQUENCE = re.compile(r"\x1b\[([0-9;:]*)m")
_LONGEST_PARAMETERS = 128


class AnsiStyle(Struct, frozen=True):
    """The colors and attributes of a piece of text; None is the default color."""

    foreground: AnsiColor | None = None
    background: AnsiColor | None = None
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underline: bool = False
    reverse: bool = False
    strike: bool = False


class StyledSpan(Struct, frozen=True):
    """Characters `start` to `end` of a line, and their style."""

    start: int
    end: int
    style: AnsiStyle


DEFAULT_STYLE = AnsiStyle()

_ATTRIBUTES: dict[int, dict[str, bool]] = {
    1: {"bold": True},
    2: {"dim": True},
    3: {"italic": True},
    4: {"underline": True},
    7: {"reverse": True},
    9: {"strike": True},
    21: {"underline": True},
    22: {"bold": False, "dim": False},
    23: {"italic": False},
    24: {"underline": False},
    27: {"reverse": False},
    29: {"strike": False},
}
_ON = (("bold", 1), ("dim", 2), ("italic", 3), ("underline", 4), ("reverse", 7), ("strike", 9))


def parse_ansi(line: str) -> tuple[str, tuple[StyledSpan, ...]]:
    """Return the sanitized text of one line and its colors. Each line begins without color."""
    if line.isascii() and line.isprintable():
        return line, ()
    if "\x1b[" not in line:
        return _sanitize(line), ()
    text = ""
    spans: list[StyledSpan] = []
    style = DEFAULT_STYLE
    for piece, parameters in _pieces(line):
        clean = _sanitize(piece)
        if clean and style != DEFAULT_STYLE:
            spans.append(StyledSpan(len(text), len(text) + len(clean), style))
        text += clean
        style = _apply_codes(style, parameters)
    return text, tuple(spans)


def format_ansi(text: str, spans: Sequence[StyledSpan]) -> str:
    """Return the text with its colors as sequences again, each closed before the next begins."""
    parts: list[str] = []
    at = 0
    for span in spans:
        parts += (text[at : span.start], f"\x1b[{_style_codes(span.style)}m")
        parts += (text[span.start : span.end], "\x1b[0m")
        at = span.end
    parts.append(text[at:])
    return "".join(parts)


def _pieces(line: str) -> Iterator[tuple[str, str]]:
    """Yield each piece of text with the parameters of the sequence that ends it."""
    at = 0
    for match in _ANSI_STYLE_SEQUENCE.finditer(line):
        yield line[at : match.start()], match[1][:_LONGEST_PARAMETERS]
        at = match.end()
    yield line[at:], "0"


def _sanitize(text: str) -> str:
    return sanitize_line(text.expandtabs(8))


def _apply_codes(style: AnsiStyle, parameters: str) -> AnsiStyle:
    codes = iter(parameters.split(";"))
    for code in codes:
        head, *rest = (_number(part) for part in code.split(":"))
        if head in {38, 48}:
            color = _parse_color(rest) if rest else _parse_color_codes(codes)
            if color is not None and head == 38:
                style = replace(style, foreground=color)
            elif color is not None:
                style = replace(style, background=color)
        elif head == 4 and rest:
            style = replace(style, underline=rest[0] != 0)
        else:
            style = _apply_code(style, head)
    return style


def _apply_code(style: AnsiStyle, code: int) -> AnsiStyle:
    if code == 0:
        return DEFAULT_STYLE
    if code in _ATTRIBUTES:
        return replace(style, **_ATTRIBUTES[code])
    tens, ones = divmod(code, 10)
    bright = 8 if tens in {9, 10} else 0
    if tens in {3, 9} and ones < 8:
        return replace(style, foreground=ones + bright)
    if tens in {4, 10} and ones < 8:
        return replace(style, background=ones + bright)
    if code == 39:
        return replace(style, foreground=None)
    return replace(style, background=None) if code == 49 else style


def _parse_color_codes(codes: Iterator[str]) -> AnsiColor | None:
    """Parse a color written as `38;5;n` or `38;2;r;g;b`, and consume what belongs to it."""
    kind = _number(next(codes, ""))
    count = {5: 1, 2: 3}.get(kind, 0)
    return _parse_color([kind, *(_number(next(codes, "")) for _ in range(count))])


def _parse_color(numbers: Sequence[int]) -> AnsiColor | None:
    """Parse a color of `5:n`, `2:r:g:b` or `2:space:r:g:b`; None if it is none."""
    if any(not 0 <= number <= 255 for number in numbers):
        return None
    if len(numbers) == 2 and numbers[0] == 5:
        return numbers[1]
    if len(numbers) >= 4 and numbers[0] == 2:
        red, green, blue = numbers[1:4] if len(numbers) == 4 else numbers[2:5]
        return (red, green, blue)
    return None


def _number(digits: str) -> int:
    return int(digits[:6]) if digits.isdecimal() else 0


def _style_codes(style: AnsiStyle) -> str:
    codes = [str(code) for name, code in _ON if getattr(style, name)]
    for color, base in ((style.foreground, 38), (style.background, 48)):
        match color:
            case (red, green, blue):
                codes.append(f"{base};2;{red};{green};{blue}")
            case int() if color < 8:
                codes.append(str(base - 8 + color))
            case int():
                codes.append(str(base + 44 + color) if color < 16 else f"{base};5;{color}")
    return ";".join(codes)
