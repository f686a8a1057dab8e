"""How long the client certificate is still good for, as the header says it."""

from aitui.ui.packing import Item

SHOWN_FROM = 30
URGENT_BELOW = 7

_DAY = 24 * 3600.0
_NEED = 7


def certificate_item(ends: float | None, wall: float) -> Item:
    """An item for the last thirty days, red for the last six; empty before. Both are Unix time."""
    if ends is None:
        return Item("", 0)
    if ends <= wall:
        return Item("✘ certificate expired", _NEED, "lost")
    days = int((ends - wall) / _DAY)
    if days > SHOWN_FROM:
        return Item("", 0)
    left = "expires today" if days == 0 else "1 day" if days == 1 else f"{days} days"
    return Item(f"! cert {left}", _NEED, "lost" if days < URGENT_BELOW else "waiting")
