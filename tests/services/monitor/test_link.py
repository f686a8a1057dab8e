"""A server that goes, comes back, restarts, reloads, or answers nonsense."""

import asyncio
import gc
import time
import tracemalloc
from pathlib import Path

import pytest

from aitui.demo.dialect import Dialect
from aitui.domain.models import MAX_MODELS, RunState
from aitui.domain.snapshot import ConnectionPhase, Server
from aitui.errors import AituiError, BadResponse, ProxyError, Unreachable
from aitui.services import events as pace
from aitui.services import reload
from catalogue import CATALOGUE, QUICK, STEADY, each_dialect
from other_client import OtherClient
from stand_in import (
    ConnectionClose,
    EndlessBody,
    Fault,
    FixedResponse,
    GarbageBody,
    Hang,
    HtmlPage,
    StandIn,
    WrongTypes,
)
from watched import Watched, asked_for, beside, eventually, watched


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries come within a tenth of a second."""
    monkeypatch.setattr(pace, "FIRST_RETRY", 0.05)
    monkeypatch.setattr(pace, "LONGEST_RETRY", 0.1)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No retry comes by itself."""
    monkeypatch.setattr(pace, "FIRST_RETRY", 1000.0)
    monkeypatch.setattr(pace, "LONGEST_RETRY", 1000.0)


@each_dialect
async def test_a_lost_server_is_known_for_what_it_was_with_the_error_and_the_next_try(
    watch: Watched, other: OtherClient, stand_in: StandIn
) -> None:
    await other.load(QUICK)
    await watch.until_state(QUICK, RunState.READY)
    heard = watch.snapshot.connection.last_response_at
    stopped = time.monotonic()
    await stand_in.stop()
    snapshot = await watch.until_lost()
    lost_at = snapshot.connection.lost_at
    assert lost_at is not None
    assert stopped <= lost_at <= time.monotonic()
    model = snapshot.model(QUICK)
    assert model is not None
    assert model.state is RunState.READY
    assert isinstance(snapshot.connection.error, AituiError)
    assert snapshot.connection.last_response_at is not None
    assert heard is not None
    assert snapshot.connection.last_response_at >= heard
    assert snapshot.connection.retry_at is not None


async def test_how_many_requests_run_is_unknown_while_the_server_is_lost(
    watch: Watched, stand_in: StandIn
) -> None:
    await stand_in.stop()
    snapshot = await watch.until(lambda now: now.connection.phase is ConnectionPhase.LOST)
    assert snapshot.requests.total is None
    assert not snapshot.events_flow


@each_dialect
async def test_a_server_that_is_back_is_live_again_by_itself(
    impatient: None, watch: Watched, other: OtherClient, stand_in: StandIn
) -> None:
    await stand_in.stop()
    await watch.until_lost()
    await stand_in.start()
    snapshot = await watch.until(
        lambda now: now.connection.phase is ConnectionPhase.LIVE and now.events_flow
    )
    assert snapshot.connection.error is None
    assert snapshot.connection.attempts == 0
    await other.load(QUICK)
    await watch.until_state(QUICK, RunState.READY)


async def test_each_failed_try_is_counted(
    impatient: None, watch: Watched, stand_in: StandIn
) -> None:
    await stand_in.stop()
    lost_at = (await watch.until_lost()).connection.lost_at
    snapshot = await watch.until(lambda now: now.connection.attempts >= 3)
    assert snapshot.connection.lost_at == lost_at
    assert isinstance(snapshot.connection.error, Unreachable)


async def test_a_key_asks_a_lost_server_at_once(
    patient: None, watch: Watched, stand_in: StandIn
) -> None:
    await stand_in.stop()
    await watch.until_lost()
    await stand_in.start()
    watch.session.monitor.refresh()
    await watch.until_live()


async def test_a_key_gives_up_a_try_that_hangs(
    patient: None, watch: Watched, stand_in: StandIn
) -> None:
    stand_in.fault("/running", ConnectionClose())
    watch.session.monitor.refresh()
    await watch.until_lost()
    stand_in.clear_faults()
    stand_in.fault("/v1/models", Hang(), times=1)
    asked = len(asked_for(stand_in, "/v1/models"))
    watch.session.monitor.refresh()
    await eventually(lambda: len(asked_for(stand_in, "/v1/models")) > asked)
    watch.session.monitor.refresh()
    await watch.until_live()


