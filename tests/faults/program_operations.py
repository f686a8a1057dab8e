"""The program in a terminal of its own, what somebody does with it there, and what it has kept then."""

import asyncio
import resource
import sqlite3
from abc import ABC, abstractmethod
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from e2e.pseudo_terminal.terminal import Terminal, surroundings, terminal
from e2e.pseudo_terminal.test_program import SEQUENCES

CONFIG = """\
models:
  small:
    cmd: llama-server --port ${PORT} --ctx-size 4096 --tokens-per-second 100 --chunks 150
"""
EARLIER = "What is a borrow checker?"
"""The prompt of the conversation that every home has from before."""
_ESCAPE = "\x1b[27u"
"""The key as it can't be the beginning of another one, whatever comes right behind it."""
_OVERRIDES_MODES = (1, 2)
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""
_PROGRAM = f"""
import ctypes, os, resource, sys, time
shift, room, dropped = sys.argv[1:4]
if not dropped and not os.geteuid():
    for capability in {_OVERRIDES_MODES}:
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
    program = [sys.executable, "-c", {{source}}, shift, room, "dropped", *sys.argv[4:]]
    os.execv(sys.executable, program)
if room:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
seconds = time.time
def shifted():
    with open(shift) as file:
        return seconds() + float(file.read() or 0)
time.time = shifted
from aitui.__main__ import main
sys.exit(main(sys.argv[4:]))
"""
"""aitui as a user has it whose files have modes: without root's power to ignore them. The clock is
ahead by the seconds in a file; without room no file can grow."""


@dataclass(frozen=True)
class ProgramWorld:
    """A home, a server on this machine with its config file, and the terminals."""

    folder: Path
    common: Path
    url: str
    stack: AsyncExitStack
    shown: list[Terminal] = field(default_factory=list)

    @property
    def home(self) -> Path:
        """Where its user is at home."""
        return self.folder / "home"

    @property
    def config(self) -> Path:
        """The server's config file."""
        return self.common / "config.yaml"

    @property
    def state(self) -> Path:
        """Below it is everything that aitui keeps."""
        return self.home / ".local"

    @property
    def shift(self) -> Path:
        """The file with the seconds by which the clock is ahead."""
        return self.folder / "shift"

    async def start(self, *, has_room: bool = True, home: str = "") -> Terminal:
        """Start it in one more terminal."""
        program = _PROGRAM.replace("{source}", repr(_PROGRAM))
        environment = surroundings(
            self.home, AI_SERVER_URL=self.url, AI_SERVER_SSH_HOST="local"
        ) | ({"HOME": home} if home else {})
        environment["AI_SERVER_PRESET_PATH"] = str(self.config)
        options = (str(self.shift), "" if has_room else "no room", "")
        opened = terminal(options, environment, size=(120, 36), program=("-c", program))
        self.shown.append(await self.stack.enter_async_context(opened))
        return self.shown[-1]

    async def open(self, **options: object) -> Terminal:
        """Start it, and wait for the table."""
        shown = await self.start(**options)  # type: ignore[arg-type]
        await shown.see(" ms ", "small")
        return shown

    def limit_files(self, *, to: int) -> None:
        """Let no file of the running programs grow beyond so many bytes."""
        for shown in self.shown:
            if shown.is_running:
                resource.prlimit(shown.pid, resource.RLIMIT_FSIZE, (to, resource.RLIM_INFINITY))

    @property
    def texts(self) -> list[str]:
        """What stands on the screens, and what came after them."""
        ended = [SEQUENCES.sub(b"", one.last_words) for one in self.shown if one.has_left]
        return [one.text for one in self.shown] + [words.decode() for words in ended]

    @property
    def sent(self) -> str:
        """All that was ever drawn, in the order in which it was."""
        drawn = b"".join(bytes(one.sent) for one in self.shown)
        return SEQUENCES.sub(b"", drawn).decode(errors="replace")

    def rows(self, query: str) -> list[str]:
        """What the database of conversations has, each row as text."""
        (file,) = self.state.rglob("conversations.sqlite3")
        with closing(sqlite3.connect(file)) as database:
            return [str(row) for row in database.execute(query)]


async def leave(shown: Terminal) -> None:
    """Close what is open, up to the table."""
    for _ in range(20):
        if "⏎ chat" in shown.text:
            return
        shown.press(_ESCAPE)
        await asyncio.sleep(1)
    await shown.see("⏎ chat")


