"""Loading: what is asked before, when it ends, and what is said where it fails."""

import asyncio
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.demo.dialect import Dialect
from aitui.domain.models import RunState
from aitui.domain.snapshot import Server
from aitui.errors import ActionRefused, LoadFailed, NoSuchModel, ProxyError, Unreachable
from aitui.services.load import LoadResult, ModelNotReady, load_model
from aitui.services.unload import unload_model
from catalogue import (
    ALIAS,
    LONG,
    MISSING_FILE,
    NO_PROGRAM,
    ODD,
    OUT_OF_MEMORY,
    OUT_OF_MEMORY_REASON,
    PAIR_CHAT,
    PAIR_EMBED,
    QUICK,
    SLASH,
    STEADY,
    UNHURRIED,
    dialects,
    each_dialect,
)
from other_client import OtherClient
from stand_in import ConnectionClose, Hang, HtmlPage, StandIn
from watched import Watched, asked_for, beside, eventually, no, nobody, watched, yes


@each_dialect
async def test_a_load_ends_when_running_lists_the_model_as_ready(
    watch: Watched, stand_in: StandIn
) -> None:
    loaded = await load_model(watch.session, STEADY, nobody)
    assert loaded is not None
    assert loaded.model_id == STEADY
    assert loaded.seconds > 0.2
    assert stand_in.running() == {STEADY: "ready"}
    model = watch.snapshot.model(STEADY)
    assert model is not None
    assert model.state is RunState.READY


@pytest.mark.parametrize("model_id", [SLASH, ODD, LONG])
@each_dialect
async def test_ids_of_any_kind_go_out_right(
    watch: Watched, stand_in: StandIn, model_id: str
) -> None:
    await load_model(watch.session, model_id, nobody)
    assert stand_in.running() == {model_id: "ready"}


@each_dialect
async def test_an_alias_is_as_good_as_an_id(watch: Watched, stand_in: StandIn) -> None:
    loaded = await load_model(watch.session, ALIAS, nobody)
    assert loaded is not None
    assert loaded.model_id == QUICK
    assert stand_in.running() == {QUICK: "ready"}


async def test_a_ready_model_is_not_asked_for_again(watch: Watched, stand_in: StandIn) -> None:
    await load_model(watch.session, QUICK, nobody)
    asked = len(asked_for(stand_in, "/upstream/"))
    assert await load_model(watch.session, QUICK, nobody) == LoadResult(QUICK, 0.0)
    assert len(asked_for(stand_in, "/upstream/")) == asked


async def test_while_it_loads_the_model_is_marked_as_waited_for(watch: Watched) -> None:
    async with beside(load_model(watch.session, STEADY, nobody)) as (loading,):
        await watch.until(
            lambda now: (model := now.model(STEADY)) is not None and model.requested is not None
        )
        await loading
    model = watch.snapshot.model(STEADY)
    assert model is not None
    assert model.requested is None


@each_dialect
async def test_two_loads_of_one_model_share_it(watch: Watched, stand_in: StandIn) -> None:
    first, second = await asyncio.gather(
        load_model(watch.session, STEADY, nobody), load_model(watch.session, STEADY, nobody)
    )
    assert first is not None
    assert second is not None


@each_dialect
async def test_a_load_that_evicts_names_the_victim_and_asks(
    watch: Watched, stand_in: StandIn
) -> None:
    await load_model(watch.session, QUICK, nobody)
    answers = yes(watch)
    await load_model(watch.session, STEADY, answers)
    (question,) = answers.questions
    assert question.title == f"Load {STEADY}?"
    assert any(f"≈ evicts {QUICK}" in fact for fact in question.lines)
    assert stand_in.running() == {STEADY: "ready"}


@each_dialect
async def test_no_loads_nothing(watch: Watched, stand_in: StandIn) -> None:
    await load_model(watch.session, QUICK, nobody)
    assert await load_model(watch.session, STEADY, no(watch)) is None
    assert stand_in.running() == {QUICK: "ready"}
    assert len(asked_for(stand_in, f"/upstream/{STEADY}")) == 0


@dialects(Dialect.HEAD)
async def test_the_question_says_how_many_requests_the_victim_serves(
    watch: Watched, stand_in: StandIn
) -> None:
    async with stand_in.busy(QUICK):
        await watch.until(lambda now: now.requests.total == 1)
        await watch.until_state(QUICK, RunState.READY)
        answers = no(watch)
        await load_model(watch.session, STEADY, answers)
        assert any("1 request is running" in fact for fact in answers.questions[0].lines)


async def test_the_question_says_how_long_it_took_the_last_times(watch: Watched) -> None:
    await load_model(watch.session, STEADY, nobody)
    await eventually(lambda: watch.load_times.expected("stand-in", STEADY))
    await load_model(watch.session, QUICK, yes(watch))
    answers = no(watch)
    await load_model(watch.session, STEADY, answers)
    assert any("took" in fact for fact in answers.questions[0].lines)


