"""Rows of activity: what they say of a model that changed, of first tokens, and of power."""

import pytest
from msgspec.structs import replace

from aitui.domain.activity import (
    ActivityKind,
    ActivitySums,
    add_sums,
    distribution,
    model_rows,
    share_power,
    time_to_first_token,
)
from aitui.domain.models import (
    Eviction,
    FinishedRequest,
    IdleUnload,
    LoadFailure,
    Model,
    ModelKind,
    RunState,
)

START, READY, STOP = ActivityKind.START, ActivityKind.READY, ActivityKind.STOP
EVICTION, FAILED = ActivityKind.EVICTION, ActivityKind.FAILED


def changes(before: Model | None, after: Model) -> list[tuple[ActivityKind, float]]:
    known = {} if before is None else {before.id: before}
    rows = model_rows("s", known, (after,), now=100.0, wall=1100.0)
    return [(row.kind, row.at) for row in rows]


STOPPED = Model("a")
STARTING = Model("a", state=RunState.STARTING, since=90.0)
RUNNING = Model("a", state=RunState.READY, since=98.0)


def test_a_change_of_state_is_a_row() -> None:
    assert changes(STOPPED, STARTING) == [(START, 1090.0)]
    assert changes(STARTING, RUNNING) == [(READY, 1098.0)]
    assert changes(None, RUNNING) == [(READY, 1098.0)]
    assert changes(RUNNING, replace(STOPPED, since=99.0)) == [(STOP, 1099.0)]
    assert changes(STARTING, STARTING) == []
    assert changes(None, replace(RUNNING, kind=ModelKind.PEER)) == []
    (row,) = model_rows("s", {"a": STARTING}, (RUNNING,), 100.0, 1100.0)
    assert row.seconds == 8.0


def test_how_a_model_left_is_a_row() -> None:
    gone = replace(STOPPED, evicted=Eviction(1095.0, "b"))
    assert changes(STOPPED, gone) == [(EVICTION, 1095.0)]
    assert changes(gone, replace(gone, name="x")) == []
    assert changes(STOPPED, replace(STOPPED, timed_out=IdleUnload(1094.0, 60.0))) == [
        (STOP, 1094.0)
    ]
    assert changes(STOPPED, replace(STOPPED, failed=LoadFailure(1093.0, "no memory"))) == [
        (FAILED, 1093.0)
    ]


def test_the_first_token_is_seen_or_estimated() -> None:
    row = FinishedRequest("m", prompt=100, cached=50, prompt_rate=100.0, tokens=5)
    estimate = time_to_first_token(row)
    assert estimate is not None
    assert (estimate.seconds, estimate.exact) == (0.5, False)
    seen = time_to_first_token(replace(row, first_token=0.7))
    assert seen is not None
    assert (seen.seconds, seen.exact) == (0.7, True)
    assert time_to_first_token(FinishedRequest("m", prompt=100)) is None


@pytest.mark.parametrize(
    ("figures", "p50", "p95", "p99"),
    [([], 0.0, 0.0, 0.0), ([3.0], 3.0, 3.0, 3.0), ([float(n) for n in range(1, 101)], 50, 95, 99)],
)
def test_percentiles_are_figures_that_were_measured(
    figures: list[float], p50: float, p95: float, p99: float
) -> None:
    found = distribution(figures)
    assert (found.p50, found.p95, found.p99) == (p50, p95, p99)
    assert (found.count, sum(found.bins)) == (len(figures), len(figures))


def test_one_outlier_does_not_squeeze_the_bins() -> None:
    found = distribution([*map(float, range(1, 1000)), 1e9])
    assert found.high < 1200
    assert max(found.bins) < 100
    assert sum(found.bins) == 1000


def test_power_is_shared_among_what_ran() -> None:
    assert share_power(300.0, ["a", "b", "c"], {"a": 2, "b": 1}) == {"a": 200.0, "b": 100.0}
    assert share_power(300.0, ["a", "b", "c"], {"a": 0}) == dict.fromkeys("abc", 100.0)
    assert share_power(300.0, [], {}) == {}


def test_sums_add_up() -> None:
    both = add_sums([ActivitySums(1, tokens=3), ActivitySums(2, drafted=4, accepted=1)])
    assert (both.requests, both.tokens, both.acceptance, both.cached_share) == (3, 3, 0.25, None)
