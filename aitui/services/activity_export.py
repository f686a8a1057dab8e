"""Rows of activity written to files: CSV, JSON or Markdown."""

import asyncio
import csv
import io
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from aitui.domain.activity import ActivityRow
from aitui.errors import AituiError
from aitui.format.requests import status_words
from aitui.store.files import write_named_file

JSON_VERSION = 1
FIELDS = (
    *("at", "model", "who", "client", "agent", "session", "path", "status", "error", "prompt"),
    *("cached", "tokens", "drafted", "accepted", "prompt_rate", "rate", "first_token", "seconds"),
)
"""The columns of a file: fields of a row."""
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a text that begins with one of these for a formula."""


async def export_activity(
    rows: Sequence[ActivityRow], name: str, directory: Path, suffix: str
) -> Path:
    """Write rows to a new file in a directory, as its suffix says; return its path.

    The name is one that is free. Raises AituiError.
    """

    def write() -> Path:
        content = WRITERS[suffix](rows).encode()
        try:
            return write_named_file(directory, name, suffix, content)
        except OSError as error:
            raise AituiError(
                f"{directory} can't be written to", why=error.strerror or str(error)
            ) from error

    return await asyncio.to_thread(write)


def as_csv(rows: Sequence[ActivityRow]) -> str:
    """Return the rows as CSV; a text that a spreadsheet would run begins with an apostrophe."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(FIELDS)
    writer.writerows([_plain(value) for value in _values(row)] for row in rows)
    return file.getvalue()


def as_json(rows: Sequence[ActivityRow]) -> str:
    """Return the rows as one JSON object; `version` counts changes of its form."""
    listed = [dict(zip(FIELDS, _values(row), strict=True)) for row in rows]
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
"""What writes a file, by its suffix."""


def _values(row: ActivityRow) -> list[object]:
    return [_moment(row.at), *(getattr(row, name) for name in FIELDS[1:])]


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _plain(value: object) -> object:
    is_formula = isinstance(value, str) and value.startswith(FORMULA_SIGNS)
    return f"'{value}" if is_formula else value


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