@each_dialect
async def test_known_companions_are_not_asked_about(watch: Watched) -> None:
    await load_model(watch.session, PAIR_CHAT, nobody)
    await load_model(watch.session, PAIR_EMBED, yes(watch))
    await unload_model(watch.session, PAIR_EMBED, nobody)
    await load_model(watch.session, PAIR_EMBED, nobody)


@each_dialect
async def test_a_failed_load_says_why_with_the_log_and_whom_it_evicted(watch: Watched) -> None:
    await load_model(watch.session, QUICK, nobody)
    with pytest.raises(LoadFailed) as caught:
        await load_model(watch.session, OUT_OF_MEMORY, yes(watch))
    assert caught.value.why == OUT_OF_MEMORY_REASON
    assert any("cudaMalloc failed" in line for line in caught.value.log)
    assert caught.value.evicted == (QUICK,)


@each_dialect
async def test_a_failed_load_stays_with_its_model(watch: Watched) -> None:
    with pytest.raises(LoadFailed):
        await load_model(watch.session, MISSING_FILE, nobody)
    model = watch.snapshot.model(MISSING_FILE)
    assert model is not None
    assert model.failed is not None
    assert model.failed.reason == "the file /models/gone.gguf does not exist"
    assert model.requested is None


async def test_a_load_that_has_failed_does_not_wait_while_its_log_is_read(
    watch: Watched, stand_in: StandIn
) -> None:
    stand_in.fault("/logs/", Hang())
    async with beside(load_model(watch.session, MISSING_FILE, nobody)) as loads:
        snapshot = await watch.until(
            lambda now: (model := now.model(MISSING_FILE)) is not None and model.failed is not None
        )
        model = snapshot.model(MISSING_FILE)
        assert model is not None
        assert (loads[0].done(), model.requested) == (False, None)


@each_dialect
async def test_a_program_that_does_not_exist_is_named(watch: Watched) -> None:
    with pytest.raises(LoadFailed) as caught:
        await load_model(watch.session, NO_PROGRAM, nobody)
    assert caught.value.why == "the program /nonexistent/llama-server does not exist"


async def test_an_unknown_id_gets_the_nearest_ones(watch: Watched, stand_in: StandIn) -> None:
    with pytest.raises(NoSuchModel) as caught:
        await load_model(watch.session, "steady-30b", nobody)
    assert STEADY in caught.value.why
    assert not asked_for(stand_in, "/upstream/")


@each_dialect
async def test_a_model_of_a_peer_is_refused_with_its_name(
    watch: Watched, stand_in: StandIn
) -> None:
    peer = next(model.id for model in watch.snapshot.models if model.peer)
    with pytest.raises(ActionRefused, match="peer1"):
        await load_model(watch.session, peer, nobody)
    assert not asked_for(stand_in, "/upstream/")


async def test_a_read_only_server_is_left_as_it_is(
    server: Server, stand_in: StandIn, tmp_path: Path
) -> None:
    async with watched(replace(server, read_only=True), tmp_path) as watch:
        with pytest.raises(ActionRefused, match="read-only"):
            await load_model(watch.session, QUICK, nobody)
    assert not asked_for(stand_in, "/upstream/")


@each_dialect
async def test_a_load_that_is_unloaded_meanwhile_ends_with_nothing(
    watch: Watched, stand_in: StandIn
) -> None:
    async with beside(load_model(watch.session, UNHURRIED, nobody)) as (loading,):
        await watch.until_state(UNHURRIED, RunState.STARTING)
        began = time.monotonic()
        async with beside(unload_model(watch.session, UNHURRIED, nobody)) as (unloading,):
            assert await loading is None
            assert time.monotonic() - began < 0.8
            assert await unloading == (UNHURRIED,)
    assert stand_in.running() == {}
    model = watch.snapshot.model(UNHURRIED)
    assert model is not None
    assert model.failed is None


@each_dialect
async def test_a_load_of_a_busy_server_waits(watch: Watched, stand_in: StandIn) -> None:
    async with beside() as _, stand_in.busy(QUICK):
        await watch.until_state(QUICK, RunState.READY)
        loading = asyncio.create_task(load_model(watch.session, STEADY, yes(watch)))
        await eventually(lambda: asked_for(stand_in, f"/upstream/{STEADY}"))
        await asyncio.sleep(0.5)
        assert not loading.done()
        assert stand_in.running() == {QUICK: "ready"}
    assert await loading is not None
    assert stand_in.running() == {STEADY: "ready"}


# On v217 an unload waits for its turn as well.
@dialects(Dialect.V218, Dialect.HEAD, Dialect.V263)
async def test_a_load_in_the_queue_can_be_taken_back(watch: Watched, stand_in: StandIn) -> None:
    async with stand_in.busy(QUICK):
        await watch.until_state(QUICK, RunState.READY)
        async with beside(load_model(watch.session, STEADY, yes(watch))) as (loading,):
            await eventually(lambda: asked_for(stand_in, f"/upstream/{STEADY}"))
            await unload_model(watch.session, STEADY, nobody)
            assert await loading is None
    await asyncio.sleep(0.3)
    assert stand_in.running() == {QUICK: "ready"}


