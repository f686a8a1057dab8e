"""How long the client certificate is still good for, as the header says it."""

from datetime import datetime

from aitui.ui.text import LineItem

WARNING_DAYS = 30
URGENT_DAYS = 7

_DAY = 24 * 3600.0
_PRIORITY = 7


def certificate_item(ends: float | None, wall: float) -> LineItem:
    """An item for the last thirty days, red for the last six; empty before. Both are Unix time."""
    if ends is None:
        return LineItem("", 0)
    if ends <= wall:
        return LineItem("✘ certificate expired", _PRIORITY, "lost")
    days = int((ends - wall) / _DAY)
    if days > WARNING_DAYS:
        return LineItem("", 0)
    left = "expires today" if days == 0 else "1 day" if days == 1 else f"{days} days"
    return LineItem(f"! cert {left}", _PRIORITY, "lost" if days < URGENT_DAYS else "waiting")


def renewal_notice(ends: float, wall: float) -> tuple[str, str]:
    """Return title and text of the notice that comes once with the item; both times are Unix time."""
    day = datetime.fromtimestamp(ends).astimezone().strftime("%Y-%m-%d %H:%M")
    title = "The client certificate " + ("has expired" if ends <= wall else "expires soon")
    verb = "was" if ends <= wall else "is"
    words = (
        f"It {verb} valid until {day}. How to renew it: D, “client certificate dates”. "
        "A renewed file is picked up without a restart."
    )
    return title, words
