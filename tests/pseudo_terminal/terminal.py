"""A real pseudo-terminal with a program in it, its screen as a person would see it."""

import asyncio
import fcntl
import os
import pty
import re
import struct
import sys
import termios
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic

import pyte

PATIENCE = 30.0
ROOT = Path(__file__).parents[2]
AITUI = ("-W", "default::ResourceWarning", "-m", "aitui")
SWITCHED_ON = re.compile(rb"\x1b\[\?(\d+)h")
ON_FROM_THE_START = {7, 25}
"""Lines that wrap, and the cursor."""
TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Makes it the program's controlling terminal, so that the system tells it of a new size."""
KEYBOARD_REPORTS = re.compile(rb"\x1b\[[<>=][\d;]*u")
"""Sequences of the kitty keyboard protocol, which pyte takes for a cursor to be restored."""


class Terminal:
    """One program in one terminal; `raw` is every byte that it wrote."""

    def __init__(self, master: int, slave: int, size: tuple[int, int]) -> None:
        self.raw = b""
        self.before = termios.tcgetattr(slave)
        self._master, self._slave = master, slave
        self._screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self._screen)
        self._process: Process | None = None
        self.resize(*size)

    @property
    def process(self) -> Process:
        """The program."""
        assert self._process is not None
        return self._process

    @property
    def text(self) -> str:
        """What the screen shows."""
        return "\n".join(self._screen.display)

    @property
    def words(self) -> str:
        """What the screen shows, line breaks as blanks."""
        return " ".join(self.text.split())

    @property
    def last_words(self) -> bytes:
        """What came after the program had left the alternate screen."""
        return self.raw.rpartition(b"\x1b[?1049l")[2]

    @property
    def left_on(self) -> set[int]:
        """Private modes that are on and were not before."""
        switched = {int(mode) for mode in SWITCHED_ON.findall(self.raw)} - ON_FROM_THE_START
        return {mode for mode in switched if self._is_on(mode)}

    @property
    def left_off(self) -> set[int]:
        """Private modes that were on before and are not any more."""
        return {
            mode
            for mode in ON_FROM_THE_START
            if b"\x1b[?%dl" % mode in self.raw and not self._is_on(mode)
        }

    @property
    def settings(self) -> list[object]:
        """The terminal's settings (termios) as they are now."""
        return termios.tcgetattr(self._slave)

    def resize(self, columns: int, rows: int) -> None:
        """Change the size, of which the system tells the program (SIGWINCH)."""
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._screen.resize(rows, columns)

    def type(self, keys: str) -> None:
        """Type."""
        os.write(self._master, keys.encode())

    async def start(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """Run Python with these arguments, the terminal its controlling one."""
        asyncio.get_running_loop().add_reader(self._master, self._read)
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", TAKE_TERMINAL, sys.executable),
            *arguments,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env=dict(environment),
            cwd=ROOT,
            start_new_session=True,
        )

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait until something is true of the screen."""
        deadline = monotonic() + PATIENCE
        while not condition():
            status = self.process.returncode
            assert status is None, f"ended with {status}, never {what}; the screen:\n{self.text}"
            assert monotonic() < deadline, f"never {what}; the screen:\n{self.text}"
            await asyncio.sleep(0.02)

    async def see(self, *texts: str) -> None:
        """Wait until all of these texts are on screen."""
        await self.until(lambda: all(text in self.text for text in texts), f"seen: {texts}")

    async def told(self, words: str) -> None:
        """Wait until these words are on screen, wherever lines break."""
        await self.until(lambda: words in self.words, f"told: {words}")

    async def ended(self) -> int:
        """Wait for the program's end, and return its exit status."""
        async with asyncio.timeout(PATIENCE):
            status = await self.process.wait()
        self._read()
        return status

    def close(self) -> None:
        """Give the terminal back."""
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)
        os.close(self._slave)

    def _read(self) -> None:
        with suppress(BlockingIOError):
            while piece := os.read(self._master, 1 << 16):
                self.raw += piece
                self._stream.feed(KEYBOARD_REPORTS.sub(b"", piece))

    def _is_on(self, mode: int) -> bool:
        return self.raw.rfind(b"\x1b[?%dh" % mode) > self.raw.rfind(b"\x1b[?%dl" % mode)


@asynccontextmanager
async def terminal(
    arguments: Sequence[str], environment: Mapping[str, str], size: tuple[int, int] = (80, 24)
) -> AsyncIterator[Terminal]:
    """A terminal in which Python runs with these arguments; the program is gone afterwards."""
    master, slave = pty.openpty()
    os.set_blocking(master, False)
    opened = Terminal(master, slave, size)
    try:
        await opened.start(arguments, environment)
        yield opened
    finally:
        with suppress(ProcessLookupError):
            opened.process.kill()
        await opened.process.wait()
        opened.close()
