"""A conversation with one model: transcript, status and prompt."""

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.reactive import reactive

from aitui.domain.chat.conversation import ImageAttachment
from aitui.domain.snapshot import Clock
from aitui.ui.keymap import CHAT_PANE
from aitui.ui.plain import plain, set_border_title
from aitui.ui.text import shorten_id
from aitui.ui.widgets.chat_status import ChatStatus
from aitui.ui.widgets.composer import Composer
from aitui.ui.widgets.transcript import Transcript

MAX_PROMPT_LINES = 8
"""Lines of the prompt that are in sight."""
MAX_ID_CELLS = 24
"""Cells of a model's id in an empty prompt, beside what the prompt takes."""


class ChatPane(Vertical):
    """Shows what it is given, and passes on what is typed."""

    BINDINGS = CHAT_PANE.bindings()

    model_id: reactive[str] = reactive("")
    heading: reactive[str] = reactive("")
    is_replying: reactive[bool] = reactive(False)

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.transcript = Transcript(clock, id="transcript")
        self.status = ChatStatus(clock, id="chat-status")
        self.prompt = Composer(id="prompt")
        self.attachments: tuple[ImageAttachment, ...] = ()
        """What goes along with the next prompt."""

    def compose(self) -> ComposeResult:
        yield from (self.transcript, self.status, self.prompt)

    def watch_model_id(self) -> None:
        """Name the model in the border, and in the prompt, which a small screen has alone."""
        model = shorten_id(self.model_id, MAX_ID_CELLS) if self.model_id else ""
        words = " ".join(word for word in ("Ask", model, "…") if word)
        self.prompt.placeholder = plain(f"{words}  (⏎ sends, / commands)")
        self._update_title()

    def _update_title(self) -> None:
        words = [f"Chat · {shorten_id(self.model_id, 40)}" if self.model_id else "Chat"]
        if self.heading:
            words.append(self.heading[:60])
        set_border_title(self, " · ".join(words))

    watch_heading = _update_title

    @on(Composer.Changed)
    def _resize_prompt(self) -> None:
        lines = min(MAX_PROMPT_LINES, max(1, self.prompt.wrapped_document.height))
        self.prompt.styles.height = lines
