"""Key `l`: what it asks of the server, when it asks a person first, and when it refuses."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.demo.dialect import Dialect
from aitui.domain.models import RunState
from aitui.domain.snapshot import Server
from aitui.ui.screens.models import ModelsScreen
from aitui.ui.screens.palette import PaletteScreen
from aitui.ui.screens.setup import SetupScreen
from catalogue import (
    CATALOGUE,
    OUT_OF_MEMORY,
    OUT_OF_MEMORY_REASON,
    PEER,
    QUICK,
    SLOW,
    STEADY,
    UNHURRIED,
    dialects,
    oldest_and_newest,
)
from stand_in import StandIn
from ui.driven import Driven, driven
from ui.received import orders

LOOKS_EACH = 1.0
"""Seconds between two looks of llama-swap for models that nobody has used."""
LASTING = "lasting-123b"
WITH_TTL = CATALOGUE.replace(
    "healthCheckTimeout: 10", "healthCheckTimeout: 60\nglobalTTL: 60"
).replace(
    "models:\n",
    f"models:\n  {LASTING}: {{cmd: 'llama-server --port ${{PORT}} --load-delay 50'}}\n",
    1,
)


@oldest_and_newest
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
    await app.see(" · u aborts")


async def test_the_next_load_is_measured_against_the_last(app: Driven) -> None:
    app.go_to(SLOW)
    await app.see("○ not loaded")
    await app.press("l")
    await app.until_ready(SLOW)
    await app.press("u")
    await app.told("is unloaded")
    await app.see("loads in about")
    await app.press("l")
    await app.see(" of about ")


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
    await app.told(f"{PEER} can't be loaded or unloaded here it runs on the peer peer1")
    assert orders(stand_in) == []


async def test_l_with_no_model_under_the_cursor_says_so(app: Driven, stand_in: StandIn) -> None:
    await app.press("slash", *"zzz", "enter", "l")
    await app.told("No model is selected")
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
        await app.see(" ms ", QUICK)
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
    await app.see(f"Load {STEADY}?", f"▌{QUICK}", "idle · ≈ unloads")
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
        await app.see(f"▌{QUICK}", "1 request is running; the load waits")
        await app.press("n")


async def test_a_failed_load_shows_its_reason(app: Driven) -> None:
    app.go_to(OUT_OF_MEMORY)
    await app.press("l")
    await app.told(f"{OUT_OF_MEMORY} could not be loaded {OUT_OF_MEMORY_REASON}")
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


@oldest_and_newest
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


@pytest.fixture
async def cellar() -> AsyncIterator[Server]:
    """A second server, without TLS, as on one's own machine."""
    async with StandIn("models: {elsewhere-1b: {cmd: 'llama-server --port ${PORT}'}}") as running:
        yield Server(running.url, identity="other", name="cellar")


@asynccontextmanager
async def at_two(
    stand_in: StandIn, server: Server, second: Server, folder: Path
) -> AsyncIterator[Driven]:
    """The app at the first of two servers, whose models go after an idle minute."""
    await stand_in.reload(WITH_TTL)
    async with driven(server, folder, servers=(server, second)) as running:
        await running.until(lambda: running.models.snapshot.events_flow, "live")
        yield running


@pytest.fixture
async def lazy(stand_in: StandIn, server: Server, tmp_path: Path) -> AsyncIterator[Driven]:
    """The app at a server whose models go after an idle minute."""
    await stand_in.reload(WITH_TTL)
    async with driven(server, tmp_path) as running:
        await running.until(lambda: running.models.snapshot.events_flow, "live")
        yield running


async def stays(stand_in: StandIn, model_id: str) -> None:
    """Wait until the server has looked for models that nobody has used."""
    await asyncio.sleep(2 * LOOKS_EACH)
    assert stand_in.running() == {model_id: "ready"}


async def begin_to_load(app: Driven, model_id: str) -> None:
    """Press the key, and see the server begin."""
    app.go_to(model_id)
    await app.press("l")
    await app.until(lambda: app.model(model_id).state is RunState.STARTING, "begun")


@dialects(Dialect.V218, Dialect.V263)
async def test_esc_leaves_a_load_as_it_is(lazy: Driven, stand_in: StandIn) -> None:
    await begin_to_load(lazy, UNHURRIED)
    await lazy.press("escape")
    await lazy.told(f"{UNHURRIED} is still loading. Press u to abort.")
    await lazy.told(f"{UNHURRIED} is ready after")
    await stays(stand_in, UNHURRIED)


