"""Records what a server does: requests that ended, models that came and went, the power they took."""

import asyncio
import contextlib
import math
import re
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from aitui.aio import shield, sleep_until
from aitui.domain.activity import (
    SHORTEST_RESTART,
    ActivityKind,
    ActivityRow,
    finished_row,
    model_rows,
    share_power,
)
from aitui.domain.models import FinishedRequest, Model
from aitui.domain.release import SEPARATE_LOGS_SINCE
from aitui.domain.sanitize import sanitize_line
from aitui.domain.snapshot import ConnectionPhase, Snapshot
from aitui.errors import AituiError, HistoryError, NotSupported
from aitui.services.state import Transitions

if TYPE_CHECKING:
    from collections.abc import Callable

    from aitui.domain.clients import ClientNames
    from aitui.domain.snapshot import Clock, Server
    from aitui.llamaswap.client import LlamaSwapClient
    from aitui.services.monitor import Monitor
    from aitui.store.activity_db import ActivityStore

WRITE_INTERVAL = 1.0
"""Seconds between two writes: what comes meanwhile is written together."""
HEARTBEAT = 60.0
"""Seconds after which it is noted once more that the server is watched."""
RETRY_SECONDS = 10.0
LONGEST_SAMPLE = 15.0
"""Seconds that a sample of the power holds for at most."""
MOST_WAITING = 100_000
_LONGEST_PIECE = 200_000
"""Characters of the log that are kept until a line ends."""
_GO_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}


@cache
def _refusal_pattern() -> re.Pattern[str]:
    """Return the pattern of a line about a refused request; compiled when the first one comes."""
    return re.compile(
        r'Request (?P<address>\S{1,64}) "POST (?P<path>/\S{0,200}) HTTP/[0-9.]+" 429 -?\d+ '
        r'"(?P<agent>[^"]*)" (?P<took>[0-9.a-zµ]+)'
    )


def _go_seconds(text: str) -> float:
    """Return the seconds of a duration as Go writes it: 91.5µs, 2m3.4s."""
    # Not from within a number: each of its digits would be tried.
    parts = re.findall(r"(?<![\d.])(\d++(?:\.\d++)?+)(h|ms|m|s|µs|ns)", text)
    return round(sum(float(number) * _GO_UNITS[unit] for number, unit in parts), 9)


