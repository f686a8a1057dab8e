"""Dialogs of one size: what they say scrolls, what is to be pressed stays where it is."""

from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from msgspec.structs import replace
from textual.screen import ModalScreen

from aitui.domain.confirmation import Confirmation
from aitui.domain.hardware.sample import Gpu
from aitui.domain.memory.footprint import Footprint, FootprintOrigin
from aitui.domain.memory.hardware_state import HardwareState
from aitui.domain.memory.usage import GpuMemoryUsage, GpuShare, MemoryUsage
from aitui.domain.models import Model
from aitui.domain.profiles import Profiles, ServerProfile
from aitui.domain.progress import Steps, StepState
from aitui.domain.snapshot import Snapshot
from aitui.domain.unload_costs import ModelCost
from aitui.errors import KeyPasswordNeeded
from aitui.ui.screens.confirm import Choice, ConfirmScreen, LoadBars
from aitui.ui.screens.context_size import ContextSizeScreen
from aitui.ui.screens.dialogs import (
    ChooseScreen,
    KeyPasswordScreen,
    NewModelScreen,
    ProfilesScreen,
    ServerChoice,
    ServersScreen,
)
from aitui.ui.screens.help import HelpGroup, HelpScreen
from aitui.ui.screens.history import ConversationSource, HistoryScreen
from aitui.ui.screens.messages import MessagesScreen
from aitui.ui.screens.palette import Command, PaletteScreen
from aitui.ui.screens.steps import StepsScreen
from aitui.ui.terminal.notifications import Notice
from ui.driven import driven
from ui.hand_made import NOW, SERVER, STILL, WALL, live, show_instead_of_servers
from ui.mixture import GIB, LOADING, READY

SNAPSHOT = live(READY, LOADING)


async def test_a_load_is_a_gauge_as_reported_else_by_its_usual_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = live(LOADING)
    show_instead_of_servers(monkeypatch, snapshot)
    async with driven(SERVER, tmp_path, size=(80, 24), clock=STILL) as app:
        screen = StepsScreen("Changing a model", STILL, LOADING.id, on_failure="It is put back.")
        await app.app.push_screen(screen)
        steps = Steps.from_names("reload", "load", "verify")
        steps = steps.with_state("reload", StepState.RUNNING, NOW - 20)
        steps = steps.with_state("reload", StepState.DONE, NOW - 18)
        screen.steps = steps.with_state("load", StepState.RUNNING, NOW - 14.5)
        await app.see("━━━━━━━━━━━━────────────", "14 s left", "elapsed 20 s of about 31 s")
        await app.see("It is put back.")
        reported = replace(LOADING, progress=0.75, progress_note="shard 5 of 18")
        app.app.snapshot = replace(snapshot, models=(reported,))
        await app.see("━━━━━━━━━━━━━━━━━━────── 75 %", "shard 5 of 18")
        button = screen.query_one(Choice).region
        screen.finish("small could not be loaded", *(f"| line {n}" for n in range(30)), well=False)
        await app.see("Esc Close", "small could not be loaded")
        assert screen.query_one(Choice).region.y == button.y
        await app.press("escape")
        await app.until(lambda: not screen.is_running, "closed")
        screen.finish("small is ready", well=True)
        assert screen not in app.app.screen_stack


QUESTION = Confirmation("Unload all?", tuple(f"fact {n}" for n in range(40)), yes="Unload all")
DIALOGS: dict[str, Callable[[], ModalScreen[Any]]] = {
    "steps": lambda: StepsScreen("Changing a model with a long name", STILL, LOADING.id),
    "question": lambda: ConfirmScreen(lambda _: QUESTION, SNAPSHOT),
    "context": lambda: ContextSizeScreen(READY, SNAPSHOT),
}


async def test_the_memory_after_a_load_is_without_what_is_evicted_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = Model("wanted", memory=Footprint(4096, 20 * GIB))
    gpu = Gpu(0, total_bytes=96 * GIB, used_bytes=62 * GIB)
    share = GpuShare(READY.id, 31 * GIB, FootprintOrigin.MEASURED)
    usage = MemoryUsage((GpuMemoryUsage(gpu, (share,), 31 * GIB),))
    snapshot = live(READY, wanted, hardware=HardwareState(usage=usage))

    def question(now: Snapshot) -> Confirmation:
        goes = (ModelCost(READY.id, "unloads", "evicts it"),) if now.version == "later" else ()
        return Confirmation("Load it?", (), yes="Load", costs=goes, loads=wanted.id)

    show_instead_of_servers(monkeypatch, snapshot)
    async with driven(SERVER, tmp_path, size=(80, 24), clock=STILL) as app:
        await app.app.push_screen(ConfirmScreen(question, snapshot))
        await app.see("wanted 20.0 ▏ Qwen3.6-35B 31.0")
        app.app.snapshot = replace(snapshot, version="later")
        await app.see("free 34.0", "free 45.0")


