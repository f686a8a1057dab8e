"""A conversation with one model: transcript, status and prompt."""

from msgspec.structs import replace
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.reactive import reactive

from aitui.domain.chat.conversation import ImageAttachment
from aitui.domain.slash import Suggestion
from aitui.domain.snapshot import Clock
from aitui.format.fit import shorten_id
from aitui.ui.frame import set_frame_title
from aitui.ui.keymap import CHAT_PANE, PROMPT
from aitui.ui.plain import PlainText, plain
from aitui.ui.widgets.chat_status import ChatStatus, SentLines
from aitui.ui.widgets.composer import Composer
from aitui.ui.widgets.suggestion_list import SuggestionList
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
    needed_context: reactive[int] = reactive(0)
    """The context size, in tokens, that a prompt needs that was refused; 0 if none is offered."""
    attachments: reactive[tuple[ImageAttachment, ...]] = reactive(())
    """The images for the next prompt."""
    suggested: reactive[str] = reactive("")
    """The command that is selected in the list above the prompt; empty while there is no list."""

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes="frame")
        self.transcript = Transcript(clock, id="transcript")
        self.status = ChatStatus(
            clock, is_following=lambda: self.transcript.following, id="chat-status"
        )
        self.sent = SentLines(id="sent")
        self.commands = SuggestionList(id="commands")
        self.prompt = Composer(self.commands, id="prompt")

    def compose(self) -> ComposeResult:
        yield from (self.transcript, self.status, self.sent)
        with Horizontal(id="prompt-line"):
            yield from (PlainText("❯", id="prompt-sign"), self.prompt)
        yield self.commands

    def on_resize(self) -> None:
        self.sent.room = self.content_size.height

    def on_mount(self) -> None:
        for name in ("suggestions", "selected", "room"):
            self.watch(self.commands, name, self._show_suggested, init=False)

    def suggest(self, typed: str, suggestions: tuple[Suggestion, ...]) -> None:
        """List what the prompt may become, above everything that is below the transcript."""
        if not self.prompt.has_focus:
            suggestions = ()
        if suggestions:
            self._place_commands()
        self.commands.typed = typed
        self.commands.suggestions = suggestions

    def _place_commands(self) -> None:
        below = self.content_size.height - self.transcript.outer_size.height
        self.commands.styles.margin = (0, 1, below, 1)
        self.commands.room = self.transcript.outer_size.height

    def _show_suggested(self) -> None:
        chosen = self.commands.suggestion
        self.suggested = "" if chosen is None else chosen.text

    def on_descendant_blur(self) -> None:
        if not self.prompt.has_focus:
            self.commands.suggestions = ()

    @on(SuggestionList.Chosen)
    def _insert_clicked(self, message: SuggestionList.Chosen) -> None:
        self.prompt.set_text(message.suggestion.text)
        self.prompt.focus()

    def watch_attachments(self) -> None:
        self.sent.facts = replace(self.sent.facts, images=self.attachments)

    def action_detach(self) -> None:
        """Detach the last image."""
        self.attachments = self.attachments[:-1]

    @on(SentLines.Detached)
    def _detach_clicked(self, message: SentLines.Detached) -> None:
        at = message.index
        self.attachments = (*self.attachments[:at], *self.attachments[at + 1 :])

    def watch_model_id(self) -> None:
        """Name the model in the border, and in the prompt, which a small screen has alone."""
        model = shorten_id(self.model_id, MAX_ID_CELLS) if self.model_id else ""
        words = " ".join(word for word in ("Ask", model, "…") if word)
        self.prompt.placeholder = plain(f"{words}  ({PROMPT.sign('send')} sends, / commands)")
        self._update_title()

    def _update_title(self) -> None:
        set_frame_title(self, "Chat", self.heading[:60], shorten_id(self.model_id, 48))

    watch_heading = _update_title

    @on(Composer.ScrollRequested)
    def _scroll_transcript(self, message: Composer.ScrollRequested) -> None:
        if message.pages:
            self.transcript.action_move(message.pages, "pages")
        else:
            self.transcript.action_follow()

    @on(Composer.Changed)
    def _resize_prompt(self) -> None:
        lines = min(MAX_PROMPT_LINES, max(1, self.prompt.wrapped_document.height))
        self.prompt.styles.height = lines
        if self.commands.display:
            self.call_after_refresh(self._place_commands)
