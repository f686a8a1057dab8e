"""The palette: actions, models, conversations, servers and themes, found by typing."""

from pathlib import Path

import pytest

from aitui.domain.models import ActiveRequests, Model, RunState
from aitui.domain.snapshot import Server, Snapshot
from aitui.ui.controllers.palette import cost_of_all, model_commands, screen_commands
from aitui.ui.screens.palette import Command, CommandList, PaletteScreen, match_commands
from catalogue import QUICK, STEADY
from other_client import OtherClient
from ui.driven import Driven, driven


def titles(query: str, *names: str) -> list[str]:
    return [one.title for one in match_commands([Command(n, print) for n in names], query)]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("load g", ["load gpt-oss", "reload the config"]),
        ("hist", ["conversations: history"]),
        ("GPT", ["load gpt-oss"]),
        ("nothing like it", []),
        ("[red]", []),
    ],
)
def test_every_word_must_occur_and_beginnings_come_first(query: str, found: list[str]) -> None:
    assert titles(query, "reload the config", "conversations: history", "load gpt-oss") == found


def test_what_ends_everything_says_how_much() -> None:
    loaded = Snapshot(
        models=(Model(QUICK, state=RunState.READY), Model(STEADY, state=RunState.STARTING)),
        requests=ActiveRequests(total=1),
    )
    assert cost_of_all(loaded)[0] == "unloads 2 models, cuts 1 request"
    assert cost_of_all(Snapshot())[0] == "nothing is loaded"


async def test_a_load_says_its_cost_and_runs(
    server: Server, tmp_path: Path, other: OtherClient
) -> None:
    await other.load(STEADY)
    async with driven(server, tmp_path, size=(120, 36)) as app:
        await app.see(STEADY)
        await app.press("colon", *f"load {QUICK}")
        await app.see("unloads 1", f"evicts {STEADY}", "aitui asks before it does this")
        await app.press("enter")
        await app.see(f"Load {QUICK}?")


async def test_an_entry_is_one_row_also_in_the_smallest_terminal(
    server: Server, tmp_path: Path, other: OtherClient
) -> None:
    await other.load(STEADY)
    async with driven(server, tmp_path, size=(40, 10)) as app:
        await app.see(STEADY)
        await app.press("colon", *f"load {QUICK}")
        await app.until(lambda: isinstance(app.app.screen, PaletteScreen), "open")
        listed = app.app.screen.query_one(CommandList)
        await app.until(lambda: listed.option_count > 0, "listed")
        assert listed.virtual_size.height == listed.option_count
        rows = [line.strip(" │▌") for line in app.text.splitlines() if f"load {QUICK}" in line]
        assert rows[1].endswith("  l"), rows


async def test_each_action_says_what_it_does(app: Driven) -> None:
    for command in screen_commands(app.app.screen):
        assert command.about or command.cost or command.confirmation, command.title
        assert command.about.rstrip(".").lower() != command.title


async def test_the_preview_has_the_title_once_and_what_it_does(
    server: Server, tmp_path: Path
) -> None:
    async with driven(server, tmp_path, size=(120, 36)) as app:
        await app.see(STEADY)
        await app.press("colon", *"open the demo")
        await app.see("a simulated server on this machine")
        assert app.text.count("open the demo") == 3  # the field, the list, the rule of the preview


async def test_a_theme_is_shown_while_it_is_selected(app: Driven) -> None:
    before = app.app.theme
    await app.press("colon", *"theme nord")
    await app.until(lambda: app.app.theme == "nord", "shown")
    await app.press("escape")
    assert app.app.theme == before
    await app.press("colon", *"theme nord", "enter")
    await app.until(lambda: not isinstance(app.app.screen, PaletteScreen), "chosen")
    assert app.app.theme == "nord"


async def test_hist_finds_the_history_and_actions_have_their_keys(app: Driven) -> None:
    await app.press("colon", *"hist")
    await app.see("conversations: history")
    assert app.line_of("conversations: history").partition(": history")[2].split()[0] == "h"
    await app.press("escape", "colon", *"unload all")
    await app.see("nothing is loaded")
    assert app.line_of("nothing is loaded").partition("is loaded")[2].split()[0] == "U"


def test_of_a_ready_model_there_is_no_load() -> None:
    snapshot = Snapshot(models=(Model(QUICK, state=RunState.READY),))
    found = [one.title for one in model_commands(lambda _: True, snapshot, print)]
    assert found == [f"chat with {QUICK}", f"log of {QUICK}"]


async def test_without_a_match_no_action_is_described(server: Server, tmp_path: Path) -> None:
    async with driven(server, tmp_path, size=(120, 36)) as app:
        await app.see(STEADY)
        await app.press("colon", *"open the demo")
        await app.see("a simulated server on this machine")
        await app.press("x")
        await app.see("nothing matches")
        assert "a simulated server on this machine" not in app.text
