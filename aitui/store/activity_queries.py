"""Questions to the record of activity: what passes a filter, in an order, and its sums."""

import sqlite3
from array import array
from collections.abc import Iterator, Sequence
from itertools import chain

import msgspec
from msgspec.structs import replace

from aitui.domain.activity import (
    ActivityFilter,
    ActivitySums,
    ActivityTotals,
    add_sums,
    distribution,
)
from aitui.domain.residency import RequestSpan

_NAMED = {"model": "rows_by_model", "who": "rows_by_client"}
_REPLY_DELAY = (
    "coalesce(first_token, CASE WHEN prompt_rate > 0 AND tokens > 0 "
    "THEN max(0, prompt - coalesce(cached, 0)) / prompt_rate END)"
)
_READ = "CASE WHEN prompt_rate > 0 THEN max(0, prompt - coalesce(cached, 0)) ELSE 0 END"
_WRITTEN = "CASE WHEN rate > 0 THEN tokens ELSE 0 END"
_SUMS = ", ".join(
    f"coalesce(sum({figure}), 0)"
    for figure in (
        *("1", "failed", "prompt", "cached", "tokens", "drafted", "accepted", "seconds"),
        *(_READ, f"{_READ} / prompt_rate", _WRITTEN, f"{_WRITTEN} / rate"),
    )
)
"""The figures of ActivitySums in its order."""


def _column(sort: str) -> str:
    return _REPLY_DELAY if sort == "first_token" else sort


def _order(sort: str, *, descending: bool) -> str:
    direction = "DESC" if descending else "ASC"
    by_time = f"at {direction}, id {direction}"
    # An index serves names, which are never unknown.
    unknown = "" if sort in _NAMED else " NULLS LAST"
    return by_time if sort == "at" else f"{_column(sort)} {direction}{unknown}, {by_time}"


def select_numbers(
    database: sqlite3.Connection, wanted: ActivityFilter, sort: str, *, descending: bool
) -> "array[int]":
    """Return the numbers of all rows that pass, sorted by one of SORTS, unknown figures last."""
    order = _order(sort, descending=descending)
    source, condition, values = _condition(database, wanted, sort)
    # As one text: SQLite lets go of the interpreter once instead of at each row, and takes half of
    # the time. It keeps the order of a subquery for group_concat.
    query = (
        "SELECT coalesce(group_concat(number), '') FROM "  # noqa: S608
        f"(SELECT number FROM {source} WHERE {condition} ORDER BY {order})"
    )
    (numbers,) = database.execute(query, values).fetchone()
    return array("q", msgspec.json.decode(f"[{numbers}]", type=list[int]))


def select_first_numbers(
    database: sqlite3.Connection, wanted: ActivityFilter, limit: int, sort: str, *, descending: bool
) -> "array[int]":
    """Return the first `limit` numbers of that selection."""
    direction = "DESC" if descending else "ASC"
    end = f"ORDER BY {_order(sort, descending=descending)} LIMIT {limit}"
    if wanted.text and sort == "at":
        # The first ones of each index, not all that match.
        _, condition, common = _condition(database, replace(wanted, text=""), sort)
        parts: list[str] = []
        values: list[str | float] = []
        for index, found, names in _text_conditions(database, wanted):
            source = f"rows INDEXED BY {index} WHERE {condition} AND {found}"
            parts.append(f"SELECT * FROM (SELECT number, at, id FROM {source} {end})")  # noqa: S608
            values += [*common, *names]
        query = f"SELECT number FROM ({' UNION '.join(parts)}) {end}"  # noqa: S608
    else:
        source, condition, values = _condition(database, wanted, sort)
        query = f"SELECT number FROM {source} WHERE {condition} {end}"  # noqa: S608
        if source.endswith("NOT INDEXED") and sort not in {"at", *_NAMED}:
            # Figures that are equal are sorted by time: with the last of those first, none of the
            # others displaces one. In the other direction that takes three times as long.
            query = (
                f"SELECT number FROM (SELECT number, at, id, {_column(sort)} AS figure "  # noqa: S608
                f"FROM {source} WHERE {condition} ORDER BY number {direction} LIMIT -1) "
                f"ORDER BY {_order('figure', descending=descending)} LIMIT {limit}"
            )
    return array("q", chain.from_iterable(database.execute(query, values)))


def _condition(
    database: sqlite3.Connection, wanted: ActivityFilter, sort: str = "at"
) -> tuple[str, str, list[str | float]]:
    """Return the table with the index to use, the condition of a filter, and its values.

    SQLite would go through all rows in the order of time instead: it knows nothing of their numbers.
    """
    kinds = [kind.value for kind in wanted.kinds]
    index = ""
    parts = ["server = ?", f"kind IN ({_marks(kinds)})"]
    values: list[str | float] = [wanted.server, *kinds]
    if wanted.text:
        condition, names = _text_condition(database, wanted, kinds)
        parts.append(condition)
        values += names
    if wanted.status in {"ok", "failed"}:
        parts.append(f"failed = {int(wanted.status == 'failed')}")
        index = "rows_failed" if wanted.status == "failed" else ""
    elif wanted.status:
        parts.append("status = ?")
        values.append(wanted.status)
        if wanted.status.isdecimal() and int(wanted.status) >= 400:
            parts.append("failed = 1")
            index = "rows_failed"
    for column, text in (("model", wanted.model), ("who", wanted.client)):
        if text:
            found = _matching_names(database, wanted, column, text)
            parts.append(f"{column} IN ({_marks(found)})")
            values += found
            index = index or _NAMED[column]
    for comparison, moment in ((">=", wanted.since), ("<", wanted.until)):
        if moment is not None:
            parts.append(f"at {comparison} ?")
            values.append(moment)
    # Figures are in no index: to fetch each row through one takes longer than to go through them.
    by_figure = sort not in {"at", *_NAMED} and index != "rows_failed" and wanted.since is None
    if wanted.text or by_figure:
        return "rows NOT INDEXED", " AND ".join(parts), values
    return f"rows INDEXED BY {index}" if index else "rows", " AND ".join(parts), values


