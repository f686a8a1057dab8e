"""The record of activity on disk."""

import asyncio
import random
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.domain.activity import SORTS, ActivityFilter, ActivityKind, ActivityRow
from aitui.domain.residency import WatchedTime
from aitui.errors import HistoryError
from aitui.store.activity_db import FILE_NAME, ActivityStore

HOME = ActivityFilter("home")
NOW = 1_000_000.0
MODELS = replace(HOME, kinds=tuple(ActivityKind))


def request(number: int, at: float | None = None, **fields: object) -> ActivityRow:
    """The row of a request that ended so many seconds after NOW."""
    given: dict[str, object] = {"who": "laptop · pi", "seconds": 2.0, **fields}
    return ActivityRow("home", NOW + (number if at is None else at), "qwen", id=number, **given)  # type: ignore[arg-type]


def event(kind: ActivityKind, at: float, model: str = "qwen", **fields: object) -> ActivityRow:
    return ActivityRow("home", NOW + at, model, kind, **fields)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / FILE_NAME


@pytest.fixture
async def store(path: Path) -> AsyncIterator[ActivityStore]:
    store = await ActivityStore.open(path)
    yield store
    await store.close()


async def all_of(store: ActivityStore, wanted: ActivityFilter = HOME) -> tuple[ActivityRow, ...]:
    return await store.read(await store.select(wanted, descending=False))


async def ids_of(store: ActivityStore, wanted: ActivityFilter = HOME) -> list[int | None]:
    return [row.id for row in await all_of(store, wanted)]


async def test_a_row_comes_back_as_it_was(store: ActivityStore, path: Path) -> None:
    row = request(
        7,
        path="/v1/chat/completions",
        client="10.0.0.9",
        agent="pi/1",
        session="s-1",
        status=499,
        error="client disconnected before response",
        cached=5,
        prompt=9,
        tokens=3,
        drafted=4,
        accepted=2,
        prompt_rate=100.5,
        rate=50.25,
        first_token=0.4,
        has_capture=True,
    )
    await store.add([row], NOW)
    (back,) = await all_of(store)
    assert replace(back, number=0) == replace(row, run=NOW + 5)
    assert path.stat().st_mode & 0o777 == 0o600


async def test_nothing_is_counted_twice(store: ActivityStore) -> None:
    await store.add([request(1), request(2)], NOW)
    await store.add([request(2), request(3)], NOW)
    assert await ids_of(store) == [1, 2, 3]
    # A server without a store counts from 1 again when it is started again.
    await store.add([request(1, at=100), request(2, at=101)], NOW)
    assert await ids_of(store) == [1, 2, 3, 1, 2]
    assert len({row.run for row in await all_of(store)}) == 2


async def test_what_is_known_later_completes_a_row(store: ActivityStore) -> None:
    await store.add([request(1, who="10.0.0.9", client="10.0.0.9")], NOW)
    more = request(1, agent="pi/1", who="laptop · pi", session="s", first_token=0.5)
    await store.add([more], NOW)
    await store.add([request(1, who="10.0.0.9", client="10.0.0.9")], NOW)
    (row,) = await all_of(store)
    assert (row.client, row.who, row.session, row.first_token) == (
        "10.0.0.9",
        "laptop · pi",
        "s",
        0.5,
    )


async def test_two_recorders_of_one_server_write_each_change_once(path: Path) -> None:
    one, other = await ActivityStore.open(path), await ActivityStore.open(path)
    kinds = ActivityKind.START, ActivityKind.READY, ActivityKind.STOP
    for number, kind in enumerate(kinds):
        await one.add([event(kind, number * 20), request(number)], NOW)
        await other.add([event(kind, number * 20 + 0.7), request(number)], NOW)
    await other.add([event(ActivityKind.EVICTION, 39.8, by="glm")], NOW)
    for store, joules in (one, 30.0), (other, 50.0):
        await store.add_energy("home", {(1, "qwen"): joules})
    found = await all_of(other, MODELS)
    assert [(row.kind.value, row.by) for row in found if row.id is None] == [
        ("start", ""),
        ("ready", ""),
        ("eviction", "glm"),
    ]
    assert [row.id for row in found if row.id is not None] == [0, 1, 2]
    assert await one.joules("home", 0, 3600) == {(0, "qwen"): 50.0}
    await one.close()
    await other.close()


ROWS = (
    request(1, who="laptop · pi", rate=40.0, tokens=10, prompt=100, cached=50, prompt_rate=25.0),
    request(2, who="phone", status=500, error="upstream died", seconds=9.0),
    replace(request(3, path="/v1/embeddings", rate=80.0, tokens=30, seconds=1.0), model="GLM-4"),
)


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (HOME, [1, 2, 3]),
        (replace(HOME, server="other"), []),
        (replace(HOME, model="glm"), [3]),
        (replace(HOME, client="PHONE"), [2]),
        (replace(HOME, client="no such client"), []),
        (replace(HOME, status="failed"), [2]),
        (replace(HOME, status="ok"), [1, 3]),
        (replace(HOME, status="500"), [2]),
        (replace(HOME, text="glm"), [3]),
        (replace(HOME, text="upstream"), [2]),
        (replace(HOME, text="pi", model="qwen"), [1]),
        (replace(HOME, since=NOW + 2, until=NOW + 3), [2]),
    ],
)
async def test_a_filter(
    store: ActivityStore, wanted: ActivityFilter, ids: list[int | None]
) -> None:
    await store.add(ROWS, NOW)
    assert await ids_of(store, wanted) == ids


