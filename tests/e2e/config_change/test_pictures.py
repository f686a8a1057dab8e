"""What the dialogs of a change look like: `pytest --snapshot-update` makes the pictures anew."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import pytest
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Input

from aitui.domain.config.document import ConfigDocument
from aitui.domain.config.lint import find_diagnostics
from aitui.domain.progress import Steps, StepState
from aitui.host.base import FileInfo, FileKind
from aitui.host.config_file import FileSnapshot
from aitui.services.config_plan import ChangePlan, change_confirmation, flag_edit
from aitui.services.config_watch import ServerConfig
from aitui.ui.screens.config import ConfigScreen, highlight_config
from aitui.ui.screens.confirm import ConfirmScreen
from aitui.ui.screens.context_size import ContextSizeScreen
from aitui.ui.screens.steps import StepsScreen
from ui.driven import opened
from ui.hand_made import NOW, SERVER, STILL, live, show_instead_of_servers
from ui.mixture import IDLE, READY, REQUESTS

SMALL, MIDDLE = (80, 24), (120, 36)
SNAPSHOT = live(READY, IDLE, requests=REQUESTS)
TEXT = f"""\
# What the machine serves.
globalTtl: 1800
macros:
  common: --n-gpu-layers 99 --ctx-size 32768
models:
  {READY.id}:
    cmd: |
      /opt/llama.cpp/llama-server --port ${{PORT}}
      --model /models/ready.gguf
      --ctx-size 262144   # all of it
  {IDLE.id}:
    cmd: /opt/llama.cpp/llama-server --port ${{PORT}} -m /models/idle.gguf ${{common}}
  another:
    cmd: /opt/llama.cpp/llama-server --port ${{PORT}} -m /models/another.gguf ${{common}}
"""
FACTS = FileInfo("config.yaml", FileKind.FILE, len(TEXT), 0o644, 1000, 1000, 0.0)
READING = FileSnapshot("~/config.yaml", "/home/me/config.yaml", TEXT.encode(), "", FACTS)

Show = Callable[[Pilot[None]], Awaitable[None]]


class Compare(Protocol):
    """The fixture of pytest-textual-snapshot."""

    def __call__(self, app: App[None], *, terminal_size: tuple[int, int], run_before: Show) -> bool:
        """Whether the app looks as it did."""


@pytest.fixture
def looks_as_before(
    snap_compare: Compare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[Show, tuple[int, int]], bool]:
    """Compares a dialog in front of the models with its picture."""
    monkeypatch.setenv("TZ", "UTC")

    def compare(show: Show, size: tuple[int, int]) -> bool:
        async def run_before(pilot: Pilot[None]) -> None:
            await pilot.pause()
            await show(pilot)
            await pilot.pause()
            for line in pilot.app.screen.query(Input):
                line.cursor_blink = False
            await pilot.pause()

        show_instead_of_servers(monkeypatch, SNAPSHOT)
        app = opened(SERVER, tmp_path, clock=STILL)
        return snap_compare(app, terminal_size=size, run_before=run_before)

    return compare


Picture = Callable[[Show, tuple[int, int]], bool]


def sizes(test: Callable[..., None]) -> Callable[..., None]:
    """Run at the two sizes that most people have."""
    parametrized: Callable[..., None] = pytest.mark.parametrize(
        "size", [SMALL, MIDDLE], ids=["80x24", "120x36"]
    )(test)
    return parametrized


def test_asking_for_a_size(looks_as_before: Picture) -> None:
    async def show(pilot: Pilot[None]) -> None:
        pilot.app.push_screen(ContextSizeScreen(READY))
        await pilot.pause()
        await pilot.press(*"512k")

    assert looks_as_before(show, SMALL)


@sizes
def test_the_question_before_a_shared_value_changes(
    looks_as_before: Picture, size: tuple[int, int]
) -> None:
    change = flag_edit(IDLE.id, "ctx-size", "65536")(ConfigDocument.read(TEXT))
    proposal = ChangePlan(READING, change, change.after.encode())

    async def show(pilot: Pilot[None]) -> None:
        pilot.app.push_screen(
            ConfirmScreen(
                lambda known: change_confirmation(proposal, known), SNAPSHOT, of_context=True
            )
        )

    assert looks_as_before(show, size)


def changing() -> Steps:
    steps = Steps.from_names(
        "read", "edit", "check", "back up", "replace", "reload", "load", "verify"
    )
    for number, name in enumerate(("read", "edit", "check", "back up", "replace", "reload")):
        steps = steps.with_state(name, StepState.RUNNING, NOW - 20 + number)
        steps = steps.with_state(name, StepState.DONE, NOW - 19.6 + number, "as it was")
    return steps


def test_steps_under_way(looks_as_before: Picture) -> None:
    async def show(pilot: Pilot[None]) -> None:
        screen = StepsScreen("Changing --ctx-size of small", STILL)
        screen.expected_load_time = 29.0
        pilot.app.push_screen(screen)
        screen.steps = changing().with_state("load", StepState.RUNNING, NOW - 14)

    assert looks_as_before(show, SMALL)


def test_steps_that_failed(looks_as_before: Picture) -> None:
    async def show(pilot: Pilot[None]) -> None:
        screen = StepsScreen("Changing --ctx-size of small", STILL)
        pilot.app.push_screen(screen)
        loading = changing().with_state("load", StepState.RUNNING, NOW - 14)
        screen.steps = loading.with_state("load", StepState.FAILED, NOW - 2, "small is gone")
        screen.finish(
            "small could not be loaded",
            "out of memory: 3200.00 MiB did not fit on device 0",
            "| allocating 3200.00 MiB on device 0: cudaMalloc failed: out of memory",
            "its log tells more",
            well=False,
        )

    assert looks_as_before(show, SMALL)


@sizes
def test_the_config_file(looks_as_before: Picture, size: tuple[int, int]) -> None:
    models = ConfigDocument.read(TEXT).models
    preset = ServerConfig(
        "me@box:/home/me/config.yaml",
        READING,
        TEXT,
        models,
        find_diagnostics(TEXT),
        "the file was changed at 12:39; the server has read it before, and doesn't watch it",
    )

    async def show(pilot: Pilot[None]) -> None:
        screen = ConfigScreen(STILL, SERVER, IDLE.id)
        pilot.app.push_screen(screen)
        await pilot.pause()
        screen.show_config(preset, highlight_config(TEXT))

    assert looks_as_before(show, size)
