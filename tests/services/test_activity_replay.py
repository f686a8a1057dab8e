"""Recorded event streams of three builds, in random pieces, always make the same record."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from aitui.domain.activity import ActivityFilter, ActivityRow, finished_row
from aitui.domain.events import ActivityAdded, ModelStatusChanged
from aitui.domain.models import FinishedRequest
from aitui.domain.server import Clock
from aitui.llamaswap.events import read_events
from aitui.llamaswap.schemas import parse_activity_page
from aitui.services.state import ServerState
from aitui.store.activity_db import ActivityStore
from llamaswap.recorded import DIALECTS, recorded

CLOCK = Clock(lambda: 0.0, lambda: 1_795_000_000.0)


@cache
def body_of(dialect: str) -> bytes:
    return recorded(dialect, "api_events_full").body


@cache
def page_of(dialect: str) -> tuple[FinishedRequest, ...]:
    """The rows that a newer server has at the end of the stream; older ones send them with it."""
    if dialect != "2026-08-head":
        return ()
    response = recorded(dialect, "api_metrics_activity_after_events")
    return parse_activity_page(response.body, response.endpoint)


async def rows_of(dialect: str, cuts: list[int]) -> list[ActivityRow]:
    """The rows of a stream that comes in the pieces between the cuts."""
    body, rows = body_of(dialect), list[ActivityRow]()

    async def chunks() -> AsyncIterator[bytes]:
        edges = [0, *sorted(cuts), len(body)]
        for start, end in pairwise(edges):
            yield body[start:end]

    def add(requests: tuple[FinishedRequest, ...]) -> None:
        found = (finished_row("s", request) for request in requests)
        rows.extend(row for row in found if row is not None)

    known = ServerState(CLOCK)
    known.on_finished = add
    async for event in read_events(chunks(), CLOCK.monotonic):
        if isinstance(event, ActivityAdded):
            new = tuple(row for row in page_of(dialect) if row.id == event.id)
            known.record_finished_requests(new)
        elif isinstance(event, ModelStatusChanged):
            known.update_statuses(event)
        else:
            known.apply_event(event)
    return rows


async def recorded_rows(batches: list[list[ActivityRow]]) -> list[ActivityRow]:
    """What is in a record after two recorders have written these in turn."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "activity.sqlite3"
        stores = [await ActivityStore.open(path), await ActivityStore.open(path)]
        for number, batch in enumerate(batches):
            await stores[number % 2].add(batch, CLOCK.wall())
        numbers = await stores[0].select(ActivityFilter("s"), descending=False)
        rows = await stores[1].read(numbers)
        for store in stores:
            await store.close()
    return [replace(row, number=0) for row in rows]


@cache
def whole(dialect: str) -> list[ActivityRow]:
    return asyncio.run(_whole(dialect))


async def _whole(dialect: str) -> list[ActivityRow]:
    return await recorded_rows([await rows_of(dialect, [])])


def sizes(limit: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, limit), max_size=8)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_recorded_stream_has_rows_with_all_that_the_build_reports(dialect: str) -> None:
    rows = whole(dialect)
    assert rows
    assert len({(row.id, row.at) for row in rows}) == len(rows)
    assert any(row.tokens and row.rate and row.seconds for row in rows)
    is_newer = dialect == "2026-08-head"
    assert any(row.agent.startswith("curl/") and row.client for row in rows) is is_newer
    assert any(row.session for row in rows) is is_newer


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_the_pieces_change_nothing(dialect: str, data: st.DataObject) -> None:
    cuts = data.draw(sizes(len(body_of(dialect))))

    async def replay() -> list[ActivityRow]:
        rows = await rows_of(dialect, cuts)
        edges = [0, *sorted(data.draw(sizes(len(rows)))), len(rows)]
        batches = [rows[start:end] for start, end in pairwise(edges)]
        # What was fetched after a gap comes once more, and to both.
        again = data.draw(st.integers(0, len(rows)))
        return await recorded_rows([*batches, rows[again:], rows[:again], rows])

    assert asyncio.run(replay()) == whole(dialect)