async def test_a_cost_goes_on_below_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "cuts off 1 request: phone · Open WebUI, running for 30 s or more"
    cost = ModelCost(READY.id, "unloads", "", (words,))
    question = Confirmation("Unload all?", (), yes="Unload all", costs=(cost,))
    show_instead_of_servers(monkeypatch, SNAPSHOT)
    async with driven(SERVER, tmp_path, size=(80, 24), clock=STILL) as app:
        await app.app.push_screen(ConfirmScreen(lambda _: question, SNAPSHOT))
        await app.see("cuts off 1 request")
        assert app.place_of("more")[0] == app.place_of("cuts off")[0]


async def test_a_question_that_loads_nothing_has_no_row_for_bars(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def question(now: Snapshot) -> Confirmation:
        return Confirmation("Reload?", (f"version {now.version}",), yes="Reload")

    show_instead_of_servers(monkeypatch, SNAPSHOT)
    async with driven(SERVER, tmp_path, size=(80, 24), clock=STILL) as app:
        screen = ConfirmScreen(question, SNAPSHOT)
        await app.app.push_screen(screen)
        await app.settle()
        bars = screen.query_one(LoadBars)
        # Shown until the next layout, its margin would move the text for a frame, each second.
        bars.show(SNAPSHOT, question(SNAPSHOT))
        assert not bars.display


FIELDS: dict[str, Callable[[], ModalScreen[Any]]] = {
    "choose": lambda: ChooseScreen("Add which file?", [f"/models/{n}.gguf" for n in range(20)]),
    "password": lambda: KeyPasswordScreen(KeyPasswordNeeded("It is encrypted", why="why " * 60)),
    "profiles": lambda: ProfilesScreen(
        Profiles("p1", tuple(ServerProfile(f"p{n}", "slow " * 20) for n in range(20)))
    ),
    "new model": NewModelScreen,
    "servers": lambda: ServersScreen((SERVER,) * 9, ServerChoice(SERVER)),
    "history": lambda: HistoryScreen("", Mock(spec=ConversationSource), 0.0),
    "palette": lambda: PaletteScreen([Command(f"action {n}", print) for n in range(40)], Snapshot),
    "messages": lambda: MessagesScreen(
        Notice(WALL, f"message {n} of many", "", "information", 5) for n in range(40)
    ),
    "help": lambda: HelpScreen([HelpGroup("Keys", (("l", "load", ""),) * 40)]),
}


@pytest.mark.parametrize("size", [(40, 10), (80, 24)])
async def test_buttons_are_in_sight_and_the_text_scrolls(
    size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show_instead_of_servers(monkeypatch, SNAPSHOT)
    async with driven(SERVER, tmp_path, size=size, clock=STILL) as app:
        for name, build in DIALOGS.items():
            screen = build()
            await app.app.push_screen(screen)
            if isinstance(screen, StepsScreen):
                screen.finish(*(f"line {n}" for n in range(40)), well=False)
            await app.settle()
            inside = screen.query_one("#dialog").content_region
            for button in screen.query(Choice):
                assert inside.contains_region(button.region), (name, button.region, inside)
            text = screen.query_one(".text")
            assert text.size.height > 1, name
            assert name == "context" or text.max_scroll_y > 0, name
            await app.app.pop_screen()
        for name, build in FIELDS.items():
            screen = build()
            await app.app.push_screen(screen)
            await app.settle()
            inside = screen.query_one("#dialog").content_region
            fields = screen.query("Input, OptionList, VerticalScroll.text")
            for field in filter(attrgetter("display"), fields):
                assert inside.contains_region(field.region), (name, field.region, inside)
            assert "Esc" in app.strips[-1].text, name
            assert app.strips[-1].text.rstrip().endswith(("back", "close", "give up")), name
            await app.app.pop_screen()
