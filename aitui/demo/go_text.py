"""Times and durations as Go prints them, since clients have to parse those."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def timestamp(*, fraction: bool = True) -> str:
    """Return the current time as RFC 3339, in UTC, with nanoseconds or in whole seconds."""
    nanoseconds = time.time_ns()
    moment = datetime.fromtimestamp(nanoseconds // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{moment}.{nanoseconds % 10**9:09d}Z" if fraction else f"{moment}Z"


def duration(seconds: float) -> str:
    """Format a duration as time.Duration does: 74.5µs, 1.2ms, 5.26s."""
    nanoseconds = round(seconds * 1e9)
    for size, unit in ((10**9, "s"), (10**6, "ms"), (10**3, "µs")):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.9f}".rstrip("0").rstrip(".") + unit
    return f"{nanoseconds}ns"
