"""A real pseudo-terminal with a program in it: keys go in as bytes, every byte out is kept."""

import asyncio
import errno
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic

import pyte

PATIENCE = 40.0
"""Seconds after which something that was to appear counts as missing."""
ROOT = Path(__file__).parents[3]
AITUI = ("-W", "default::ResourceWarning", "-m", "aitui")
"""The bar at the left of what is told in passing."""
FRAME = b"\x1b[?2026h"
"""Begins each frame (synchronised output) where the terminal says that it knows them."""

_ASKS_FOR_FRAMES = b"\x1b[?2026$p"
_HAS_FRAMES = b"\x1b[?2026;2$y"
_SWITCHED_ON = re.compile(rb"\x1b\[\?(\d+)h")
_ON_FROM_THE_START = {7, 25}
"""Lines that wrap, and the cursor."""
_TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Makes it the program's controlling terminal, so that the system tells it of a new size."""
_KEYBOARD_REPORTS = re.compile(rb"\x1b\[[<>=][\d;]*u")
"""Sequences of the kitty keyboard protocol, which pyte takes for a cursor to be restored."""


class Terminal:
    """One program in one terminal emulator; `sent` is every byte that it wrote."""

    def __init__(self, size: tuple[int, int], *, frames: bool) -> None:
        self._master, self._slave = pty.openpty()
        os.set_blocking(self._master, False)
        self.sent = bytearray()
        self.screen = pyte.Screen(*size)
        self._text: str | None = None
        self.before = self.settings
        self._stream = pyte.ByteStream(self.screen)
        self._frames = frames
        self._process: Process | None = None
        self.resize(*size)

    @property
    def process(self) -> Process:
        """The program."""
        assert self._process is not None
        return self._process

    @property
    def pid(self) -> int:
        """The program's process."""
        return self.process.pid

    @property
    def is_running(self) -> bool:
        """Whether the program still runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def has_left(self) -> bool:
        """Whether the program has ended, and not while it had the whole screen."""
        return not self.is_running and b"\x1b[?1049h" not in self.last_words

    @property
    def text(self) -> str:
        """What stands on the screen."""
        if self._text is None:
            self._text = "\n".join(line.rstrip() for line in self.screen.display)
        return self._text

    @property
    def words(self) -> str:
        """What stands on the screen, line breaks as blanks."""
        return " ".join(self.text.split())

    @property
    def last_words(self) -> bytes:
        """What came after the program had left the alternate screen."""
        return bytes(self.sent.rpartition(b"\x1b[?1049l")[2])

    @property
    def left_on(self) -> set[int]:
        """Private modes that are on and were not before."""
        switched = {int(mode) for mode in _SWITCHED_ON.findall(self.sent)} - _ON_FROM_THE_START
        return {mode for mode in switched if self._is_on(mode)}

    @property
    def left_off(self) -> set[int]:
        """Private modes that were on before and are not any more."""
        return {
            mode
            for mode in _ON_FROM_THE_START
            if b"\x1b[?%dl" % mode in self.sent and not self._is_on(mode)
        }

    @property
    def settings(self) -> list[object]:
        """The terminal's settings (termios) as they are now."""
        return termios.tcgetattr(self._slave)

    def resize(self, columns: int, rows: int) -> None:
        """Change the size, of which the system tells the program (SIGWINCH)."""
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)
        self._text = None

    def press(self, keys: str) -> None:
        """Type."""
        self.send(keys.encode())

    def send(self, data: bytes) -> None:
        """Send what needs not be text."""
        os.write(self._master, data)

    def lose_focus(self) -> None:
        """Let somebody look at another window."""
        self.press("\x1b[O")

    def gain_focus(self) -> None:
        """Let somebody come back."""
        self.press("\x1b[I")

    async def start(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """Run Python with these arguments, the terminal its controlling one."""
        self.go_on()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", _TAKE_TERMINAL, sys.executable),
            *arguments,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env=dict(environment),
            cwd=ROOT,
            start_new_session=True,
        )

    async def until(self, condition: Callable[[], object], what: str = "") -> None:
        """Wait for something."""
        deadline = monotonic() + PATIENCE
        while not condition():
            status = self.process.returncode
            assert status is None, f"ended with {status}, never {what}; the screen:\n{self.text}"
            assert monotonic() < deadline, f"never {what or 'so'}; the screen:\n{self.text}"
            await asyncio.sleep(0.02)

    async def see(self, *texts: str) -> None:
        """Wait until all of these texts are on the screen."""
        await self.until(lambda: all(text in self.text for text in texts), f"seen: {texts}")

    async def unsee(self, text: str) -> None:
        """Wait until a text has gone."""
        await self.until(lambda: text not in self.text, f"gone: {text}")

    async def told(self, words: str) -> None:
        """Wait until the line of messages says that."""
        said = re.compile(rf"[✓!✘] \d\d:\d\d:\d\d .*{re.escape(words)}")
        await self.until(lambda: said.search(self.text), f"told: {words}")

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
        asyncio.get_running_loop().add_reader(self._master, self._take)

    async def stop(self, how: signal.Signals = signal.SIGSTOP) -> None:
        """Stop the program, until SIGCONT."""
        self.process.send_signal(how)
        state = Path(f"/proc/{self.pid}/stat")
        await self.until(lambda: state.read_text().rpartition(") ")[2].startswith("T"), "stopped")

    def restore_settings(self) -> None:
        """Have the settings of before, as a shell does once its program is stopped."""
        termios.tcsetattr(self._slave, termios.TCSANOW, self.before)  # type: ignore[arg-type]

    async def ends(self) -> int:
        """Wait until the program has ended; its exit status."""
        async with asyncio.timeout(PATIENCE):
            status = await self.process.wait()
        self._take_all()
        return status

    def line_of(self, text: str) -> int:
        """The first row with that text."""
        for row, line in enumerate(self.screen.display):
            if text in line:
                return row
        raise AssertionError(f"“{text}” is not on the screen:\n{self.text}")

    async def close(self) -> None:
        """End the program where it still runs, and give the terminal back."""
        if self.is_running:
            with suppress(ProcessLookupError):
                self.process.terminate()
            try:
                async with asyncio.timeout(10):
                    await self.process.wait()
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)
        os.close(self._slave)

    def _take_all(self) -> None:
        before = -1
        while before != len(self.sent):
            before = len(self.sent)
            self._take()

    def _take(self) -> None:
        """Read what has come, and answer what a terminal answers."""
        try:
            piece = os.read(self._master, 1 << 16)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            asyncio.get_running_loop().remove_reader(self._master)
            return
        self.sent += piece
        if self._frames and _ASKS_FOR_FRAMES in self.sent[-len(piece) - 16 :]:
            os.write(self._master, _HAS_FRAMES)
            self._frames = False
        self._stream.feed(_KEYBOARD_REPORTS.sub(b"", piece))
        self._text = None

    def _is_on(self, mode: int) -> bool:
        return self.sent.rfind(b"\x1b[?%dh" % mode) > self.sent.rfind(b"\x1b[?%dl" % mode)


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
    program: Sequence[str] = AITUI,
    frames: bool = False,
) -> AsyncIterator[Terminal]:
    """Run a program in Python until the block ends, aitui unless another is named.

    `frames` makes it a terminal that knows synchronised output.
    """
    shown = Terminal(size, frames=frames)
    try:
        await shown.start((*program, *arguments), environment)
        yield shown
    finally:
        await shown.close()
