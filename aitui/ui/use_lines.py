"""Who uses the server and who waits, a line each."""

from aitui.domain.amounts import format_seconds
from aitui.domain.clients import Use, client_name

WORD_WIDTH = 8


def use_line(use: Use, now: float) -> str:
    """One request: who, what for, how much came, how long it has been under way."""
    request = use.request
    age = format_seconds(max(0.0, now - request.started))
    name = request.model or "no model"
    if not use.waits:
        came = f"  {_amount(request.received_bytes)}" if request.received_bytes else ""
        return f"{'using':<{WORD_WIDTH}} {client_name(request)}  at {name}{came}  {age}"
    evicts = ", ".join(victim.model.id for victim in use.evicts)
    after = f", evicts ≈ {evicts}" if evicts else ""
    return f"{'waiting':<{WORD_WIDTH}} {client_name(request)}  wants {name}{after}  {age}"


def _amount(count: int) -> str:
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:.1f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"
