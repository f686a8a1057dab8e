"""Every theme that Textual ships can be read, and without colors the state is still told."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from textual.theme import BUILTIN_THEMES

from aitui.domain.confirmation import Confirmation
from aitui.domain.snapshot import ConnectionPhase, ConnectionStatus
from aitui.errors import Unreachable
from aitui.ui.screens.confirm import ConfirmScreen
from aitui.ui.screens.dialogs import ServerChoice, ServersScreen
from aitui.ui.screens.first_run import FirstRunScreen
from aitui.ui.screens.help import HelpScreen, help_groups
from aitui.ui.screens.setup import SetupScreen
from aitui.ui.theme import DARK, LIGHT
from ui.contrast import unreadable
from ui.driven import Driven, driven
from ui.hand_made import NOW, SERVER, STILL, certificate_paths, live, show_instead_of_servers
from ui.mixture import MIXTURE, REQUESTS

TERMINALS_OWN = {"ansi-dark", "ansi-light"}
"""Themes made of the terminal's own sixteen colors: what those look like is up to the terminal."""
THEMES = (DARK, LIGHT, *sorted(set(BUILTIN_THEMES) - TERMINALS_OWN))
OWN = (DARK, LIGHT)
QUESTION = Confirmation("Load it?", ("≈ evicts another: idle", "Loading took 29 s."), yes="Load")


async def lost(app: Driven) -> None:
    error = Unreachable("home refuses connections", why="nothing listens", remedy="look there")
    link = ConnectionStatus(ConnectionPhase.LOST, NOW - 75, None, error, 3, NOW + 4)
    app.app.snapshot = live(*MIXTURE, link=link, warnings=("load times can't be kept",))
    await app.see("✘ lost for")


async def question(app: Driven) -> None:
    app.app.push_screen(ConfirmScreen(lambda _: QUESTION, live()))
    await app.see("Load it?")


async def other_choice(app: Driven) -> None:
    await question(app)
    await app.press("right")


async def help_(app: Driven) -> None:
    app.app.push_screen(HelpScreen(help_groups(app.models)))
    await app.see("you are here")


async def setup(app: Driven) -> None:
    files = certificate_paths(Path("/home/me/certs"))
    server = replace(SERVER, ca=files[0][1], client_cert=files[1][1], client_key=files[2][1])
    app.app.push_screen(SetupScreen(server, files[:2]))
    await app.see("✘ missing", "✔ there")


async def first_run(app: Driven) -> None:
    screen = FirstRunScreen((SERVER,), STILL, "~/.config/aitui/config.toml", (9,))
    app.app.push_screen(screen)
    await app.see("connection refused")


async def new_server(app: Driven) -> None:
    await first_run(app)
    await app.press("a", *"htp://x")
    await app.see("http:// or https:// in front")


async def servers(app: Driven) -> None:
    app.app.push_screen(
        ServersScreen((SERVER, replace(SERVER, read_only=True)), ServerChoice(SERVER))
    )
    await app.see("or the URL of another one")


async def toasts(app: Driven) -> None:
    for severity in ("information", "warning", "error"):
        app.app.notify("some words", title="A title", severity=severity)
    await app.until(lambda: len(app.toasts) == 1, "told")


async def palette(app: Driven) -> None:
    app.app.action_command_palette()
    await app.see("Commands ─")


async def palette_searching(app: Driven) -> None:
    await palette(app)
    await app.press("u", "down")
    await app.settle()


async def filtered(app: Driven) -> None:
    await app.press("slash", "q")


async def nothing(app: Driven) -> None:
    await app.settle()


SCENES: dict[str, Callable[[Driven], Awaitable[None]]] = {
    "models": nothing,
    "filter": filtered,
    "question": question,
    "other choice": other_choice,
    "help": help_,
    "setup": setup,
    "first run": first_run,
    "new server": new_server,
    "servers": servers,
    "toasts": toasts,
    "palette": palette,
    "palette searching": palette_searching,
    "lost": lost,
}
MOST_COLORS = ("models", "question", "help", "setup", "palette", "lost")
"""Between them they show every color that the other scenes have."""


@pytest.mark.parametrize("scene", SCENES)
async def test_text_can_be_read_in_every_theme(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scene: str
) -> None:
    show_instead_of_servers(monkeypatch, live(*MIXTURE, requests=REQUESTS))
    faint = []
    async with driven(SERVER, tmp_path, clock=STILL) as app:
        await app.see("failed")
        await SCENES[scene](app)
        for theme in THEMES if scene in MOST_COLORS else OWN:
            app.app.theme = theme
            await app.settle()
            faint += [f"{theme}: {words}" for words in unreadable(app.strips)]
    assert faint == []


def test_every_theme_is_looked_at_but_the_terminals_own() -> None:
    assert len(THEMES) >= 15
    assert set(BUILTIN_THEMES) - set(THEMES) == TERMINALS_OWN


async def test_without_colors_glyph_and_word_tell_the_state(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    show_instead_of_servers(monkeypatch, live(*MIXTURE))
    async with driven(SERVER, tmp_path, clock=STILL, size=(120, 36)) as app:
        await app.see("failed")
        colors = {
            color.triplet
            for strip in app.strips
            for _, style, _ in strip
            if style
            for color in (style.color, style.bgcolor)
            if color is not None and color.triplet is not None
        }
        assert all(color.red == color.green == color.blue for color in colors)
        for glyph, word in (("●", "ready"), ("◑", "loading"), ("✘", "failed"), ("◔", "stopping")):
            assert any(glyph in line and word in line for line in app.text.split("\n")), word
        rows = [line for line in app.text.split("\n") if app.under_cursor[:10] in line]
        assert any(row[1] == "▌" for row in rows)  # one is the title of the pane
        assert list(unreadable(app.strips)) == []