@each_dialect
async def test_models_of_a_reloaded_config_appear(watch: Watched, stand_in: StandIn) -> None:
    await stand_in.reload(CATALOGUE.replace(STEADY, "brand-new"))
    snapshot = await watch.until(lambda now: now.model("brand-new") is not None)
    assert snapshot.model(STEADY) is None


async def test_models_of_a_config_that_was_reloaded_between_two_streams_appear(
    impatient: None, watch: Watched, stand_in: StandIn
) -> None:
    await watch.until_events_flow()
    stand_in.fault("/api/events", ConnectionClose())
    await stand_in.reload(CATALOGUE.replace(STEADY, "brand-new"))
    await watch.until(lambda now: now.model("brand-new") is not None)
    await stand_in.reload(CATALOGUE)
    stand_in.clear_faults()
    snapshot = await watch.until(lambda now: now.model("brand-new") is None)
    assert snapshot.model(STEADY) is not None


@each_dialect
async def test_models_that_ran_before_a_reload_are_stopped_after_it(
    watch: Watched, other: OtherClient, stand_in: StandIn
) -> None:
    await other.load(QUICK)
    await watch.until_state(QUICK, RunState.READY)
    await stand_in.reload()
    await watch.until_state(QUICK, RunState.STOPPED)


async def test_the_version_is_asked_again_after_a_restart(
    impatient: None, watch: Watched, stand_in: StandIn
) -> None:
    await stand_in.stop()
    stand_in.dialect = Dialect.HEAD
    await stand_in.start()
    await watch.until(
        lambda now: now.version == Dialect.HEAD.traits.version["version"] and now.events_flow
    )


FAULTS = {
    "200 MB": (GarbageBody(200 * 1024 * 1024), BadResponse),
    "a body that never ends": (EndlessBody(), BadResponse),
    "noise": (GarbageBody(), BadResponse),
    "a web page": (HtmlPage(), BadResponse),
    "wrong types": (WrongTypes(), BadResponse),
    "nothing at all": (FixedResponse(), BadResponse),
    "502 of a proxy": (HtmlPage(502), ProxyError),
    "a closed connection": (ConnectionClose(), Unreachable),
    "half an answer": (ConnectionClose(b'{"running":['), Unreachable),
}


@pytest.mark.parametrize(("fault", "error"), FAULTS.values(), ids=FAULTS)
async def test_nonsense_loses_the_server_with_a_clear_error_until_it_ends(
    impatient: None,
    watch: Watched,
    stand_in: StandIn,
    fault: Fault,
    error: type[AituiError],
) -> None:
    stand_in.fault("/running", fault)
    watch.session.monitor.refresh()
    snapshot = await watch.until_lost()
    assert isinstance(snapshot.connection.error, error)
    assert snapshot.connection.error.what
    assert snapshot.model(QUICK) is not None
    stand_in.clear_faults()
    await watch.until_live()


@pytest.mark.parametrize("fault", [HtmlPage(), WrongTypes()], ids=["a web page", "wrong types"])
async def test_nonsense_in_place_of_the_list_loses_the_server_and_keeps_the_models(
    impatient: None, watch: Watched, stand_in: StandIn, fault: Fault
) -> None:
    stand_in.fault("/v1/models", fault)
    watch.session.monitor.refresh()
    snapshot = await watch.until_lost()
    assert isinstance(snapshot.connection.error, BadResponse)
    assert snapshot.model(QUICK) is not None
    stand_in.clear_faults()
    await watch.until_live()


async def test_silence_loses_the_server_when_its_time_is_over(
    impatient: None, server: Server, stand_in: StandIn, tmp_path: Path
) -> None:
    hasty = Server(
        url=server.url,
        identity=server.identity,
        ca=server.ca,
        client_cert=server.client_cert,
        client_key=server.client_key,
        timeout=3.0,
    )
    async with watched(hasty, tmp_path) as watch:
        stand_in.fault("/running", Hang())
        watch.session.monitor.refresh()
        snapshot = await watch.until_lost()
        assert isinstance(snapshot.connection.error, Unreachable)
        stand_in.clear_faults()
        await watch.until_live()


