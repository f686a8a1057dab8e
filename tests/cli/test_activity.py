"""`aitui activity`, `stats`, `metrics` and `record` as their users run them."""

import json
import time
from functools import partial
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from aitui.demo.activity import TokenCounts
from aitui.demo.dialect import Dialect
from aitui.domain.activity import ActivityKind, ActivityRow
from aitui.paths import Paths
from aitui.store.activity_db import FILE_NAME, ActivityStore
from catalogue import QUICK, STEADY
from cli.command_line import CommandLine, finish
from stand_in import StandIn

pytestmark = pytest.mark.parametrize("stand_in", [Dialect.V263], indirect=True)


def end_requests(stand_in: StandIn) -> None:
    """Let four requests of two clients end, one of them with an error."""
    assert stand_in.swap is not None
    for model, client, status in (
        (QUICK, "10.0.0.1", 200),
        (QUICK, "10.0.0.2", 200),
        (STEADY, "10.0.0.1", 200),
        (STEADY, "10.0.0.2", 502),
    ):
        failed = status != 200
        stand_in.swap.activity.record(
            model=model,
            path="/v1/chat/completions",
            content_type="",
            status=status,
            tokens=TokenCounts() if failed else TokenCounts(50, 50, 30, 200.0, 60.0),
            seconds=2.0,
            error="502 Bad Gateway" if failed else "",
            client=client,
        )


def families(text: str) -> dict[str, dict[str, float]]:
    """The samples of each metric by their model, "" for those without."""
    return {
        family.name: {one.labels.get("model", ""): one.value for one in family.samples}
        for family in text_string_to_metric_families(text)
    }


async def test_activity_outlives_the_server(aitui: CommandLine, stand_in: StandIn) -> None:
    end_requests(stand_in)
    outcome = await aitui.run("activity")
    assert (outcome.status, outcome.err) == (0, "")
    title, *rows = outcome.out.splitlines()
    assert title.split()[:3] == ["TIME", "CLIENT", "MODEL"]
    assert [QUICK in row for row in rows] == [True, True, False, False]
    assert rows[3].endswith("model crashed: 502 Bad Gateway")

    said = json.loads((await aitui.run("activity", "--json", "--client", "0.0.2")).out)
    assert said["version"] == 1
    assert [(row["model"], row["failed"]) for row in said["rows"]] == [
        (QUICK, False),
        (STEADY, True),
    ]
    first = said["rows"][0]
    assert (first["prompt_tokens"], first["cached_tokens"], first["generated_tokens"]) == (
        *(100, 50, 30),
    )
    assert (first["first_token_seconds"], first["first_token_estimated"]) == (0.25, True)

    await stand_in.stop()
    later = await aitui.run("activity", "--model", STEADY)
    assert later.status == 0
    assert "only what was recorded before is listed" in later.err
    assert len(later.out.splitlines()) == 3


async def test_stats_sum_up_and_cost_what_they_should(
    aitui: CommandLine, stand_in: StandIn
) -> None:
    end_requests(stand_in)
    said = json.loads((await aitui.run("stats", "--json", "--by", "client")).out)
    assert {group["name"]: group["requests"] for group in said["groups"]} == {
        "10.0.0.1": 2,
        "10.0.0.2": 2,
    }
    assert (said["totals"]["generated_tokens"], said["totals"]["cached_share"]) == (90, 0.5)
    assert said["totals"]["percentiles"]["tokens_per_second"]["p50"] == 60.0
    outcome = await aitui.run("stats", "--by", "day")
    assert outcome.status == 0
    assert "generation tok/s p50 60.0  p5 60.0  p1 60.0" in outcome.out
    assert (await aitui.run("stats", "--since", "yesterday")).status == 2


async def test_stats_name_models_that_evict_each_other(
    aitui: CommandLine, stand_in: StandIn
) -> None:
    end_requests(stand_in)
    server, now = aitui.environment["AI_SERVER_URL"], time.time()
    data = Paths.from_environment({"HOME": str(aitui.home), **aitui.environment}).data
    store = await ActivityStore.open(data / FILE_NAME)
    pairs = [(QUICK, STEADY), (STEADY, QUICK)] * 2
    for began, (model, other) in zip(range(-600, -360, 60), pairs, strict=True):
        add = partial(ActivityRow, server, model=model)
        ready = add(at=now + began + 10, kind=ActivityKind.READY, seconds=10.0)
        gone = add(at=now + began + 60, kind=ActivityKind.EVICTION, by=other)
        await store.add([add(at=now + began, kind=ActivityKind.START), ready, gone], now)
    await store.watch(server, now - 700, now)
    await store.close()
    outcome = await aitui.run("stats", "--since", "1h")
    assert "evicted each other 4 times in the last 1h" in outcome.out
    (pair,) = json.loads((await aitui.run("stats", "--json")).out)["mutual_evictions"]
    assert (sorted(pair["models"]), pair["times"], pair["loading"]) == (
        *(sorted((QUICK, STEADY)), 4, 40.0),
    )


async def test_metrics_are_read_by_a_real_parser(
    aitui: CommandLine, stand_in: StandIn, tmp_path: Path
) -> None:
    end_requests(stand_in)
    path = tmp_path / "aitui.prom"
    assert (await aitui.run("metrics", "--textfile", str(path))).status == 0
    found = families(path.read_text())
    assert path.stat().st_mode & 0o777 == 0o644
    assert found["aitui_up"] == {"": 1.0}
    assert found["aitui_requests"] == {QUICK: 2.0, STEADY: 2.0}
    assert found["aitui_requests_failed"] == {QUICK: 0.0, STEADY: 1.0}
    assert found["aitui_gpu_memory_total_bytes"][""] == 96 * (1 << 30)
    await stand_in.stop()
    outcome = await aitui.run("metrics")
    assert outcome.status == 0
    down = families(outcome.out)
    assert (down["aitui_up"], down["aitui_requests"]) == ({"": 0.0}, found["aitui_requests"])


async def test_record_and_follow_write_what_ends(aitui: CommandLine, stand_in: StandIn) -> None:
    end_requests(stand_in)
    recorder = await aitui.start("record")
    assert recorder.stderr is not None
    assert b"recording " in await recorder.stderr.readline()
    follower = await aitui.start("activity", "-f", "--json")
    assert follower.stdout is not None
    for _ in range(4):
        assert json.loads(await follower.stdout.readline())["version"] == 1
    end_requests(stand_in)
    ids = [json.loads(await follower.stdout.readline())["id"] for _ in range(4)]
    assert ids == [5, 6, 7, 8]
    for process in (follower, recorder):
        process.terminate()
    ended = await finish(recorder)
    await finish(follower)
    assert (ended.status, ended.err) == (0, "")
    said = json.loads((await aitui.run("activity", "--json")).out)
    assert [row["id"] for row in said["rows"]] == list(range(1, 9))
