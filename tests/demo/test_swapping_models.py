"""Who may stay, who has to go, and who waits."""

from __future__ import annotations

import asyncio

import pytest

from aitui.demo.dialect import Dialect
from demo.lab import Lab, open_lab
from demo.situations import GEMMA


# v263 swaps as the build of August does; where they differ a test names them.
@pytest.fixture(params=[Dialect.V217, Dialect.V218, Dialect.V263])
def dialect(request: pytest.FixtureRequest) -> Dialect:
    chosen: Dialect = request.param
    return chosen


async def test_another_model_takes_the_place_of_the_first(dialect: Dialect) -> None:
    async with open_lab(dialect) as lab:
        await lab.load("slow-start", "slow-load")
        assert lab.server.running() == {"slow-load": "ready"}


async def test_models_of_a_group_without_swap_live_together(dialect: Dialect) -> None:
    async with open_lab(dialect) as lab:
        await lab.load("qwen3-8b", "hidden-embed")
        assert lab.server.running() == {"qwen3-8b": "ready", "hidden-embed": "ready"}


GROUPS = """\
models:
  big: {cmd: "llama-server --port ${PORT}"}
  other: {cmd: "llama-server --port ${PORT}"}
  small: {cmd: "llama-server --port ${PORT}"}
  kept: {cmd: "llama-server --port ${PORT}"}
groups:
  small ones: {exclusive: false, members: [small]}
  forever: {persistent: true, exclusive: false, members: [kept]}
"""


async def test_a_group_that_excludes_nobody_comes_beside_the_others(dialect: Dialect) -> None:
    async with open_lab(dialect, GROUPS) as lab:
        await lab.load("big", "small")
        assert lab.server.running() == {"big": "ready", "small": "ready"}


async def test_a_persistent_group_stays_where_an_exclusive_one_comes(dialect: Dialect) -> None:
    async with open_lab(dialect, GROUPS) as lab:
        await lab.load("kept", "small", "big")
        assert lab.server.running() == {"kept": "ready", "big": "ready"}


async def test_a_request_for_a_ready_model_evicts_whom_its_group_excludes(
    dialect: Dialect,
) -> None:
    async with open_lab(dialect, GROUPS) as lab:
        await lab.load("big", "small", "big")
        assert lab.server.running() == {"big": "ready"}
        _, log = await lab.get("/logs")
        assert log.count("<big> Health check passed") == 1


async def test_callers_who_ask_at_the_same_time_share_one_load(dialect: Dialect) -> None:
    async with open_lab(dialect) as lab:
        answers = await asyncio.gather(*(lab.get("/upstream/slow-start/health") for _ in range(3)))
        _, log = await lab.get("/logs")
        assert {status for status, _ in answers} == {200}
        assert log.count("<slow-start> Health check passed") == 1


async def test_a_load_goes_on_when_the_client_hangs_up(dialect: Dialect) -> None:
    async with open_lab(dialect) as lab:
        request = lab.beside(lab.load("slow-start"))
        await lab.until_state("slow-start", "starting")
        request.cancel()
        await lab.until_state("slow-start", "ready")


async def test_a_swap_waits_for_a_running_request(dialect: Dialect) -> None:
    async with open_lab(dialect) as lab:
        async with lab.server.busy("one-at-a-time"):
            waiter = lab.beside(lab.load("slow-start"))
            await asyncio.sleep(0.1)
            assert lab.server.running() == {"one-at-a-time": "ready"}
        await waiter
        assert lab.server.running() == {"slow-start": "ready"}


async def hang_up_in_the_queue(lab: Lab) -> None:
    """Ask for a model that has to wait for another one, and leave before its turn."""
    async with lab.server.busy("one-at-a-time"):
        waiter = lab.beside(lab.load("slow-start"))
        await asyncio.sleep(0.05)
        waiter.cancel()
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.05)


@pytest.mark.parametrize("build", [Dialect.HEAD, Dialect.V263])
async def test_a_waiter_who_hangs_up_before_his_turn_loads_nothing(build: Dialect) -> None:
    async with open_lab(build) as lab:
        await hang_up_in_the_queue(lab)
        assert lab.server.running() == {"one-at-a-time": "ready"}


@pytest.mark.parametrize("build", [Dialect.V217, Dialect.V218])
async def test_older_builds_load_for_a_waiter_who_has_hung_up(build: Dialect) -> None:
    async with open_lab(build) as lab:
        await hang_up_in_the_queue(lab)
        await lab.until_state("slow-start", "ready")
        assert lab.server.running() == {"slow-start": "ready"}


async def test_an_idle_model_goes_after_its_time_to_live(dialect: Dialect) -> None:
    async with open_lab(dialect, LONG_TTL) as lab:
        await lab.load("keeper")
        await lab.idle(55)
        assert lab.server.running() == {"keeper": "ready"}
        await lab.idle(10)
        await lab.until_state("keeper", "stopped")
        _, log = await lab.get("/logs")
        assert "[INFO] <keeper> Unloading model, TTL of 60s reached" in log


