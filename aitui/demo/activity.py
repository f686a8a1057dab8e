"""The record of finished requests: `/api/metrics`, and `/api/metrics/activity` of newer builds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct

from aitui.demo.captures import CaptureBuffer, RequestExchange
from aitui.demo.dialect import BuildTraits
from aitui.demo.go_text import timestamp

CLIENT_LEFT = 499
"""The status of a request that its client left before any byte of the response."""
_MAX_ROWS = 1000
_HISTOGRAM_BINS = 6


class TokenCounts(Struct, frozen=True):
    """The tokens of one reply; those that were cached aren't read. Rates in tokens a second.

    Nothing is `drafted` by a model without speculative decoding: -1.
    """

    cached: int = 0
    read: int = 0
    written: int = 0
    read_per_second: float = 0.0
    written_per_second: float = 0.0
    drafted: int = -1
    accepted: int = -1


NO_TOKENS = TokenCounts()


class RecordedRow(Struct, frozen=True):
    """One finished request. Duration in milliseconds."""

    id: int
    timestamp: str
    model: str
    path: str
    content_type: str
    status: int
    tokens: TokenCounts
    duration_ms: int
    error: str = ""
    routed: bool = False
    selector: str = ""
    client: str = ""
    has_capture: bool = False


class ActivityLog:
    """The rows, newest last."""

    def __init__(
        self,
        traits: BuildTraits,
        publish: Callable[[str, object], None],
        wall: Callable[[], float],
        *,
        capture_bytes: int,
    ) -> None:
        self._traits = traits
        self._wall = wall
        self._publish = publish
        self.captures = CaptureBuffer(capture_bytes)
        self._next_id = traits.first_activity_id
        self.rows: list[RecordedRow] = []

    def record(
        self,
        *,
        model: str,
        path: str,
        content_type: str,
        status: int,
        tokens: TokenCounts,
        seconds: float,
        error: str = "",
        routed: bool = True,
        selector: str = "",
        client: str = "",
        ago: float = 0.0,
        exchange: RequestExchange | None = None,
    ) -> None:
        """Add a row and publish it; the request ended so many seconds ago, `exchange` is what was said."""
        if status == CLIENT_LEFT:
            exchange = None
        row = RecordedRow(
            id=self._next_id,
            timestamp=timestamp(self._wall() - ago, fraction=not self._traits.activity_endpoints),
            model=model,
            path=path,
            content_type=content_type,
            status=status,
            tokens=tokens,
            duration_ms=int(seconds * 1000),
            error=error,
            routed=routed,
            selector=selector,
            client=f"ip:{client}",
            has_capture=exchange is not None and self.captures.add(self._next_id, exchange),
        )
        self._next_id += 1
        self.rows = [*self.rows, row][-_MAX_ROWS:]
        if self._traits.activity_endpoints:
            self._publish("activity", {"id": row.id})
        else:
            self._publish("metrics", [self.describe(row)])

    def find(self, id_: int) -> RecordedRow | None:
        """Return the row with an id."""
        return next((row for row in self.rows if row.id == id_), None)

    def describe(self, row: RecordedRow) -> dict[str, Any]:
        """Return a row as the server's JSON has it; -1 stands for unknown."""
        tokens: dict[str, int | float] = {"cache_tokens": row.tokens.cached}
        if self._traits.activity_endpoints:
            one = row.tokens
            drafted, accepted = (one.drafted, one.accepted) if one.written else (0, 0)
            tokens |= {"draft_tokens": drafted, "draft_acc_tokens": accepted}
        tokens |= {
            "input_tokens": row.tokens.read,
            "output_tokens": row.tokens.written,
            "prompt_per_second": row.tokens.read_per_second,
            "tokens_per_second": row.tokens.written_per_second,
        }
        description: dict[str, Any] = {
            "id": row.id,
            "timestamp": row.timestamp,
            **({"src": row.client} if self._traits.records_clients else {}),
            "model": row.model,
            "req_path": row.path,
            "resp_content_type": row.content_type,
            "resp_status_code": row.status,
            "tokens": tokens,
            "duration_ms": row.duration_ms,
            "has_capture": row.has_capture,
        }
        if self._traits.activity_endpoints:
            if row.error:
                description["error_msg"] = row.error
            metadata = {"selector": row.selector} if row.selector else {}
            if row.routed:
                metadata["fifo_priority"] = "0"
            if metadata:
                description["metadata"] = metadata
        return description

    def describe_all(self) -> list[dict[str, Any]]:
        """Return every row, the oldest first."""
        return [self.describe(row) for row in self.rows]


def stats(rows: Iterable[RecordedRow]) -> dict[str, Any]:
    """Return the sums and histograms of `/api/metrics/stats`."""
    rows = list(rows)
    answered = [row.tokens for row in rows if row.tokens.written]
    return {
        "total_requests": len(rows),
        "total_input_tokens": sum(row.tokens.read for row in rows),
        "total_output_tokens": sum(row.tokens.written for row in rows),
        "total_cache_tokens": sum(row.tokens.cached for row in rows),
        "prompt_histogram": _histogram([tokens.read_per_second for tokens in answered]),
        "gen_histogram": _histogram([tokens.written_per_second for tokens in answered]),
    }


def _histogram(values: Sequence[float]) -> dict[str, Any] | None:
    if not values:
        return None
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    size = (high - low) / _HISTOGRAM_BINS
    bins = [0] * (_HISTOGRAM_BINS if size else 1)
    for value in ordered:
        bins[min(int((value - low) / size), len(bins) - 1) if size else 0] += 1
    last = len(ordered) - 1
    return {
        "bins": bins,
        "min": low,
        "max": high,
        "binSize": size,
        "p50": ordered[round(last * 0.5)],
        "p95": ordered[round(last * 0.95)],
        "p99": ordered[round(last * 0.99)],
    }
