"""The record of activity: requests, models that came and went, and power, of all servers."""

import asyncio
import contextlib
import sqlite3
import threading
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec.structs import replace

from aitui.domain.activity import (
    LEFT,
    MODEL_KINDS,
    SHORTEST_RESTART,
    ActivityFilter,
    ActivityKind,
    ActivityRow,
    ActivitySums,
    ActivityTotals,
)
from aitui.domain.sanitize import sanitize_line
from aitui.errors import HistoryError
from aitui.store.database import (
    BUSY_SECONDS,
    aside_warning,
    error_reason,
    open_database,
    set_broken_aside,
    transaction,
)

if TYPE_CHECKING:
    from aitui.domain.residency import RequestSpan, WatchedTime

FILE_NAME = "activity.sqlite3"
CONTENT = "activity records"

_T = TypeVar("_T")

_TABLES = """
CREATE TABLE rows (
    number INTEGER PRIMARY KEY, server TEXT NOT NULL, kind TEXT NOT NULL, at REAL NOT NULL,
    id INTEGER NOT NULL, model TEXT NOT NULL, run REAL NOT NULL, path TEXT NOT NULL,
    client TEXT NOT NULL, who TEXT NOT NULL, agent TEXT NOT NULL, session TEXT NOT NULL,
    status INTEGER, error TEXT NOT NULL, by TEXT NOT NULL, cached INTEGER, prompt INTEGER,
    tokens INTEGER, drafted INTEGER, accepted INTEGER, prompt_rate REAL, rate REAL, seconds REAL,
    first_token REAL, has_capture INTEGER NOT NULL, failed INTEGER NOT NULL
);
CREATE UNIQUE INDEX rows_by_time ON rows (server, kind, at, id, model);
CREATE INDEX rows_by_model ON rows (server, kind, model, at, id);
CREATE INDEX rows_by_client ON rows (server, kind, who, at, id);
CREATE INDEX rows_failed ON rows (server, kind, at, id) WHERE failed = 1;
CREATE INDEX rows_by_age ON rows (at);
CREATE TABLE watched (
    number INTEGER PRIMARY KEY, server TEXT NOT NULL, began REAL NOT NULL, ended REAL NOT NULL
);
CREATE INDEX watched_by_time ON watched (server, ended);
CREATE TABLE complete (server TEXT PRIMARY KEY, id INTEGER NOT NULL, at REAL NOT NULL);
CREATE TABLE dropped (
    server TEXT NOT NULL, model TEXT NOT NULL, requests INTEGER NOT NULL, failed INTEGER NOT NULL,
    prompt INTEGER NOT NULL, cached INTEGER NOT NULL, tokens INTEGER NOT NULL,
    seconds REAL NOT NULL, joules REAL NOT NULL, PRIMARY KEY (server, model)
);
CREATE TABLE energy (
    server TEXT NOT NULL, minute INTEGER NOT NULL, model TEXT NOT NULL, joules REAL NOT NULL,
    PRIMARY KEY (server, minute, model)
) WITHOUT ROWID
"""
# The server's rows have no User-Agent: those of an address where one program alone was seen are its own.
_PROGRAMS = """
CREATE TABLE programs (
    server TEXT NOT NULL, client TEXT NOT NULL, who TEXT NOT NULL,
    PRIMARY KEY (server, client, who)
) WITHOUT ROWID;
INSERT INTO programs SELECT DISTINCT server, client, who FROM rows
    WHERE kind = 'request' AND client != '' AND agent != '' AND agent NOT LIKE 'aitui/%';
UPDATE rows SET who = (
        SELECT who FROM programs WHERE server = rows.server AND client = rows.client
    )
    WHERE kind = 'request' AND agent = '' AND client != '' AND 1 = (
        SELECT count(*) FROM programs WHERE server = rows.server AND client = rows.client
    )
"""
STEPS = (_TABLES, _PROGRAMS)
_FIELDS = ActivityRow.__struct_fields__
_COLUMNS = ", ".join(_FIELDS)
_STORED = tuple(name for name in _FIELDS if name != "number")
_INSERT = (
    f"INSERT INTO rows ({', '.join(_STORED)}, failed) "  # noqa: S608 - names of fields alone
    f"VALUES ({', '.join('?' * (len(_STORED) + 1))})"
)
# Another recorder, or a page fetched later, may know less of the same request, or more.
_INSERT_OR_COMPLETE = f"""{_INSERT}
ON CONFLICT (server, kind, at, id, model) DO UPDATE SET
    who = CASE WHEN agent = '' THEN excluded.who ELSE who END,
    client = CASE WHEN client = '' THEN excluded.client ELSE client END,
    agent = CASE WHEN agent = '' THEN excluded.agent ELSE agent END,
    session = CASE WHEN session = '' THEN excluded.session ELSE session END,
    first_token = coalesce(first_token, excluded.first_token)
WHERE (agent = '' AND excluded.agent != '') OR (client = '' AND excluded.client != '')
    OR (first_token IS NULL AND excluded.first_token IS NOT NULL)
"""
SAME_EVENT_SECONDS = 5.0
"""Two recorders notice the same change of a model within this time of each other."""
SAME_END_SECONDS = 60.0
"""How a model left is found out after it was seen to be gone: a log has to be read for that."""
REFUSED = 429
_PRUNE_EVERY = 2000
_SHARE_PRUNED = 0.1
_MOST_PROGRAMS = 10_000
_MAPPED = "PRAGMA mmap_size = 1000000000"
_STEPS_UNASKED = 100_000
"""Steps of SQLite, some 5 ms, after which it asks whether its work is still wanted."""


