"""The profiles of a server, from `/api/profiles`."""

from typing import Any

import msgspec

from aitui.domain.profiles import SINCE, Profiles, ServerProfile
from aitui.domain.sanitize import sanitize_line
from aitui.errors import AituiError, NotSupported
from aitui.llamaswap.response import Response
from aitui.llamaswap.schemas import decode_as, sanitize_description

MOST_PROFILES, MOST_PINS = 500, 500


class _Entry(msgspec.Struct):
    id: str
    description: str | None = None
    pins: dict[str, Any] | None = None


class _Body(msgspec.Struct):
    active: str | None = None
    profiles: list[_Entry] | None = None


_BODY = msgspec.json.Decoder(_Body)


def parse_profiles(body: bytes, endpoint: str) -> Profiles:
    """Parse `/api/profiles`. Raises BadResponse."""
    found = decode_as("its profiles", _BODY, body, endpoint)
    listed = (
        ServerProfile(
            sanitize_line(entry.id),
            sanitize_description(entry.description),
            tuple(
                (sanitize_line(name), sanitize_line(model if isinstance(model, str) else ""))
                for name, model in list((entry.pins or {}).items())[:MOST_PINS]
            ),
        )
        for entry in (found.profiles or [])[:MOST_PROFILES]
    )
    return Profiles(sanitize_line(found.active or ""), tuple(one for one in listed if one.id))


def unsupported_error(response: Response) -> AituiError | None:
    """Return the error of a server that has no profiles."""
    if response.status not in {404, 405}:
        return None
    return NotSupported(
        "This server has no profiles",
        status=response.status,
        why=f"llama-swap has them since v{SINCE}",
        remedy="update llama-swap",
    )
