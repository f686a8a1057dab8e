"""Unloading one model or all: what is asked before, and when it has ended."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.demo.dialect import Dialect
from aitui.domain.models import RunState
from aitui.domain.snapshot import Server
from aitui.errors import ActionRefused, NoSuchModel, UnloadFailed
from aitui.services import unload as unload_module
from aitui.services.load import load_model
from aitui.services.unload import unload_all_models, unload_model
from catalogue import (
    ALIAS,
    ODD,
    PAIR_CHAT,
    PAIR_EMBED,
    QUICK,
    SLASH,
    STEADY,
    dialects,
    each_dialect,
)
from stand_in import FixedResponse, StandIn
from watched import Watched, asked_for, no, nobody, watched, yes


@each_dialect
async def test_an_idle_model_is_unloaded_without_a_question(
    watch: Watched, stand_in: StandIn
) -> None:
    await load_model(watch.session, STEADY, nobody)
    assert await unload_model(watch.session, STEADY, nobody) == (STEADY,)
    assert stand_in.running() == {}
    model = watch.snapshot.model(STEADY)
    assert model is not None
    assert model.state is RunState.STOPPED
    assert model.failed is None


@pytest.mark.parametrize("model_id", [SLASH, ODD])
@each_dialect
async def test_ids_of_any_kind_go_out_right(
    watch: Watched, stand_in: StandIn, model_id: str
) -> None:
    await load_model(watch.session, model_id, nobody)
    await unload_model(watch.session, model_id, nobody)
    assert stand_in.running() == {}


@each_dialect
async def test_an_alias_is_as_good_as_an_id(watch: Watched, stand_in: StandIn) -> None:
    await load_model(watch.session, QUICK, nobody)
    assert await unload_model(watch.session, ALIAS, nobody) == (QUICK,)
    assert stand_in.running() == {}


async def test_a_model_that_does_not_run_is_left_alone(watch: Watched, stand_in: StandIn) -> None:
    assert await unload_model(watch.session, QUICK, nobody) == ()
    assert not asked_for(stand_in, "/api/models/unload")


@each_dialect
async def test_a_model_in_use_is_asked_about(watch: Watched, stand_in: StandIn) -> None:
    async with stand_in.busy(QUICK):
        await watch.until_state(QUICK, RunState.READY)
        await watch.until(lambda now: now.requests.total == 1)
        answers = no(watch)
        assert await unload_model(watch.session, QUICK, answers) == ()
        assert any("1 running request will be cut" in fact for fact in answers.questions[0].lines)
        assert stand_in.running() == {QUICK: "ready"}
        assert not asked_for(stand_in, "/api/models/unload")


@dialects(Dialect.HEAD)
async def test_the_question_names_who_uses_the_model(watch: Watched, stand_in: StandIn) -> None:
    async with stand_in.busy(QUICK, remote_ip="192.168.2.20", user_agent="OpenWebUI/0.6"):
        await watch.until(lambda now: now.requests.total == 1)
        await watch.until_state(QUICK, RunState.READY)
        answers = no(watch)
        await unload_model(watch.session, QUICK, answers)
        assert "in use by 192.168.2.20 · OpenWebUI" in answers.questions[0].lines


@each_dialect
async def test_yes_cuts_whoever_uses_it(watch: Watched, stand_in: StandIn) -> None:
    async with stand_in.busy(QUICK):
        await watch.until_state(QUICK, RunState.READY)
        await watch.until(lambda now: now.requests.total == 1)
        assert await unload_model(watch.session, QUICK, yes(watch)) == (QUICK,)
        assert stand_in.running() == {}


async def test_an_unknown_id_gets_the_nearest_ones(watch: Watched) -> None:
    with pytest.raises(NoSuchModel) as caught:
        await unload_model(watch.session, "quick-7b", nobody)
    assert QUICK in caught.value.why


async def test_a_model_of_a_peer_is_refused(watch: Watched, stand_in: StandIn) -> None:
    peer = next(model.id for model in watch.snapshot.models if model.peer)
    with pytest.raises(ActionRefused, match="peer1"):
        await unload_model(watch.session, peer, nobody)
    assert not asked_for(stand_in, "/api/models/unload")


async def test_a_read_only_server_is_left_as_it_is(
    server: Server, stand_in: StandIn, tmp_path: Path
) -> None:
    async with watched(server, tmp_path) as watch:
        await load_model(watch.session, QUICK, nobody)
    async with watched(replace(server, read_only=True), tmp_path) as watch:
        with pytest.raises(ActionRefused, match="read-only"):
            await unload_model(watch.session, QUICK, nobody)
        with pytest.raises(ActionRefused, match="read-only"):
            await unload_all_models(watch.session, nobody)
    assert stand_in.running() == {QUICK: "ready"}


@each_dialect
async def test_all_are_unloaded_after_a_question_that_names_them(
    watch: Watched, stand_in: StandIn
) -> None:
    await load_model(watch.session, PAIR_CHAT, nobody)
    await load_model(watch.session, PAIR_EMBED, yes(watch))
    answers = yes(watch)
    assert await unload_all_models(watch.session, answers) == (PAIR_CHAT, PAIR_EMBED)
    (question,) = answers.questions
    assert question.title == "Unload all 2 models?"
    assert question.lines[0].startswith(f"unloads {PAIR_CHAT} (loading took ")
    assert stand_in.running() == {}


async def test_no_unloads_none(watch: Watched, stand_in: StandIn) -> None:
    await load_model(watch.session, QUICK, nobody)
    assert await unload_all_models(watch.session, no(watch)) == ()
    assert stand_in.running() == {QUICK: "ready"}


async def test_nothing_to_unload_asks_nothing(watch: Watched, stand_in: StandIn) -> None:
    assert await unload_all_models(watch.session, nobody) == ()
    assert not asked_for(stand_in, "/api/models/unload")


async def test_a_server_that_says_ok_and_unloads_nothing_is_found_out(
    monkeypatch: pytest.MonkeyPatch, watch: Watched, stand_in: StandIn
) -> None:
    monkeypatch.setattr(unload_module, "UNLOAD_CONFIRMED_WITHIN", 0.3)
    await load_model(watch.session, QUICK, nobody)
    stand_in.fault("/api/models/unload/", FixedResponse(body=b"OK", content_type="text/plain"))
    with pytest.raises(UnloadFailed, match=QUICK):
        await unload_model(watch.session, QUICK, nobody)


@each_dialect
async def test_an_unload_does_not_end_before_running_agrees(
    watch: Watched, stand_in: StandIn
) -> None:
    await load_model(watch.session, STEADY, nobody)
    unloading = asyncio.create_task(unload_model(watch.session, STEADY, nobody))
    await unloading
    assert STEADY not in stand_in.running()
    assert watch.snapshot.resident == ()
