"""The activity on screen: reads the record for it, and acts on its requests."""

import asyncio
import time
from collections.abc import Sequence

from aitui.domain.activity import ActivityFilter, ActivityRow
from aitui.domain.activity_filter import parse_filter
from aitui.domain.client_requests import ClientRequest
from aitui.domain.residency import view_residency
from aitui.domain.units import count_of
from aitui.errors import AituiError
from aitui.format.activity_files import WRITERS
from aitui.services.activity_stats import group_requests, load_timeline
from aitui.services.export import write_text
from aitui.store.activity_db import ActivityStore
from aitui.ui.context import ServerContext
from aitui.ui.controllers.models import ModelsController
from aitui.ui.keymap import remedy_text
from aitui.ui.screens.activity import ActivityMode, ActivityQuery, ActivityScreen, residency_range
from aitui.ui.screens.dialogs import ChooseScreen
from aitui.ui.screens.request import RequestScreen, capture_texts

SHORTEST_PAUSE, IDLE_SHARE = 1.0, 4
"""Seconds between two readings of a record that changes; they take at most a fifth of the time."""
MOST_EXPORTED = 100_000
_CHUNK = 500
_FIRST = 300
"""Rows that are shown before the others are found: more than any screen has."""


class ActivityController:
    """Opens the view, feeds it while it is in sight, and acts on what it shows."""

    def __init__(self, context: ServerContext, models: ModelsController) -> None:
        self._app = context.app
        self._app_context = context.app_context
        self._session = context.session
        self._paths = context.paths
        self._tasks = context.tasks
        self._models = models
        self._wanted: list[int] = []
        self._screen: ActivityScreen | None = None
        self._listed: ActivityQuery | None = None

    def open(self) -> None:
        """Show the view."""
        if not isinstance(self._app.screen, ActivityScreen):
            settings = self._session.server.activity
            self._listed = None
            self._screen = ActivityScreen(self._app_context.clock, self, settings.electricity_price)
            self._app.push_screen(self._screen, lambda _: self.stop())

    # What the screen asks for.

    def follow(self, query: ActivityQuery) -> None:
        """Fetch what a query asks for, now and whenever the record changes."""
        self._tasks.run_in_background(self._follow(query), "activity")

    def stop(self) -> None:
        """Fetch nothing more."""
        self._tasks.cancel("activity")
        self._screen = None

    def read(self, numbers: Sequence[int]) -> None:
        """Fetch these rows; what is asked for meanwhile is fetched together."""
        if not self._wanted:
            self._tasks.run_in_background(self._read(), "activity rows", exclusive=False)
        self._wanted += numbers

    def open_request(self, row: ActivityRow) -> None:
        """Show one request, with what the server kept of it."""
        screen = RequestScreen(self._app_context.clock, row)
        self._app.push_screen(screen)
        self._tasks.run_in_background(self._read_capture(screen, row), "capture")

    def cancel(self, use: ClientRequest) -> None:
        """Cancel a running request, after a question."""
        self._models.cancel(use.request)

    def export(self, query: ActivityQuery) -> None:
        """Write what is shown to a file."""
        self._tasks.run_in_background(self._export(query), "export activity")

    async def _follow(self, query: ActivityQuery) -> None:
        recorder, screen = self._session.activity(), self._screen
        if screen is None:
            return
        if not self._session.server.activity.days:
            screen.show_problem("Nothing is recorded: activity_days is 0 in config.toml")
            return
        store = await recorder.store()
        while True:
            revision, began = recorder.revision, time.perf_counter()
            await self._show(screen, store, query)
            cost = time.perf_counter() - began
            await recorder.wait_for_change(revision)
            await asyncio.sleep(max(SHORTEST_PAUSE, IDLE_SHARE * cost))

    async def _show(
        self, screen: ActivityScreen, store: ActivityStore, query: ActivityQuery
    ) -> None:
        wanted = self._filter(query)
        if query.mode is ActivityMode.RESIDENCY:
            await self._show_residency(screen, store, query)
            return
        if query.mode is ActivityMode.REQUESTS:
            sort, descending = query.sort, query.descending
            if query != self._listed:
                first = await store.select_first(wanted, _FIRST, sort, descending=descending)
                screen.show_rows(query, first)
                # Fetching 300,000 numbers holds the interpreter's lock most of the time.
                painted = asyncio.Event()
                screen.call_after_refresh(painted.set)
                await painted.wait()
            screen.show_rows(query, await store.select(wanted, sort, descending=descending))
            self._listed = query
        else:
            now = self._app_context.clock.wall()
            screen.show_groups(query, await group_requests(store, wanted, query.by, now))
        screen.show_totals(query, await store.totals(wanted))

    async def _show_residency(
        self, screen: ActivityScreen, store: ActivityStore, query: ActivityQuery
    ) -> None:
        now, server = self._app_context.clock.wall(), self._session.server.identity
        over = residency_range(query, now)
        timeline = await load_timeline(store, server, over.began, now)
        spans = await store.spans(server, over.began, over.ended)
        view = await asyncio.to_thread(view_residency, timeline, spans, over)
        screen.show_residency(query, view)

    async def _read(self) -> None:
        """Fetch the rows that are wanted, the last that were asked for first."""
        store = await self._session.activity().store()
        while self._wanted:
            wanted, self._wanted = self._wanted[-_CHUNK:], self._wanted[:-_CHUNK]
            rows = await store.read(wanted)
            if self._screen is not None:
                self._screen.add_rows(rows)

    async def _read_capture(self, screen: RequestScreen, row: ActivityRow) -> None:
        words = "The server keeps what it is asked for once a request has ended"
        if row.number and row.id is not None:
            try:
                capture = await self._session.client.capture(row.id)
            except AituiError as error:
                words = "\n".join(filter(None, (error.what, error.why, remedy_text(error))))
            else:
                if capture.path in {"", row.path}:
                    texts = await asyncio.to_thread(capture_texts, capture, screen.line_cells)
                    screen.show_capture(capture, texts)
                    return
                words = "The server has been restarted since: it has kept nothing of this request"
        screen.show_problem(words)

    async def _export(self, query: ActivityQuery) -> None:
        suffix = await self._app.push_screen_wait(ChooseScreen("Export", tuple(WRITERS)))
        if suffix is None:
            return
        store = await self._session.activity().store()
        numbers = await store.select(self._filter(query), query.sort, descending=query.descending)
        rows: list[ActivityRow] = []
        for start in range(0, min(len(numbers), MOST_EXPORTED), _CHUNK):
            rows += await store.read(numbers[start : start + _CHUNK])
        label = f"activity of {self._session.server.label}"
        text = await asyncio.to_thread(WRITERS[suffix], rows)
        file = await write_text(self._paths.data / "exports", label, suffix, text)
        left_out = len(numbers) - len(rows)
        more = f"; {left_out:,} older ones are left out" if left_out > 0 else ""
        self._app.notify(f"Saved {count_of(len(rows), 'request')} to {file}{more}", timeout=8)

    def _filter(self, query: ActivityQuery) -> ActivityFilter:
        now, server = self._app_context.clock.wall(), self._session.server.identity
        return parse_filter(query.words, server, now)
