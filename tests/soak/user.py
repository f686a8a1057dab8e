"""A user of the real program who looks before each key: which screen it is for, and what has the focus."""

import asyncio
import os
import signal
from asyncio.subprocess import Process
from collections import Counter
from itertools import cycle
from pathlib import Path
from time import monotonic

from msgspec import Struct, json

from e2e.pseudo_terminal.terminal import Terminal

REPORTING_AITUI = """
import asyncio, json, os, signal, sys
from pathlib import Path
from aitui.__main__ import run
def owner(task):
    frame = getattr(task.get_coro(), "cr_frame", None)
    return frame.f_locals.get("self") if frame else None
def report(*_):
    tasks = asyncio.all_tasks(asyncio.get_running_loop())
    names = {task: getattr(task.get_coro(), "__qualname__", "a generator's end") for task in tasks}
    app = next((owner(task) for task in tasks if names[task] == "AituiApp.run_until_closed"), None)
    screen = app.screen_stack[-1] if app and app._screen_stack else None
    focused = screen.focused if screen else None
    state = {
        "tasks": sorted(
            f"{name} {getattr(owner(task), '_callback', None) or task.get_name()}"
            for task, name in names.items()
        ),
        "screen": type(screen).__name__ if screen else "",
        "focus": type(focused).__name__ if focused else "",
        "text": getattr(focused, "text", getattr(focused, "value", "")) if focused else "",
        "filtered": app._models_screen._filter_line.display if app else False,
        "model": getattr(app._models_screen.selected_model, "id", "") if app else "",
    }
    file = Path(os.environ["HOME"], "state.new")
    file.write_text(json.dumps(state))
    file.rename(file.with_suffix(""))
signal.signal(signal.SIGUSR2, report)
run()
"""
"""aitui, which writes where it is and the tasks of its event loop into a file when it is signalled."""
PAUSE = 0.3
"""Seconds between two keys."""
READ = 1.5
"""Seconds until a question is answered: one that came by itself takes no key for a second."""
SOON = 10.0
"""Seconds in which a key shows its effect, also while a fault delays the answer."""
VERIFIED = 75.0
"""Seconds in which a change is verified: through an outage it is tried for a minute."""
AT_MODELS = "ModelsScreen", "ModelTable"
FILTERING = "ModelsScreen", "Input"
WRITING = "ModelsScreen", "Composer"
READING = "ModelsScreen", "Transcript"
VISITS = (
    ("2", "LogsScreen", ("w", "w", "\t", "G")),
    ("?", "HelpScreen", ()),
    ("3", "ActivityScreen", ("j", "b", "v", "k")),
    ("4", "HardwareScreen", ()),
    ("D", "DoctorScreen", ()),
    ("5", "ConfigScreen", ("j", "k", "G")),
    ("m", "MessagesScreen", ()),
    (":", "PaletteScreen", ()),
)
"""A key, the screen that it opens, and what is pressed there."""


class State(Struct, frozen=True):
    """Where the program is: its screen, what has the focus, the text in it, the model at the cursor, a filter."""

    tasks: list[str]
    screen: str
    focus: str
    text: str
    filtered: bool
    model: str

    @property
    def place(self) -> tuple[str, str]:
        return self.screen, self.focus


