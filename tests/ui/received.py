"""What a stand-in was asked to do."""

from stand_in import StandIn


def orders(stand_in: StandIn) -> list[tuple[str, str]]:
    """What was asked of a stand-in beyond looking, as method and path."""
    return [
        (request.method, request.path)
        for request in stand_in.requests
        if request.method != "GET" or request.path.startswith(("/upstream", "/unload"))
    ]
