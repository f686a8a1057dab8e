"""Draws the pictures of the README: the real app at work on the demo's stand-in server."""

import asyncio
import html
import os
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from rich.color import Color
from rich.segment import Segment
from textual._context import visible_screen_stack
from textual.app import App
from textual.pilot import Pilot

from aitui.__main__ import demo_server
from aitui.demo.catalogue import GEMMA, GPT_OSS, MINIMAX, QWEN, SMOL
from aitui.domain.models import RunState
from aitui.domain.snapshot import Clock, Snapshot
from aitui.errors import KeyPasswordNeeded
from aitui.paths import Paths
from aitui.settings import SettingsFlags, read_settings
from aitui.ui.app import AituiApp
from aitui.ui.context import AppContext
from aitui.ui.screens.confirm import ConfirmScreen
from aitui.ui.screens.dialogs import ChooseScreen, KeyPasswordScreen
from aitui.ui.screens.models import ModelsScreen
from aitui.ui.widgets.model_table import ModelTable

PROMPT = "Split this model over both cards. What does the KV cache cost at 128k and at 256k?"
STARTS_AT = 12 * 3600 + 41 * 60 + 16
"""Seconds of the day at which every picture begins."""
HERE = Path(__file__).parent
IN_README = {f"{name}-120x36.svg" for name in ("models", "chat", "activity", "hardware", "change")}
"""Those that are kept; the others are drawn into a folder of their own, to be looked at."""
LIMIT = 300.0
"""Seconds for anything that is waited for."""
FONT_OF_ANOTHER_HOST = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


