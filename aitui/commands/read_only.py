"""Servers that nothing may be changed at."""

from aitui.domain.server import Server
from aitui.errors import ActionRefused


def refuse_if_read_only(server: Server, deed: str) -> None:
    """Raise Refused, before anything is sent, where the settings forbid to change anything."""
    if server.read_only:
        origin = server.origins.get("read_only", "its settings")
        raise ActionRefused(
            f"{deed} is refused: {server.label} is read-only",
            why=f"set by {origin}",
            remedy="start aitui without it to change anything there",
        )
