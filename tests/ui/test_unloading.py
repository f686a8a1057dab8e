"""Keys `u` and `U`: idle models go at once, used ones after a question, loads are aborted."""

from pathlib import Path

from msgspec.structs import replace

from aitui.demo.dialect import Dialect
from aitui.domain.models import RunState
from aitui.domain.snapshot import Server
from catalogue import PAIR_CHAT, PAIR_EMBED, PEER, QUICK, SLOW, dialects, oldest_and_newest
from stand_in import StandIn
from ui.driven import Driven, driven
from ui.received import orders


@oldest_and_newest
async def test_u_unloads_an_idle_model_at_once(app: Driven, stand_in: StandIn) -> None:
    app.go_to(QUICK)
    await app.press("l")
    await app.told("is ready after")
    await app.press("u")
    await app.told(f"{QUICK} is unloaded")
    assert stand_in.running() == {}
    assert orders(stand_in)[-1] == ("POST", f"/api/models/unload/{QUICK}")
    assert "○" in app.line_of(QUICK)


async def test_u_on_a_model_that_is_not_loaded_says_so(app: Driven, stand_in: StandIn) -> None:
    app.go_to(QUICK)
    await app.press("u")
    await app.told(f"{QUICK} is not loaded")
    assert orders(stand_in) == []


async def test_u_on_a_peers_model_is_refused(app: Driven, stand_in: StandIn) -> None:
    app.go_to(PEER)
    await app.press("u")
    await app.told("can't be loaded or unloaded here")
    assert orders(stand_in) == []


async def test_u_with_no_model_under_the_cursor_says_so(app: Driven, stand_in: StandIn) -> None:
    await app.press("slash", *"zzz", "enter", "u")
    await app.told("No model is selected")
    assert orders(stand_in) == []


async def test_u_and_upper_u_at_a_read_only_server_are_refused(
    server: Server, stand_in: StandIn, tmp_path: Path
) -> None:
    async with (
        stand_in.busy(QUICK),
        driven(replace(server, read_only=True), tmp_path) as app,
    ):
        await app.see(" ms ", QUICK)
        app.go_to(QUICK)
        await app.press("u")
        await app.told(f"unloading {QUICK} is refused")
        await app.press("U")
        await app.told("unloading all models is refused")
        assert orders(stand_in) == []


async def test_u_on_a_lost_server_says_so(app: Driven, stand_in: StandIn) -> None:
    app.go_to(QUICK)
    await app.press("l")
    await app.told("is ready after")
    await stand_in.stop()
    await app.see("✘ lost for")
    await app.press("u")
    await app.told("refuses connections")


@dialects(Dialect.HEAD)
async def test_u_on_a_model_in_use_asks_and_names_who_uses_it(
    app: Driven, stand_in: StandIn
) -> None:
    async with stand_in.busy(QUICK, remote_ip="192.168.2.31", user_agent="curl/8.0"):
        await app.until_ready(QUICK)
        await app.until(lambda: app.model(QUICK).requests == 1, "in use")
        app.go_to(QUICK)
        await app.press("u")
        await app.see(f"Unload {QUICK}?", "1 running request will be cut", "192.168.2.31 · curl")
        assert orders(stand_in) == []
        await app.answer("y")
        await app.told(f"{QUICK} is unloaded")
    assert stand_in.running() == {}


@oldest_and_newest
async def test_u_aborts_a_load(app: Driven, stand_in: StandIn) -> None:
    app.go_to(SLOW)
    await app.press("l")
    await app.until(lambda: stand_in.running() == {SLOW: "starting"}, "begun")
    await app.until(lambda: app.model(SLOW).state is RunState.STARTING, "shown")
    await app.press("u")
    await app.until(lambda: app.model(SLOW).state is RunState.STOPPED, "aborted")
    await app.until(lambda: stand_in.running() == {}, "gone")
    assert "could not be loaded" not in app.text


@oldest_and_newest
async def test_upper_u_asks_and_then_unloads_everything(app: Driven, stand_in: StandIn) -> None:
    async with stand_in.busy(PAIR_CHAT), stand_in.busy(PAIR_EMBED):
        pass
    await app.until(lambda: len(app.models.snapshot.ready) == 2, "both")
    await app.press("U")
    await app.see("Unload all 2 models?", f"▌{PAIR_CHAT}", f"▌{PAIR_EMBED}")
    assert orders(stand_in) == []
    await app.answer("y")
    await app.told(f"Unloaded {PAIR_CHAT}, {PAIR_EMBED}")
    assert orders(stand_in) == [("POST", "/api/models/unload")]
    assert stand_in.running() == {}


async def test_upper_u_with_nothing_loaded_says_so(app: Driven, stand_in: StandIn) -> None:
    await app.press("U")
    await app.told("No model is loaded")
    assert orders(stand_in) == []