@each_dialect
async def test_the_time_limit_does_not_count_while_the_load_is_queued(
    server: Server, stand_in: StandIn, tmp_path: Path
) -> None:
    async with watched(replace(server, timeout=8.0), tmp_path) as watch:
        await watch.until_events_flow()
        async with stand_in.busy(QUICK):
            await watch.until_state(QUICK, RunState.READY)
            loading = asyncio.create_task(load_model(watch.session, STEADY, yes(watch)))
            await asyncio.sleep(10)
            assert not loading.done()
        assert await loading is not None


@each_dialect
async def test_the_time_limit_counts_from_when_the_server_begins(
    server: Server, stand_in: StandIn, tmp_path: Path
) -> None:
    async with watched(replace(server, timeout=0.4), tmp_path) as watch:
        await watch.until_events_flow()
        with pytest.raises(ModelNotReady, match="limit"):
            await load_model(watch.session, UNHURRIED, nobody)
        assert stand_in.running() == {UNHURRIED: "starting"}
        model = watch.snapshot.model(UNHURRIED)
        assert model is not None
        assert model.failed is None


@dialects(Dialect.V218)
async def test_a_load_that_a_proxy_cuts_in_the_queue_is_shown_as_queued(
    watch: Watched, stand_in: StandIn
) -> None:
    async with stand_in.busy(QUICK):
        await watch.until_state(QUICK, RunState.READY)
        stand_in.fault("/upstream/", HtmlPage(504))
        with pytest.raises(ProxyError):
            await load_model(watch.session, STEADY, yes(watch))
        model = watch.snapshot.model(STEADY)
        assert model is not None
        assert model.queued is not None


@pytest.mark.parametrize("fault", [HtmlPage(504), Hang(0.3)], ids=["a page", "no word"])
async def test_a_load_whose_wait_a_proxy_cuts_is_watched_on(
    watch: Watched, other: OtherClient, stand_in: StandIn, fault: HtmlPage | Hang
) -> None:
    async with beside(other.load(UNHURRIED)):
        await watch.until_state(UNHURRIED, RunState.STARTING)
        stand_in.fault("/upstream/", fault)
        assert await load_model(watch.session, UNHURRIED, nobody) is not None
        assert stand_in.running() == {UNHURRIED: "ready"}


@each_dialect
async def test_a_load_whose_connection_breaks_is_watched_on(
    watch: Watched, other: OtherClient, stand_in: StandIn
) -> None:
    async with beside(other.load(UNHURRIED)):
        await watch.until_state(UNHURRIED, RunState.STARTING)
        stand_in.fault("/upstream/", ConnectionClose())
        assert await load_model(watch.session, UNHURRIED, nobody) is not None
        assert stand_in.running() == {UNHURRIED: "ready"}


@each_dialect
async def test_a_load_whose_long_answer_breaks_and_that_vanishes_has_failed(
    watch: Watched, other: OtherClient, stand_in: StandIn
) -> None:
    async with beside(other.load(OUT_OF_MEMORY)):
        await watch.until_state(OUT_OF_MEMORY, RunState.STARTING)
        stand_in.fault("/upstream/", ConnectionClose())
        with pytest.raises(LoadFailed) as caught:
            await load_model(watch.session, OUT_OF_MEMORY, nobody)
    assert caught.value.why == OUT_OF_MEMORY_REASON


async def test_a_load_that_never_reached_the_server_is_not_said_to_have_failed(
    watch: Watched, stand_in: StandIn
) -> None:
    stand_in.fault("/upstream/", HtmlPage(502))
    with pytest.raises(ProxyError):
        await load_model(watch.session, QUICK, nobody)


async def test_a_server_that_goes_while_it_loads_is_unreachable(
    watch: Watched, stand_in: StandIn
) -> None:
    async with beside(load_model(watch.session, UNHURRIED, nobody)) as (loading,):
        await watch.until_state(UNHURRIED, RunState.STARTING)
        await stand_in.stop()
        with pytest.raises(Unreachable):
            await loading


@each_dialect
async def test_a_load_that_is_no_longer_watched_goes_on_at_the_server(
    watch: Watched, stand_in: StandIn
) -> None:
    async with beside(load_model(watch.session, STEADY, nobody)):
        await watch.until_state(STEADY, RunState.STARTING)
    await watch.until_state(STEADY, RunState.READY)
    model = watch.snapshot.model(STEADY)
    assert model is not None
    assert model.requested is None


async def test_a_load_does_not_end_before_running_agrees(watch: Watched, stand_in: StandIn) -> None:
    stand_in.fault("/running", Hang(1.0), times=1)
    await load_model(watch.session, QUICK, nobody)
    model = watch.snapshot.model(QUICK)
    assert model is not None
    assert model.state is RunState.READY