@pytest.mark.parametrize(
    ("sort", "descending", "ids"),
    [
        ("at", True, [3, 2, 1]),
        ("rate", True, [3, 1, 2]),
        ("rate", False, [1, 3, 2]),
        ("seconds", True, [2, 1, 3]),
        ("first_token", False, [1, 2, 3]),
        ("model", False, [3, 1, 2]),
    ],
)
async def test_a_sort_has_what_is_unknown_last(
    store: ActivityStore, sort: str, descending: bool, ids: list[int]
) -> None:
    await store.add(ROWS, NOW)
    numbers = await store.select(HOME, sort, descending=descending)
    assert [row.id for row in await store.read(numbers)] == ids


async def test_an_address_with_one_program_is_one_client(store: ActivityStore) -> None:
    def at(number: int, address: str, who: str, agent: str = "") -> ActivityRow:
        return request(number, client=address, who=who, agent=agent)

    away = at(1, "10.0.0.1", "laptop"), at(2, "10.0.0.2", "phone"), at(3, "10.0.0.3", "desk")
    await store.add(away, NOW)
    seen = (
        at(4, "10.0.0.1", "laptop · pi", "pi/1.0"),
        at(5, "10.0.0.2", "this chat", "aitui/1.0 (me)"),
        at(6, "10.0.0.3", "desk · Zed", "Zed/1"),
        at(7, "10.0.0.3", "desk · curl", "curl/8"),
    )
    await store.add(seen, NOW)
    await store.add((at(8, "10.0.0.1", "laptop"), at(9, "10.0.0.3", "desk")), NOW)
    groups = {name: sums.requests for name, sums in (await store.sums(HOME, "client")).items()}
    assert groups == {
        "laptop · pi": 3,  # also what ended while nothing watched
        "phone": 1,  # aitui itself doesn't stand for others at its address
        "this chat": 1,
        "desk · Zed": 2,
        "desk · curl": 1,
        "desk": 1,  # of two programs neither
    }


async def test_a_refused_request_is_one_row_of_two_recorders_and_two_sources(
    store: ActivityStore,
) -> None:
    def line(at: float, seconds: float) -> ActivityRow:
        fields = {"status": 429, "client": "10.0.0.1", "path": "/v1/chat/completions"}
        row = request(0, at, seconds=seconds, **fields)
        return replace(row, id=None, model="")

    await store.add([line(1, 0.0001), line(1.5, 0.0002)], NOW)
    await store.add([line(1.2, 0.0001)], NOW)  # another recorder
    assert await ids_of(store) == [None, None]
    one = replace(line(2, 0.0), id=7, model="qwen")  # that of a model's own limit
    await store.add([one], NOW)
    await store.add([line(2.1, 0.0003), line(20, 0.0001)], NOW)
    assert await ids_of(store) == [None, 7, None]


async def test_a_record_without_programs_is_completed(path: Path) -> None:
    store = await ActivityStore.open(path)
    await store.add([request(1, client="10.0.0.1", who="laptop · pi", agent="pi/1.0")], NOW)
    await store.close()
    database = sqlite3.connect(path)
    database.executescript("DROP TABLE programs; PRAGMA user_version = 1")
    database.execute(
        "INSERT INTO rows SELECT 2, server, kind, at + 1, 2, model, run, path, client, 'laptop', "
        "'', session, status, error, by, cached, prompt, tokens, drafted, accepted, prompt_rate, "
        "rate, seconds, first_token, has_capture, failed FROM rows"
    )
    database.commit()
    database.close()
    store = await ActivityStore.open(path)
    assert [row.who for row in await all_of(store)] == ["laptop · pi"] * 2
    await store.close()


@pytest.mark.parametrize("sort", SORTS)
async def test_the_first_rows_are_those_of_the_whole_selection(
    store: ActivityStore, sort: str
) -> None:
    figures = random.Random(sort)
    await store.add(
        [
            request(
                number,
                who=figures.choice(("laptop · pi", "phone", "")),
                status=figures.choice((200, 499, None)),
                error=figures.choice(("", "laptop left")),
                **{
                    name: figures.choice((None, 0, 1, number))
                    for name in ("cached", "prompt", "tokens", "drafted", "rate", "seconds")
                },
            )
            for number in range(60)
        ],
        NOW,
    )
    wanted = (
        HOME,
        replace(HOME, text="laptop"),
        replace(HOME, text="qwen", status="failed"),
        replace(HOME, client="phone"),
        replace(HOME, since=NOW + 30),
    )
    for one in wanted:
        for descending in (True, False):
            whole = await store.select(one, sort, descending=descending)
            first = await store.select_first(one, 7, sort, descending=descending)
            assert list(first) == list(whole[:7])
            assert len(whole) > 7


