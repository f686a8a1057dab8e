"""What is known of a server's memory while its models come and go."""

import asyncio
import time
from pathlib import Path

import pytest

from aitui.aio import sleep_until
from aitui.domain.hardware.sample import SampleSource
from aitui.domain.memory.footprint import FootprintOrigin
from aitui.domain.memory.forecast import FitVerdict
from aitui.domain.models import ContextSize, ContextSource, RunState
from aitui.domain.snapshot import Clock, Server
from aitui.errors import LoadFailed
from aitui.host.local import LocalHost
from aitui.services import hardware
from aitui.services.load import load_model
from aitui.store.measurements import Measurements
from catalogue import OUT_OF_MEMORY, QUICK, STEADY
from stand_in import StandIn
from ui.memory.feeding import fed, until_memory, used
from watched import PATIENCE, asked_for, nobody, yes

MIB = 1 << 20
OTHERS = 612 * MIB
MODEL = 4096 * MIB
NO_MONITOR = """\
performance: {disabled: true}
models:
  quick-7b-Q4_K_M:
    cmd: /opt/llama.cpp/llama-server --port ${PORT} --ctx-size 8192 --load-delay 0.05
"""


async def test_an_idle_server_has_its_card_and_what_others_use(
    server: Server, tmp_path: Path, stand_in: StandIn
) -> None:
    async with fed(server, tmp_path) as watch:
        snapshot = await until_memory(watch, lambda memory: memory.usage.source)
        picture = snapshot.hardware.usage
        assert picture.source is SampleSource.SERVER
        assert picture.total_bytes == 96 * 1024 * MIB
        assert picture.cards[0].others == OTHERS
        assert picture.cards[0].models == ()


