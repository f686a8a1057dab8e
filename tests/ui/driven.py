"""The running app as a person has it: keys and mouse go in, and what is read is on the screen."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from random import Random
from time import monotonic, time

from rich.cells import cell_len
from textual import events
from textual._context import visible_screen_stack
from textual.geometry import Region
from textual.pilot import Pilot
from textual.strip import Strip
from textual.widgets._toast import Toast

from aitui.domain.models import Model
from aitui.domain.snapshot import Clock, Server
from aitui.paths import Paths
from aitui.settings import Settings
from aitui.ui.app import AituiApp
from aitui.ui.context import AppContext, DemoWorld
from aitui.ui.controllers.server import ServerControllers
from aitui.ui.screens.confirm import ConfirmScreen
from aitui.ui.screens.models import ModelsScreen
from aitui.ui.theme import DARK
from aitui.ui.widgets.model_table import ModelTable
from undrawn_frames import Frames

PATIENCE = 60.0
"""Seconds after which something that was to appear counts as missing."""
REAL_CLOCK = Clock(monotonic, time)


class Driven:
    """One running app."""

    def __init__(self, app: AituiApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def strips(self) -> list[Strip]:
        """The lines that go to the terminal, behind every filter."""
        # What lies behind a dialog is drawn only for the stack that the context names.
        visible_screen_stack.set(self.app._background_screens)
        return self.app.screen._compositor.render_strips()

    @property
    def text(self) -> str:
        """What the screen says."""
        return "\n".join(strip.text for strip in self.strips)

    @property
    def models(self) -> ModelsScreen:
        """The screen of models, wherever in the stack it is."""
        screen = self.app.screen_stack[0]
        assert isinstance(screen, ModelsScreen)
        return screen

    @property
    def table(self) -> ModelTable:
        """The table of models."""
        return self.models.query_one(ModelTable)

    @property
    def under_cursor(self) -> str:
        """The id of the model under the cursor."""
        model = self.table.selected_model
        return "" if model is None else model.id

    @property
    def asking(self) -> bool:
        """Whether a question is open."""
        return isinstance(self.app.screen, ConfirmScreen)

    @property
    def is_armed(self) -> bool:
        """Whether the question that is open takes a yes."""
        return isinstance(self.app.screen, ConfirmScreen) and self.app.screen._armed

    @property
    def server(self) -> Server:
        """The server that the app is at."""
        assert self.app.server is not None
        return self.app.server

    @property
    def controllers(self) -> ServerControllers:
        """The controllers of the server that the app is at."""
        assert self.app._servers.controllers is not None
        return self.app._servers.controllers

    @property
    def toasts(self) -> list[str]:
        """What a toast says, as it stands on screen, line breaks as blanks."""
        strips, toasts = self.strips, self.app.screen.query(Toast)
        return [_text_within(strips, toast.content_region) for toast in toasts]

    @property
    def said(self) -> list[str]:
        """What was said in passing since `forget`, each with its title."""
        return [" ".join(f"{one.title} {one.text}".split()) for one in self.app.notices]

    def forget(self) -> None:
        """Let what was said be as if it weren't."""
        self.app.clear_notifications()
        self.app.notices = ()

    def model(self, model_id: str) -> Model:
        """A model as the app shows it."""
        model = self.models.snapshot.model(model_id)
        assert model is not None, f"no model {model_id} in {self.models.snapshot.models}"
        return model

    def line_of(self, text: str) -> str:
        """The first line on screen with that text."""
        return next((strip.text for strip in self.strips if text in strip.text), "")

    def place_of(self, text: str) -> tuple[int, int]:
        """Column and row of a text on screen, in cells."""
        for row, strip in enumerate(self.strips):
            before, found, _ = strip.text.partition(text)
            if found:
                return cell_len(before), row
        raise AssertionError(f"“{text}” is not on screen:\n{self.text}")

    async def press(self, *keys: str) -> None:
        """Press keys one after the other, as fast as they can be taken."""
        await self.pilot.press(*keys)

    def burst(self, *keys: str) -> None:
        """Let keys come in at once, as from somebody who types ahead."""
        driver = self.app._driver
        assert driver is not None
        for key in keys:
            character = "/" if key == "slash" else key
            driver.send_message(events.Key(key, character if len(character) == 1 else None))

    async def click(self, text: str) -> None:
        """Click on the first letter of a text on screen."""
        await self.pilot.click(offset=self.place_of(text))

    def go_to(self, model_id: str) -> None:
        """Put the cursor on a model."""
        self.table.select(model_id)
        assert self.under_cursor == model_id

    async def until(self, condition: Callable[[], object], what: str = "") -> None:
        """Wait until something is true of the screen."""
        deadline = monotonic() + PATIENCE
        while not condition():
            assert self.app._exception is None, self.app._exception
            assert monotonic() < deadline, f"never {what or 'so'}; the screen:\n{self.text}"
            await asyncio.sleep(0.02)

    async def see(self, *texts: str) -> None:
        """Wait until all of these texts are on screen."""

        await self._until_drawn(
            lambda shown: all(text in shown for text in texts), f"seen: {texts}"
        )

    async def unsee(self, text: str) -> None:
        """Wait until a text has left the screen."""
        await self._until_drawn(lambda shown: text not in shown, f"gone: {text}")

    async def _until_drawn(self, condition: Callable[[str], bool], what: str) -> None:
        """Wait until something is true of the text; it is drawn when a frame was due since."""
        drawn = -1

        def met() -> bool:
            nonlocal drawn
            before, drawn = drawn, Frames.due
            return before != drawn and condition(self.text)

        await self.until(met, what)

    async def told(self, text: str) -> None:
        """Wait until the app says something in passing."""
        await self.until(lambda: any(text in one for one in self.said), f"told: {text}")

    async def until_ready(self, *model_ids: str) -> None:
        """Wait until the app knows that these models are ready, and no others."""
        wanted = set(model_ids)
        await self.until(
            lambda: {model.id for model in self.models.snapshot.ready} == wanted, "ready"
        )

    async def answer(self, key: str) -> None:
        """Answer the question that is open; read it anew, and answer again, where its facts change."""
        await self.armed()
        question = self.app.screen
        while self.app.screen is question:
            await self.press(key)
            await self.settle()
            await self.until(lambda: self.is_armed or self.app.screen is not question, "answered")

    async def armed(self) -> None:
        """Wait until the question that is open takes a yes."""
        await self.until(lambda: self.is_armed, "armed")

    async def settle(self) -> None:
        """Let everything that was posted be handled, keys included.

        `pilot.pause()` doesn't wait for workers: for what they bring there is `until`.
        """
        await self.pilot.pause()


