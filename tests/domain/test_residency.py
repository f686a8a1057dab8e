"""Which models were loaded when, and for how long, as far as they were watched."""

from aitui.domain.activity import ActivityKind, ActivityRow
from aitui.domain.residency import WatchedTime, residency_timeline

START, READY, STOP = ActivityKind.START, ActivityKind.READY, ActivityKind.STOP
EVICTION, FAILED = ActivityKind.EVICTION, ActivityKind.FAILED
ALWAYS = (WatchedTime(0, 1000),)


def event(kind: ActivityKind, at: float, model: str = "a", **more: object) -> ActivityRow:
    return ActivityRow("s", at, model, kind, **more)  # type: ignore[arg-type]


def test_a_stay_goes_from_load_to_end() -> None:
    rows = [event(START, 10), event(READY, 22, seconds=12.0), event(EVICTION, 90, by="b")]
    (stay,) = residency_timeline(rows, ALWAYS, 100).stays
    assert (stay.began, stay.ready, stay.ended, stay.loading) == (10, 22, 90, 12)
    assert (stay.end, stay.by) == (EVICTION, "b")


def test_what_was_not_watched_is_not_claimed() -> None:
    rows = [event(START, 10), event(READY, 22, seconds=12.0), event(READY, 500)]
    times = WatchedTime(0, 60), WatchedTime(490, 700)
    first, *rest = residency_timeline(rows[:2], times, 700).stays
    assert (first.ended, first.end, rest) == (60, None, [])
    # A load that was seen ends the stay before it, of which the end wasn't.
    again = [*rows[:2], event(READY, 500, seconds=5.0)]
    first, second = residency_timeline(again, times, 700).stays
    assert (first.ended, second.began, second.ended) == (60, 495, 700)


def test_a_failed_load_took_time_as_well() -> None:
    rows = [event(START, 10), event(FAILED, 40, error="no memory"), event(START, 50)]
    timeline = residency_timeline(rows, ALWAYS, 100)
    assert (timeline.loads, timeline.loading_seconds, timeline.count(FAILED)) == (1, 30, 1)
    assert timeline.stays[1].ended == 100
    assert timeline.since(45).loads == 0


def test_models_that_evict_each_other_are_named() -> None:
    rows = []
    for number, (model, other) in enumerate([("a", "b"), ("b", "a")] * 3):
        at = number * 100
        rows += [
            event(READY, at + 20, model, seconds=20.0),
            event(EVICTION, at + 99, model, by=other),
        ]
    (pair,) = residency_timeline(rows, ALWAYS, 1000).mutual
    assert (pair.models, pair.times, pair.loading) == (("a", "b"), 6, 120)
