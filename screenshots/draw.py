"""Draws the pictures of the README: the real app at work on the demo's stand-in server."""

import asyncio
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from textual.pilot import Pilot

from aitui.__main__ import demo_server
from aitui.domain.models import RunState
from aitui.domain.snapshot import Clock, Snapshot
from aitui.paths import Paths
from aitui.settings import SettingsFlags, read_settings
from aitui.ui.app import AituiApp
from aitui.ui.context import AppContext
from aitui.ui.screens.confirm import ConfirmScreen
from aitui.ui.screens.models import ModelsScreen
from aitui.ui.widgets.model_table import ModelTable

HERE = Path(__file__).parent
LIMIT = 60.0
FONT_OF_ANOTHER_HOST = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def drawn(app: AituiApp, name: str) -> None:
    """Save what is on screen; the picture loads nothing from anywhere."""
    picture = FONT_OF_ANOTHER_HOST.sub("", app.export_screenshot(title="aitui"))
    (HERE / name).write_text(picture, encoding="utf-8")
    print(f"drew {name}")


async def until(app: AituiApp, holds: Callable[[Snapshot], bool]) -> None:
    """Wait for the app to show a snapshot that fulfils a condition."""
    async with asyncio.timeout(LIMIT):
        while not holds(models(app).snapshot):
            await asyncio.sleep(0.05)


def models(app: AituiApp) -> ModelsScreen:
    """The first screen."""
    screen = app.screen_stack[0]
    if not isinstance(screen, ModelsScreen):
        raise TypeError("the first screen shows the models")
    return screen


async def draw_all(app: AituiApp, pilot: Pilot[None]) -> None:
    """A chat, the questions before a change and an eviction, a model that loads, and the hardware."""
    await until(app, lambda snapshot: bool(snapshot.ready))
    table = models(app).query_one(ModelTable)
    table.select(models(app).snapshot.ready[0].id)
    await pilot.press("enter")
    async with asyncio.timeout(LIMIT):
        while not models(app).chat.prompt.has_focus:
            await asyncio.sleep(0.05)
    await pilot.press(*"Who answers here?", "enter")
    async with asyncio.timeout(LIMIT):
        while (answer := models(app).chat.status.reply) is None or not answer.phase.is_final:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    drawn(app, f"chat-{app.size.width}x{app.size.height}.svg")
    await pilot.press("escape", "escape")
    table.select("Qwen_Qwen3.6-35B-A3B-Q8_0")
    await pilot.press("c", *"131072", "enter")
    await question_open(app)
    drawn(app, f"change-{app.size.width}x{app.size.height}.svg")
    await pilot.press("escape")
    table.select("gpt-oss-120b-mxfp4")
    await pilot.press("l")
    await question_open(app)
    drawn(app, f"question-{app.size.width}x{app.size.height}.svg")
    await pilot.press("y")
    await until(app, lambda s: any(m.state is RunState.STARTING for m in s.models))
    await asyncio.sleep(2.2)
    drawn(app, f"models-{app.size.width}x{app.size.height}.svg")
    await until(app, lambda s: any(m.id in s.hardware.usage.observed_now for m in s.ready))
    await pilot.press("4")
    await asyncio.sleep(12)
    drawn(app, f"hardware-{app.size.width}x{app.size.height}.svg")


async def question_open(app: AituiApp) -> None:
    """Wait until a question is asked and takes an answer."""
    async with asyncio.timeout(LIMIT):
        while not isinstance(app.screen, ConfirmScreen):
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)


async def main() -> None:
    """Draw at the sizes that the README shows."""
    for size in ((80, 24), (120, 36)):
        with tempfile.TemporaryDirectory() as folder:
            paths = Paths.below(Path(folder))
            opening = AppContext(
                settings=read_settings(SettingsFlags(), {}, paths.config, Path(folder)),
                paths=paths,
                home=Path(folder),
                clock=Clock(time.monotonic, time.time),
                random=Random(1),  # noqa: S311
                demo_world=demo_server,
                start_with_demo=True,
            )
            app = AituiApp(opening)
            async with app.run_test(size=size) as pilot:
                await draw_all(app, pilot)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
