"""How far a load is and since when a model is ready, where the server reports it."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.color import Color

from aitui.demo.dialect import Dialect
from aitui.domain.events import ModelStatusChanged
from aitui.domain.models import Model, ModelStatus, RunningModel, RunState
from aitui.domain.snapshot import Clock, Server
from aitui.format.status import status_as_lines, status_line, status_report
from aitui.format.styled import plain_text
from aitui.llamaswap.client import LlamaSwapClient
from aitui.services.load import ModelNotReady, load_model
from aitui.services.state import ServerState
from aitui.ui.widgets.model_detail import DetailFacts, detail_rows, format_duration
from aitui.ui.widgets.model_table import RowFacts, state_text
from catalogue import QUICK, each_dialect
from other_client import OtherClient
from stand_in import StandIn
from watched import Watched, beside, nobody, watched

CONFIG = """\
healthCheckTimeout: 6
models:
  reports: {cmd: "llama-server --port ${PORT} --load-delay 15 --progress-reports 10"}
  plain: {cmd: "llama-server --port ${PORT} --load-delay 5"}
"""


@pytest.fixture
async def newest() -> AsyncIterator[StandIn]:
    async with StandIn(CONFIG, Dialect.V263) as running:
        yield running


@pytest.fixture
def reached(newest: StandIn) -> Server:
    return Server(newest.url, identity="newest", timeout=6.0)


def moment(monotonic: float) -> RowFacts:
    return RowFacts(monotonic, time.time())


def first_row(model: Model, monotonic: float) -> str:
    """What the detail pane says of a state at that moment."""
    rows = detail_rows(model, DetailFacts(moment(monotonic), Color.parse), 100, 20)
    return "".join(text for text, _ in rows[0])


async def test_a_reported_load_shows_its_share_and_the_servers_words(
    reached: Server, tmp_path: Path
) -> None:
    async with watched(reached, tmp_path) as watch, LlamaSwapClient(reached) as client:
        await watch.until_events_flow()
        async with beside(client.load("reports")):
            snapshot = await watch.until(
                lambda now: (found := now.model("reports")) is not None and found.progress == 0.5
            )
            model = snapshot.model("reports")
            assert model is not None
            now = model.since + 7
            assert state_text(model, moment(now)) == "loading 50 %"
            assert "loading 50 % · 7 s so far · shard 6 of 10" in first_row(model, now)
            lines = status_as_lines("x", snapshot, time.monotonic(), None)
            assert "reports  loading 50 %" in plain_text(lines)
            assert "◐ reports loading 50 %" in status_line("x", snapshot)
            clock = Clock(time.monotonic, time.time)
            listed = status_report(reached, snapshot, clock)["models"]
            assert isinstance(listed, list)
            (entry,) = [entry for entry in listed if entry["id"] == "reports"]
            assert (entry["loading_progress"], entry["loading_message"]) == (0.5, "shard 6 of 10")
            model = await watch.until_state("reports", RunState.READY)
    assert (model.progress, model.progress_note) == (None, "")


async def test_a_load_without_reports_has_no_share(reached: Server, tmp_path: Path) -> None:
    async with watched(reached, tmp_path) as watch, LlamaSwapClient(reached) as client:
        await watch.until_events_flow()
        async with beside(client.load("plain")):
            model = await watch.until_state("plain", RunState.STARTING)
            assert model.progress is None
            assert state_text(model, moment(model.since)) == "loading 0 s"


async def test_a_load_is_waited_for_while_it_reports_progress(
    reached: Server, tmp_path: Path
) -> None:
    async with watched(reached, tmp_path) as watch:
        await watch.until_events_flow()
        loaded = await load_model(watch.session, "reports", nobody)
    assert loaded is not None
    assert loaded.seconds > 2 * reached.timeout


async def test_a_load_without_progress_is_given_up(reached: Server, tmp_path: Path) -> None:
    async with watched(replace(reached, timeout=2.5), tmp_path) as watch:
        await watch.until_events_flow()
        with pytest.raises(ModelNotReady) as given_up:
            await load_model(watch.session, "plain", nobody)
    assert "without progress; llama-swap keeps loading it" in given_up.value.why


@each_dialect
async def test_a_model_that_was_ready_before_is_dated_by_the_server_alone(
    stand_in: StandIn, server: Server, other: OtherClient, tmp_path: Path
) -> None:
    await other.load(QUICK)
    await asyncio.sleep(6)
    async with watched(server, tmp_path) as watch:
        await watch.until_events_flow()
        model = await watch.until_state(QUICK, RunState.READY)
        now = time.monotonic()
        text, uptime = first_row(model, now), model.uptime(now)
    if stand_in.dialect is Dialect.V263:
        assert uptime is not None
        assert uptime >= 6
        assert text.startswith(f"● ready {format_duration(uptime)}")
    else:
        assert uptime is None
        assert text.startswith("● ready · ")


async def test_a_model_that_becomes_ready_is_dated(watch: Watched, other: OtherClient) -> None:
    await other.load(QUICK)
    model = await watch.until_state(QUICK, RunState.READY)
    assert model.uptime(time.monotonic()) is not None


def test_progress_is_forgotten_with_the_events_that_reported_it() -> None:
    state = ServerState(Clock(time.monotonic, time.time))
    status = ModelStatus("a", RunState.STARTING, progress=0.5, progress_note="half")
    state.update_statuses(ModelStatusChanged((status,)))
    state.update_running((RunningModel("a", RunState.STARTING),))
    assert state.models[0].progress == 0.5
    state.clear_event_state()
    (model,) = state.merge()
    assert (model.state, model.progress, model.progress_note) == (RunState.STARTING, None, "")
