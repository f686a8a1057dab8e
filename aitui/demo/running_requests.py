"""The running requests, and the events about them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from aitui.demo.dialect import BuildTraits
from aitui.demo.go_text import timestamp
from aitui.demo.upstream_process import ModelClaim

_UPDATE_SECONDS = 0.25
_SECRET_HEADERS = frozenset({"authorization", "cookie", "host", "x-api-key"})


class Caller(Struct, frozen=True):
    """The client of a request, and what it requests."""

    method: str
    path: str
    model: str
    headers: Mapping[str, str]
    remote_ip: str


@dataclass(eq=False, slots=True)
class InflightRequest:
    """One request under way."""

    id: int
    caller: Caller
    since: str
    began: float
    on_change: Callable[[InflightRequest], None]
    claim: ModelClaim | None = None
    cancelled: bool = False
    response_headers: dict[str, str] = field(default_factory=dict)
    response_bytes: int = 0
    reported_at: float = 0.0

    def cancel(self) -> None:
        """End it as `POST /api/inflight/ID/cancel` does."""
        self.cancelled = True
        if self.claim is not None:
            self.claim.cut.set()

    def record_headers(self, headers: Mapping[str, str]) -> None:
        """Record the response's headers."""
        self.response_headers = dict(headers)
        self._report()

    def add_sent_bytes(self, size: int) -> None:
        """Count sent bytes of the body; publish them at most four times a second."""
        self.response_bytes += size
        if time.monotonic() - self.reported_at >= _UPDATE_SECONDS:
            self._report()

    def _report(self) -> None:
        self.reported_at = time.monotonic()
        self.on_change(self)


class InflightRequests:
    """All running requests. Publishes `inflight` events as the build does."""

    def __init__(
        self,
        traits: BuildTraits,
        publish: Callable[[str, object], None],
        wall: Callable[[], float],
    ) -> None:
        self._traits = traits
        self._wall = wall
        self._publish = publish
        self._requests: dict[int, InflightRequest] = {}
        self._last_id = 0

    @contextmanager
    def track(self, caller: Caller, ago: float = 0.0) -> Iterator[InflightRequest]:
        """Count a request while it runs; it began so many seconds ago."""
        self._last_id += 1
        began = time.monotonic() - ago
        request = InflightRequest(
            self._last_id, caller, timestamp(self._wall() - ago), began, self._publish_upsert
        )
        self._requests[request.id] = request
        self._publish_arrival(request)
        try:
            yield request
        finally:
            del self._requests[request.id]
            if self._traits.detailed_events:
                self._publish("inflight", {"operation": "remove", "id": str(request.id)})
            else:
                self._publish("inflight", {"total": len(self._requests)})

    @property
    def count(self) -> int:
        """How many requests run."""
        return len(self._requests)

    def find(self, id_: str) -> InflightRequest | None:
        """Return the request with an id."""
        return self._requests.get(int(id_)) if id_.isdecimal() else None

    def snapshot(self) -> object:
        """Return the `inflight` event that a new listener gets first."""
        if not self._traits.detailed_events:
            return {"total": len(self._requests)}
        if not self._requests:
            return {"operation": "snapshot"}
        requests = [_describe(request) for request in self._requests.values()]
        return {"operation": "snapshot", "requests": requests}

    def _publish_arrival(self, request: InflightRequest) -> None:
        if self._traits.detailed_events:
            self._publish_upsert(request)
        else:
            self._publish("inflight", {"total": len(self._requests)})

    def _publish_upsert(self, request: InflightRequest) -> None:
        if self._traits.detailed_events:
            self._publish("inflight", {"operation": "upsert", "request": _describe(request)})


def _describe(request: InflightRequest) -> dict[str, Any]:
    caller = request.caller
    answered = bool(request.response_headers)
    return {
        "id": str(request.id),
        "timestamp": request.since,
        "model": caller.model,
        "req_path": caller.path,
        "method": caller.method,
        "req_headers": {
            name: value
            for name, value in caller.headers.items()
            if name.lower() not in _SECRET_HEADERS
        },
        "remote_ip": caller.remote_ip,
        "resp_headers": request.response_headers,
        "resp_bytes": request.response_bytes,
        "elapsed_ms": int((time.monotonic() - request.began) * 1000) if answered else 0,
    }
