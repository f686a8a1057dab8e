"""What the monitor knows of other clients, against the stand-in in each dialect."""

from pathlib import Path

import pytest

from aitui.demo.certificates import Certificates
from aitui.demo.dialect import Dialect
from aitui.domain.models import Eviction, RunState
from aitui.domain.snapshot import Server
from aitui.errors import ActionRefused
from aitui.services.load import load_model
from aitui.services.unload import cancel_request
from catalogue import ALIAS, QUICK, STEADY, dialects, oldest_and_newest
from other_client import OtherClient, chat
from stand_in import StandIn
from watched import Watched, nobody, watched, yes


def rate(watch: Watched, model_id: str) -> float | None:
    model = watch.snapshot.model(model_id)
    return None if model is None else model.rate


@oldest_and_newest
async def test_the_rate_of_any_clients_answer_is_that_of_the_model(
    stand_in: StandIn, certificates: Certificates, server: Server, tmp_path: Path
) -> None:
    async with watched(server, tmp_path) as watch:
        await watch.until_events_flow()
        await chat(stand_in, certificates, QUICK)
        await watch.until(lambda _: rate(watch, QUICK) is not None)
        assert (rate(watch, QUICK) or 0) > 0


async def test_an_answer_under_an_alias_is_that_of_its_model(
    stand_in: StandIn, certificates: Certificates, server: Server, tmp_path: Path
) -> None:
    async with watched(server, tmp_path) as watch:
        await watch.until_events_flow()
        await chat(stand_in, certificates, ALIAS)
        await watch.until(lambda _: rate(watch, QUICK) is not None)


@oldest_and_newest
async def test_a_model_that_another_one_pushed_out_says_so(
    stand_in: StandIn, certificates: Certificates, server: Server, tmp_path: Path
) -> None:
    other = OtherClient(stand_in, certificates)
    async with watched(server, tmp_path) as watch:
        await watch.until_events_flow()
        await other.load(QUICK)
        await watch.until_state(QUICK, RunState.READY)
        await other.load(STEADY)
        await watch.until_state(STEADY, RunState.READY)
        model = await watch.until_state(QUICK, RunState.STOPPED)
        assert model.evicted is not None
        assert model.evicted.by == STEADY


async def test_an_eviction_for_ourselves_says_you(
    stand_in: StandIn, certificates: Certificates, server: Server, tmp_path: Path
) -> None:
    async with watched(server, tmp_path) as watch:
        await watch.until_events_flow()
        await load_model(watch.session, QUICK, nobody)
        await load_model(watch.session, STEADY, yes(watch))
        model = await watch.until_state(QUICK, RunState.STOPPED)
        assert model.evicted == Eviction(model.evicted.at if model.evicted else 0, STEADY, "you")


@dialects(Dialect.HEAD)
async def test_an_eviction_for_another_client_names_it(
    stand_in: StandIn, certificates: Certificates, server: Server, tmp_path: Path
) -> None:
    async with watched(server, tmp_path) as watch:
        await watch.until_events_flow()
        await OtherClient(stand_in, certificates).load(QUICK)
        await watch.until_state(QUICK, RunState.READY)
        async with stand_in.busy(STEADY, remote_ip="10.0.0.9", user_agent="OpenWebUI/0.6"):
            await watch.until_state(STEADY, RunState.READY)
            model = await watch.until_state(QUICK, RunState.STOPPED)
        assert model.evicted is not None
        assert model.evicted.requester == "10.0.0.9 · OpenWebUI"


async def test_a_model_that_is_loaded_again_is_no_longer_evicted(
    stand_in: StandIn, certificates: Certificates, server: Server, tmp_path: Path
) -> None:
    async with watched(server, tmp_path) as watch:
        await watch.until_events_flow()
        for model_id in (QUICK, STEADY, QUICK):
            await load_model(watch.session, model_id, yes(watch))
        assert (await watch.until_state(QUICK, RunState.READY)).evicted is None


@dialects(Dialect.HEAD)
async def test_a_cancelled_request_ends(stand_in: StandIn, server: Server, tmp_path: Path) -> None:
    async with watched(server, tmp_path) as watch:
        await watch.until_events_flow()
        async with stand_in.busy(QUICK, user_agent="OpenWebUI/0.6"):
            snapshot = await watch.until(lambda now: bool(now.requests.running))
            (request,) = snapshot.requests.running or ()
            answers = yes(watch)
            assert await cancel_request(watch.session, request, answers)
            assert watch.snapshot.requests.running == ()
    assert "192.168.2.20 · OpenWebUI" in answers.questions[0].lines[0]


@dialects(Dialect.HEAD)
async def test_a_read_only_server_cancels_nothing(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    read_only = type(server)(
        url=server.url,
        identity=server.identity,
        ca=server.ca,
        client_cert=server.client_cert,
        client_key=server.client_key,
        read_only=True,
    )
    async with watched(read_only, tmp_path) as watch:
        await watch.until_events_flow()
        async with stand_in.busy(QUICK):
            snapshot = await watch.until(lambda now: bool(now.requests.running))
            (request,) = snapshot.requests.running or ()
            with pytest.raises(ActionRefused):
                await cancel_request(watch.session, request, nobody)
    assert not [one for one in stand_in.requests if "cancel" in one.path]
