"""The words that filter activity: times, statuses, models, clients, or any text."""

import re
from datetime import datetime

from aitui.domain.activity import DAY, HOUR, ActivityFilter, ActivityRow

_SPAN = re.compile(r"(\d{1,4})(m|min|h|d|w)")
_SECONDS = {"m": 60.0, "min": 60.0, "h": HOUR, "d": DAY, "w": 7 * DAY}
_STATUSES = {
    "ok": "ok",
    "failed": "failed",
    "errors": "failed",
    "disconnected": "499",
    "crashed": "502",
    "too-many": "429",
}
FILTER_WORDS = "2h, 7d or all · failed, disconnected or 500 · model:NAME, client:NAME or any text"
"""The words in short."""


def parse_filter(text: str, server: str, now: float) -> ActivityFilter:
    """Return the filter that the words of a text mean; without a time it is today.

    `now` is Unix time.
    """
    since: float | None = midnight(now)
    status = model = client = ""
    words: list[str] = []
    for word in text.split():
        lower = word.lower()
        name, colon, value = word.partition(":")
        if span := _SPAN.fullmatch(lower):
            since = now - int(span[1]) * _SECONDS[span[2]]
        elif lower in {"all", "today"}:
            since = None if lower == "all" else midnight(now)
        elif lower in _STATUSES:
            status = _STATUSES[lower]
        elif re.fullmatch(r"[1-5]\d\d", word):
            status = word
        elif colon and name.lower() == "model":
            model = value
        elif colon and name.lower() == "client":
            client = value
        else:
            words.append(word)
    return ActivityFilter(server, model, client, status, " ".join(words), since)


def matches_active(wanted: ActivityFilter, row: ActivityRow) -> bool:
    """Return whether a request under way passes: it has no status yet, and its time is now."""
    model, client = row.model.casefold(), row.who.casefold()
    text = wanted.text.casefold()
    return (
        not wanted.status
        and wanted.model.casefold() in model
        and wanted.client.casefold() in client
        and any(text in part for part in (model, client, row.path.casefold()))
    )


def describe_time(text: str) -> str:
    """Return the time that the words of a filter let through: "today", "last 2h", "all time"."""
    found = "today"
    for word in text.lower().split():
        if _SPAN.fullmatch(word):
            found = f"last {word}"
        elif word in {"all", "today"}:
            found = "all time" if word == "all" else "today"
    return found


def midnight(now: float) -> float:
    """Return when the day began on this machine (Unix time)."""
    return (
        datetime.fromtimestamp(now)
        .astimezone()
        .replace(hour=0, minute=0, second=0, microsecond=0)
        .timestamp()
    )
