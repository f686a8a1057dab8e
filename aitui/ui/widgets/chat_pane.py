"""A conversation with one model: transcript, status and prompt."""

from functools import cached_property
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.reactive import reactive

from aitui.domain.clock import Clock
from aitui.ui.frames import FramesApp
from aitui.ui.model_id import shortened_id
from aitui.ui.plain import plain
from aitui.ui.widgets.chat_status import ChatStatus
from aitui.ui.widgets.composer import Composer
from aitui.ui.widgets.transcript import Transcript

LONGEST_PROMPT = 8
"""Lines of the prompt that are in sight."""
LONGEST_NAMED = 24
"""Cells of a model's id in an empty prompt, beside what the prompt takes."""


class ChatPane(Vertical):
    """Shows what it is given, and passes on what somebody wants asked or done."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("i,enter", "write", "write", show=False),
        Binding("escape", "close", "back to the models"),
    ]

    model_id: reactive[str] = reactive("")
    heading: reactive[str] = reactive("")
    answering: reactive[bool] = reactive(False)

    class AnsweringChanged(Message):
        """The answer that is shown is under way now, or isn't any more."""

    class Closed(Message):
        """Somebody wants to see the models again."""

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._clock = clock

    def compose(self) -> ComposeResult:
        """The conversation above, the prompt below."""
        yield self.transcript
        yield self.status
        yield self.prompt

    @cached_property
    def transcript(self) -> Transcript:
        """The conversation."""
        return Transcript(self._clock, drained=self._terminal_takes_more, id="transcript")

    @cached_property
    def status(self) -> ChatStatus:
        """The line between."""
        return ChatStatus(self._clock, id="chat-status")

    @cached_property
    def prompt(self) -> Composer:
        """What is being written."""
        return Composer(id="prompt")

    def watch_model_id(self) -> None:
        """Name the model in the border, and in the prompt, which a small screen has alone."""
        whom = shortened_id(self.model_id, LONGEST_NAMED) if self.model_id else ""
        words = " ".join(word for word in ("Ask", whom, "…") if word)
        self.prompt.placeholder = plain(f"{words}  (⏎ sends, / commands)")
        self._show_title()

    def watch_heading(self) -> None:
        """Name the conversation in the border."""
        self._show_title()

    def watch_answering(self) -> None:
        """Tell whoever shows the keys that work."""
        self.post_message(self.AnsweringChanged())

    def action_write(self) -> None:
        """Go to the prompt."""
        self.prompt.focus()

    def action_close(self) -> None:
        """Back to the models; an answer goes on."""
        self.post_message(self.Closed())

    def _terminal_takes_more(self) -> bool:
        app = self.app
        return not (isinstance(app, FramesApp) and app.is_behind)

    def _show_title(self) -> None:
        words = [f"Chat · {shortened_id(self.model_id, 40)}" if self.model_id else "Chat"]
        if self.heading:
            words.append(self.heading[:60])
        self.border_title = plain(" · ".join(words))

    @on(Composer.Left)
    def _prompt_left(self) -> None:
        self.transcript.focus()

    @on(Composer.Changed)
    def _prompt_changed(self) -> None:
        lines = min(LONGEST_PROMPT, max(1, self.prompt.wrapped_document.height))
        self.prompt.styles.height = lines
