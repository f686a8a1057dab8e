"""How often the server is asked, and what that may not cause."""

import asyncio
import time
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from aitui.demo.dialect import Dialect
from aitui.domain.models import RunState
from aitui.domain.snapshot import Clock, Server
from aitui.services import events as event_stream
from aitui.services import events as pace
from aitui.services import monitor as sleep_watch
from aitui.services.events import poll_interval, retry_delay
from catalogue import QUICK, SLOW, STEADY, dialects, each_dialect
from other_client import OtherClient
from stand_in import FixedResponse, StandIn
from watched import Watched, asked_for, beside, eventually, watched

NO_EVENTS = FixedResponse(404, b"404 page not found\n", "text/plain")


def test_a_model_in_transit_is_looked_at_every_second() -> None:
    for events_flow in (True, False):
        assert poll_interval(in_transit=True, resident=True, events_flow=events_flow) == 1


def test_a_loaded_model_is_looked_at_every_second_without_events() -> None:
    assert poll_interval(in_transit=False, resident=True, events_flow=False) == 1


def test_an_idle_server_is_asked_every_two_seconds_without_events() -> None:
    assert poll_interval(in_transit=False, resident=False, events_flow=False) == 2


@pytest.mark.parametrize("resident", [True, False])
def test_a_server_is_asked_every_fifteen_seconds_while_events_flow(resident: bool) -> None:
    assert poll_interval(in_transit=False, resident=resident, events_flow=True) == 15


def test_pauses_before_retries_double_up_to_half_a_minute() -> None:
    pauses = [retry_delay(attempts, Random(1)) for attempts in range(40)]
    assert all(0.25 <= pauses[0] <= 0.5 for _ in pauses)
    assert pauses[:7] == sorted(pauses[:7])
    assert max(pauses) <= 30


def test_two_dashboards_do_not_retry_at_the_same_moment() -> None:
    assert retry_delay(5, Random(1)) != retry_delay(5, Random(2))


@pytest.fixture
def quick_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without events a poll every tenth of a second, with events one a minute."""
    monkeypatch.setattr(pace, "IDLE_WITHOUT_EVENTS", 0.05)
    monkeypatch.setattr(pace, "IDLE_WITH_EVENTS", 60.0)
    monkeypatch.setattr(pace, "IN_TRANSIT", 0.05)


async def test_without_events_polls_go_on_alone(
    quick_pace: None, server: Server, stand_in: StandIn, tmp_path: Path
) -> None:
    stand_in.fault("/api/events", NO_EVENTS)
    async with watched(server, tmp_path) as watch:
        before = len(asked_for(stand_in, "/running"))
        await eventually(lambda: len(asked_for(stand_in, "/running")) >= before + 5)
        assert not watch.snapshot.events_flow
        assert asked_for(stand_in, "/api/events").count("/api/events") == 1


@each_dialect
async def test_while_events_flow_the_server_is_left_alone(
    quick_pace: None, watch: Watched, stand_in: StandIn
) -> None:
    await watch.until_quiet()
    before = len(stand_in.requests)
    await asyncio.sleep(1)
    assert len(stand_in.requests) == before


@dialects(Dialect.V218, Dialect.HEAD)
async def test_a_model_in_transit_is_polled_also_while_events_flow(
    quick_pace: None, watch: Watched, stand_in: StandIn, other: OtherClient
) -> None:
    async with beside(other.load(SLOW)):
        await watch.until_state(SLOW, RunState.STARTING)
        before = len(asked_for(stand_in, "/running"))
        await eventually(lambda: len(asked_for(stand_in, "/running")) >= before + 5)


async def test_a_flood_of_events_becomes_few_polls(watch: Watched, stand_in: StandIn) -> None:
    before = len(asked_for(stand_in, "/running"))
    began = time.monotonic()
    for number in range(500):
        state = "stopped" if number % 2 else "starting"
        stand_in.publish("modelStatus", [{"id": QUICK, "state": state}])
        await asyncio.sleep(0)
    await watch.session.monitor.poll_now()
    seconds = time.monotonic() - began
    assert len(asked_for(stand_in, "/running")) - before <= 10 * seconds + 5


@each_dialect
async def test_own_polls_are_no_change(watch: Watched, stand_in: StandIn) -> None:
    await watch.until_quiet()
    models = watch.snapshot.models
    published = len(watch.published)
    for _ in range(3):
        await watch.session.monitor.poll_now()
    assert watch.snapshot.models is models
    # One for each poll, because of the link's latency: the log lines of the polls make none.
    assert len(watch.published) - published <= 4


async def test_log_events_publish_nothing(
    quick_pace: None, watch: Watched, stand_in: StandIn
) -> None:
    await watch.until_quiet()
    published = len(watch.published)
    for number in range(50):
        stand_in.write_log(f"[INFO] line {number}\n")
    await watch.until_quiet()
    assert len(watch.published) == published


async def test_a_change_that_no_event_told_opens_the_stream_anew(
    monkeypatch: pytest.MonkeyPatch, server: Server, stand_in: StandIn, tmp_path: Path
) -> None:
    monkeypatch.setattr(event_stream, "SILENCE_SECONDS", 0.0)
    monkeypatch.setattr(pace, "IDLE_WITH_EVENTS", 0.3)
    async with watched(server, tmp_path) as watch:
        await watch.until_events_flow()
        streams = len(asked_for(stand_in, "/api/events"))
        stand_in.fault(
            "/running",
            FixedResponse(body=b'{"running":[{"model":"%s","state":"ready"}]}' % QUICK.encode()),
        )
        await watch.until_state(QUICK, RunState.READY)
        await eventually(lambda: len(asked_for(stand_in, "/api/events")) > streams)


class MovedClock:
    """A wall clock that can be put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def wall(self) -> float:
        return time.time() + self.ahead