async def test_a_load_that_fails_after_esc_says_why(app: Driven) -> None:
    app.go_to(OUT_OF_MEMORY)
    await app.press("l", "escape")
    await app.told(f"{OUT_OF_MEMORY} could not be loaded {OUT_OF_MEMORY_REASON}")


@dialects(Dialect.V218, Dialect.V263)
async def test_a_second_l_leaves_the_load_as_it_is(lazy: Driven, stand_in: StandIn) -> None:
    await begin_to_load(lazy, UNHURRIED)
    await lazy.press("l")
    await lazy.told(f"{UNHURRIED} is loading already")
    await lazy.told(f"{UNHURRIED} is ready after")
    assert len(orders(stand_in)) == 1
    await stays(stand_in, UNHURRIED)


@oldest_and_newest
async def test_u_aborts_a_load(lazy: Driven, stand_in: StandIn) -> None:
    await begin_to_load(lazy, SLOW)
    await lazy.press("escape", "u")
    await lazy.told(f"{SLOW} is unloaded")
    assert stand_in.running() == {}
    assert ("POST", f"/api/models/unload/{SLOW}") in orders(stand_in)


async def give_up_in_the_queue(app: Driven) -> None:
    """Load a model that has to wait for QUICK, and press the key that aborts."""
    await app.until_ready(QUICK)
    app.go_to(STEADY)
    await app.press("l")
    await app.see(f"Load {STEADY}?")
    await app.answer("y")
    await app.see("the server has not started loading it")
    await app.press("u")
    await app.told(f"Stopped waiting for {STEADY}")


@dialects(Dialect.V218)
async def test_a_load_given_up_in_the_queue_stays_on_screen_until_its_turn(
    app: Driven, stand_in: StandIn
) -> None:
    async with stand_in.busy(QUICK):
        await give_up_in_the_queue(app)
        await app.pilot.resize_terminal(110, 30)
        await app.see("still queued at the server, which will load it later and evict ≈", QUICK)
        assert "queued" in app.line_of(STEADY)
        assert "u abort" in app.strips[-1].text
    await app.unsee("still queued")
    await app.until_ready(STEADY)


@dialects(Dialect.V218)
async def test_a_second_u_takes_a_load_off_the_queue(app: Driven, stand_in: StandIn) -> None:
    async with stand_in.busy(QUICK):
        await give_up_in_the_queue(app)
        await app.pilot.resize_terminal(110, 30)
        await app.see("still queued at the server", "u removes it")
        await app.press("u")
        await app.told(f"{STEADY} is no longer queued at the server")
        assert app.model(STEADY).queued is None
    await asyncio.sleep(0.2)
    assert stand_in.running() == {QUICK: "ready"}


@dialects(Dialect.V263)
async def test_a_newer_server_takes_a_load_given_up_off_its_queue(
    app: Driven, stand_in: StandIn
) -> None:
    async with stand_in.busy(QUICK):
        await give_up_in_the_queue(app)
        await app.see("not loaded")
        assert app.model(STEADY).queued is None
    await asyncio.sleep(0.2)
    assert stand_in.running() == {QUICK: "ready"}