@asynccontextmanager
async def driven(
    server: Server,
    folder: Path,
    *,
    servers: Sequence[Server] = (),
    missing: tuple[tuple[str, Path], ...] = (),
    demo_world: DemoWorld | None = None,
    size: tuple[int, int] = (80, 24),
    clock: Clock = REAL_CLOCK,
    theme: str = DARK,
) -> AsyncIterator[Driven]:
    """The app, opened on a server."""
    app = opened(
        server, folder, servers=servers, missing=missing, demo_world=demo_world, clock=clock
    )
    app.theme = theme
    async with app.run_test(size=size, notifications=True) as pilot:
        yield Driven(app, pilot)


def opened(
    server: Server,
    folder: Path,
    *,
    servers: Sequence[Server] = (),
    missing: tuple[tuple[str, Path], ...] = (),
    demo_world: DemoWorld | None = None,
    clock: Clock = REAL_CLOCK,
) -> AituiApp:
    """The app, not yet running, without animations."""
    known = tuple(servers) or (server,)
    # As `--read-only` has it, which every server of the settings then is.
    template = Server("", "", read_only=all(one.read_only for one in known))
    opening = AppContext(
        settings=Settings(server, known, template=template),
        paths=Paths.below(folder),
        home=folder,
        clock=clock,
        random=Random(1),
        demo_world=demo_world or _no_demo,
        missing_certificates=missing,
    )
    app = AituiApp(opening)
    app.animation_level = "none"
    return app


def _text_within(strips: Sequence[Strip], region: Region) -> str:
    lines = strips[max(0, region.y) : region.bottom]
    return " ".join(" ".join(line.crop(region.x, region.right).text for line in lines).split())


def _no_demo() -> AbstractAsyncContextManager[tuple[Server, Paths]]:
    raise AssertionError("this test has no demo")