async def test_garbage_without_end_takes_bounded_memory(
    impatient: None, watch: Watched, stand_in: StandIn
) -> None:
    stand_in.fault("/running", EndlessBody())
    tracemalloc.start()
    try:
        watch.session.monitor.refresh()
        await watch.until(lambda now: now.connection.attempts >= 2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 150 * 1024 * 1024


@pytest.mark.parametrize("path", ["/running", "/v1/models"])
async def test_an_error_that_is_shown_keeps_nothing_of_what_was_read(
    patient: None, watch: Watched, stand_in: StandIn, path: str
) -> None:
    stand_in.fault(path, EndlessBody())
    gc.collect()
    tracemalloc.start()
    try:
        watch.session.monitor.refresh()
        snapshot = await watch.until_lost()
        stand_in.clear_faults()
        # What the next attempt had begun to read goes as well.
        await eventually(lambda: traced_memory() < 4 * 1024 * 1024)
    finally:
        tracemalloc.stop()
    assert isinstance(snapshot.connection.error, BadResponse)


def traced_memory() -> int:
    """The bytes that are in use, without what waits for the garbage collector."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@pytest.mark.parametrize(
    "fault", [GarbageBody(), HtmlPage(), WrongTypes(), ConnectionClose(), EndlessBody(b"x" * 65536)]
)
async def test_nonsense_in_place_of_events_leaves_the_polls(
    server: Server, stand_in: StandIn, other: OtherClient, tmp_path: Path, fault: Fault
) -> None:
    stand_in.fault("/api/events", fault)
    async with watched(server, tmp_path) as watch:
        await eventually(lambda: asked_for(stand_in, "/api/events"))
        await other.load(QUICK)
        await watch.until_state(QUICK, RunState.READY)


async def test_of_a_hundred_thousand_models_the_first_5000_are_kept(
    server: Server, stand_in: StandIn, tmp_path: Path
) -> None:
    entries = ",".join(f'{{"id":"model-{number}","object":"model"}}' for number in range(100_000))
    stand_in.fault("/v1/models", FixedResponse(body=f'{{"data":[{entries}]}}'.encode()))
    async with watched(server, tmp_path) as watch:
        assert len(watch.snapshot.models) == MAX_MODELS
        assert watch.snapshot.total_models >= 100_000


async def test_closing_leaves_no_task_and_no_open_file(
    server: Server, stand_in: StandIn, other: OtherClient, tmp_path: Path
) -> None:
    async with watched(server, tmp_path) as watch:
        await watch.until_events_flow()
    gc.collect()
    tasks, files = asyncio.all_tasks(), _open_files()
    async with watched(server, tmp_path) as watch:
        await watch.until_events_flow()
        await other.load(QUICK)
        await watch.until_state(QUICK, RunState.READY)
    await eventually(lambda: _open_files() <= files)
    await eventually(lambda: asyncio.all_tasks() <= tasks)


async def test_closing_in_the_middle_of_a_hanging_request_is_quick(
    server: Server, stand_in: StandIn, tmp_path: Path
) -> None:
    stand_in.fault("/", Hang())
    began = time.monotonic()
    async with watched(server, tmp_path, live=False):
        await eventually(lambda: stand_in.requests)
    assert time.monotonic() - began < 5


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.usefixtures("patient")
async def test_a_server_that_is_awaited_is_asked_without_long_pauses(
    watch: Watched, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reload, "RESPONSE_INTERVAL", 0.05)
    await stand_in.stop()
    await watch.until_lost()
    async with beside(reload.wait_for_response(watch.session, 10.0)) as (waiting,):
        attempts = watch.snapshot.connection.attempts
        await watch.until(lambda now: now.connection.attempts > attempts)
        await stand_in.start()
        await waiting
    assert watch.snapshot.connection.phase is ConnectionPhase.LIVE