async def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until something is so, on a machine however busy; raises TimeoutError that names it."""
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {LIMIT:.0f} s: {what}")
        await asyncio.sleep(0.05)


def models(app: AituiApp) -> ModelsScreen:
    """The first screen."""
    screen = app.screen_stack[0]
    if not isinstance(screen, ModelsScreen):
        raise TypeError("the first screen shows the models")
    return screen


@contextmanager
def all_screens_drawn(app: AituiApp) -> Iterator[None]:
    """Draw what lies behind a dialog as well: Textual does so only for the stack that the context names."""
    stack = visible_screen_stack.set(app._background_screens)
    try:
        yield
    finally:
        visible_screen_stack.reset(stack)


class Artist:
    """Draws the app at one size."""

    def __init__(self, app: AituiApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot
        self.models = models(app)
        self.table = self.models.query_one(ModelTable)

    @property
    def text(self) -> str:
        """What the screen says."""
        with all_screens_drawn(self.app):
            strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text for strip in strips)

    @property
    def asks(self) -> bool:
        """Whether a question is open and takes an answer."""
        return isinstance(self.app.screen, ConfirmScreen) and self.app.screen._armed

    def draw(self, name: str) -> None:
        """Save what is on screen; the picture loads nothing from anywhere."""
        with all_screens_drawn(self.app):
            picture = FONT_OF_ANOTHER_HOST.sub("", self.app.export_screenshot(title="aitui"))
        name = f"{name}-{self.app.size.width}x{self.app.size.height}.svg"
        folder = HERE if name in IN_README else HERE / "all"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(picture, encoding="utf-8")
        print(f"drew {name}")

    async def see(self, *texts: str) -> None:
        """Wait until the screen says all of that."""
        await wait_for(lambda: all(text in self.text for text in texts), " ".join(texts))

    async def press(self, *keys: str) -> None:
        """Press keys and let what follows be painted."""
        await self.pilot.press(*keys)
        await self.pilot.pause(0.3)

    async def agree(self) -> None:
        """Answer a question with yes, again where its facts changed meanwhile."""
        while isinstance(self.app.screen, ConfirmScreen):
            await wait_for(lambda: self.asks, "armed")
            await self.press("y")

    async def close(self) -> None:
        """Leave whatever is open."""
        while len(self.app.screen_stack) > 1:
            await self.press("escape")

    async def views(self) -> None:
        """The first screen, the other views, and what lies over them without asking anything."""
        await wait_for(lambda: is_complete(self.models.snapshot), "complete")
        self.table.select(GPT_OSS)
        await self.press()
        self.draw("failure")
        self.table.select(QWEN)
        await self.press()
        self.draw("models")
        for key, view, sign in (
            ("2", "logs", " lines"),
            ("3", "activity", "p50"),
            ("v", "residency", "Residency"),
            ("4", "hardware", "GPU 1"),
            ("p", "processes", "Processes"),
            ("5", "config", "models:"),
            ("D", "doctor", "Checked"),
        ):
            await self.press(key)
            await self.see(sign)
            self.draw(view)
            if view not in {"activity", "hardware"}:
                await self.close()
        for key, dialog in (("?", "help"), ("S", "servers"), ("m", "messages"), (":", "palette")):
            await self.press(key)
            if dialog == "palette":
                await self.press(*"load g", "down")
            self.draw(dialog)
            await self.close()

    async def questions(self) -> None:
        """What is asked before something changes."""
        for model, key, dialog in (
            *((MINIMAX, "l", "question"), (QWEN, "U", "all")),
            *((QWEN, "H", "reload"), (QWEN, "R", "restart")),
        ):
            self.table.select(model)
            await self.press(key)
            await wait_for(lambda: self.asks, dialog)
            self.draw(dialog)
            await self.close()
        # One that no group of the config names: such a one isn't removed.
        self.table.select(MINIMAX)
        await self.press("5")
        await self.see(f"{MINIMAX}:")
        await self.press("delete")
        await wait_for(lambda: self.asks, "remove")
        self.draw("remove")
        await self.press("escape", "a")
        await wait_for(lambda: isinstance(self.app.screen, ChooseScreen), "choose")
        self.draw("choose")
        await self.close()
        error = KeyPasswordNeeded(
            "The client key is encrypted",
            why="~/.config/aitui/certs/client-key.pem needs a password",
        )
        self.app.push_screen(KeyPasswordScreen(error))
        await self.press()
        self.draw("password")
        await self.close()

    async def change(self) -> None:
        """The three steps of another context size, and the way back."""
        self.table.select(QWEN)
        await self.press("c", *"256k")
        self.draw("size")
        await self.press("enter")
        await wait_for(lambda: self.asks, "change")
        self.draw("change")
        # At the same time: a key returns when the app is at rest, which may be after the load.
        agrees = asyncio.create_task(self.agree())
        # On a busy machine the load may be over before a frame shows its gauge.
        await wait_for(lambda: " left" in self.text or "Esc Close" in self.text, "steps")
        self.draw("steps")
        await agrees
        await self.see("Close")
        self.draw("changed")
        await self.close()
        await self.press("colon", *"undo", "enter")
        await wait_for(lambda: self.asks, "undo")
        self.draw("undo")
        await self.close()

    async def chat(self) -> None:
        """A reply beside the table, the list of commands, the chat alone, and the conversations."""
        chat = self.models.chat
        self.table.select(QWEN)
        await self.press("enter")
        await wait_for(lambda: chat.prompt.has_focus, "prompt")
        await self.press(*PROMPT, "enter")
        await wait_for(
            lambda: chat.status.reply is not None and chat.status.reply.phase.is_final, "reply"
        )
        await self.press()
        self.draw("chat")
        await self.press(*"/c")
        self.draw("commands")
        await self.press("ctrl+u", "f2")
        self.draw("zoom")
        await self.press("f2", *"/history", "enter")
        await wait_for(lambda: len(self.app.screen_stack) > 1, "history")
        await self.press()
        self.draw("history")
        await self.close()
        await self.press("escape", "escape")


async def draw_all(app: AituiApp, pilot: Pilot[None]) -> None:
    """Every view and dialog."""
    artist = Artist(app, pilot)
    await artist.views()
    await artist.questions()
    await artist.chat()
    await artist.change()


def is_complete(snapshot: Snapshot) -> bool:
    """Whether everything is there that the demo has from the first second."""
    failed = snapshot.model(GPT_OSS)
    sized = all(m.memory is not None for m in snapshot.models if m.loadable and m.id != GEMMA)
    return sized and bool(snapshot.finished) and failed is not None and failed.failed is not None


def clock() -> Clock:
    """Return a clock that says 12:41:16 UTC now, so that every picture has the same times.

    Of tomorrow: the files of the demo would be newer than its server in the afternoon.
    """
    began = time.monotonic()
    tomorrow = (time.time() // 86_400 + 1) * 86_400
    return Clock(time.monotonic, lambda: tomorrow + STARTS_AT + time.monotonic() - began)


CELL_WIDTH, CELL_HEIGHT, FONT_SIZE, BASELINE = 8.43, 18, 14, 13.5
FONT = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"


class Recorder:
    """Collects frames of an app; `at` of each is in seconds of the moving picture.

    One SVG, in which each different row is drawn once and frames put rows together: sharp at every
    size, and made without a browser.
    """

    def __init__(self, app: App[Any]) -> None:
        self._app = app
        self._rows: dict[str, int] = {}
        self._frames: list[tuple[float, tuple[int, ...]]] = []

    def record(self, at: float) -> None:
        """Keep what is on screen, unless it is what the last frame shows."""
        # What lies behind a dialog is drawn only for the stack that the context names.
        stack = visible_screen_stack.set(self._app._background_screens)
        strips = self._app.screen._compositor.render_strips()
        visible_screen_stack.reset(stack)
        ground = self._app.theme_variables["background"]
        rows = tuple(self._number(_draw_row(list(strip), ground)) for strip in strips)
        if not self._frames or self._frames[-1][1] != rows:
            self._frames.append((at, rows))

    def _number(self, row: str) -> int:
        return self._rows.setdefault(row, len(self._rows))

    def save(self, path: Path, ends_at: float) -> None:
        """Write the picture, which begins again when it has ended."""
        columns, lines = self._app.size
        width, height = columns * CELL_WIDTH, lines * CELL_HEIGHT
        ground = self._app.theme_variables["background"]
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}">',
            f"<style>text{{font:{FONT_SIZE}px {FONT};white-space:pre}}.b{{font-weight:bold}}</style>",
            f'<rect width="100%" height="100%" fill="{ground}"/>',
            (
                '<rect width="0" height="0"><animate id="loop" attributeName="x" '
                f'begin="0s;loop.end" dur="{ends_at:.2f}s" values="0;0"/></rect>'
            ),
            "<defs>",
            *(f'<g id="r{number}">{row}</g>' for row, number in self._rows.items()),
            "</defs>",
        ]
        ends = [at for at, _ in self._frames[1:]] + [ends_at]
        for (at, rows), end in zip(self._frames, ends, strict=True):
            first = ' visibility="visible"' if not at else ' visibility="hidden"'
            placed = "".join(
                f'<use href="#r{number}" y="{line * CELL_HEIGHT}"/>'
                for line, number in enumerate(rows)
            )
            shows = (
                f'<set attributeName="visibility" to="visible" begin="loop.begin+{at:.2f}s" '
                f'dur="{end - at:.2f}s"/>'
            )
            hides = (
                f'<set attributeName="visibility" to="hidden" begin="loop.begin+{end:.2f}s"/>'
                if not at
                else ""
            )
            parts.append(f"<g{first}>{shows}{hides}{placed}</g>")
        parts.append("</svg>")
        path.write_text("\n".join(parts), encoding="utf-8")


def _draw_row(segments: list[Segment], ground: str) -> str:
    grounds, texts, at = [], [], 0
    for text, style, _ in segments:
        cells = Segment(text).cell_length
        color, back = "#dce3ee", ground
        bold = False
        if style is not None:
            color = _hex(style.color, color)
            back = _hex(style.bgcolor, back)
            bold = bool(style.bold)
            if style.reverse:
                color, back = back, color
        x, width = at * CELL_WIDTH, cells * CELL_WIDTH
        if back != ground:
            grounds.append(
                f'<rect x="{x:.1f}" width="{width + 0.2:.1f}" height="{CELL_HEIGHT}" fill="{back}"/>'
            )
        if text.strip():
            lead = len(text) - len(text.lstrip())
            shown = text.strip()
            x += lead * CELL_WIDTH
            length = Segment(shown).cell_length * CELL_WIDTH
            weight = ' class="b"' if bold else ""
            texts.append(
                f'<text x="{x:.1f}" y="{BASELINE}" textLength="{length:.1f}" fill="{color}"{weight}>'
                f"{html.escape(shown)}</text>"
            )
        at += cells
    return "".join((*grounds, *texts))


def _hex(color: Color | None, default: str) -> str:
    return default if color is None or color.is_default else color.get_truecolor().hex


@asynccontextmanager
async def demo(size: tuple[int, int]) -> AsyncIterator[tuple[AituiApp, Pilot[None]]]:
    """The demo at that size, from 12:41:16 UTC on."""
    with tempfile.TemporaryDirectory() as folder:
        paths, now = Paths.below(Path(folder)), clock()
        context = AppContext(
            settings=read_settings(SettingsFlags(), {}, paths.config, Path(folder)),
            paths=paths,
            home=Path(folder),
            clock=now,
            random=Random(1),  # noqa: S311
            demo_world=partial(demo_server, now.wall),
            start_with_demo=True,
        )
        app = AituiApp(context)
        async with app.run_test(size=size) as pilot:
            yield app, pilot


FRAME_SECONDS = 0.2
TYPING_SECONDS = 0.06


class Camera:
    """Records what the app shows while it waits and while keys are pressed."""

    def __init__(self, app: AituiApp, pilot: Pilot[None]) -> None:
        self._app = app
        self._pilot = pilot
        self._recorder = Recorder(app)
        self._shown = 0.0

    @property
    def asks(self) -> bool:
        """Whether a question is open."""
        return isinstance(self._app.screen, ConfirmScreen)

    async def watch(self, seconds: float, done: Callable[[], bool] = lambda: False) -> None:
        """Record so many seconds, fewer if it is done before."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends and not done():
            self._recorder.record(self._shown)
            await asyncio.sleep(FRAME_SECONDS)
            self._shown += FRAME_SECONDS

    async def press(self, *keys: str) -> None:
        """Press keys at the pace of a person who types."""
        for key in keys:
            await self._pilot.press(key)
            self._shown += TYPING_SECONDS
            self._recorder.record(self._shown)

    def says(self, text: str) -> bool:
        """Return whether what lies on top says that."""
        return any(text in strip.text for strip in self._app.screen._compositor.render_strips())

    async def agree(self) -> None:
        """Press y until it counts: it doesn't while the facts of a question change."""
        while self.asks:
            await self.press("y")
            await self.watch(0.4, lambda: not self.asks)

    def save(self, path: Path) -> None:
        """Write the moving picture."""
        self._recorder.save(path, self._shown)
        print(f"drew {path.name}")