class User:
    """Uses one program in one terminal; counts what was and what was not possible."""

    def __init__(
        self, shown: Terminal, server: Process, home: Path, model: str, edited: str, talk: float
    ) -> None:
        """Chats with `model`, each time for `talk` seconds; changes the context size of `edited`."""
        self.shown = shown
        self._server = server
        self.done: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()
        self._home = home
        self._model = model
        self._edited = edited
        self._talk = talk
        self._visits = cycle(VISITS)

    async def state(self) -> State:
        """Where the program is, and its tasks."""
        file = self._home / "state"
        file.unlink(missing_ok=True)
        assert self.shown.is_running, self.shown.sent[-4000:].decode(errors="replace")
        os.kill(self.shown.pid, signal.SIGUSR2)
        async with asyncio.timeout(60):
            while not file.exists():
                assert self.shown.is_running, self.shown.sent[-4000:].decode(errors="replace")
                await asyncio.sleep(0.02)
        return json.decode(file.read_bytes(), type=State)

    async def is_at(self, *places: tuple[str, str], seconds: float = SOON) -> bool:
        """Whether the program gets to one of these places soon; no focus means any."""
        end = monotonic() + seconds
        while True:
            screen, focus = (await self.state()).place
            if (screen, focus) in places or (screen, "") in places:
                return True
            if monotonic() > end:
                return False
            await asyncio.sleep(0.1)

    async def press(self, key: str, *places: tuple[str, str]) -> bool:
        """Press a key; whether it led to one of these places."""
        assert self.shown.is_running, self.shown.text
        self.shown.press(key)
        await asyncio.sleep(PAUSE)
        return not places or await self.is_at(*places)

    def miss(self, what: str) -> None:
        """Note what was not possible, with the screen."""
        self.missed[what] += 1
        with (self._home / "missed.txt").open("a") as file:
            print(f"--- {what}\n{self.shown.text}", file=file)

    async def go_back(self) -> None:
        """Back at the table of the models, without a filter."""
        end = monotonic() + 60
        while (state := await self.state()).place != AT_MODELS or state.filtered:
            assert monotonic() < end, f"no way back from {state.place}:\n{self.shown.text}"
            if state.screen == "ConfirmScreen":
                self.miss("a question")
                await asyncio.sleep(READ)
            await self.press("\x1b")

    async def select(self, model: str) -> bool:
        """Put the cursor of the table on a model."""
        await self.go_back()
        if not await self.press("/", FILTERING):
            return False
        await self.press(f"{model}\r", AT_MODELS)
        return (await self.state()).model == model

    async def send(self, words: str) -> bool:
        """Send a prompt or a command; whether the prompt was there and took it."""
        if not await self.is_at(WRITING):
            self.miss("prompt")
            return False
        for _ in range(3):
            if (await self.state()).text:
                # In an empty prompt it would bring back what was there.
                await self.press("\x15")
            await self.press(words)
            end = monotonic() + SOON / 3
            while (text := (await self.state()).text) != words and monotonic() < end:
                await asyncio.sleep(0.1)
            if text == words:
                await self.press("\r")
                return True
        # A prompt that failed is given back, also in front of what was typed meanwhile.
        self.miss("text")
        return False

    async def talk(self, *, clear: bool) -> None:
        """Send prompts, one after the end of the other's reply."""
        if not await self.select(self._model) or not await self.press("\r", WRITING):
            self.miss("chat")
            return
        end = monotonic() + self._talk
        if clear and not await self.send("/clear"):
            return
        while monotonic() < end:
            if (await self.state()).place == READING:
                await self.press("i", WRITING)
            if not await self.send(f"prompt {self.done.total()}"):
                return
            self.done["prompts"] += 1
            await self.read(end)

    async def read(self, end: float) -> None:
        """Move in a reply while it is written, and look elsewhere; answer what it asks."""
        for number, key in enumerate(cycle(("\x1b", "J", "K", "t", "G"))):
            if monotonic() >= end or (number > 5 and "^c stop" not in self.shown.text):
                return
            place = (await self.state()).place
            if place[0] == "ConfirmScreen":
                # Another client's model has to go for the reply.
                await asyncio.sleep(READ)
                if (await self.state()).screen == "ConfirmScreen":
                    await self.press("y")
            elif place == WRITING:
                await self.press("\x1b", READING)
            elif place == READING and key == "\x1b":
                await self.press("2", ("LogsScreen", ""))
                await self.press("1", READING)
            elif place == READING:
                await self.press(key)
            else:
                self.miss(f"reading at {place}")
                return

    async def edit(self, tokens: int) -> None:
        """Change a context size by the dialog."""
        if not await self.select(self._edited):
            self.miss("edit: its model")
        elif not await self.press("c", ("ContextSizeScreen", "Input")):
            self.miss("edit: the dialog")
        elif not await self.press(f"\x15{tokens}\r", ("ConfirmScreen", "")):
            self.miss("edit: the question")
        else:
            self.done["edits"] += 1
            if not await self.agree():
                self.miss("edit: the steps")
                return
            end = monotonic() + VERIFIED
            while "✓ verify" not in self.shown.text:
                if monotonic() > end or (await self.state()).screen != "StepsScreen":
                    self.miss("edit: the end")
                    return
                await asyncio.sleep(0.2)
            self.done["verified"] += 1

    async def agree(self) -> bool:
        """Say yes, again if the facts have changed before that; whether the steps are shown."""
        for _ in range(10):
            await asyncio.sleep(READ)
            self.shown.press("y")
            if await self.is_at(("StepsScreen", ""), seconds=1.0):
                return True
        return False

    async def look_around(self) -> None:
        """Open the next view, press keys there, and come back."""
        await self.go_back()
        await self.press("j")
        key, screen, keys = next(self._visits)
        if not await self.press(key, (screen, "")):
            self.miss(screen)
            return
        for one in keys:
            if (await self.state()).screen == screen:
                await self.press(one)
        await self.go_back()
        await self.press("s")
        await self.press("\x12")

    async def use(self, seconds: float) -> None:
        """Talk, edit the config and go through the views for so long."""
        end = monotonic() + seconds
        number = 0
        while monotonic() < end:
            assert self._server.returncode is None, "the server has ended: see world.log"
            await self.talk(clear=number % 3 == 0)
            number += 1
            await self.edit((4 + number % 8) * 1024)
            for _ in range(3):
                await self.look_around()
