"""Draws the pictures of the README: the real app at work on the demo's stand-in server."""

import asyncio
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

from textual.pilot import Pilot

from aitui.__main__ import demo_server
from aitui.demo.catalogue import GEMMA, GPT_OSS, MINIMAX, QWEN
from aitui.domain.snapshot import Clock, Snapshot
from aitui.paths import Paths
from aitui.settings import SettingsFlags, read_settings
from aitui.ui.app import AituiApp
from aitui.ui.context import AppContext
from aitui.ui.screens.confirm import ConfirmScreen
from aitui.ui.screens.models import ModelsScreen
from aitui.ui.widgets.model_table import ModelTable

PROMPT = "Split this model over both cards. What does the KV cache cost at 128k and at 256k?"
STARTS_AT = 12 * 3600 + 41 * 60 + 16
"""Seconds of the day at which every picture begins."""
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
    """The first screen, the hardware, the questions before an eviction and a change, and a chat."""
    await until(app, is_complete)
    size = f"{app.size.width}x{app.size.height}"
    table = models(app).query_one(ModelTable)
    table.select(QWEN)
    await asyncio.sleep(0.5)
    drawn(app, f"models-{size}.svg")
    await pilot.press("4")
    await asyncio.sleep(1.5)
    drawn(app, f"hardware-{size}.svg")
    await pilot.press("1")
    table.select(MINIMAX)
    await pilot.press("l")
    await question_open(app)
    drawn(app, f"question-{size}.svg")
    await pilot.press("escape")
    table.select(QWEN)
    await pilot.press("c", *"262144", "enter")
    await question_open(app)
    drawn(app, f"change-{size}.svg")
    await pilot.press("escape", "enter")
    async with asyncio.timeout(LIMIT):
        while not models(app).chat.prompt.has_focus:
            await asyncio.sleep(0.05)
    await pilot.press(*PROMPT, "enter")
    async with asyncio.timeout(LIMIT):
        while (answer := models(app).chat.status.reply) is None or not answer.phase.is_final:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    drawn(app, f"chat-{size}.svg")


def is_complete(snapshot: Snapshot) -> bool:
    """Whether everything is there that the demo has from the first second."""
    failed = snapshot.model(GPT_OSS)
    sized = all(m.memory is not None for m in snapshot.models if m.loadable and m.id != GEMMA)
    return sized and bool(snapshot.finished) and failed is not None and failed.failed is not None


async def question_open(app: AituiApp) -> None:
    """Wait until a question is asked and takes an answer."""
    async with asyncio.timeout(LIMIT):
        while not isinstance(app.screen, ConfirmScreen):
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)


def clock() -> Clock:
    """Return a clock that says 12:41:16 UTC now, so that every picture has the same times."""
    began = time.monotonic()
    today = time.time() // 86_400 * 86_400
    return Clock(time.monotonic, lambda: today + STARTS_AT + time.monotonic() - began)


async def main() -> None:
    """Draw at the sizes that the README shows."""
    os.environ["TZ"] = "UTC"
    time.tzset()
    for size in ((80, 24), (120, 36)):
        with tempfile.TemporaryDirectory() as folder:
            paths, now = Paths.below(Path(folder)), clock()
            opening = AppContext(
                settings=read_settings(SettingsFlags(), {}, paths.config, Path(folder)),
                paths=paths,
                home=Path(folder),
                clock=now,
                random=Random(1),  # noqa: S311
                demo_world=partial(demo_server, now.wall),
                start_with_demo=True,
            )
            app = AituiApp(opening)
            async with app.run_test(size=size) as pilot:
                await draw_all(app, pilot)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
