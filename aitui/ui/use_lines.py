"""Who uses the server and who waits, a line each."""

from collections.abc import Iterator

from aitui.domain.eviction import ClientRequest, client_name
from aitui.domain.units import format_seconds
from aitui.ui.text import LineItem, fit_items, shorten_id, total_width

WORD_WIDTH = 8
_WHOLE, _LONGEST, _SHORTEST = 1000, 48, 16
"""Cells of a model's name: where a line has no room it loses its middle, before an item goes."""
_GAP = 2


def use_line(use: ClientRequest, now: float, width: int) -> str:
    """One request in so many cells: who, what for, how much came, how long it has been under way.

    Names get shorter first, then whole items go, the least needed first: no number is ever cut.
    """
    word = f"{'waiting' if use.waits else 'using':<{WORD_WIDTH}} "
    room = width - len(word)
    items: tuple[LineItem, ...] = ()
    for who, longest in _shortening_steps(client_name(use.request)):
        items = _use_items(use, now, who, longest)
        if total_width(items, _GAP) <= room:
            break
    return word + (" " * _GAP).join(item.text for item in fit_items(items, room, _GAP))


def _shortening_steps(who: str) -> Iterator[tuple[str, int]]:
    """The client and the longest name of a model: whole, then shorter until both are short."""
    parts = who.split(" · ")
    short = parts[0] if parts[-1] == "aitui" else parts[-1]
    yield who, _WHOLE
    for client in (who, shorten_id(short, _SHORTEST)):
        yield from ((client, longest) for longest in range(_LONGEST, _SHORTEST - 1, -1))


def _use_items(use: ClientRequest, now: float, who: str, longest: int) -> tuple[LineItem, ...]:
    request = use.request
    client, name = LineItem(who, 9), shorten_id(request.model or "no model", longest)
    age = LineItem(format_seconds(max(0.0, now - request.started)), 6)
    if not use.waits:
        came = LineItem(_size_text(request.received_bytes) if request.received_bytes else "", 5)
        return tuple(item for item in (client, LineItem(f"at {name}", 8), came, age) if item.text)
    if not use.evicts:
        return client, LineItem(f"wants {name}", 8), age
    first, *others = (shorten_id(victim.model.id, longest) for victim in use.evicts)
    evicts = ", ".join((first, *others))
    if others and longest != _WHOLE:
        evicts = f"{first} and {len(others)} more"
    return client, LineItem(f"wants {name}", 8), LineItem(f"evicts {use.mark}{evicts}", 7), age


def _size_text(count: int) -> str:
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:.1f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"
