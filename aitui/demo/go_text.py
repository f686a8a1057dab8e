"""Times and durations as Go prints them, since clients have to parse those."""

from __future__ import annotations

from datetime import UTC, datetime


def timestamp(at: float, *, fraction: bool = True) -> str:
    """Return Unix time as RFC 3339, in UTC, with nanoseconds or in whole seconds."""
    text = f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S.%f}"
    return f"{text}000Z" if fraction else f"{text[:19]}Z"


def duration(seconds: float) -> str:
    """Format a duration as time.Duration does: 74.5µs, 1.2ms, 5.26s."""
    nanoseconds = round(seconds * 1e9)
    for size, unit in ((10**9, "s"), (10**6, "ms"), (10**3, "µs")):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.9f}".rstrip("0").rstrip(".") + unit
    return f"{nanoseconds}ns"
