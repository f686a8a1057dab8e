"""Motions that are the same in every list and text; `keymap` has their keys."""

from textual.widget import Widget

_ALL_ROWS = 1 << 30


def motion_rows(widget: Widget, amount: float, unit: str) -> int:
    """Return the rows of a motion: `amount` of "rows" or "pages", or "all" of them."""
    sizes = {"rows": 1, "pages": max(1, widget.size.height - 1), "all": _ALL_ROWS}
    return round(amount * sizes[unit])
