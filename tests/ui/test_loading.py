"""Key `l`: what it asks of the server, when it asks a person first, and when it refuses."""

from dataclasses import replace
from pathlib import Path

from aitui.demo.dialect import Dialect
from aitui.demo.stand_in import StandIn
from aitui.domain.model import RunState
from aitui.domain.server import Server
from aitui.ui.screens.models import ModelsScreen
from catalogue import (
    OUT_OF_MEMORY,
    OUT_OF_MEMORY_REASON,
    PEER,
    QUICK,
    SLOW,
    STEADY,
    dialects,
    each_dialect,
)
from ui.driven import Driven, driven
from ui.received import orders


@each_dialect
async def test_l_loads_the_model_under_the_cursor(app: Driven, stand_in: StandIn) -> None:
    app.go_to(QUICK)
    await app.press("l")
    await app.told(f"{QUICK} is ready after")
    assert stand_in.running() == {QUICK: "ready"}
    assert orders(stand_in) == [("GET", f"/upstream/{QUICK}/health")]
    assert "● " in app.line_of(QUICK)
    assert "ready" in app.line_of(QUICK)


async def test_a_load_shows_its_seconds(app: Driven) -> None:
    app.go_to(SLOW)
    await app.press("l")
    await app.see("loading 0 s")
    await app.see("loading 1 s")
    await app.see("Esc stops watching, u aborts")


async def test_the_next_load_is_measured_against_the_last(app: Driven) -> None:
    app.go_to(SLOW)
    await app.see("load not timed yet")
    await app.press("l")
    await app.until_ready(SLOW)
    await app.press("u")
    await app.told("is unloaded")
    await app.see("load takes about")
    await app.press("l")
    await app.see("/≈")


async def test_l_on_a_ready_model_says_so_and_asks_nothing_of_the_server(
    app: Driven, stand_in: StandIn
) -> None:
    app.go_to(QUICK)
    await app.press("l")
    await app.told("is ready after")
    asked = orders(stand_in)
    await app.press("l")
    await app.told(f"{QUICK} is loaded already")
    assert orders(stand_in) == asked


async def test_l_on_a_peers_model_is_refused(app: Driven, stand_in: StandIn) -> None:
    app.go_to(PEER)
    await app.press("l")
    await app.told(f"{PEER} can't be loaded or unloaded from here it runs at the peer peer1")
    assert orders(stand_in) == []


async def test_l_with_no_model_under_the_cursor_says_so(app: Driven, stand_in: StandIn) -> None:
    await app.press("slash", *"zzz", "enter", "l")
    await app.told("There is no model under the cursor")
    assert orders(stand_in) == []


async def test_l_on_a_lost_server_says_so(app: Driven, stand_in: StandIn) -> None:
    app.go_to(QUICK)
    await stand_in.stop()
    await app.see("✘ lost for")
    await app.press("l")
    await app.told("refuses connections")


async def test_l_at_a_read_only_server_is_refused(
    server: Server, stand_in: StandIn, tmp_path: Path
) -> None:
    async with driven(replace(server, read_only=True), tmp_path) as app:
        await app.see("● live", QUICK)
        assert "read-only" in app.strips[0].text
        app.go_to(QUICK)
        await app.press("l")
        await app.told("is refused: stand-in is read-only")
        assert orders(stand_in) == []


async def test_a_load_that_evicts_names_its_victim_first(app: Driven, stand_in: StandIn) -> None:
    app.go_to(QUICK)
    await app.press("l")
    await app.told("is ready after")
    app.go_to(STEADY)
    await app.press("l")
    await app.see(f"Load {STEADY}?", f"≈ evicts {QUICK}: idle")
    assert stand_in.running() == {QUICK: "ready"}
    await app.answer("y")
    await app.told(f"{STEADY} is ready after")
    assert stand_in.running() == {STEADY: "ready"}


@dialects(Dialect.HEAD)
async def test_the_question_counts_the_requests_at_the_victim(
    app: Driven, stand_in: StandIn
) -> None:
    async with stand_in.busy(QUICK):
        await app.until_ready(QUICK)
        await app.until(lambda: app.model(QUICK).requests == 1, "in use")
        app.go_to(STEADY)
        await app.press("l")
        await app.see(f"evicts {QUICK}: 1 request runs there, and the load waits")
        await app.press("n")


async def test_a_failed_load_shows_its_reason(app: Driven) -> None:
    app.go_to(OUT_OF_MEMORY)
    await app.press("l")
    await app.told(f"{OUT_OF_MEMORY} didn't come up {OUT_OF_MEMORY_REASON}")
    await app.until(lambda: "✘" in app.line_of(OUT_OF_MEMORY), "marked")
    assert "failed" in app.line_of(OUT_OF_MEMORY)


async def evict_in_vain(app: Driven) -> None:
    """QUICK goes for a model that doesn't come up, and its return is offered."""
    app.go_to(QUICK)
    await app.press("l")
    await app.told("is ready after")
    app.go_to(OUT_OF_MEMORY)
    await app.press("l")
    await app.answer("y")
    await app.see(f"Load {QUICK} again?")


@each_dialect
async def test_a_load_that_evicted_in_vain_offers_to_bring_the_victim_back(
    app: Driven, stand_in: StandIn
) -> None:
    await evict_in_vain(app)
    await app.see(OUT_OF_MEMORY_REASON, f"{QUICK} was evicted for it")
    assert stand_in.running() == {}
    await app.answer("y")
    await app.until(lambda: stand_in.running() == {QUICK: "ready"}, "brought back")


async def test_an_offer_that_is_declined_loads_nothing(app: Driven, stand_in: StandIn) -> None:
    await evict_in_vain(app)
    before = orders(stand_in)
    await app.answer("escape")
    await app.until(lambda: isinstance(app.app.screen, ModelsScreen))
    assert orders(stand_in) == before
    assert stand_in.running() == {}


async def test_an_offer_that_comes_by_itself_takes_no_key_that_was_meant_for_what_it_covers(
    app: Driven, stand_in: StandIn
) -> None:
    await evict_in_vain(app)
    before = orders(stand_in)
    for key in "jjyyqn":
        await app.press(key)
    assert app.asking
    assert orders(stand_in) == before
    await app.answer("n")


async def test_esc_stops_watching_a_load_and_the_load_goes_on(
    app: Driven, stand_in: StandIn
) -> None:
    app.go_to(SLOW)
    await app.press("l")
    await app.see("loading 0 s")
    await app.press("escape")
    await app.told(f"{SLOW} goes on loading unwatched")
    await app.until(lambda: app.model(SLOW).requested is None, "unwatched")
    assert stand_in.running() == {SLOW: "starting"}
    await app.until(lambda: app.model(SLOW).state is RunState.READY, "ready")
    assert "is ready after" not in app.text
