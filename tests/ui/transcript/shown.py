"""A transcript on a screen of its own, driven as a chat and a person drive it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from textual.app import ComposeResult
from textual.filter import LineFilter
from textual.pilot import Pilot

from aitui.domain.snapshot import Clock
from aitui.ui.terminal.filters import ContrastFilter, ControlCharFilter
from aitui.ui.widgets.transcript import Transcript
from ui.themed import Themed


class Ticking:
    """A clock that goes on by itself, a little with every look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


class Chat(Themed):
    """A screen with a transcript."""

    CSS = "Transcript { height: 1fr; }"

    def __init__(self) -> None:
        super().__init__()
        self.animation_level = "none"
        self._filters_before_terminal = (ControlCharFilter(), ContrastFilter())
        self.copied: list[str] = []
        self.opened: list[str] = []

    def get_line_filters(self) -> Sequence[LineFilter]:
        return (*super().get_line_filters(), *self._filters_before_terminal)

    def compose(self) -> ComposeResult:
        yield Transcript(Clock(Ticking(), lambda: 0.0))

    def copy_to_clipboard(self, text: str) -> None:
        self.copied.append(text)

    def on_transcript_open_requested(self, message: Transcript.OpenRequested) -> None:
        self.opened.append(message.text)


def is_settled(transcript: Transcript) -> bool:
    """Whether everything is drawn as it will stay."""
    pending = transcript.conversation.has_pending or transcript._idle_work_scheduled
    return transcript._layout.exact and not pending


class Shown:
    """What is on the screen, and the transcript behind it."""

    def __init__(self, app: Chat, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot
        self.transcript = app.query_one(Transcript)
        self.transcript.focus()

    @property
    def lines(self) -> list[str]:
        """The lines on screen, without the scroll bar's column."""
        strips = self.app.screen._compositor.render_strips()
        return [strip.crop(0, self.transcript.room.width).text.rstrip() for strip in strips]

    @property
    def text(self) -> str:
        """What the screen says."""
        return "\n".join(self.lines)

    def follows(self) -> bool:
        """Whether the end is followed."""
        return self.transcript.following

    async def settle(self) -> None:
        """Wait until everything is drawn as it will stay."""
        await self.pilot.pause()
        while not is_settled(self.transcript):
            await self.pilot.pause(0.01)
        await self.pilot.pause()

    async def answer(self, text: str, turn_id: str = "1") -> None:
        """Let a whole answer come."""
        self.transcript.begin_turn(turn_id, "assistant", "model")
        self.transcript.append(turn_id, text)
        self.transcript.finish(turn_id)
        await self.settle()


@asynccontextmanager
async def shown(size: tuple[int, int] = (80, 24)) -> AsyncIterator[Shown]:
    """A transcript of that size."""
    app = Chat()
    async with app.run_test(size=size) as pilot:
        running = Shown(app, pilot)
        await running.pilot.pause()
        yield running