async def test_what_is_no_longer_wanted_is_not_gone_through(store: ActivityStore) -> None:
    await store.add(ROWS, NOW)
    begun, interrupted = threading.Event(), threading.Event()

    def count_for_long(database: sqlite3.Connection) -> None:
        begun.set()
        try:
            database.execute(
                "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 1000000000) "
                "SELECT max(x) FROM n"
            ).fetchone()
        except sqlite3.OperationalError:
            interrupted.set()
            raise

    slow = asyncio.create_task(store._run_slowly(count_for_long))
    await asyncio.to_thread(begun.wait)
    slow.cancel()
    assert (await store.totals(HOME)).sums.requests == 3
    assert interrupted.is_set()


async def test_totals_and_groups(store: ActivityStore) -> None:
    await store.add(ROWS, NOW)
    totals = await store.totals(HOME)
    assert (totals.sums.requests, totals.sums.failed, totals.sums.tokens) == (3, 1, 40)
    assert (totals.sums.cached_share, totals.sums.prompt_rate) == (0.5, 25.0)
    assert totals.sums.rate == pytest.approx(40 / (10 / 40 + 30 / 80))
    assert (totals.rate.p50, totals.rate.p99, totals.seconds.count) == (40.0, 80.0, 2)
    assert totals.first_token.p50 == 2.0
    by_model = await store.sums(HOME, "model")
    assert {name: sums.requests for name, sums in by_model.items()} == {"qwen": 2, "GLM-4": 1}
    by_hour = await store.sums(HOME, "hour")
    assert {hour: sums.tokens for hour, sums in by_hour.items()} == {int(NOW // 3600): 40}


async def test_age_and_size_bound_the_record(path: Path) -> None:
    store = await ActivityStore.open(path, days=1, megabytes=1)
    await store.add([request(1, at=-2 * 86400), request(2)], NOW)
    assert await ids_of(store) == [2]
    many = [request(number, error="x" * 1000) for number in range(10, 2010)]
    await store.add(many, NOW)
    found = await ids_of(store)
    assert found[-1] == 2009
    assert len(found) < 1000
    await store.close()


def spoil(path: Path) -> None:
    """Overwrite a page in the middle of the table."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // 4096 * 4096)
        file.write(b"\xff" * 4096 * 4)


def cut(path: Path) -> None:
    path.write_bytes(b"this is no database" * 100)


@pytest.mark.parametrize(("damage", "least"), [(spoil, 1000), (cut, 0)])
async def test_a_broken_record_is_set_aside_and_what_can_be_read_is_kept(
    path: Path, damage: Callable[[Path], None], least: int
) -> None:
    store = await ActivityStore.open(path)
    await store.add([request(number) for number in range(3000)], NOW)
    await store.close()
    damage(path)
    warnings: list[str] = []
    store = await ActivityStore.open(path, on_warning=warnings.append)
    await store.add([request(5000)], NOW)
    found = await ids_of(store)
    await store.close()
    assert 5000 in found
    assert len(found) > least
    assert ["renamed to activity.sqlite3.broken" in warning for warning in warnings] == [True]
    assert ("rows could be saved" in warnings[0]) is bool(least)


async def test_a_full_disk_is_reported_and_leaves_the_record_whole(
    store: ActivityStore, path: Path
) -> None:
    await store.add([request(1)], NOW)

    def limit(pages: str) -> None:
        store._connection.execute(f"PRAGMA max_page_count = {pages}")

    await store._run(lambda: limit("1"))  # as many as there are
    many = [request(number, error="x" * 500) for number in range(2, 200)]
    with pytest.raises(HistoryError, match="full"):
        await store.add(many, NOW)
    await store._run(lambda: limit("100000"))
    assert await ids_of(store) == [1]
    await store.add(many, NOW)
    assert len(await ids_of(store)) == 199


async def test_a_record_of_a_newer_aitui_is_left_alone(path: Path) -> None:
    await (await ActivityStore.open(path)).close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(HistoryError, match="newer aitui"):
        await ActivityStore.open(path)


async def test_when_a_server_was_watched(store: ActivityStore) -> None:
    number = await store.watch("home", 10, 20)
    assert await store.watch("home", 10, 80, number) == number
    await store.watch("home", 200, 300)
    assert await store.watched_times("home", 50) == (WatchedTime(10, 80), WatchedTime(200, 300))
    assert await store.watched_times("home", 100) == (WatchedTime(200, 300),)


async def test_up_to_where_the_record_is_complete(store: ActivityStore) -> None:
    assert await store.complete_until("home") is None
    await store.add([request(5)], NOW, request(5))
    await store.add([request(3)], NOW, request(3))
    assert await store.complete_until("home") == (5, NOW + 5)
    await store.add([request(1, at=90)], NOW, request(1, at=90))
    assert await store.complete_until("home") == (1, NOW + 90)
