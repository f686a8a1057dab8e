"""The recorder beside a server that forgets, starts again, and loads models."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from aitui.aio import background_task
from aitui.demo.activity import TokenCounts
from aitui.demo.dialect import Dialect
from aitui.domain.activity import ActivityFilter, ActivityKind, ActivityRow
from aitui.domain.server import Server
from aitui.services.activity_recorder import ActivityRecorder
from aitui.store.activity_db import FILE_NAME, ActivityStore
from catalogue import QUICK, UNHURRIED
from other_client import OtherClient
from stand_in import ConnectionClose, StandIn
from watched import Watched, asked_for, eventually, watched

KINDS = (ActivityKind.REQUEST, ActivityKind.START, ActivityKind.READY, ActivityKind.STOP)
BUILDS = pytest.mark.parametrize("stand_in", [Dialect.V218, Dialect.V263], indirect=True)


def end_requests(stand_in: StandIn, count: int, seconds: float = 1.0) -> None:
    """Let requests of another client end now."""
    assert stand_in.swap is not None
    for _ in range(count):
        stand_in.swap.activity.record(
            model=QUICK,
            path="/v1/chat/completions",
            content_type="text/event-stream",
            status=200,
            tokens=TokenCounts(10, 20, 30, 200.0, 50.0),
            seconds=seconds,
            client="192.168.2.20",
        )


@asynccontextmanager
async def recording(
    server: Server, folder: Path
) -> AsyncIterator[tuple[Watched, ActivityRecorder]]:
    async with watched(server, folder) as watch:
        await watch.until_events_flow()
        recorder = watch.session.activity()
        async with background_task(recorder.run(), "record"):
            yield watch, recorder


async def until_recorded(
    recorder: ActivityRecorder, count: int, kinds: tuple[ActivityKind, ...] = KINDS[:1]
) -> list[ActivityRow]:
    """Wait until that many rows are in the record; return them, the oldest first."""
    wanted = ActivityFilter("stand-in", kinds=kinds)
    async with asyncio.timeout(30):
        while True:
            revision, store = recorder.revision, await recorder.store()
            numbers = await store.select(wanted, descending=False)
            if len(numbers) >= count:
                assert len(numbers) == count
                return list(await store.read(numbers))
            await recorder.wait_for_change(revision)


async def stored(folder: Path) -> list[ActivityRow]:
    store = await ActivityStore.open(folder / FILE_NAME)
    numbers = await store.select(ActivityFilter("stand-in"), descending=False)
    rows = await store.read(numbers)
    await store.close()
    return list(rows)


@BUILDS
async def test_rows_from_before_and_from_now_are_recorded_once(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    end_requests(stand_in, 900)
    async with recording(server, tmp_path) as (_, recorder):
        await until_recorded(recorder, 900)
        end_requests(stand_in, 3)
        rows = await until_recorded(recorder, 903)
    first = 0 if stand_in.dialect is Dialect.V218 else 1
    assert [row.id for row in rows] == list(range(first, first + 903))
    assert (rows[-1].tokens, rows[-1].prompt, rows[-1].cached) == (30, 30, 10)
    assert await stored(tmp_path) == rows


@BUILDS
async def test_a_restart_and_a_gap_lose_and_double_nothing(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with recording(server, tmp_path) as (_, recorder):
        end_requests(stand_in, 5)
        await until_recorded(recorder, 5)
    end_requests(stand_in, 4)
    async with recording(server, tmp_path) as (watch, recorder):
        await until_recorded(recorder, 9)
        await stand_in.stop()
        await watch.until_lost()
        # A row is known by its second as well: no server is back within one.
        await asyncio.sleep(2)
        await stand_in.start()
        end_requests(stand_in, 7)
        rows = await until_recorded(recorder, 16)
    first = rows[0].id or 0
    expected = [*range(first, first + 9), *range(first, first + 7)]
    assert [row.id for row in rows] == expected
    assert len({row.run for row in rows}) == 2


@pytest.mark.parametrize("stand_in", [Dialect.V263], indirect=True)
async def test_rows_that_the_reader_was_too_slow_for_are_fetched(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with recording(server, tmp_path) as (_, recorder):
        end_requests(stand_in, 1)
        await until_recorded(recorder, 1)
        stand_in.fault("/api/metrics/activity", ConnectionClose(), times=1)
        end_requests(stand_in, 400)
        end_requests(stand_in, 1)
        await until_recorded(recorder, 402)


@pytest.mark.parametrize("stand_in", [Dialect.V263], indirect=True)
async def test_requests_that_the_server_refused_are_rows(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    assert stand_in.swap is not None
    async with recording(server, tmp_path) as (_, recorder):
        await asyncio.wait_for(recorder._logs_requests.wait(), 30)
        await eventually(lambda: asked_for(stand_in, "/logs/stream/http"))
        for number in (1, 2):
            stand_in.swap.request_log.write(
                '[INFO] Request 192.168.2.20 "GET /running HTTP/1.1" 200 412 "aitui/9" 91.5µs\n'
                f'[INFO] Request 192.168.2.20 "POST /v1/embeddings HTTP/1.1" 429 9{number} "Zed/1" '
                f"{number}.25ms\n"
            )
        rows = await until_recorded(recorder, 2)
    assert [(row.status, row.path, row.client, row.seconds) for row in rows] == [
        (429, "/v1/embeddings", "192.168.2.20", 0.00125),
        (429, "/v1/embeddings", "192.168.2.20", 0.00225),
    ]
    assert {row.who for row in rows} == {"192.168.2.20 · Zed"}


@BUILDS
async def test_loads_and_unloads_are_rows_of_their_own(
    stand_in: StandIn, server: Server, tmp_path: Path, other: OtherClient
) -> None:
    async with recording(server, tmp_path) as (_, recorder):
        # A machine that is busy sees no start of a load that takes less.
        await other.load(UNHURRIED)
        await until_recorded(recorder, 2, KINDS[1:3])
        await other.unload(UNHURRIED)
        rows = await until_recorded(recorder, 3, KINDS[1:])
        assert [row.kind for row in rows] == list(KINDS[1:])
        assert rows[1].seconds is not None
        store = await recorder.store()
        (time,) = await store.watched_times("stand-in", 0)
        assert time.began <= rows[0].at


async def test_a_full_disk_is_said_once_and_loses_nothing(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with watched(server, tmp_path) as watch:
        await watch.until_events_flow()
        recorder = watch.session.activity()
        warnings: list[str] = []
        recorder._on_warning = warnings.append
        store = await recorder.store()

        def limit(pages: int) -> None:
            store._connection.execute(f"PRAGMA max_page_count = {pages}")

        await store._run(lambda: limit(1))  # as many as there are
        async with background_task(recorder.run(), "record"):
            end_requests(stand_in, 300)
            await eventually(lambda: warnings)
            end_requests(stand_in, 2)
            await asyncio.sleep(30)
            await store._run(lambda: limit(100_000))
            await until_recorded(recorder, 302)
    assert len(warnings) == 1
    assert "kept in memory until it can be written" in warnings[0]


async def test_after_a_broken_record_what_the_server_still_has_is_fetched(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    end_requests(stand_in, 300)
    async with recording(server, tmp_path) as (_, recorder):
        await until_recorded(recorder, 300)
    for path in tmp_path.glob(f"{FILE_NAME}*"):
        path.write_bytes(b"no database" * 1000)
    async with recording(server, tmp_path) as (_, recorder):
        end_requests(stand_in, 1)
        await until_recorded(recorder, 301)
    assert len(list(tmp_path.glob("*.broken"))) == 1
