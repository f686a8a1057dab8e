"""What the terminal shows, cell by cell, so that only what differs is sent."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from rich.cells import get_character_cell_size
from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.strip import Strip

NEAR = 8
"""Cells between two changes that are sent as well: to move and to set colours costs more."""
RESET = "\x1b[0m"


@dataclass(slots=True)
class Line:
    """Cells of a line: the text of each, empty where a wide character goes on, and its colours.

    `uneven` where terminals may disagree about the width of a character.
    """

    texts: list[str] = field(default_factory=list)
    inks: list[str] = field(default_factory=list)
    uneven: bool = False


class Picture:
    """Follows what was sent to a terminal that shows nothing else.

    A terminal that was written to from elsewhere has to be forgotten.
    """

    def __init__(self) -> None:
        self._size = (0, 0)
        self._lines: list[Line] = []

    def forget(self) -> None:
        """Whatever is drawn next, all of it is sent."""
        self._size = (0, 0)

    def difference(self, update: CompositorUpdate, size: tuple[int, int], console: Console) -> str:
        """What makes the terminal show the update, empty where it does already.

        Columns and lines are the terminal's. Only for updates that `is_known` is true of.
        """
        if size != self._size:
            self._size = size
            self._lines = [Line([""] * size[0], ["?"] * size[0]) for _ in range(size[1])]
        colours = console._color_system or ColorSystem.TRUECOLOR  # noqa: SLF001 - as Textual asks
        sent = [self._drawn(y, x, _cells(strip, colours)) for y, x, strip in _pieces(update)]
        return "".join(sent)

    def _drawn(self, y: int, x: int, new: Line) -> str:
        if not 0 <= y < len(self._lines) or x >= self._size[0]:
            return ""
        old, end = self._lines[y], min(x + len(new.texts), self._size[0])
        texts, inks = new.texts[: end - x], new.inks[: end - x]
        if old.texts[x:end] == texts and old.inks[x:end] == inks:
            return ""
        if new.uneven or old.uneven:
            runs = [(x, end)]
        else:
            changed = (
                at
                for at in range(x, end)
                if old.texts[at] != texts[at - x] or old.inks[at] != inks[at - x]
            )
            runs = list(_runs(changed))
        old.texts[x:end], old.inks[x:end] = texts, inks
        old.uneven = old.uneven or new.uneven
        return "".join(_sent(y, old, run) for run in runs)


def is_known(update: object) -> bool:
    """Whether an update is of a kind whose difference can be told."""
    return isinstance(update, ChopsUpdate | LayoutUpdate)


def _pieces(update: CompositorUpdate) -> Iterator[tuple[int, int, Strip]]:
    """Line, column and content of everything that the update draws."""
    if isinstance(update, LayoutUpdate):
        for y, strips in enumerate(update.strips, update.region.y):
            yield y, update.region.x, Strip.join(strips)
    elif isinstance(update, ChopsUpdate):
        for y, first, last in update.spans:
            for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
                if strip is not None and x <= last and end > first:
                    yield y, x, strip if end <= last else strip.crop(0, last - x)


def _cells(strip: Strip, colours: ColorSystem) -> Line:
    line = Line()
    for text, style, control in strip:
        if control:
            continue
        ink = "" if style is None else _ink(style, colours)
        before = len(line.texts)
        if text.isascii():
            line.texts.extend(text)
        else:
            _add_wide(line, text)
        line.inks.extend([ink] * (len(line.texts) - before))
    return line


def _add_wide(line: Line, text: str) -> None:
    for character in text:
        width = get_character_cell_size(character)
        if width == 1:
            line.texts.append(character)
            continue
        line.uneven = True
        if width:
            line.texts += (character, "")
        elif line.texts:
            line.texts[-1] += character


def _ink(style: Style, colours: ColorSystem) -> str:
    """The parameters of SGR for a style. Links are left out: nothing here is to be followed."""
    return Strip.render_ansi(style, colours) if style._ansi is None else style._ansi  # noqa: SLF001


def _runs(changed: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Cells that changed as stretches, near ones as one."""
    first = last = -1
    for at in changed:
        if first < 0:
            first = at
        elif at - last > NEAR:
            yield first, last + 1
            first = at
        last = at
    if first >= 0:
        yield first, last + 1


def _sent(y: int, line: Line, run: tuple[int, int]) -> str:
    first, end = run
    parts = [f"\x1b[{y + 1};{first + 1}H"]
    ink = ""
    for at in range(first, end):
        if line.inks[at] != ink:
            ink = line.inks[at]
            parts.append(f"\x1b[0;{ink}m" if ink else RESET)
        parts.append(line.texts[at])
    if ink:
        parts.append(RESET)
    return "".join(parts)
