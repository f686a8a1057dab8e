"""A request as the endpoints see it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from aiohttp import web
from msgspec import Struct, field

from aitui.demo.answers import ChunkedResponse
from aitui.demo.running_requests import Caller

_MODEL = re.compile(r'"model"\s*:\s*"((?:[^"\\]|\\.)*)"')


class IncomingRequest(Struct, frozen=True):
    """One request. `path` is decoded, without the query."""

    request: web.BaseRequest
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    remote_ip: str
    streams: list[ChunkedResponse] = field(default_factory=list)

    @classmethod
    async def receive(cls, request: web.BaseRequest) -> IncomingRequest:
        """Read the whole request."""
        return cls(
            request=request,
            method=request.method,
            path=unquote(request.raw_path.partition("?")[0]),
            query=request.query,
            headers=request.headers,
            body=await request.read(),
            remote_ip=_client_address(request),
        )

    @property
    def accept(self) -> str:
        """The Accept header."""
        return self.headers.get("Accept", "")

    @property
    def is_json(self) -> bool:
        """Whether the body says that it is JSON."""
        return self.headers.get("Content-Type", "").startswith("application/json")

    def model_name(self) -> str:
        """Return the model that the body names, also if the body is incomplete."""
        match = _MODEL.search(self.body.decode(errors="replace"))
        return match.group(1) if match else ""

    def json(self) -> dict[str, Any]:
        """Return the body as an object. Raises json.JSONDecodeError."""
        value = json.loads(self.body)
        return value if isinstance(value, dict) else {}

    def caller(self, model: str) -> Caller:
        """Describe the client for the list of running requests."""
        return Caller(self.method, self.path, model, dict(self.headers), self.remote_ip)

    async def begin(self, stream: ChunkedResponse) -> ChunkedResponse:
        """Send a stream's headers."""
        await stream.prepare(self.request)
        self.streams.append(stream)
        return stream


def _client_address(request: web.BaseRequest) -> str:
    """Return what the headers claim, else the address of the connection."""
    claimed = request.headers.get("X-Forwarded-For", "").split(",")[0].strip()
    return claimed or request.headers.get("X-Real-IP", "") or request.remote or "127.0.0.1"
