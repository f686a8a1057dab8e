"""Responses as llama-swap sends them: only its own headers, bytes counted for its log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

from aiohttp import hdrs, web
from msgspec import Struct, field

JSON = "application/json"
JSON_UTF8 = "application/json; charset=utf-8"
TEXT = "text/plain"
TEXT_UTF8 = "text/plain; charset=utf-8"
HTML_UTF8 = "text/html; charset=utf-8"
EVENT_STREAM = "text/event-stream"

_MOST_KEPT = 1 << 20
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class ResponseContent(Struct, frozen=True):
    """A complete response. An empty content type sends none."""

    status: int
    body: bytes
    content_type: str
    headers: Mapping[str, str] = field(default_factory=lambda: _NO_HEADERS)


class ChunkedResponse(web.StreamResponse):
    """A chunked response that counts the bytes of its body."""

    def __init__(self, headers: Mapping[str, str], status: int = 200) -> None:
        super().__init__(status=status, headers=headers)
        self.bytes_sent = 0
        self._kept: list[bytes] = []

    @property
    def sent_body(self) -> bytes:
        """Return what was sent, at least its first megabyte."""
        return b"".join(self._kept)

    async def send(self, data: bytes) -> None:
        """Write a piece, and wait for a slow reader."""
        if self.bytes_sent < _MOST_KEPT:
            self._kept.append(data)
        self.bytes_sent += len(data)
        await self.write(data)

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        _drop_server_header(self)


class CompleteResponse(web.Response):
    """A complete response without the headers that aiohttp adds."""

    def __init__(self, answer: ResponseContent) -> None:
        headers = dict(answer.headers)
        if answer.content_type:
            headers[hdrs.CONTENT_TYPE] = answer.content_type
        super().__init__(status=answer.status, body=answer.body, headers=headers)
        self.bytes_sent = len(answer.body)
        self.sent_body = answer.body
        """What is sent."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        _drop_server_header(self)


Response = ChunkedResponse | CompleteResponse


def _drop_server_header(response: web.StreamResponse) -> None:
    if response.headers.get(hdrs.SERVER, "").startswith("Python/"):
        del response.headers[hdrs.SERVER]


def go_json(value: object, *, sorted_keys: bool = False) -> str:
    """Encode compact JSON; Go's encoder escapes three characters."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=sorted_keys)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def llama_server_json(value: object, status: int = 200) -> ResponseContent:
    """Return a response of the model's own server, passed on."""
    return ResponseContent(
        status, json.dumps(value, ensure_ascii=False).encode(), JSON_UTF8, {"Server": "llama.cpp"}
    )


def redirect(status: int, location: str, phrase: str) -> ResponseContent:
    """Return what Go's http.Redirect sends."""
    return ResponseContent(
        status,
        f'<a href="{location}">{phrase}</a>.\n\n'.encode(),
        HTML_UTF8,
        {"Location": location},
    )
