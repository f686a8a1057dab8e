"""Keys that work everywhere: help, palette, other servers, refresh, and the ways out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.demo.certificates import Certificates
from aitui.domain.snapshot import Server
from aitui.paths import Paths
from aitui.store.files import read_urls
from aitui.ui.controllers.palette import screen_commands
from aitui.ui.screens.dialogs import ServersScreen
from aitui.ui.screens.help import HelpScreen
from aitui.ui.screens.models import ModelsScreen
from aitui.ui.screens.palette import PaletteScreen
from catalogue import QUICK
from stand_in import StandIn
from ui.driven import Driven, driven

LAST_WORDS = "Press ^c once more to quit"


def list_requests(stand_in: StandIn) -> int:
    return sum(request.path == "/v1/models" for request in stand_in.requests)


@pytest.mark.parametrize("key", ["question_mark", "f1"])
@pytest.mark.parametrize("closing", ["escape", "q", "question_mark"])
async def test_help_names_the_keys_and_the_signs(app: Driven, key: str, closing: str) -> None:
    await app.press(key)
    assert isinstance(app.app.screen, HelpScreen)
    await app.see("you are here", "load", "unload all", "filter")
    await app.press("end", "pagedown", "pagedown")
    await app.see("waiting for a load", "at the limit")
    await app.press(closing)
    assert isinstance(app.app.screen, ModelsScreen)
    assert app.app.is_running


async def test_what_moves_elsewhere_scrolls_the_help(app: Driven) -> None:
    await app.press("question_mark")
    dialog = app.app.screen.query_one("#dialog")
    places = []
    for key in ("j", "k", "ctrl+d", "ctrl+u", "G", "g"):
        await app.press(key)
        await app.settle()
        places.append(dialog.scroll_offset.y)
    half = round((dialog.size.height - 1) / 2)
    assert places == [1, 0, half, 0, dialog.max_scroll_y, 0]
    assert dialog.max_scroll_y > half > 1


@pytest.mark.parametrize("key", ["f5", "ctrl+r"])
async def test_refresh_asks_for_the_list_at_once(app: Driven, stand_in: StandIn, key: str) -> None:
    before = list_requests(stand_in)
    await app.press(key)
    await app.until(lambda: list_requests(stand_in) > before, "asked")


@pytest.mark.parametrize("key", [":", "ctrl+p"])
async def test_the_palette_runs_what_keys_do(app: Driven, stand_in: StandIn, key: str) -> None:
    app.go_to(QUICK)
    await app.press(key)
    await app.until(lambda: isinstance(app.app.screen, PaletteScreen), "open")
    await app.press(*"copy", "enter")
    await app.until(lambda: app.app.clipboard == QUICK, "copied")


async def test_the_palette_offers_every_key_and_the_themes(app: Driven) -> None:
    offered = {command.title for command in screen_commands(app.app.screen)}
    assert offered >= {
        *("load", "unload", "unload all", "filter", "sort", "copy id", "refresh"),
        *("another server", "help", "quit", "theme"),
    }
    assert not any("page down" in title for title in offered)


async def test_q_quits(app: Driven) -> None:
    await app.press("q")
    await app.until(lambda: not app.app.is_running, "ended")
    assert app.app.return_code == 0


async def test_one_interrupt_says_how_to_quit_and_the_second_quits(app: Driven) -> None:
    await app.press("ctrl+c")
    await app.told(LAST_WORDS)
    assert app.app.is_running
    await app.press("ctrl+c")
    await app.until(lambda: not app.app.is_running, "ended")
    assert app.app.return_code == 0


async def test_a_late_second_interrupt_asks_again(app: Driven) -> None:
    await app.press("ctrl+c")
    app.app._interrupted_at -= 3
    await app.press("ctrl+c")
    await app.settle()
    assert app.app.is_running


@pytest.fixture
async def other(certificates: Certificates) -> AsyncIterator[StandIn]:
    """A second server, without TLS, as on one's own machine."""
    async with StandIn("models: {elsewhere-1b: {cmd: 'llama-server --port ${PORT}'}}") as running:
        yield running


async def test_upper_s_switches_to_a_server_of_the_settings(
    server: Server, other: StandIn, tmp_path: Path
) -> None:
    second = Server(other.url, identity="other", name="cellar")
    async with driven(server, tmp_path, servers=(server, second)) as app:
        await app.see(QUICK)
        await app.press("S")
        assert isinstance(app.app.screen, ServersScreen)
        await app.see("● stand-in", "cellar", other.url)
        await app.press("down", "enter")
        await app.see("cellar ●", "elsewhere-1b")
        assert QUICK not in app.text