async def film(app: AituiApp, pilot: Pilot[None]) -> None:
    """Load a model, chat with it, and give it a larger context, as one moving picture."""
    await wait_for(lambda: is_complete(models(app).snapshot), "complete")
    camera = Camera(app, pilot)

    def is_ready() -> bool:
        model = models(app).snapshot.model(SMOL)
        return model is not None and model.state is RunState.READY

    def has_replied() -> bool:
        reply = models(app).chat.status.reply
        return reply is not None and reply.phase.is_final

    models(app).query_one(ModelTable).select(SMOL)
    await camera.watch(1.5)
    await camera.press("l")
    await camera.watch(1.0)
    if camera.asks:
        await camera.watch(1.5)
        await camera.agree()
    await camera.watch(60, is_ready)
    await camera.watch(1.0)
    await camera.press("enter")
    await camera.watch(0.5)
    await camera.press(*"Compare the quantizations of a 30B model", "enter")
    await camera.watch(60, has_replied)
    await camera.watch(2.5)
    await camera.press("escape", "escape", "c")
    await camera.watch(1.0)
    await camera.press(*"32k")
    await camera.watch(2.0)
    await camera.press("enter")
    await camera.watch(10, lambda: camera.asks)
    await camera.watch(2.5)
    await camera.agree()
    await camera.watch(3.0)
    await camera.watch(90, lambda: camera.says("Close"))
    await camera.watch(4.0)
    camera.save(HERE / "aitui.svg")


async def main() -> None:
    """Draw every view at three sizes, and the moving picture; `film` draws that alone."""
    os.environ |= {"TZ": "UTC", "COLORTERM": "truecolor"}
    time.tzset()
    if sys.argv[1:] != ["film"]:
        for size in ((80, 24), (120, 36), (200, 50)):
            async with demo(size) as (app, pilot):
                await draw_all(app, pilot)
    async with demo((110, 32)) as (app, pilot):
        await film(app, pilot)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
