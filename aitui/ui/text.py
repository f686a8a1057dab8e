"""One line of a limited width: whole items go, the least needed first."""

from collections.abc import Callable, Sequence

from msgspec import Struct
from rich.cells import cell_len, chop_cells
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from aitui.domain.sanitize import sanitize_line
from aitui.errors import AituiError, ConfigRefused
from aitui.ui.keymap import APP, remedy_text


class LineItem(Struct, frozen=True):
    """A piece of a line; the higher `need`, the longer it stays."""

    text: str
    priority: int
    style: str = ""
    action: str = ""


def fit_items(items: Sequence[LineItem], width: int, gap: int = 2) -> tuple[LineItem, ...]:
    """The items that fit into `width` cells with `gap` cells between them, in their order."""
    kept = [item for item in items if item.text]
    while kept and total_width(kept, gap) > width:
        least = min(kept, key=lambda item: item.priority)
        kept.remove(least)
    return tuple(kept)


def total_width(items: Sequence[LineItem], gap: int = 2) -> int:
    """Cells that the items take, gaps between them included."""
    return sum(cell_len(item.text) for item in items) + gap * max(0, len(items) - 1)


def render_items(
    left: Sequence[LineItem],
    right: Sequence[LineItem],
    width: int,
    find_style: Callable[[str], Style],
    plain: Style,
) -> Strip:
    """Draw what fits of the items, some at each end of the line, with one blank outside of them."""
    kept = fit_items((*left, *right), width - 2)
    sides = [item for item in left if item in kept], [item for item in right if item in kept]
    room = width - 2 - sum(map(total_width, sides))
    segments = [Segment(" ", plain)]
    for side, gap in zip(sides, (max(0, room), 0), strict=True):
        for number, item in enumerate(side):
            style = find_style(item.style) if item.style else plain
            segments += Segment("  " * bool(number), plain), Segment(item.text, style)
        segments.append(Segment(" " * gap, plain))
    return Strip(segments).adjust_cell_length(width, plain)


NOT_REACHED = (
    f"The server can't be reached: {APP.sign('refresh_server')} retries now, "
    f"{APP.sign('doctor')} finds the cause"
)


def error_text(error: AituiError) -> str:
    """Return the place, the reason and the remedy, a line each."""
    place = error.location if isinstance(error, ConfigRefused) else ""
    return "\n".join(part for part in (place, error.why, remedy_text(error)) if part)


MAX_WRAPPED_LENGTH = 8000
"""Characters; a pane shows far fewer, and a hostile text may have millions."""


def wrap_text(text: str, width: int) -> list[str]:
    """The lines of a text, broken at blanks, and inside words that are wider than a line."""
    paragraphs = (" ".join(line.split()) for line in text[:MAX_WRAPPED_LENGTH].split("\n"))
    return [part.strip() for line in paragraphs for part in wrap_line(line, width)]


def wrap_line(line: str, width: int, least: int = 0) -> list[str]:
    """Break a line that is too wide, behind a blank if that leaves more than `least` cells of it.

    Every character stays; without `least`, which is for prose, a blank that would begin a part goes.
    A line may have 400,000 characters: each part of it is measured once.
    """
    found: list[str] = []
    start, width = 0, max(1, width)
    while start < len(line):
        part = line[start : start + 2 * width]
        head = part[:width] if part.isascii() else chop_cells(part, width)[0] or part[0]
        if line[start + len(head) : start + len(head) + 1].strip():
            blank = head.rfind(" ")
            head = head[: blank + 1] if blank > least else head
        found.append(head)
        start += len(head)
        if not least:
            start += line[start : start + 1] == " "
    return found or [""]


MAX_QUOTED_LENGTH = 100
"""Characters of a copied text that is named whole."""


def text_summary(text: str) -> str:
    """Return the text itself if it is short, else how much of it there is."""
    lines = text.count("\n") + 1
    if lines > 1:
        return f"{lines:,} lines"
    return sanitize_line(text) if len(text) <= MAX_QUOTED_LENGTH else f"{len(text):,} characters"