async def test_upper_s_takes_a_typed_url(app: Driven, other: StandIn) -> None:
    await app.press("S", "tab", *other.url, "enter")
    await app.see("elsewhere-1b")
    assert QUICK not in app.text


async def test_a_url_is_typed_without_its_scheme_and_stays_if_it_is_refused(
    app: Driven, other: StandIn
) -> None:
    await app.press("S", *"ftp://x", "enter")
    await app.see("http:// or https:// in front", "ftp://x")
    await app.press(*["backspace"] * 7, *other.url.removeprefix("http://"), "enter")
    await app.see("elsewhere-1b")


async def test_urls_used_before_are_listed_until_they_are_forgotten(
    server: Server, other: StandIn, tmp_path: Path
) -> None:
    address = other.url.removeprefix("http://")
    async with driven(server, tmp_path, size=(80, 30)) as app:
        await app.see(QUICK)
        await app.press("S", *address, "enter")
        await app.see("elsewhere-1b")
        await app.press("S")
        await app.see(f"● {other.url}", "current")
        await app.press("delete", "up", "enter")
        await app.see(QUICK)
        await app.press("S")
        await app.see("● stand-in", f"  {other.url}", "used before · Del forgets it")
        await app.press("escape", "colon", *f"server {address}", "enter")
        await app.see("elsewhere-1b")
        await app.press("S", "up", "enter")
        await app.see(QUICK)
        await app.press("S")
        await app.see("used before")
        await app.press("down", "delete")
        await app.unsee(other.url)
        await app.until(lambda: not read_urls(tmp_path / "state"), "forgotten")


async def test_the_demo_is_a_server_of_the_list_and_of_the_palette(
    server: Server, other: StandIn, tmp_path: Path
) -> None:
    @asynccontextmanager
    async def demo() -> AsyncIterator[tuple[Server, Paths]]:
        yield Server(other.url, identity="demo", name="demo"), Paths.below(tmp_path / "demo")

    async with driven(server, tmp_path, demo_world=demo) as app:
        await app.see(QUICK)
        await app.press("S", "up", "enter")
        await app.see("demo ●", "elsewhere-1b")
        await app.press("S")
        await app.see("● demo", "a simulated server on this machine")
        await app.press("up", "enter")
        await app.see(QUICK)
        await app.press("colon", *"demo open", "enter")
        await app.see("demo ●", "elsewhere-1b")


async def test_a_url_can_be_typed_at_once(app: Driven, other: StandIn) -> None:
    await app.press("S", *other.url, "enter")
    await app.see("elsewhere-1b")


async def test_a_url_that_is_none_is_refused_in_words_and_the_server_stays(app: Driven) -> None:
    await app.press("S", "tab", *"ftp://localhost:8080", "enter")
    await app.see("expected http:// or https://", "ftp://localhost:8080")
    await app.press("escape")
    await app.see("stand-in ●", QUICK)


async def test_esc_in_the_list_of_servers_changes_nothing(app: Driven) -> None:
    await app.press("S", "escape")
    await app.see("stand-in ●", QUICK)


async def test_leaving_a_server_closes_what_was_open_there(
    app: Driven, stand_in: StandIn, other: StandIn
) -> None:
    await app.press("S", "tab", *other.url, "enter")
    await app.see("elsewhere-1b")
    before = len(stand_in.requests)
    await app.press("f5")
    await app.until(lambda: list_requests(other) > 1, "asked")
    assert len(stand_in.requests) == before


async def test_upper_s_keeps_read_only(server: Server, other: StandIn, tmp_path: Path) -> None:
    async with driven(replace(server, read_only=True), tmp_path) as app:
        await app.see(QUICK)
        await app.press("S", "tab", *other.url, "enter")
        await app.see("elsewhere-1b", "read-only")


async def test_a_second_that_ends_with_the_app_is_no_fault(app: Driven) -> None:
    await app.see(QUICK)
    stack = app.app._screen_stack
    screens = [*stack]
    # As Textual leaves it between the end of the screens and that of the timers.
    stack.clear()
    app.app._tick()
    stack += screens


async def test_time_that_goes_by_opens_no_chat(app: Driven) -> None:
    """A chat takes 5 MiB, which a dashboard that only watches doesn't need."""
    await app.see(QUICK)
    app.app._tick()
    controllers = app.app._servers.controllers
    assert controllers is not None
    assert controllers._open_chat is None