class ProgramOperation(ABC):
    """Something done in a terminal, in two halves. `number` makes it another one each time."""

    name: str

    @abstractmethod
    async def begin(self, world: ProgramWorld, shown: Terminal, number: int) -> None:
        """Do the first half: it is under way then."""

    @abstractmethod
    async def finish(self, world: ProgramWorld, shown: Terminal, number: int) -> None:
        """See it through."""

    @abstractmethod
    def is_whole(self, world: ProgramWorld, number: int) -> bool:
        """Whether all is kept that was, although it was cut off in the middle."""

    @abstractmethod
    def is_kept(self, world: ProgramWorld, number: int) -> bool:
        """Whether it is kept after it was done."""


class Start(ProgramOperation):
    """Start, and see the models."""

    name = "start"

    async def begin(self, world: ProgramWorld, shown: Terminal, number: int) -> None:  # noqa: ARG002
        await leave(shown)

    async def finish(self, world: ProgramWorld, shown: Terminal, number: int) -> None:  # noqa: ARG002
        await shown.see(" ms ", "small")

    def is_whole(self, world: ProgramWorld, number: int) -> bool:  # noqa: ARG002
        return any(EARLIER in row for row in world.rows("SELECT text FROM turns"))

    is_kept = is_whole


class Chat(ProgramOperation):
    """Send a prompt, and read the reply; half a prompt is written meanwhile."""

    name = "chat"

    async def begin(self, world: ProgramWorld, shown: Terminal, number: int) -> None:  # noqa: ARG002
        await leave(shown)
        shown.press("\r")
        await shown.see("⏎ send")
        shown.press(f"question {number}\r")
        await shown.until(lambda: " tokens ·" in shown.text, "a reply")
        shown.press(f"draft {number}")
        await shown.see(f"draft {number}")

    async def finish(self, world: ProgramWorld, shown: Terminal, number: int) -> None:  # noqa: ARG002
        await shown.until(lambda: "^c stop" not in shown.text, "the reply ended")
        await shown.see(f"draft {number}")
        shown.press("\x15")

    def is_whole(self, world: ProgramWorld, number: int) -> bool:
        asked = world.rows("SELECT text FROM turns WHERE role = 'user'")
        return any(EARLIER in row for row in asked) and any(f"{number}" in row for row in asked)

    def is_kept(self, world: ProgramWorld, number: int) -> bool:
        states = world.rows("SELECT state FROM turns WHERE role = 'assistant' ORDER BY number")
        return self.is_whole(world, number) and "done" in states[-1]


def _size(number: int) -> int:
    return 3072 * number


class Edit(ProgramOperation):
    """Change a context size."""

    name = "edit"

    async def begin(self, world: ProgramWorld, shown: Terminal, number: int) -> None:  # noqa: ARG002
        await leave(shown)
        shown.press("c")
        await shown.see("⏎ review")
        shown.press(f"{_size(number)}\r")
        await shown.see(f"--ctx-size {_size(number)}")

    async def finish(self, world: ProgramWorld, shown: Terminal, number: int) -> None:  # noqa: ARG002
        def is_over() -> bool:
            if "y change" in shown.text:
                shown.press("y")
            return any(over in shown.text for over in ("Esc Close", "✘", "changed by another"))

        await shown.until(is_over, "over")

    def is_whole(self, world: ProgramWorld, number: int) -> bool:
        return world.config.read_text() in {CONFIG, self._with(number)}

    def is_kept(self, world: ProgramWorld, number: int) -> bool:
        return world.config.read_text() == self._with(number)

    def _with(self, number: int) -> str:
        return CONFIG.replace("4096", str(_size(number)))


class History(ProgramOperation):
    """Find an earlier conversation, and go on with it."""

    name = "history"

    async def begin(self, world: ProgramWorld, shown: Terminal, number: int) -> None:  # noqa: ARG002
        await leave(shown)
        shown.press("\r")
        await shown.see("⏎ send")
        shown.press("/history borrow\r")
        # The chat behind it names the conversation as well.
        await shown.see("╭─ Conversations", EARLIER)

    async def finish(self, world: ProgramWorld, shown: Terminal, number: int) -> None:  # noqa: ARG002
        shown.press("\r")
        await shown.see(EARLIER, "⏎ send")

    def is_whole(self, world: ProgramWorld, number: int) -> bool:  # noqa: ARG002
        return any(EARLIER in row for row in world.rows("SELECT text FROM turns"))

    is_kept = is_whole


PROGRAM_OPERATIONS: tuple[ProgramOperation, ...] = (Start(), Chat(), Edit(), History())
