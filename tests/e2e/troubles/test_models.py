"""What the screen says of models that go wrong, and of a machine that slept."""

from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic, time

import pytest

from aitui.domain.snapshot import Clock, Server
from catalogue import CATALOGUE, NAPS, OUT_OF_MEMORY, OUT_OF_MEMORY_REASON, QUICK
from stand_in import FixedResponse, StandIn
from ui.driven import Driven, driven


async def test_a_model_that_has_gone_from_the_config(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    stand_in.fault("/api/events", FixedResponse(404))
    async with driven(server, tmp_path, size=(120, 30)) as app:
        await app.see(" ms ", QUICK)
        await stand_in.reload(CATALOGUE.replace(QUICK, "quick-7b-Q8_0"))
        app.go_to(QUICK)
        await app.press("l")
        await app.told(f"no model “{QUICK}” on this server")
        await app.told("nearest: quick-7b-Q8_0")
        await app.told("F5")


@pytest.fixture
async def app(server: Server, tmp_path: Path) -> AsyncIterator[Driven]:
    async with driven(server, tmp_path, size=(120, 36)) as running:
        await running.until(lambda: running.models.snapshot.events_flow, "live")
        yield running


async def test_a_load_that_vanished_shows_why_and_brings_its_victim_back(app: Driven) -> None:
    app.go_to(QUICK)
    await app.press("l")
    await app.until_ready(QUICK)
    app.go_to(OUT_OF_MEMORY)
    await app.press("l")
    await app.see(f"▌{QUICK}")
    await app.answer("y")
    await app.see(f"Load {QUICK} again?", OUT_OF_MEMORY_REASON, "was evicted for it")
    await app.answer("y")
    await app.until_ready(QUICK)
    app.go_to(OUT_OF_MEMORY)
    await app.see("failed", "out of memory: 4096.00 MiB", "L log")


async def test_after_a_sleep_everything_is_asked_anew_and_ages_are_right(tmp_path: Path) -> None:
    slept = 0.0
    clock = Clock(monotonic, lambda: time() + slept)
    async with StandIn(CATALOGUE.replace("ttl: 2", "ttl: 3600")) as stand_in:
        server = Server(stand_in.url, identity="slept", name="slept")
        async with driven(server, tmp_path, size=(120, 36), clock=clock) as app:
            await app.until(lambda: app.models.snapshot.events_flow, "live")
            app.go_to(NAPS)
            await app.press("l")
            await app.until_ready(NAPS)
            await app.see(" 59m ")
            asked = len(stand_in.requests)
            slept = 1800.0
            await app.see(" 29m ", "ready 30 min")

            def anew() -> set[str]:
                return {request.path for request in stand_in.requests[asked:]}

            everything = {"/v1/models", "/running", "/api/events"}
            await app.until(lambda: anew() >= everything, "asked anew")
