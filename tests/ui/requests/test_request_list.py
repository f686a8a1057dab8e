"""The requests on the screen of models, and the key that cancels one."""

import asyncio
from pathlib import Path

from msgspec.structs import replace

from aitui.demo.certificates import Certificates
from aitui.demo.dialect import Dialect
from aitui.domain.snapshot import Server
from aitui.ui.widgets.activity_pane import ActivityPane
from catalogue import QUICK, STEADY, dialects
from other_client import chat
from stand_in import StandIn
from ui.driven import driven


@dialects(Dialect.HEAD)
async def test_who_uses_a_model_is_in_sight(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with (
        driven(server, tmp_path) as app,
        stand_in.busy(QUICK, remote_ip="10.0.0.9", user_agent="OpenWebUI/0.6"),
    ):
        await app.see(f"10.0.0.9 · OpenWebUI {QUICK}", "1 running")


@dialects(Dialect.HEAD)
async def test_an_address_with_a_name_goes_by_it(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    named = replace(server, clients={"10.0.0.9": "phone"})
    async with (
        driven(named, tmp_path) as app,
        stand_in.busy(QUICK, remote_ip="10.0.0.9", user_agent="OpenWebUI/0.6"),
    ):
        await app.see(f"phone · OpenWebUI {QUICK}")


@dialects(Dialect.HEAD)
async def test_who_waits_is_in_sight_with_whom_that_evicts(
    stand_in: StandIn, certificates: Certificates, server: Server, tmp_path: Path
) -> None:
    async with (
        driven(server, tmp_path, size=(200, 50)) as app,
        asyncio.TaskGroup() as others,
        stand_in.busy(QUICK, remote_ip="10.0.0.9"),
    ):
        await app.until_ready(QUICK)
        others.create_task(chat(stand_in, certificates, STEADY))
        await app.see(f"{STEADY} ", f"waits for load, evicts ≈ {QUICK}", "1 waiting")


@dialects(Dialect.HEAD)
async def test_the_question_before_an_eviction_says_what_runs_there(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with driven(server, tmp_path) as app, stand_in.busy(QUICK, remote_ip="10.0.0.9"):
        await app.until_ready(QUICK)
        app.go_to(STEADY)
        await app.press("l")
        await app.armed()
        await app.see("1 request is running")
        await app.press("n")


@dialects(Dialect.HEAD)
async def test_x_cancels_the_only_request_after_asking(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with driven(server, tmp_path) as app, stand_in.busy(QUICK, user_agent="OpenWebUI/0.6"):
        await app.see("1 running")
        await app.press("x")
        await app.answer("y")
        await app.unsee("1 running")
    assert [one for one in stand_in.requests if one.path.endswith("/cancel")]


@dialects(Dialect.HEAD)
async def test_x_answered_with_no_cancels_nothing(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with driven(server, tmp_path) as app, stand_in.busy(QUICK):
        await app.see("1 running")
        await app.press("x")
        await app.answer("n")
        await app.settle()
    assert not [one for one in stand_in.requests if one.path.endswith("/cancel")]


async def test_x_says_why_it_can_not_where_the_server_tells_no_names(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with driven(server, tmp_path) as app, stand_in.busy(QUICK):
        await app.until_ready(QUICK)
        await app.press("x")
        await app.told("llama-swap ≥ v235")


@dialects(Dialect.HEAD)
async def test_x_says_that_nothing_runs_where_the_server_tells_what_runs(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with driven(server, tmp_path) as app:
        await app.until(lambda: app.models.snapshot.requests.running == (), "told")
        await app.press("x")
        await app.told("No active requests")
        assert not any("v235" in one for one in app.said)


@dialects(Dialect.V218)
async def test_an_older_server_has_its_requests_counted(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with driven(server, tmp_path, size=(110, 30)) as app:
        async with stand_in.busy(QUICK):
            await app.see("1 request running; this server doesn't report which", "1 running")
            async with stand_in.busy(QUICK):
                await app.see("2 requests running")
        await app.unsee("running")


@dialects(Dialect.HEAD)
async def test_the_mouse_chooses_the_request_that_is_cancelled(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    async with (
        driven(server, tmp_path) as app,
        stand_in.busy(QUICK, remote_ip="10.0.0.8"),
        stand_in.busy(QUICK, remote_ip="10.0.0.9"),
    ):
        await app.see("10.0.0.8", "10.0.0.9")
        await app.click("10.0.0.9")
        await app.press("x")
        await app.see("Cancel this request?", "10.0.0.9 · OpenWebUI at")
        await app.answer("n")


@dialects(Dialect.HEAD)
async def test_what_ended_before_is_listed_and_a_reply_of_another_client_counts(
    stand_in: StandIn, certificates: Certificates, server: Server, tmp_path: Path
) -> None:
    await chat(stand_in, certificates, STEADY)
    async with driven(server, tmp_path, size=(120, 36)) as app:
        await app.see("1 today", "✓", "Throughput tok/s", "5 min ago", "peak")
        pane = app.models.query_one(ActivityPane)
        (row,) = pane.finished
        assert row.tokens
        assert row.rate
        await app.see(f"→{row.tokens} ", f"{row.rate:.0f} peak"[-4:])
        async with asyncio.TaskGroup() as others:
            others.create_task(chat(stand_in, certificates, STEADY))
            await app.until(lambda: app.models.snapshot.generation_rate, "a rate")
            await app.see(" tok/s", "≈")
        await app.see("2 today")