@oldest_and_newest
async def test_a_load_beyond_its_limit_goes_on(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    await stand_in.reload(WITH_TTL.replace("--load-delay 50", "--load-delay 15"))
    async with driven(replace(server, timeout=5.0), tmp_path) as app:
        await app.see(" ms ", LASTING)
        await begin_to_load(app, LASTING)
        await app.told(f"{LASTING} is still loading after 5 s")
        await app.told(f"{LASTING} is ready after")
        await stays(stand_in, LASTING)


async def press_q(app: Driven) -> None:
    await app.press("q")


async def press_control_q(app: Driven) -> None:
    await app.press("ctrl+q")


async def interrupt_twice(app: Driven) -> None:
    await app.press("ctrl+c", "ctrl+c")


async def choose_quit(app: Driven) -> None:
    await app.press("colon")
    await app.until(lambda: isinstance(app.app.screen, PaletteScreen), "open")
    await app.press(*"quit", "enter")


WAYS_OUT = pytest.mark.parametrize(
    "quit_app", [press_q, press_control_q, interrupt_twice, choose_quit]
)


@WAYS_OUT
async def test_quitting_during_a_load_asks_on_its_safe_choice(
    lazy: Driven, quit_app: Callable[[Driven], Awaitable[None]]
) -> None:
    await begin_to_load(lazy, LASTING)
    await quit_app(lazy)
    await lazy.see(
        "Quit aitui?",
        f"{LASTING} is still loading. llama-swap may unload it",
        "ready if aitui quits now.",
        "▸ n Stay      y Quit",
    )
    await lazy.answer("enter")
    assert isinstance(lazy.app.screen, ModelsScreen)
    assert lazy.model(LASTING).requested is not None


async def test_staying_keeps_the_load(lazy: Driven, stand_in: StandIn) -> None:
    await begin_to_load(lazy, SLOW)
    await lazy.press("q")
    await lazy.see("Quit aitui?")
    await lazy.answer("n")
    await lazy.told(f"{SLOW} is ready after")
    await stays(stand_in, SLOW)


@WAYS_OUT
async def test_a_yes_quits_during_a_load(
    lazy: Driven, quit_app: Callable[[Driven], Awaitable[None]]
) -> None:
    await begin_to_load(lazy, LASTING)
    await quit_app(lazy)
    await lazy.see("Quit aitui?")
    await lazy.armed()
    await lazy.press("y")
    await lazy.until(lambda: not lazy.app.is_running, "ended")
    assert lazy.app.return_code == 0


async def test_quitting_asks_once(lazy: Driven) -> None:
    await begin_to_load(lazy, LASTING)
    await lazy.press("q")
    await lazy.see("Quit aitui?")
    await lazy.press("ctrl+q")
    await lazy.answer("n")
    assert isinstance(lazy.app.screen, ModelsScreen)


async def test_the_question_before_quitting_follows_the_load(lazy: Driven) -> None:
    await begin_to_load(lazy, UNHURRIED)
    await lazy.press("q")
    await lazy.see(f"{UNHURRIED} is still loading.")
    await lazy.see("No model is loading anymore.")
    await lazy.answer("y")
    await lazy.until(lambda: not lazy.app.is_running, "ended")


@dialects(Dialect.V218, Dialect.V263)
async def test_quitting_names_a_load_that_has_not_begun(app: Driven, stand_in: StandIn) -> None:
    async with stand_in.busy(QUICK):
        await app.until_ready(QUICK)
        app.go_to(STEADY)
        await app.press("l")
        await app.see(f"Load {STEADY}?")
        await app.answer("y")
        await app.until(lambda: app.model(STEADY).requested is not None, "asked for")
        await app.press("q")
        await app.see("Quit aitui?", f"{STEADY} is not loading yet.")
        await app.press("n")
    await app.told(f"{STEADY} is ready after")


async def test_quitting_after_a_load_asks_nothing(app: Driven) -> None:
    app.go_to(QUICK)
    await app.press("l")
    await app.told("is ready after")
    await app.press("q")
    await app.until(lambda: not app.app.is_running, "ended")


async def test_another_server_during_a_load_asks_and_may_stay(
    stand_in: StandIn, server: Server, cellar: Server, tmp_path: Path
) -> None:
    async with at_two(stand_in, server, cellar, tmp_path) as app:
        await begin_to_load(app, SLOW)
        await app.press("S", "down", "enter")
        await app.see("Leave stand-in?", f"{SLOW} is still loading.", "▸ n Stay", "y Leave")
        await app.answer("n")
        await app.told(f"{SLOW} is ready after")
        await stays(stand_in, SLOW)


async def test_a_yes_leaves_the_server_during_a_load(
    stand_in: StandIn, server: Server, cellar: Server, tmp_path: Path
) -> None:
    async with at_two(stand_in, server, cellar, tmp_path) as app:
        await begin_to_load(app, LASTING)
        await app.press("S", "down", "enter")
        await app.see("Leave stand-in?")
        await app.answer("y")
        await app.see("elsewhere-1b")
        assert LASTING not in app.text


async def test_the_demo_during_a_load_asks_as_well(
    stand_in: StandIn, server: Server, tmp_path: Path
) -> None:
    locked = replace(server, is_default=True, ca=tmp_path / "gone.pem")
    async with at_two(stand_in, server, locked, tmp_path) as app:
        await begin_to_load(app, LASTING)
        await app.press("S", "down", "enter")
        await app.until(lambda: isinstance(app.app.screen, SetupScreen), "set up")
        await app.press("d")
        await app.see("Leave stand-in?", f"{LASTING} is still loading.")
        await app.answer("n")
        assert isinstance(app.app.screen, SetupScreen)
        assert app.model(LASTING).requested is not None
