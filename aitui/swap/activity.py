"""Rows of finished requests: pushed as a `metrics` event, or asked for page by page since v236."""

from datetime import datetime
from typing import Any

import msgspec

from aitui.domain.clean import sanitize_line
from aitui.domain.model import FinishedRequest


class _Tokens(msgspec.Struct):
    output_tokens: Any = None
    tokens_per_second: Any = None


class _Row(msgspec.Struct):
    model: str | None = None
    timestamp: Any = None
    tokens: _Tokens | None = None


class _Page(msgspec.Struct):
    data: list[_Row] | None = None


_ROWS = msgspec.json.Decoder(list[_Row] | None)
_PAGE = msgspec.json.Decoder(_Page)


def parse_finished_requests(body: bytes) -> tuple[FinishedRequest, ...]:
    """The rows of a bare list; raises msgspec.DecodeError."""
    return _build_requests(_ROWS.decode(body))


def parse_activity_page(body: bytes) -> tuple[FinishedRequest, ...]:
    """The rows of one page of `/api/metrics/activity`; raises msgspec.DecodeError."""
    return _build_requests(_PAGE.decode(body).data)


def _build_requests(rows: list[_Row] | None) -> tuple[FinishedRequest, ...]:
    return tuple(_build_request(row, row.tokens or _Tokens()) for row in rows or () if row.model)


def _build_request(row: _Row, tokens: _Tokens) -> FinishedRequest:
    """One row. The figures are −1 where the server doesn't know, and 0 where there were none."""
    count = _positive(tokens.output_tokens)
    return FinishedRequest(
        model=sanitize_line(row.model or ""),
        at=_unix_time(row.timestamp),
        tokens=None if count is None else int(count),
        rate=_positive(tokens.tokens_per_second),
    )


def _positive(value: object) -> float | None:
    """A finite number above zero; anything else is unknown."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 < value < 1e12 else None


def _unix_time(value: object) -> float | None:
    try:
        moment = msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        return None
    if moment.tzinfo is None or moment.year < 1970:
        return None
    return moment.timestamp()
