"""The real program in a real pseudo-terminal: keys go in as bytes, and every byte out is kept."""

import asyncio
import errno
import fcntl
import os
import pty
import struct
import sys
import termios
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic

import pyte

PATIENCE = 40.0
"""Seconds after which something that was to appear counts as missing."""

TOAST = "▌"
"""The bar at the left of what is told in passing."""

_ASKS_FOR_FRAMES = b"\x1b[?2026$p"
_HAS_FRAMES = b"\x1b[?2026;2$y"
FRAME = b"\x1b[?2026h"
"""Begins each frame (synchronised output), since this terminal says that it knows them."""


class Terminal:
    """A terminal emulator and what was sent to it."""

    def __init__(self, master: int, size: tuple[int, int], *, frames: bool) -> None:
        self.sent = bytearray()
        self.screen = pyte.Screen(*size)
        self.reading = True
        self._stream = pyte.ByteStream(self.screen)
        self._master = master
        self._frames = frames
        self.process: asyncio.subprocess.Process | None = None

    @property
    def text(self) -> str:
        """What stands on the screen."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    @property
    def pid(self) -> int:
        """The program's process."""
        assert self.process is not None
        return self.process.pid

    @property
    def is_running(self) -> bool:
        """Whether the program still runs."""
        return self.process is not None and self.process.returncode is None

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._master, keys.encode())

    def lose_focus(self) -> None:
        """Let somebody look at another window."""
        self.press("\x1b[O")

    def gain_focus(self) -> None:
        """Let somebody come back."""
        self.press("\x1b[I")

    async def until(self, condition: Callable[[], object], what: str = "") -> None:
        """Wait for something."""
        deadline = monotonic() + PATIENCE
        while not condition():
            assert monotonic() < deadline, f"never {what or 'so'}; the screen:\n{self.text}"
            assert self.is_running, f"it ended before {what or 'that'}; the screen:\n{self.text}"
            await asyncio.sleep(0.02)

    async def see(self, *texts: str) -> None:
        """Wait until all of these texts are on the screen."""
        await self.until(lambda: all(text in self.text for text in texts), f"seen: {texts}")

    async def told(self, words: str) -> None:
        """Wait until a toast says that, on however many lines."""

        def says() -> bool:
            parts = (line.rpartition(TOAST) for line in self.screen.display)
            said = " ".join(end for before, bar, end in parts if bar and len(before) > 1)
            return words in " ".join(said.split())

        await self.until(says, f"told: {words}")

    async def unsee(self, text: str) -> None:
        """Wait until a text has gone."""
        await self.until(lambda: text not in self.text, f"gone: {text}")

    async def quiet(self, seconds: float = 1.0) -> None:
        """Wait until nothing came for so long."""
        while True:
            before = len(self.sent)
            await asyncio.sleep(seconds)
            if len(self.sent) == before:
                return

    def stall(self) -> None:
        """Take nothing more, as a line that is stuck."""
        asyncio.get_running_loop().remove_reader(self._master)

    def go_on(self) -> None:
        """Take what has waited, and what comes."""
        asyncio.get_running_loop().add_reader(self._master, self.take)

    async def ends(self) -> int:
        """Wait until the program has ended; its exit status."""
        assert self.process is not None
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()

    def line_of(self, text: str) -> int:
        """The first row with that text."""
        for row, line in enumerate(self.screen.display):
            if text in line:
                return row
        raise AssertionError(f"“{text}” is not on the screen:\n{self.text}")

    def take(self) -> None:
        """Read what has come, and answer what a terminal answers."""
        try:
            piece = os.read(self._master, 1 << 16)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            piece = b""
        if not piece:
            asyncio.get_running_loop().remove_reader(self._master)
            return
        self.sent += piece
        if self._frames and _ASKS_FOR_FRAMES in self.sent[-len(piece) - 16 :]:
            os.write(self._master, _HAS_FRAMES)
            self._frames = False
        self._stream.feed(piece)


def surroundings(home: Path, **more: str) -> dict[str, str]:
    """The environment of a login on a good terminal, with a home of its own."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    good = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8", "TZ": "UTC"}
    return {**kept, **good, "HOME": str(home), **more}


@asynccontextmanager
async def terminal(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    size: tuple[int, int] = (80, 24),
    program: Sequence[str] = (sys.executable, "-m", "aitui"),
    frames: bool = False,
) -> AsyncIterator[Terminal]:
    """Run the program until the block ends."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    shown = Terminal(master, size, frames=frames)
    loop = asyncio.get_running_loop()
    try:
        shown.process = await asyncio.create_subprocess_exec(
            *program,
            *arguments,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=dict(environment),
            start_new_session=True,
        )
        os.close(slave)
        loop.add_reader(master, shown.take)
        yield shown
    finally:
        if shown.process is not None and shown.process.returncode is None:
            with suppress(ProcessLookupError):
                shown.process.terminate()
            try:
                async with asyncio.timeout(10):
                    await shown.process.wait()
            except TimeoutError:
                shown.process.kill()
                await shown.process.wait()
        loop.remove_reader(master)
        os.close(master)