async def test_after_a_sleep_every_connection_is_opened_anew(
    monkeypatch: pytest.MonkeyPatch, server: Server, stand_in: StandIn, tmp_path: Path
) -> None:
    monkeypatch.setattr(sleep_watch, "CHECK_SECONDS", 0.05)
    moved = MovedClock()
    async with watched(server, tmp_path, clock=Clock(time.monotonic, moved.wall)) as watch:
        await watch.until_events_flow()
        streams = len(asked_for(stand_in, "/api/events"))
        lists = len(asked_for(stand_in, "/v1/models"))
        moved.ahead = 3600.0
        await eventually(lambda: len(asked_for(stand_in, "/api/events")) > streams)
        await eventually(lambda: len(asked_for(stand_in, "/v1/models")) > lists)
        await watch.until_events_flow()


async def test_after_a_sleep_times_are_older_by_it(
    monkeypatch: pytest.MonkeyPatch,
    server: Server,
    stand_in: StandIn,
    other: OtherClient,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(sleep_watch, "CHECK_SECONDS", 0.05)
    moved = MovedClock()
    async with watched(server, tmp_path, clock=Clock(time.monotonic, moved.wall)) as watch:
        await other.load(STEADY)
        since = (await watch.until_state(STEADY, RunState.READY)).since
        moved.ahead = 3600.0
        await watch.until(
            lambda now: (model := now.model(STEADY)) is not None and model.since < since - 3000
        )


async def test_a_clock_that_is_set_by_a_day_makes_nothing_older(
    monkeypatch: pytest.MonkeyPatch, server: Server, other: OtherClient, tmp_path: Path
) -> None:
    monkeypatch.setattr(sleep_watch, "CHECK_SECONDS", 0.02)
    moved, asleep = MovedClock(), MovedClock()
    clock = Clock(time.monotonic, moved.wall, asleep.wall)
    async with watched(server, tmp_path, clock=clock) as watch:
        await other.load(STEADY)
        since = (await watch.until_state(STEADY, RunState.READY)).since
        moved.ahead = 86_400.0
        await asyncio.sleep(0.2)
        model = watch.snapshot.model(STEADY)
        assert model is not None
        assert model.since == since
        asleep.ahead = 3600.0
        await watch.until(
            lambda now: (
                (model := now.model(STEADY)) is not None and since - 3700 < model.since < since
            )
        )


async def test_a_wall_clock_that_is_set_right_by_a_second_drops_nothing(
    monkeypatch: pytest.MonkeyPatch, server: Server, stand_in: StandIn, tmp_path: Path
) -> None:
    monkeypatch.setattr(sleep_watch, "CHECK_SECONDS", 0.02)
    moved = MovedClock()
    async with watched(server, tmp_path, clock=Clock(time.monotonic, moved.wall)) as watch:
        await watch.until_events_flow()
        streams = len(asked_for(stand_in, "/api/events"))
        moved.ahead = 1.0
        await asyncio.sleep(0.3)
        assert len(asked_for(stand_in, "/api/events")) == streams


async def test_the_monitor_survives_being_told_twice_to_drop_its_stream(
    watch: Watched, server: Server
) -> None:
    monitor = watch.session.monitor
    monitor._events.drop()
    monitor._events.drop()
    await watch.until(lambda now: not now.events_flow)
    await watch.until_events_flow()


async def test_the_expectation_of_an_earlier_session_is_shown(
    server: Server, tmp_path: Path
) -> None:
    async with watched(server, tmp_path) as watch:
        await watch.load_times.record("stand-in", STEADY, 12.5)
    async with watched(server, tmp_path) as watch:
        model = watch.snapshot.model(STEADY)
        assert model is not None
        assert model.expected_load == 12.5


async def test_load_times_of_another_server_count_for_nothing(
    server: Server, tmp_path: Path
) -> None:
    async with watched(replace(server, identity="another"), tmp_path) as watch:
        await watch.load_times.record("another", STEADY, 12.5)
    async with watched(server, tmp_path) as watch:
        model = watch.snapshot.model(STEADY)
        assert model is not None
        assert model.expected_load is None