class ActivityRecorder:
    """Records one server. What can't be written is kept in memory, and written later.

    `on_warning` is called with sentences for the user, about the same trouble once.
    """

    def __init__(
        self,
        client: "LlamaSwapClient",
        monitor: "Monitor",
        server: "Server",
        directory: Path,
        *,
        clock: "Clock",
        names: "ClientNames",
        on_warning: "Callable[[str], None]",
    ) -> None:
        self._client = client
        self._monitor = monitor
        self._server = server
        self._directory = directory
        self._clock = clock
        self._names = names
        self._on_warning = on_warning
        self._store: ActivityStore | None = None
        self._opening = asyncio.Lock()
        self._waiting: deque[ActivityRow] = deque(maxlen=MOST_WAITING)
        self._changed = asyncio.Event()
        self._written = asyncio.Condition()
        self._models: Mapping[str, Model] = {}
        self._seen: Snapshot | None = None
        self._last: tuple[int, float] | None = None
        self._is_incomplete = True
        self._is_live = False
        self._logs_requests = asyncio.Event()
        self._watch, self._watched_since = 0, math.inf
        self._beat = -math.inf
        self._sampled_at: float | None = None
        self._joules: defaultdict[tuple[int, str], float] = defaultdict(float)
        self._trouble = ""
        self._is_closed = False
        self.revision = 0
        """Counts the writes that changed the record."""
        monitor.follow_finished(self.add_finished)

    def add_finished(self, requests: Iterable[FinishedRequest]) -> None:
        """Record requests that ended."""
        rows = (finished_row(self._server.identity, request) for request in requests)
        self._waiting.extend(row for row in rows if row is not None)
        self._changed.set()

    async def store(self) -> "ActivityStore":
        """Return the record, opened at its first use; raises HistoryError."""
        async with self._opening:
            if self._store is None:
                # With SQLite: the table comes first.
                store = await asyncio.to_thread(import_module, "aitui.store.activity_db")
                limits = self._server.activity
                self._store = await store.ActivityStore.open(
                    self._directory / store.FILE_NAME,
                    days=limits.days,
                    megabytes=limits.megabytes,
                    on_warning=self._handle_broken,
                )
            return self._store

    async def wait_for_change(self, revision: int) -> int:
        """Wait until the record was changed since that revision; return the present one."""
        async with self._written:
            await self._written.wait_for(lambda: self.revision != revision)
            return self.revision

    async def run(self) -> None:
        """Record until cancelled, then write what waits."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._observe(), name="observe models")
                tasks.create_task(self._follow_refusals(), name="log of requests")
                await self._write()
        finally:
            await self.close()

    async def _observe(self) -> None:
        self._take_snapshot(self._monitor.snapshot)
        queue: asyncio.Queue[Snapshot | Transitions] = asyncio.Queue()
        self._monitor.follow(queue)
        while True:
            news = await queue.get()
            if isinstance(news, Snapshot):
                self._take_snapshot(news)
            else:
                self._add_loads(news)

    async def _follow_refusals(self) -> None:
        """Record requests that globalConcurrencyLimit refused: they are in the log of requests alone.

        Its lines have no time, so those from before aitui came are left out.
        """
        while True:
            await self._logs_requests.wait()
            # Whether the server is up is decided by /running; then it is tried again.
            with contextlib.suppress(AituiError):
                async with self._client.log("http", history=False) as pieces:
                    rest = ""
                    async for piece in pieces:
                        *lines, rest = f"{rest}{piece}"[-_LONGEST_PIECE:].split("\n")
                        self._add_refusals(lines)
            await asyncio.sleep(RETRY_SECONDS)

    def _add_refusals(self, lines: Iterable[str]) -> None:
        wall = self._clock.wall()
        for number, found in enumerate(filter(None, map(_refusal_pattern().search, lines))):
            address, path, agent = (sanitize_line(one, 200) for one in found.group(1, 2, 3))
            self._waiting.append(
                ActivityRow(
                    self._server.identity,
                    # No two have the same time: without ids they would be one.
                    at=wall + number * 1e-5,
                    model="",
                    status=429,
                    path=path,
                    client=address,
                    agent=agent,
                    who=self._names.label(address, agent),
                    seconds=_go_seconds(found["took"]),
                )
            )
            self._changed.set()

    def _add_loads(self, transitions: Transitions) -> None:
        server, at = self._server.identity, self._clock.wall()
        for model in transitions.started:
            self._waiting.append(ActivityRow(server, at, model, ActivityKind.START))
        for model, seconds in transitions.loaded:
            row = ActivityRow(server, at, model, ActivityKind.READY, seconds=seconds)
            self._waiting.append(row)
        self._changed.set()

    def _take_snapshot(self, snapshot: Snapshot) -> None:
        before, self._seen = self._seen, snapshot
        was_live, self._is_live = self._is_live, snapshot.connection.phase is ConnectionPhase.LIVE
        if self._is_live and snapshot.release.has(SEPARATE_LOGS_SINCE):
            self._logs_requests.set()
        else:
            self._logs_requests.clear()
        if was_live is not self._is_live:
            self._changed.set()
        if not self._is_live:
            self._is_incomplete, self._models = True, {}
            return
        if snapshot.events_flow and not (before is not None and before.events_flow):
            # What ended while no events came is fetched.
            self._is_incomplete = True
            self._changed.set()
        if self._watched_since == math.inf:
            self._watched_since = self._clock.wall()
        if not was_live or before is None or before.models is not snapshot.models:
            self._compare_models(snapshot.models)
        if before is None or before.hardware is not snapshot.hardware:
            self._add_power(snapshot)

    def _compare_models(self, models: tuple[Model, ...]) -> None:
        now, wall = self._clock.monotonic(), self._clock.wall()
        if rows := model_rows(self._server.identity, self._models, models, now, wall):
            self._waiting.extend(rows)
            self._changed.set()
        self._models = {model.id: model for model in models}

    def _add_power(self, snapshot: Snapshot) -> None:
        usage = snapshot.hardware.usage
        watts = [card.gpu.power for card in usage.cards if card.gpu.power is not None]
        if not watts or usage.at == self._sampled_at:
            return
        before, self._sampled_at = self._sampled_at, usage.at
        seconds = 0.0 if before is None else min(max(0.0, usage.at - before), LONGEST_SAMPLE)
        resident = {model.id: model.requests or 0 for model in snapshot.resident}
        minute = int(self._clock.wall() // 60)
        for model, share in share_power(sum(watts), resident, resident).items():
            self._joules[minute, model] += share * seconds

    async def _write(self) -> None:
        while True:
            await sleep_until(self._changed, HEARTBEAT)
            await asyncio.sleep(RETRY_SECONDS if self._trouble else WRITE_INTERVAL)
            self._changed.clear()
            await self._write_once()

    async def _write_once(self, *, last: bool = False) -> None:
        try:
            store = await self.store()
            await self._add_waiting(store)
            await self._note_watch(store)
            if self._is_incomplete and self._is_live and not last:
                await self._catch_up()
        except HistoryError as error:
            # Kept in memory: a disk that is full may have room again.
            self._changed.set()
            if self._trouble != error.summary:
                self._trouble = error.summary
                self._on_warning(f"{error}. New activity is kept in memory until it can be written")
        else:
            self._trouble = ""

    async def _add_waiting(self, store: "ActivityStore") -> None:
        rows = list(self._waiting)
        if rows:
            if self._last is None:
                self._last = await store.complete_until(self._server.identity)
            await store.add(rows, self._clock.wall(), self._newest_complete(rows))
            for _ in rows:
                self._waiting.popleft()
            await self._count_change()

    def _newest_complete(self, rows: Iterable[ActivityRow]) -> ActivityRow | None:
        """Return the last of the rows up to which none is missing, and note whether some are."""
        if self._is_incomplete:
            return None
        newest = None
        last_id, last_at = self._last or (-1, -math.inf)
        for row in sorted(rows, key=lambda row: row.id or 0):
            if row.kind is not ActivityKind.REQUEST or row.id is None:
                continue
            if row.id == last_id + 1:
                newest, last_id, last_at = row, row.id, max(row.at, last_at)
            elif row.id > last_id or row.at > last_at + SHORTEST_RESTART:
                self._is_incomplete = True
                self._changed.set()
                break
        if newest is not None:
            self._last = last_id, last_at
        return newest

    async def fetch(self) -> None:
        """Fetch what ended while aitui was away, was too slow, or the server was started again.

        Raises HistoryError, and the server's errors; NotSupported if it keeps no requests.
        """
        store = await self.store()
        try:
            await self._fetch_rows(store, await store.complete_until(self._server.identity))
        except NotSupported:
            await self._add_fetched(store, await self._client.metrics())

    async def _catch_up(self) -> None:
        self._is_incomplete = False
        try:
            with contextlib.suppress(NotSupported):
                await self.fetch()
        except HistoryError:
            self._is_incomplete = True
            raise
        except AituiError:
            # Whether the server is up is decided by /running; then it is tried again.
            self._is_incomplete = True

    async def _fetch_rows(self, store: "ActivityStore", last: tuple[int, float] | None) -> None:
        from_id = 0 if last is None else last[0]
        has_more = True
        while has_more:
            page, has_more = await self._client.activity_page(from_id)
            if last is not None and not any((row.id, row.at) == last for row in page):
                # The ids begin again when a server without a store is started again.
                from_id, last, has_more = 0, None, True
                continue
            last = None
            await self._add_fetched(store, page)
            ids = [row.id for row in page if row.id is not None]
            if not ids or max(ids) < from_id:
                # The end, or a server that sends the same page for ever.
                return
            from_id = max(ids) + 1

    async def _add_fetched(
        self, store: "ActivityStore", requests: Iterable[FinishedRequest]
    ) -> None:
        rows = [
            row
            for request in requests
            if (row := finished_row(self._server.identity, self._named(request))) is not None
        ]
        newest = max(
            (row for row in rows if row.id is not None),
            key=lambda row: (row.at, row.id or 0),
            default=None,
        )
        if newest is not None:
            await store.add(rows, self._clock.wall(), newest)
            self._last = (newest.id or 0, newest.at)
            await self._count_change()

    def _named(self, request: FinishedRequest) -> FinishedRequest:
        if not request.client or request.who:
            return request
        return replace(request, who=self._names.label(request.client))

    async def _note_watch(self, store: "ActivityStore") -> None:
        """Note until when the server was watched, and the power that models took meanwhile."""
        now, since = self._clock.wall(), self._watched_since
        if self._joules:
            await store.add_energy(self._server.identity, dict(self._joules))
            minute = int(now // 60)
            for key in [key for key in self._joules if key[0] < minute]:
                del self._joules[key]
        if since == math.inf:
            return
        if self._is_live and self._watch and now - self._beat < HEARTBEAT - WRITE_INTERVAL:
            return
        if self._watch and now - self._beat > 3 * HEARTBEAT:
            # The machine slept meanwhile.
            self._watch, since = 0, now
        self._watch = await store.watch(self._server.identity, since, now, self._watch)
        self._beat = now
        if not self._is_live:
            self._watch, self._watched_since = 0, math.inf

    async def _count_change(self) -> None:
        async with self._written:
            self.revision += 1
            self._written.notify_all()

    def _handle_broken(self, warning: str) -> None:
        """Fetch everything that the server still has for a record that was begun again."""
        self._is_incomplete, self._last = True, None
        self._changed.set()
        self._on_warning(warning)

    async def close(self) -> None:
        """Write what waits, and close the record. A second call does nothing."""
        if not self._is_closed:
            self._is_closed = True
            await shield(self._finish())

    async def _finish(self) -> None:
        if self._waiting or self._watch:
            self._beat = -math.inf
            await self._write_once(last=True)
        if self._store is not None:
            await self._store.close()
