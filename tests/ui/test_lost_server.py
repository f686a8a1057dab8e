"""A server that goes, comes back, or talks nonsense: said in words, and the app lives."""

import socket
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.domain.snapshot import Server
from aitui.ui.widgets.model_detail import ModelDetail
from catalogue import QUICK
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
from ui.driven import Driven, driven

MEGABYTE = 1 << 20


async def test_a_lost_server_stays_on_screen_greyed_with_its_age(
    app: Driven, stand_in: StandIn
) -> None:
    await stand_in.stop()
    await app.see("✘ lost for", "retry in", "refuses connections", "F5 retry now")
    assert QUICK in app.text
    assert app.table.stale
    pane = app.models.query_one(ModelDetail)
    assert pane.stale
    assert "l load" not in app.text


async def test_a_server_that_comes_back_is_live_again_by_itself(
    app: Driven, stand_in: StandIn
) -> None:
    await stand_in.stop()
    await app.see("✘ lost for")
    await stand_in.start()
    await app.see(" ms ", "l load")
    assert not app.table.stale
    assert "refuses connections" not in app.text
    app.go_to(QUICK)
    await app.press("l")
    await app.until_ready(QUICK)


async def test_f5_retries_a_lost_server_at_once(app: Driven, stand_in: StandIn) -> None:
    await stand_in.stop()
    await app.until(lambda: app.models.snapshot.connection.attempts >= 3, "a long pause")
    await stand_in.start()
    await app.press("f5")
    await app.see(" ms ")


async def test_models_that_changed_meanwhile_are_right_after_the_return(
    app: Driven, stand_in: StandIn
) -> None:
    app.go_to(QUICK)
    await app.press("l")
    await app.until_ready(QUICK)
    await stand_in.stop()
    await app.see("✘ lost for")
    await stand_in.start()
    await app.until_ready()
    await app.see(" ms ")


async def test_a_dead_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with driven(Server(url, identity=url), tmp_path) as app:
            await app.see("✘ not reached for", "refuses connections", "has not responded yet")
            await app.press("j", "l", "u", "s", "y")
            await app.told("The server can't be reached: F5 retries now")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (HtmlPage(), "HTML"),
        (HtmlPage(502), "502"),
        (GarbageBody(), "JSON"),
        (EndlessBody(), "returned more than 32 MiB"),
        (WrongTypes(), "something that can't be its JSON"),
        (FixedResponse(body=b""), "empty"),
        (FixedResponse(401), "requires an API key"),
        (ConnectionClose(), "broke"),
        (ConnectionClose(b'{"running": ['), "ended after"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Fault) else "",
)
async def test_nonsense_is_named_and_survived(
    app: Driven, stand_in: StandIn, fault: Fault, words: str
) -> None:
    for path in ("/running", "/v1/models"):
        stand_in.fault(path, fault)
    await app.press("f5")
    await app.see("✘ lost for", words)
    assert QUICK in app.text
    stand_in.clear_faults()
    await app.press("f5")
    await app.see(" ms ", "l load")


async def test_two_hundred_megabytes_of_garbage_are_given_up_early(
    server: Server, stand_in: StandIn, tmp_path: Path
) -> None:
    stand_in.fault("/v1/models", GarbageBody(200 * MEGABYTE), times=1)
    stand_in.fault("/v1/models", Hang(1.0))
    async with driven(replace(server, timeout=60.0), tmp_path) as app:
        await app.see("✘ not reached for", "returned more than 32 MiB")
        stand_in.clear_faults()
        await app.see(" ms ", QUICK)


async def test_of_a_server_that_never_answered_nothing_is_said(tmp_path: Path) -> None:
    nowhere = Server("http://127.0.0.1:9", identity="nowhere")
    async with driven(nowhere, tmp_path) as app:
        await app.see("has not responded yet", "refuses connections")
        assert "No active requests" not in app.text
        assert "STATE" not in app.text
        assert "╭─ Models ──" in app.text


async def test_a_proxy_that_reads_the_key_is_reported_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://u:pw@127.0.0.1:9")
    server = Server("http://ai.example.invalid", identity="x", api_key="s3cr3t")
    async with driven(server, tmp_path) as app:
        await app.told("The proxy 127.0.0.1:9 set in the environment reads the API key")
        await app.told("Use https://, or set NO_PROXY=ai.example.invalid")
        await app.see("can't be reached")
        assert len([words for words in app.said if "reads the API key" in words]) == 1
        assert not [secret for secret in ("s3cr3t", "pw@") if secret in app.text]
