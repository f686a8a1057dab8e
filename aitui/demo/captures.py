"""What was said in requests, as `/api/captures/ID` has it: headers, and bodies in base64."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from aitui.demo.replies import REPLIES

_REDACTED = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key"})
_PROMPTS = (
    "How should I split a 35B model over two cards, and how large may the KV cache be?",
    "Write a small Python function that parses the request lines of llama-swap's log.",
    "What is the difference between Q6_K and Q8_0 for code completion?",
    "Summarize the notes from yesterday in five bullet points.",
)


class RequestExchange(Struct, frozen=True):
    """One request with its response."""

    path: str
    request_headers: Mapping[str, str] = field(default_factory=dict)
    request_body: bytes = b""
    response_headers: Mapping[str, str] = field(default_factory=dict)
    response_body: bytes = b""

    def describe(self, id_: int) -> dict[str, Any]:
        """Return it as the server's JSON has it."""
        return {
            "id": id_,
            "req_path": self.path,
            "req_headers": _redact(self.request_headers),
            "req_body": base64.b64encode(self.request_body).decode(),
            "resp_headers": _redact(self.response_headers),
            "resp_body": base64.b64encode(self.response_body).decode(),
        }


class CaptureBuffer:
    """Keeps the latest exchanges, up to so many bytes; 0 keeps none."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: dict[int, RequestExchange] = {}
        self._size = 0

    def add(self, id_: int, exchange: RequestExchange) -> bool:
        """Keep an exchange; False if it is too large, or none are kept."""
        size = _size(exchange)
        if size > self._limit:
            return False
        self._kept[id_] = exchange
        self._size += size
        while self._size > self._limit:
            self._size -= _size(self._kept.pop(next(iter(self._kept))))
        return True

    def find(self, id_: int) -> RequestExchange | None:
        """Return what is kept of a request."""
        return self._kept.get(id_)


def invent_exchange(model: str, path: str, agent: str, seed: float) -> RequestExchange:
    """Return what a client of the demo may have said."""
    number = int(seed * 1000)
    request: dict[str, Any] = {"model": model, "stream": True}
    if not path.endswith("/chat/completions"):
        request = {"model": model, "input": ["notes/2026-11.md", "notes/ideas.md"]}
        body = json.dumps({"object": "list", "data": [{"index": 0, "embedding": [0.013, -0.027]}]})
        return _exchange(path, agent, request, body, "application/json")
    prompt = _PROMPTS[number % len(_PROMPTS)]
    reply = next((one for one in REPLIES if one.topic.search(prompt)), REPLIES[-1])
    request["messages"] = [
        {"role": "system", "content": "Answer briefly, with an example."},
        {"role": "user", "content": prompt},
    ]
    deltas = [{"reasoning_content": reply.reasoning}, {"content": reply.text}]
    events = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    return _exchange(path, agent, request, body, "text/event-stream")


def _exchange(
    path: str, agent: str, request: Mapping[str, Any], body: str, kind: str
) -> RequestExchange:
    headers = {"Accept": "*/*", "Content-Type": "application/json", "User-Agent": agent}
    return RequestExchange(
        path,
        headers,
        json.dumps(request).encode(),
        {"Content-Type": kind, "Server": "llama.cpp"},
        body.encode(),
    )


def _redact(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name: "[REDACTED]" if name.lower() in _REDACTED else value
        for name, value in headers.items()
    }


def _size(exchange: RequestExchange) -> int:
    return len(exchange.request_body) + len(exchange.response_body) + 500
