"""How long the client certificate is still good for, as the header says it."""

from datetime import datetime

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


def renewal_words(ends: float, wall: float) -> tuple[str, str]:
    """What is told once when the item appears, as title and words; both times are Unix time."""
    day = datetime.fromtimestamp(ends).astimezone().strftime("%Y-%m-%d %H:%M")
    title = "The client certificate " + ("has expired" if ends <= wall else "expires soon")
    verb = "was" if ends <= wall else "is"
    words = (
        f"It {verb} valid until {day}. How to renew it: D, “client certificate dates”. "
        "A renewed file is picked up without a restart."
    )
    return title, words