class ActivityStore:
    """Reads and writes in threads of its own. Every call raises HistoryError.

    What takes long, like totals, has a second thread and connection: pages are read meanwhile.
    The queries are imported with the first question: a dashboard that only records asks none.
    """

    def __init__(
        self, path: Path, days: int, megabytes: int, on_warning: Callable[[str], None]
    ) -> None:
        self._path = path
        self._days, self._megabytes = days, megabytes
        self._on_warning = on_warning
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="activity")
        self._slow_thread = ThreadPoolExecutor(1, thread_name_prefix="activity totals")
        self._database: sqlite3.Connection | None = None
        self._warnings: list[str] = []
        self._added = _PRUNE_EVERY
        self._is_closed = False

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        days: int = 90,
        megabytes: int = 200,
        on_warning: Callable[[str], None] = lambda _: None,
    ) -> "ActivityStore":
        """Open or create the record; a broken one is set aside with a warning.

        Rows older than `days` go, and the oldest ones of a record larger than `megabytes`.
        """
        store = cls(path, days, megabytes, on_warning)
        try:
            await store._run(store._open)
        except BaseException:
            store._shut_down()
            raise
        return store

    async def close(self) -> None:
        """Close the record. A second call does nothing."""
        if self._is_closed:
            return
        try:
            await self._run(self._close)
        finally:
            self._is_closed = True
            self._shut_down()

    async def add(
        self, rows: Iterable[ActivityRow], now: float, last: ActivityRow | None = None
    ) -> None:
        """Add rows that aren't there yet, and complete those that are; `now` is Unix time.

        Up to the request `last`, the record has all that its server had.
        """
        found = sorted(rows, key=lambda row: (row.at, row.id or 0))
        await self._run(lambda: self._add(found, now, last))

    async def watch(self, server: str, began: float, ended: float, number: int = 0) -> int:
        """Note that a server was watched, as one more time or as `number`; return its number."""
        return await self._run(lambda: self._watch(server, began, ended, number))

    async def add_energy(self, server: str, minutes: dict[tuple[int, str], float]) -> None:
        """Note the joules of each minute and model; of what two recorders saw, the most counts."""
        rows = [(server, minute, model, joules) for (minute, model), joules in minutes.items()]
        await self._run(lambda: self._add_energy(rows))

    async def complete_until(self, server: str) -> tuple[int, float] | None:
        """Return id and time of the request up to which none is missing, None before the first."""
        query = "SELECT id, at FROM complete WHERE server = ?"
        return await self._run(lambda: self._connection.execute(query, (server,)).fetchone())

    async def select(
        self, wanted: ActivityFilter, sort: str = "at", *, descending: bool = True
    ) -> "array[int]":
        """Return the numbers of all rows that pass, sorted by one of SORTS, unknown figures last."""
        from aitui.store.activity_queries import select_numbers

        return await self._run_slowly(
            lambda database: select_numbers(database, wanted, sort, descending=descending)
        )

    async def select_first(
        self, wanted: ActivityFilter, limit: int, sort: str = "at", *, descending: bool = True
    ) -> "array[int]":
        """Return the first `limit` numbers of that selection, at a fraction of its time."""
        from aitui.store.activity_queries import select_first_numbers

        return await self._run(
            lambda: select_first_numbers(
                self._connection, wanted, limit, sort, descending=descending
            )
        )

    async def read(self, numbers: Sequence[int]) -> tuple[ActivityRow, ...]:
        """Return these rows in this order; those that were dropped meanwhile are missing."""
        return await self._run(lambda: self._read(numbers))

    async def model_rows(self, server: str, since: float) -> tuple[ActivityRow, ...]:
        """Return what happened to the models of a server since then (Unix time), in order."""
        return await self._run(lambda: tuple(self._model_rows(server, since)))

    async def watched_times(self, server: str, since: float) -> "tuple[WatchedTime, ...]":
        """Return when a server was watched since then (Unix time)."""
        from aitui.domain.residency import WatchedTime

        query = "SELECT began, ended FROM watched WHERE server = ? AND ended >= ? ORDER BY began"
        return await self._run(
            lambda: tuple(
                WatchedTime(*row) for row in self._connection.execute(query, (server, since))
            )
        )

    async def totals(self, wanted: ActivityFilter) -> ActivityTotals:
        """Return sums and spreads of the requests that pass."""
        from aitui.store.activity_queries import totals_of

        return await self._run_slowly(lambda database: totals_of(database, wanted))

    async def sums(self, wanted: ActivityFilter, by: str) -> dict[str | int, ActivitySums]:
        """Return the sums of the requests by "model", "client" or "hour" (whole hours of Unix time)."""
        from aitui.store.activity_queries import sums_by

        column = {"model": "model", "client": "who", "hour": "CAST(at / 3600 AS INTEGER)"}[by]
        return await self._run_slowly(lambda database: sums_by(database, wanted, column))

    async def spans(self, server: str, since: float, until: float) -> tuple["RequestSpan", ...]:
        """Return when the requests ran that didn't fail in a time (Unix times)."""
        from aitui.store.activity_queries import spans_between

        return await self._run_slowly(
            lambda database: spans_between(database, server, since, until)
        )

    async def joules(self, server: str, since: float, until: float) -> dict[tuple[int, str], float]:
        """Return the energy by hour (of Unix time) and model; none where power wasn't measured."""
        query = (
            "SELECT minute / 60, model, sum(joules) FROM energy "
            "WHERE server = ? AND minute >= ? AND minute < ? GROUP BY 1, 2"
        )
        values = server, int(since // 60), int(until // 60) + 1
        return await self._run(
            lambda: {
                (hour, model): joules
                for hour, model, joules in self._connection.execute(query, values)
            }
        )

    async def counters(self, server: str) -> dict[str, tuple[ActivitySums, float]]:
        """Return the sums and the joules of each model since it was first recorded.

        They only go up: what was dropped meanwhile counts as well.
        """
        from aitui.store.activity_queries import counters_of

        return await self._run_slowly(lambda database: counters_of(database, server))

    async def _run(self, work: Callable[[], _T]) -> _T:
        return await self._in_thread(self._thread, lambda: self._repair_and_retry(work))

    async def _run_slowly(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        is_cancelled = threading.Event()

        def run() -> _T:
            # Opening takes 0.1 ms, and no connection is left behind if the file is set aside.
            database = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)
            try:
                database.execute(_MAPPED)
                database.set_progress_handler(is_cancelled.is_set, _STEPS_UNASKED)
                return work(database)
            finally:
                database.close()

        try:
            return await self._in_thread(self._slow_thread, run)
        except asyncio.CancelledError:
            # The totals of each letter of a filter would keep those of the next one waiting.
            is_cancelled.set()
            raise
        except HistoryError as error:
            if _code(error.__cause__) not in _BROKEN:
                raise
            return await self._run(lambda: work(self._connection))

    async def _in_thread(self, thread: ThreadPoolExecutor, work: Callable[[], _T]) -> _T:
        if self._is_closed:
            raise HistoryError("The activity record is closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, work)
        except (sqlite3.Error, MemoryError, OSError, UnicodeEncodeError) as error:
            raise HistoryError(
                f"The activity record {sanitize_line(str(self._path))} can't be used",
                why=error_reason(error),
            ) from error
        finally:
            while self._warnings:
                self._on_warning(self._warnings.pop(0))

    def _repair_and_retry(self, work: Callable[[], _T]) -> _T:
        """Do something, and once more with a new record if the present one turns out to be broken."""
        try:
            return work()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            if self._database is None or _code(error) not in _BROKEN:
                raise
            self._close()
            aside = set_broken_aside(self._path)
            self._open()
            self._salvage(aside, aside_warning(self._path, aside, CONTENT, error))
            return work()

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._database is None:
            raise HistoryError("The activity record is closed")
        return self._database

    def _open(self) -> None:
        self._database, aside, warning = open_database(self._path, STEPS, CONTENT)
        self._database.execute(_MAPPED)
        if aside is not None:
            self._salvage(aside, warning)

    def _close(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def _shut_down(self) -> None:
        self._thread.shutdown(wait=False)
        self._slow_thread.shutdown(wait=False)

    def _salvage(self, aside: Path, warning: str) -> None:
        """Copy what can still be read of a broken record."""
        with contextlib.suppress(sqlite3.Error):  # nothing can be read at all
            old = sqlite3.connect(aside, isolation_level=None)
            try:
                with transaction(self._connection):
                    for row in _readable_rows(old):
                        self._insert(row)
            finally:
                old.close()
        (kept,) = self._connection.execute("SELECT count(*) FROM rows").fetchone()
        self._warnings.append(f"{warning}; {kept:,} rows could be saved" if kept else warning)

    def _add(self, rows: Iterable[ActivityRow], now: float, last: ActivityRow | None) -> None:
        database = self._connection
        with transaction(database):
            for row in rows:
                if row.status == REFUSED and self._is_known_refusal(row):
                    continue
                if row.kind is ActivityKind.REQUEST:
                    self._insert(replace(row, who=self._client_of(row)), self._run_of(row))
                elif not self._is_known_event(row):
                    self._insert(row)
                self._added += 1
            if last is not None:
                # Another recorder may be further; a server that started again is at a later time.
                database.execute(
                    "INSERT INTO complete VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET "
                    "id = excluded.id, at = excluded.at WHERE (excluded.at, excluded.id) > (at, id)",
                    (last.server, last.id, last.at),
                )
        if self._added >= _PRUNE_EVERY:
            self._added = 0
            self._prune(now)

    def _insert(self, row: ActivityRow, run: float | None = None) -> None:
        values = [getattr(row, name) for name in _STORED]
        values[_STORED.index("kind")] = row.kind.value
        values[_STORED.index("id")] = -1 if row.id is None else row.id
        values[_STORED.index("run")] = row.run if run is None else run
        failed = (row.status is not None and row.status >= 400) or bool(row.error)
        self._connection.execute(_INSERT_OR_COMPLETE, (*values, failed))

    def _is_known_refusal(self, row: ActivityRow) -> bool:
        """Return whether a refused request has a row already.

        A model's own limit leaves a row and a line in a log, which has no id; the server's limit the
        line alone. Two recorders read the same duration in a line, to the nanosecond.
        """
        near = (
            "server = ? AND kind = 'request' AND at BETWEEN ? AND ? AND status = ? "
            "AND client = ? AND path = ?"
        )
        window = row.at - SAME_EVENT_SECONDS, row.at + SAME_EVENT_SECONDS
        values = row.server, *window, REFUSED, row.client, row.path
        if row.id is None:
            query = f"SELECT 1 FROM rows WHERE {near} AND (id != -1 OR seconds = ?)"  # noqa: S608
            return self._connection.execute(query, (*values, row.seconds)).fetchone() is not None
        line = f"SELECT number FROM rows WHERE {near} AND id = -1 LIMIT 1"  # noqa: S608
        self._connection.execute(f"DELETE FROM rows WHERE number IN ({line})", values)  # noqa: S608
        return False

    def _client_of(self, row: ActivityRow) -> str:
        """Return name and program of a client, as of all rows of an address with one program alone.

        What ended while aitui was away would else be another client in groups than what it sees.
        """
        if not row.client or row.agent.startswith("aitui/"):
            return row.who
        place = row.server, row.client
        query = "SELECT who FROM programs WHERE server = ? AND client = ? LIMIT 2"
        known = [who for (who,) in self._connection.execute(query, place)]
        if not row.agent:
            return known[0] if len(known) == 1 else row.who
        # Two are as good as any number, and addresses and programs are what clients claim.
        if row.who not in known and len(known) < 2:
            self._connection.execute("INSERT INTO programs VALUES (?, ?, ?)", (*place, row.who))
            if not known:
                self._connection.execute(
                    "UPDATE rows SET who = ? WHERE server = ? AND client = ? "
                    "AND kind = 'request' AND agent = ''",
                    (row.who, *place),
                )
        return row.who

    def _run_of(self, row: ActivityRow) -> float:
        """Return the start of the server's run that a request belongs to: ids only go up within one."""
        query = (
            "SELECT id, at, run FROM rows WHERE server = ? AND kind = 'request' "
            "AND at <= ? AND (at < ? OR id <= ?) ORDER BY at DESC, id DESC LIMIT 1"
        )
        values = row.server, row.at, row.at, -1 if row.id is None else row.id
        before = self._connection.execute(query, values).fetchone()
        if before is not None:
            id_, at, run = before
            if row.id is None or row.id > id_ or row.at - at <= SHORTEST_RESTART:
                return float(run)
        return row.at - (row.seconds or 0.0)

    def _is_known_event(self, row: ActivityRow) -> bool:
        """Return whether this happened to a model already; how it left replaces that it left."""
        window = SAME_END_SECONDS if row.kind in LEFT else SAME_EVENT_SECONDS
        near = list(self._model_rows(row.server, row.at - window, row.at + window, row.model))
        sides = [one for one in near if one.at <= row.at][-1:]
        sides += [one for one in near if one.at > row.at][:1]
        for one in sides:
            if one.kind in LEFT and row.kind in LEFT:
                if one.kind is ActivityKind.STOP and not one.by:
                    self._connection.execute(
                        "UPDATE rows SET kind = ?, by = ?, error = ?, failed = ? WHERE number = ?",
                        (row.kind.value, row.by, row.error, bool(row.error), one.number),
                    )
                return True
            if one.kind is row.kind:
                self._connection.execute(
                    "UPDATE rows SET seconds = coalesce(seconds, ?) WHERE number = ?",
                    (row.seconds, one.number),
                )
                return True
        return False

    def _watch(self, server: str, began: float, ended: float, number: int) -> int:
        with transaction(self._connection):
            if number:
                changed = self._connection.execute(
                    "UPDATE watched SET ended = ? WHERE number = ? AND server = ?",
                    (ended, number, server),
                )
                if changed.rowcount:
                    return number
            added = self._connection.execute(
                "INSERT INTO watched (server, began, ended) VALUES (?, ?, ?)",
                (server, began, ended),
            )
        return added.lastrowid or 0

    def _add_energy(self, rows: Iterable[tuple[str, int, str, float]]) -> None:
        with transaction(self._connection):
            self._connection.executemany(
                "INSERT INTO energy VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE "
                "SET joules = max(joules, excluded.joules)",
                rows,
            )

    def _prune(self, now: float) -> None:
        """Drop what is too old, then the oldest rows of a record that is too large."""
        database, oldest = self._connection, now - self._days * 86400
        with transaction(database):
            _drop_rows(database, "at < ?", oldest)
            database.execute("DELETE FROM watched WHERE ended < ?", (oldest,))
            database.execute(
                f"INSERT INTO dropped SELECT server, model, 0, 0, 0, 0, 0, 0, sum(joules) "  # noqa: S608
                f"FROM energy WHERE minute < ? GROUP BY server, model {_ADD_DROPPED}",
                (int(oldest // 60),),
            )
            database.execute("DELETE FROM energy WHERE minute < ?", (int(oldest // 60),))
            if database.execute("SELECT count(*) FROM programs").fetchone()[0] > _MOST_PROGRAMS:
                database.execute("DELETE FROM programs")
        while _used_bytes(database) > self._megabytes * 1_000_000:
            (count,) = database.execute("SELECT count(*) FROM rows").fetchone()
            with transaction(database):
                oldest_first = "number IN (SELECT number FROM rows ORDER BY at LIMIT ?)"
                dropped = _drop_rows(database, oldest_first, int(count * _SHARE_PRUNED) + 1)
            if not dropped:
                break
        if _pragma(database, "freelist_count") * 2 > _pragma(database, "page_count"):
            # Another instance that reads or writes just then keeps the space, which is used again.
            with contextlib.suppress(sqlite3.OperationalError):
                database.execute("VACUUM")

    def _read(self, numbers: Sequence[int]) -> tuple[ActivityRow, ...]:
        query = f"SELECT {_COLUMNS} FROM rows WHERE number IN ({', '.join('?' * len(numbers))})"  # noqa: S608
        found = {row.number: row for row in _rows(self._connection.execute(query, list(numbers)))}
        return tuple(found[number] for number in numbers if number in found)

    def _model_rows(
        self, server: str, since: float, until: float = 1e18, model: str = ""
    ) -> Iterator[ActivityRow]:
        kinds = ", ".join(f"'{kind.value}'" for kind in MODEL_KINDS)
        query = (
            f"SELECT {_COLUMNS} FROM rows WHERE server = ? AND kind IN ({kinds}) "  # noqa: S608
            "AND at >= ? AND at <= ? AND (? = '' OR model = ?) ORDER BY at, number"
        )
        yield from _rows(self._connection.execute(query, (server, since, until, model, model)))


_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def _code(error: BaseException | None) -> int:
    # The lower eight bits are the kind of the error; errors of the module itself have none.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


_DROPPED = ("requests", "failed", "prompt", "cached", "tokens", "seconds", "joules")
_ADD_DROPPED = "ON CONFLICT DO UPDATE SET " + ", ".join(
    f"{name} = {name} + excluded.{name}" for name in _DROPPED
)


def _drop_rows(database: sqlite3.Connection, condition: str, value: float) -> int:
    """Delete rows, and add the requests among them to the sums that only go up."""
    sums = ", ".join(
        f"coalesce(sum({name}), 0)" for name in ("failed", "prompt", "cached", "tokens", "seconds")
    )
    database.execute(
        f"INSERT INTO dropped SELECT server, model, count(*), {sums}, 0 FROM rows "  # noqa: S608
        f"WHERE kind = 'request' AND {condition} GROUP BY server, model {_ADD_DROPPED}",
        (value,),
    )
    return database.execute(f"DELETE FROM rows WHERE {condition}", (value,)).rowcount  # noqa: S608


def _pragma(database: sqlite3.Connection, name: str) -> int:
    return int(database.execute(f"PRAGMA {name}").fetchone()[0])


def _used_bytes(database: sqlite3.Connection) -> int:
    pages = _pragma(database, "page_count") - _pragma(database, "freelist_count")
    return pages * _pragma(database, "page_size")


def _rows(found: Iterable[Sequence[object]]) -> Iterator[ActivityRow]:
    for values in found:
        fields = dict(zip(_FIELDS, values, strict=True))
        fields["kind"] = ActivityKind(fields["kind"])
        fields["id"] = None if fields["id"] == -1 else fields["id"]
        fields["has_capture"] = bool(fields["has_capture"])
        yield ActivityRow(**fields)  # type: ignore[arg-type]


def _readable_rows(database: sqlite3.Connection) -> Iterator[ActivityRow]:
    """Yield the rows of a broken database from both of its ends, up to where it can't be read."""
    last = 0
    for order in ("ASC", "DESC"):
        query = f"SELECT {_COLUMNS} FROM rows WHERE number > ? ORDER BY number {order}"  # noqa: S608
        with contextlib.suppress(sqlite3.DatabaseError):
            for values in database.execute(query, (last,)):
                # Of a damaged page anything may come.
                with contextlib.suppress(ValueError, msgspec.ValidationError):
                    (row,) = _rows([values])
                    yield msgspec.convert(msgspec.structs.asdict(row), ActivityRow)
                    last = row.number if order == "ASC" else last