def _text_condition(
    database: sqlite3.Connection, wanted: ActivityFilter, kinds: list[str]
) -> tuple[str, list[str | float]]:
    some = f"SELECT number FROM rows WHERE server = ? AND kind IN ({_marks(kinds)}) AND"  # noqa: S608
    either: list[str] = []
    values: list[str | float] = []
    for _, condition, names in _text_conditions(database, wanted):
        either.append(f"{some} {condition}")
        values += [wanted.server, *kinds, *names]
    return f"number IN ({' UNION '.join(either)})", values


def _text_conditions(
    database: sqlite3.Connection, wanted: ActivityFilter
) -> Iterator[tuple[str, str, list[str | float]]]:
    """Yield the indices where a text may stand, in a name or an error, each with its condition."""
    yield "rows_failed", "failed = 1 AND instr(lower(error), ?)", [wanted.text.lower()]
    for column, index in _NAMED.items():
        if found := _matching_names(database, wanted, column, wanted.text):
            yield index, f"{column} IN ({_marks(found)})", [*found]


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _matching_names(
    database: sqlite3.Connection, wanted: ActivityFilter, column: str, text: str
) -> list[str]:
    """Return the models or clients with that text in their names: few, and each found in its index."""
    names: list[str] = []
    for kind in wanted.kinds:
        following = f"SELECT min({column}) FROM rows WHERE server = ? AND kind = ? AND {column} > ?"  # noqa: S608
        # An empty name matches no text.
        name = ""
        while found := database.execute(following, (wanted.server, kind.value, name)).fetchone()[0]:
            name = found
            names.append(name)
    return [name for name in dict.fromkeys(names) if text.casefold() in name.casefold()]


def totals_of(database: sqlite3.Connection, wanted: ActivityFilter) -> ActivityTotals:
    """Return sums and spreads of the requests that pass."""
    source, condition, values = _condition(database, wanted)
    query = f"SELECT {_SUMS} FROM {source} WHERE {condition}"  # noqa: S608
    sums = database.execute(query, values).fetchone()
    query = (
        f"SELECT seconds, {_REPLY_DELAY}, prompt_rate, rate FROM {source} "  # noqa: S608
        f"WHERE {condition} AND failed = 0"
    )
    figures = tuple(zip(*database.execute(query, values), strict=True)) or ((),) * 4
    spreads = (distribution(sorted(one for one in column if one is not None)) for column in figures)
    return ActivityTotals(ActivitySums(*sums), *spreads)


def counters_of(database: sqlite3.Connection, server: str) -> dict[str, tuple[ActivitySums, float]]:
    """Return the sums and the joules of each model, with those of the rows that were dropped."""
    found = {
        name: (sums, 0.0)
        for name, sums in sums_by(database, ActivityFilter(server), "model").items()
    }
    energy = database.execute(
        "SELECT model, sum(joules) FROM energy WHERE server = ? GROUP BY model", (server,)
    )
    dropped = database.execute(
        "SELECT model, requests, failed, prompt, cached, tokens, seconds, joules FROM dropped "
        "WHERE server = ?",
        (server,),
    )
    more = [(model, ActivitySums(), joules) for model, joules in energy]
    for model, requests, failed, prompt, cached, tokens, seconds, joules in dropped:
        sums = ActivitySums(requests, failed, prompt, cached, tokens, seconds=seconds)
        more.append((model, sums, joules))
    for model, sums, joules in more:
        before, so_far = found.get(model, (ActivitySums(), 0.0))
        found[model] = add_sums((before, sums)), so_far + joules
    return {str(model): one for model, one in found.items()}


def sums_by(
    database: sqlite3.Connection, wanted: ActivityFilter, column: str
) -> dict[str | int, ActivitySums]:
    """Return the sums of the requests that pass, by an expression of SQL."""
    source, condition, values = _condition(database, wanted)
    query = f"SELECT {column}, {_SUMS} FROM {source} WHERE {condition} GROUP BY 1"  # noqa: S608
    return {name: ActivitySums(*sums) for name, *sums in database.execute(query, values)}


def spans_between(
    database: sqlite3.Connection, server: str, since: float, until: float
) -> tuple[RequestSpan, ...]:
    """Return when the requests ran that didn't fail in a time (Unix times)."""
    query = (
        "SELECT model, who, at - coalesce(seconds, 0), at FROM rows WHERE server = ? "
        "AND kind = 'request' AND failed = 0 AND at >= ? AND at - coalesce(seconds, 0) <= ?"
    )
    return tuple(RequestSpan(*row) for row in database.execute(query, (server, since, until)))