async def test_any_upstream_request_starts_the_time_to_live_anew(dialect: Dialect) -> None:
    async with open_lab(dialect) as lab:
        await lab.load("ttl-short")
        for _ in range(6):
            await asyncio.sleep(0.05)
            await lab.get("/upstream/ttl-short/health")
        assert lab.server.running() == {"ttl-short": "ready"}


LONG_TTL = """\
models:
  keeper: {ttl: 60, cmd: "llama-server --port ${PORT} --load-delay 0.2"}
"""


async def load_and_hang_up(lab: Lab) -> None:
    """Ask for a model, and be gone when it comes up."""
    request = lab.beside(lab.load("keeper"))
    await lab.until_state("keeper", "starting")
    request.cancel()
    await lab.until_state("keeper", "ready")


@pytest.mark.parametrize("build", [Dialect.V218, Dialect.HEAD])
async def test_a_model_that_nobody_waited_for_goes_at_the_first_look(build: Dialect) -> None:
    async with open_lab(build, LONG_TTL) as lab:
        await load_and_hang_up(lab)
        await lab.until_state("keeper", "stopped")
        _, log = await lab.get("/logs")
        assert "[INFO] <keeper> Unloading model, TTL of 60s reached" in log


@pytest.mark.parametrize("build", [Dialect.V217, Dialect.V263])
async def test_the_time_to_live_begins_when_the_model_is_up(build: Dialect) -> None:
    async with open_lab(build, LONG_TTL) as lab:
        await load_and_hang_up(lab)
        await lab.idle(55)
        assert lab.server.running() == {"keeper": "ready"}


async def test_a_model_that_was_waited_for_stays(dialect: Dialect) -> None:
    async with open_lab(dialect, LONG_TTL) as lab:
        await lab.load("keeper")
        await lab.idle(55)
        assert lab.server.running() == {"keeper": "ready"}


async def test_one_who_waits_is_enough(dialect: Dialect) -> None:
    async with open_lab(dialect, LONG_TTL) as lab:
        waits = lab.beside(lab.load("keeper"))
        await load_and_hang_up(lab)
        await waits
        await lab.idle(55)
        assert lab.server.running() == {"keeper": "ready"}


async def test_the_last_use_counts_from_before_an_unload(dialect: Dialect) -> None:
    async with open_lab(dialect, LONG_TTL) as lab:
        await lab.load("keeper")
        await lab.post("/api/models/unload/keeper")
        await load_and_hang_up(lab)
        await lab.idle(55)
        assert lab.server.running() == {"keeper": "ready"}


async def test_polling_running_does_not_keep_a_model(dialect: Dialect) -> None:
    async with open_lab(dialect) as lab:
        await lab.load("ttl-short")
        await asyncio.sleep(0.05)
        async with asyncio.timeout(2):
            while "ttl-short" in lab.server.running():
                await lab.get("/running")
                await asyncio.sleep(0.01)


async def test_a_model_that_dies_vanishes_and_cuts_the_chat(dialect: Dialect) -> None:
    async with open_lab(dialect) as lab:
        _, body = await lab.chat("dies-midstream")
        assert "[DONE]" not in body
        assert lab.server.running() == {}


async def test_a_failed_load_has_evicted_the_good_model(dialect: Dialect) -> None:
    async with open_lab(dialect) as lab:
        await lab.load("slow-start", "broken")
        assert lab.server.running() == {}


@pytest.mark.parametrize("build", [Dialect.V217, Dialect.HEAD])
async def test_unload_waits_until_the_process_has_stopped(build: Dialect) -> None:
    assert await seconds_of_an_unload(build) >= 0.15


async def test_v218_unloads_at_once() -> None:
    assert await seconds_of_an_unload(Dialect.V218) < 0.15


async def test_unloading_all_leaves_nothing(dialect: Dialect) -> None:
    async with open_lab(dialect) as lab:
        await lab.load("qwen3-8b", "hidden-embed")
        await lab.post("/api/models/unload")
        assert lab.server.running() == {}


async def test_a_client_that_leaves_stops_the_generation(dialect: Dialect) -> None:
    async with open_lab(dialect) as lab:
        await lab.load("slow-start")
        chat = lab.beside(lab.chat("slow-start"))
        await asyncio.sleep(0.04)
        chat.cancel()
        await asyncio.sleep(0.05)
        _, slots = await lab.get("/upstream/slow-start/slots")
        assert '"is_processing": true' not in slots


async def seconds_of_an_unload(build: Dialect) -> float:
    """How long the model that is slow to stop takes to be unloaded."""
    async with open_lab(build) as lab:
        await lab.load(GEMMA)
        clock = asyncio.get_running_loop().time
        began = clock()
        status, _ = await lab.post(f"/api/models/unload/{GEMMA}")
        assert status == 200
        assert lab.server.running() == {}
        return clock() - began
