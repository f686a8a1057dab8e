"""What a server kept of one request, from `/api/captures/ID`; its bodies are base64."""

import base64
import binascii
from typing import Any

import msgspec

from aitui.domain.capture import Capture
from aitui.domain.sanitize import sanitize_line, sanitize_text
from aitui.errors import AituiError, NotSupported
from aitui.llamaswap.response import Response
from aitui.llamaswap.schemas import decode_as, sanitize_name

LARGEST_CAPTURE = 64 * 1024 * 1024
LONGEST_BODY = 400_000
"""Characters of a body that are shown."""
_MOST_HEADERS = 200


class _Capture(msgspec.Struct):
    id: int = 0
    req_path: str | None = None
    req_headers: dict[str, Any] | None = None
    req_body: str | None = None
    resp_headers: dict[str, Any] | None = None
    resp_body: str | None = None


_CAPTURE = msgspec.json.Decoder(_Capture)


def parse_capture(body: bytes, endpoint: str) -> Capture:
    """Parse a capture. Raises BadResponse."""
    found = decode_as("a capture", _CAPTURE, body, endpoint)
    request, response = _body(found.req_body), _body(found.resp_body)
    return Capture(
        id=found.id,
        path=sanitize_name(found.req_path),
        request_headers=_headers(found.req_headers),
        request_body=None if request is None else request[:LONGEST_BODY],
        response_headers=_headers(found.resp_headers),
        response_body=None if response is None else response[:LONGEST_BODY],
        is_cut=any(len(text or "") > LONGEST_BODY for text in (request, response)),
    )


def missing_error(response: Response) -> AituiError | None:
    """Return the error of a server that has kept nothing of the request."""
    if response.status != 404:
        return None
    return NotSupported(
        "The server has kept nothing of this request",
        status=404,
        why="captures are off there (captureBuffer: 0), or newer ones took its place",
        remedy="raise captureBuffer (MB) in the server's config",
    )


def _body(encoded: str | None) -> str | None:
    if encoded is None:
        return None
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return sanitize_text(encoded)
    return sanitize_text(raw.decode("utf-8", "replace"))


def _headers(found: dict[str, Any] | None) -> dict[str, str]:
    texts = [(key, value) for key, value in (found or {}).items() if isinstance(value, str)]
    return {sanitize_line(key, 100): sanitize_name(value) for key, value in texts[:_MOST_HEADERS]}