async def test_an_idle_server_is_sampled_less_often_until_a_view_shows_it(
    server: Server, tmp_path: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour, began, pauses = 3600.0, time.monotonic(), list[float]()
    monkeypatch.setattr(hardware, "QUIET_INTERVAL", hour)
    is_quiet = asyncio.Event()

    async def sleep(event: asyncio.Event, seconds: float | None) -> None:
        if seconds is not None and seconds > hour / 2:
            pauses.append(seconds)
            is_quiet.set()
        await sleep_until(event, seconds)

    monkeypatch.setattr(hardware, "sleep_until", sleep)
    # Each second counts as an hour: the last change is soon long ago.
    clock = Clock(lambda: began + (time.monotonic() - began) * hour, time.time)
    async with fed(server, tmp_path, clock=clock) as watch:
        async with asyncio.timeout(PATIENCE):
            await is_quiet.wait()
        is_quiet.clear()
        watch.session.hardware.set_watched(watched=True)
        watch.session.hardware.set_watched(watched=False)
        async with asyncio.timeout(PATIENCE):
            await is_quiet.wait()
        assert len(pauses) == 2


async def test_a_loaded_model_has_what_its_log_says_it_took(
    server: Server, tmp_path: Path, stand_in: StandIn
) -> None:
    async with fed(server, tmp_path) as watch:
        await load_model(watch.session, QUICK, nobody)
        snapshot = await until_memory(watch, lambda memory: QUICK in memory.usage.observed_now)
        model = snapshot.model(QUICK)
        assert model is not None
        assert model.memory is not None
        assert model.memory.gpu == pytest.approx(MODEL, rel=0.001)
        assert model.memory.origin is FootprintOrigin.MEASURED
        assert model.memory.weights is not None
        assert model.memory.cache is not None


async def test_the_card_fills_with_a_load_and_empties_with_an_unload(
    server: Server, tmp_path: Path, stand_in: StandIn
) -> None:
    async with fed(server, tmp_path) as watch:
        await until_memory(watch, lambda memory: memory.usage.used_bytes == OTHERS)
        await load_model(watch.session, QUICK, nobody)
        await until_memory(watch, lambda memory: memory.usage.used_bytes == OTHERS + MODEL)
        await watch.session.client.unload(QUICK)
        await until_memory(watch, lambda memory: memory.usage.used_bytes == OTHERS)
        assert used(watch.session) == OTHERS


async def test_what_a_load_took_is_remembered_by_server_model_and_context(
    server: Server, tmp_path: Path, stand_in: StandIn
) -> None:
    async with fed(server, tmp_path) as watch:
        await load_model(watch.session, QUICK, nobody)
        await until_memory(watch, lambda memory: QUICK in memory.models)
    kept = await Measurements.open(tmp_path / "memory.json")
    (measured,) = kept.of_model(server.identity, QUICK).measurements
    assert measured.context_size == 8192
    assert measured.gpu == pytest.approx(MODEL, rel=0.001)
    assert kept.of_model("another server", QUICK).measurements == ()


async def test_what_was_measured_once_is_told_of_a_model_that_is_not_loaded(
    server: Server, tmp_path: Path, stand_in: StandIn
) -> None:
    async with fed(server, tmp_path) as watch:
        await load_model(watch.session, QUICK, nobody)
        await until_memory(watch, lambda memory: QUICK in memory.models)
        await watch.session.client.unload(QUICK)
        snapshot = await watch.until(
            lambda now: (
                (model := now.model(QUICK)) is not None
                and model.state is RunState.STOPPED
                and model.memory is not None
            )
        )
        model = snapshot.model(QUICK)
        assert model is not None
        assert model.memory is not None
        assert model.memory.gpu == pytest.approx(MODEL, rel=0.001)


async def test_a_load_that_died_of_memory_is_remembered_and_will_not_fit(
    server: Server, tmp_path: Path, stand_in: StandIn
) -> None:
    async with fed(server, tmp_path) as watch:
        await until_memory(watch, lambda memory: memory.usage.source)
        with pytest.raises(LoadFailed):
            await load_model(watch.session, OUT_OF_MEMORY, yes(watch))
        snapshot = await until_memory(watch, lambda memory: OUT_OF_MEMORY in memory.models)
        fit = snapshot.hardware.fit(OUT_OF_MEMORY, 4096)
        assert fit.verdict is FitVerdict.NO
        assert "4,096" in fit.reason
        assert snapshot.hardware.fit(OUT_OF_MEMORY, 2048).verdict is not FitVerdict.NO


async def test_a_server_that_does_not_measure_says_so_and_shows_no_figure(
    tmp_path: Path, certificates: object
) -> None:
    async with StandIn(NO_MONITOR) as stand_in:
        server = Server(url=stand_in.url, identity="plain")
        async with fed(server, tmp_path) as watch:
            snapshot = await until_memory(watch, lambda memory: memory.error)
            assert snapshot.hardware.usage.total_bytes is None
            assert "turned off" in snapshot.hardware.error


async def test_where_the_server_does_not_measure_its_machine_is_asked(tmp_path: Path) -> None:
    async with StandIn(NO_MONITOR) as stand_in:
        server = Server(url=stand_in.url, identity="plain")
        async with LocalHost() as host, fed(server, tmp_path) as watch:
            watch.session.hardware.set_host(host)
            snapshot = await until_memory(watch, lambda memory: memory.usage.source)
            assert snapshot.hardware.usage.source is SampleSource.HOST
            assert snapshot.hardware.usage.machine is not None
            assert snapshot.hardware.history.samples


async def test_only_newer_samples_are_fetched(
    server: Server, tmp_path: Path, stand_in: StandIn
) -> None:
    async with fed(server, tmp_path) as watch:
        await until_memory(watch, lambda memory: memory.usage.source)
        await until_memory(watch, lambda memory: len(memory.history.samples) >= 3)
    first, *others = asked_for(stand_in, "/api/performance")
    assert first == "/api/performance"
    assert others
    assert all("?after=" in path for path in others)
    assert len(others) <= 2


async def test_a_models_command_is_not_run_to_learn_of_it(
    server: Server, tmp_path: Path, stand_in: StandIn
) -> None:
    async with fed(server, tmp_path) as watch:
        await load_model(watch.session, STEADY, nobody)
        await until_memory(watch, lambda memory: STEADY in memory.models)
    assert not asked_for(stand_in, f"/upstream/{QUICK}")


async def test_the_next_start_knows_with_which_context_a_stopped_model_ran(
    server: Server, tmp_path: Path, stand_in: StandIn
) -> None:
    async with fed(server, tmp_path) as watch:
        await load_model(watch.session, QUICK, nobody)
        await until_memory(watch, lambda memory: QUICK in memory.models)
        await watch.session.client.unload(QUICK)
    async with fed(server, tmp_path) as watch:
        snapshot = await watch.until(
            lambda now: (model := now.model(QUICK)) is not None and model.memory is not None
        )
    model = snapshot.model(QUICK)
    assert model is not None
    assert model.context == ContextSize(8192, ContextSource.LAST_COMMAND)
    assert model.memory is not None
    assert model.memory.gpu == pytest.approx(MODEL, rel=0.001)
