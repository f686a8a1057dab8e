"""Rows of activity as the text of a file: CSV, JSON or Markdown."""

import csv
import io
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from aitui.domain.activity import ActivityRow
from aitui.format.activity import activity_report
from aitui.format.requests import status_words

JSON_VERSION = 1
FIELDS = (
    *("at", "model", "who", "client", "agent", "session", "path", "status", "error", "prompt"),
    *("cached", "tokens", "drafted", "accepted", "prompt_rate", "rate", "first_token", "seconds"),
)
"""The columns of a file: fields of a row."""
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a text that begins with one of these for a formula."""


def as_csv(rows: Sequence[ActivityRow]) -> str:
    """Return the rows as CSV; a text that a spreadsheet would run begins with an apostrophe."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(FIELDS)
    writer.writerows([_plain(value) for value in _values(row)] for row in rows)
    return file.getvalue()


def as_json(rows: Sequence[ActivityRow]) -> str:
    """Return the rows as one JSON object; `version` counts changes of its form."""
    listed = [activity_report(row) for row in rows]
    encoded = msgspec.json.encode({"version": JSON_VERSION, "requests": listed})
    return msgspec.json.format(encoded, indent=2).decode() + "\n"


def as_markdown(rows: Sequence[ActivityRow]) -> str:
    """Return the rows as a table."""
    titles = ("time", "client", "model", "status", "prompt", "cached", "reply", "tok/s", "seconds")
    lines = [_markdown_row(titles), _markdown_row(["---"] * 4 + ["---:"] * 5)]
    for row in rows:
        figures = (row.prompt, row.cached, row.tokens, row.rate, row.seconds)
        lines.append(
            _markdown_row(
                [
                    _moment(row.at),
                    row.who or row.client,
                    row.model,
                    status_words(row)[0],
                    *("" if one is None else f"{round(one, 1):,}" for one in figures),
                ]
            )
        )
    return "\n".join(lines) + "\n"


WRITERS: dict[str, Callable[[Sequence[ActivityRow]], str]] = {
    ".csv": as_csv,
    ".json": as_json,
    ".md": as_markdown,
}
"""The text of a file by its suffix."""


def _values(row: ActivityRow) -> list[object]:
    return [_moment(row.at), *(getattr(row, name) for name in FIELDS[1:])]


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _plain(value: object) -> object:
    is_formula = isinstance(value, str) and value.startswith(FORMULA_SIGNS)
    return f"'{value}" if is_formula else value


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
