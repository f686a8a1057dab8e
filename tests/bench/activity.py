"""A record of 300,000 requests: how long it takes to open, to filter, and to show a page of."""

import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

from msgspec.structs import replace

from aitui.domain.activity import ActivityFilter, ActivityRow
from aitui.services.activity_stats import group_requests
from aitui.store.activity_db import FILE_NAME, ActivityStore
from bench.processes import Bench
from bench.report import Line, p95

ROWS, PAGE, DAYS = 300_000, 50, 60
MODELS = [f"model-{number}-Q8_0" for number in range(20)]
CLIENTS = [f"host-{number} · program" for number in range(12)]
NOW = 1_795_000_000.0
ALL = ActivityFilter("home")
FILTERS = {
    "everything": ALL,
    "one model": replace(ALL, model="model-7"),
    "one client": replace(ALL, client="host-3"),
    "failed": replace(ALL, status="failed"),
    "the last day": replace(ALL, since=NOW - 86400),
    "a text": replace(ALL, text="host-5"),
}


def _rows(random_: random.Random) -> list[ActivityRow]:
    return [
        ActivityRow(
            "home",
            NOW - DAYS * 86400 * (1 - number / ROWS),
            random_.choice(MODELS),
            id=number,
            path=random_.choice(("/v1/chat/completions", "/v1/embeddings")),
            client="10.0.0.9",
            who=random_.choice(CLIENTS),
            agent="program/1.0",
            status=200 if random_.random() > 0.02 else 502,
            cached=random_.randrange(4000),
            prompt=random_.randrange(4000, 90_000),
            tokens=random_.randrange(1, 2000),
            prompt_rate=random_.uniform(500, 2500),
            rate=random_.uniform(10, 60),
            seconds=random_.uniform(0.2, 70),
        )
        for number in range(ROWS)
    ]


async def _timed(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


async def _measure(folder: Path) -> list[Line]:
    path = folder / FILE_NAME
    store = await ActivityStore.open(path)
    rows = _rows(random.Random(1))
    written = time.perf_counter()
    for start in range(0, ROWS, 10_000):
        await store.add(rows[start : start + 10_000], NOW)
    written = time.perf_counter() - written
    await store.close()

    began = time.perf_counter()
    store = await ActivityStore.open(path)
    numbers = await store.select(ALL)
    await store.read(numbers[:PAGE])
    opened = time.perf_counter() - began
    lines = [
        Line(f"{ROWS:,} rows", f"{path.stat().st_size / 1e6:.0f} MB"),
        Line("… a row written", f"{written / ROWS * 1e6:.0f} µs"),
        Line("open, select all, first page", f"{opened:.2f} s", "≤ 0.5 s", opened <= 0.5),
    ]
    for name, wanted in FILTERS.items():

        async def show(wanted: ActivityFilter = wanted) -> None:
            await store.read((await store.select(wanted))[:PAGE])

        took = median([await _timed(show) for _ in range(5)])
        words = f"filter by {name}, first page"
        lines.append(Line(words, f"{took * 1000:.0f} ms", "≤ 100 ms", took <= 0.1))

    async def by_rate() -> None:
        await store.read((await store.select(ALL, "rate"))[:PAGE])

    lines.append(Line("sort by rate", f"{await _timed(by_rate) * 1000:.0f} ms"))
    # While totals are computed on their own thread, as in the view.
    totals = asyncio.create_task(_timed(lambda: store.totals(ALL)))
    pages = [
        await _timed(lambda start=start: store.read(numbers[start : start + PAGE]))  # type: ignore[misc]
        for start in range(0, ROWS, ROWS // 400)
    ]
    at = p95(pages)
    lines += [
        Line("a page key, p95, beside the totals", f"{at * 1000:.1f} ms", "≤ 50 ms", at <= 0.05),
        Line("totals and percentiles of all", f"{await totals:.2f} s"),
    ]
    for by in ("model", "day"):
        took = await _timed(lambda by=by: group_requests(store, ALL, by, NOW))  # type: ignore[misc]
        lines.append(Line(f"groups by {by}", f"{took:.2f} s"))
    await store.close()
    return lines


def activity(_: Bench) -> list[Line]:
    """Measure a record in a directory of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder)))
