"""One line of a limited width: whole items go, the least needed first."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size


@dataclass(frozen=True, slots=True)
class LineItem:
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


def truncate(text: str, cells: int) -> str:
    """The text in at most that many cells; `…` tells that words are missing."""
    if cell_len(text) <= cells:
        return text
    return set_cell_size(text, max(0, cells - 1)).rstrip() + "…" if cells > 0 else ""
