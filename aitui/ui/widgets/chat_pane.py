"""A conversation with one model: transcript, status and prompt."""

from functools import cached_property
from typing import TYPE_CHECKING

from msgspec.structs import replace
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.reactive import var

from aitui.domain.chat.conversation import Attachment
from aitui.domain.snapshot import Clock
from aitui.format.fit import shorten_id
from aitui.ui.frame import FramedPane, set_frame_title
from aitui.ui.keymap import APP, CHAT_PANE, PROMPT, TRANSCRIPT, Hint
from aitui.ui.plain import PlainText, plain
from aitui.ui.widgets.chat_status import ChatStatus, SentLines
from aitui.ui.widgets.transcript import Transcript

if TYPE_CHECKING:
    from textual.widget import AwaitMount

    from aitui.domain.slash import Suggestion
    from aitui.ui.widgets.chat_rail import ChatRail
    from aitui.ui.widgets.composer import Composer
    from aitui.ui.widgets.find_bar import FindBar
    from aitui.ui.widgets.suggestion_list import SuggestionList

MAX_ID_CELLS = 24
"""Cells of a model's id in an empty prompt, beside what the prompt takes."""


class ChatPane(FramedPane):
    """Shows what it is given, and passes on what is typed."""

    BINDINGS = CHAT_PANE.bindings()

    model_id: var[str] = var("")
    heading: var[str] = var("")
    is_replying: var[bool] = var(False)
    needed_context: var[int] = var(0)
    """The context size, in tokens, that a prompt needs that was refused; 0 if none is offered."""
    last_conversation: var[str] = var("")
    """The id of the model's last conversation, while it is offered in an empty one."""
    attachments: var[tuple[Attachment, ...]] = var(())
    """The images for the next prompt."""
    queued: var[tuple[str, ...]] = var(())
    """Prompts that are sent when the reply has ended, the next one first."""
    is_written: var[bool] = var(False)
    """Whether there is anything in the prompt: other keys work then."""
    has_rail: var[bool] = var(False)
    """Whether the rail is shown beside it."""
    suggested: var[str] = var("")
    """The command that is selected in the list above the prompt; empty while there is no list."""

    class RailShown(Message):
        """The rail has come into sight, and needs the conversations."""

    class TakeBackRequested(Message):
        """A queued prompt is to be taken back; `place` counts from the next one, -1 is the last."""

        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes="frame")
        self.transcript = Transcript(clock, id="transcript")
        self.status = ChatStatus(
            clock, is_following=lambda: self.transcript.following, id="chat-status"
        )
        self.sent = SentLines(id="sent")
        self._prompt_line = Horizontal(PlainText("❯", id="prompt-sign"), id="prompt-line")
        self._prompt_mount: AwaitMount | None = None
        self._clock = clock

    @cached_property
    def find(self) -> "FindBar":
        """Where words to find in the transcript are typed."""
        from aitui.ui.widgets.find_bar import FindBar

        return FindBar(self.transcript, id="find")

    @cached_property
    def commands(self) -> "SuggestionList":
        """What a command in the prompt may become."""
        from aitui.ui.widgets.suggestion_list import SuggestionList

        return SuggestionList(id="commands")

    @cached_property
    def prompt(self) -> "Composer":
        """Where a prompt is written."""
        from aitui.ui.widgets.composer import Composer

        return Composer(self.commands, id="prompt")

    @cached_property
    def rail(self) -> "ChatRail":
        """What stands beside a chat that has all of a wide terminal."""
        from aitui.ui.widgets.chat_rail import ChatRail

        return ChatRail(self._clock, self._detach_image, id="rail")

    def compose(self) -> ComposeResult:
        # What is hidden at first is mounted when it is needed: it would be a tenth of the opening.
        yield from (self.transcript, self.status, self._prompt_line)

    def mount_prompt(self) -> "AwaitMount":
        """Mount the prompt: after the first paint, which would wait for the import of an editor."""
        if self._prompt_mount is None:
            self._prompt_mount = self._prompt_line.mount(self.prompt)
            for name in ("suggestions", "selected", "room"):
                self.watch(self.commands, name, self._show_suggested, init=False)
            self.prompt.has_queue = bool(self.queued)
            self._update_placeholder()
        return self._prompt_mount

    def on_resize(self) -> None:
        self.sent.room = self.content_size.height
        self._mount_sent()

    def on_mount(self) -> None:
        for name in ("facts", "queued"):
            self.watch(self.sent, name, self._show_facts)

    def keys(self) -> list[Hint]:
        """Key, words and action of what works now in the prompt or the transcript."""
        writing, chosen = self.screen.focused is self.prompt, self.suggested
        if writing and chosen:
            runs = f"insert {chosen.strip()}" if chosen.endswith(" ") else f"run {chosen}"
            return [
                PROMPT.hint("send", runs),
                (f"{PROMPT.sign('earlier')} {PROMPT.sign('later')}", "select", "focused.later"),
                PROMPT.hint("complete", "insert"),
                PROMPT.hint("screen.read_chat", "close the list"),
                APP.hint("help", typing=True),
            ]
        stop = [APP.hint("interrupt")] if self.is_replying else []
        if self.needed_context:
            stop.append(CHAT_PANE.hint("app.grow_context"))
        if self.last_conversation and not self.is_replying:
            stop.append(CHAT_PANE.hint("app.resume_last"))
        if writing:
            takes_back = bool(self.queued) and not self.is_written
            words = "queue" if self.is_replying else "send queued" if takes_back else ""
            empty = [PROMPT.hint("earlier", "take back")] if takes_back else []
            if not self.is_written:
                empty.append(PROMPT.hint("begin_command"))
            of_prompt = (
                "newline",
                "screen.toggle_reasoning",
                "screen.read_chat",
                "app.edit_prompt",
            )
            return [
                *stop,
                PROMPT.hint("send", words),
                *empty,
                *(PROMPT.hint(action) for action in of_prompt),
                APP.hint("zoom", typing=True),
                PROMPT.hint("scroll_transcript(-1)"),
                *(APP.hint(action, typing=True) for action in ("conversations", "help")),
            ]
        of_transcript = (
            *("block(1)", "copy('block')", "reasoning", "screen.filter", "screen.find_next(1)"),
            "follow",
        )
        return [
            *stop,
            CHAT_PANE.hint("screen.write_prompt"),
            *(TRANSCRIPT.hint(action) for action in of_transcript),
            CHAT_PANE.hint("screen.close_chat"),
            APP.hint("zoom"),
            APP.hint("help"),
        ]

    def _mount_sent(self) -> None:
        if self.sent.display and not self.sent.is_attached:
            self.mount(self.sent, after=self.status)

    def _show_facts(self) -> None:
        self._mount_sent()
        if self.has_rail:
            self.rail.facts = self.sent.facts

    def watch_has_rail(self) -> None:
        self.sent.beside = self.has_rail
        if self.is_mounted:
            self._mount_sent()
        if self.has_rail:
            self.rail.facts = self.sent.facts
            self.post_message(self.RailShown())

    def suggest(self, typed: str, suggestions: "tuple[Suggestion, ...]") -> None:
        """List what the prompt may become, above everything that is below the transcript."""
        if not self.prompt.has_focus:
            suggestions = ()
        if suggestions:
            if not self.commands.is_attached:
                self.mount(self.commands)
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

    def on_suggestion_list_chosen(self, message: "SuggestionList.Chosen") -> None:
        """Insert the command that was clicked."""
        self.prompt.set_text(message.suggestion.text)
        self.prompt.focus()

    def watch_attachments(self) -> None:
        self.sent.facts = replace(self.sent.facts, images=self.attachments)

    def on_composer_detach_requested(self) -> None:
        """Detach the last image."""
        self.attachments = self.attachments[:-1]

    @on(SentLines.Detached)
    def _detach_clicked(self, message: SentLines.Detached) -> None:
        self._detach_image(message.index)

    def _detach_image(self, at: int) -> None:
        self.attachments = (*self.attachments[:at], *self.attachments[at + 1 :])

    def watch_queued(self) -> None:
        self.sent.queued = self.queued
        if self._prompt_mount is not None:
            self.prompt.has_queue = bool(self.queued)

    @on(SentLines.TakenBack)
    def _take_back_clicked(self, message: SentLines.TakenBack) -> None:
        self.post_message(self.TakeBackRequested(message.index))

    def on_composer_recall_requested(self) -> None:
        """Take back the last queued prompt."""
        self.post_message(self.TakeBackRequested(-1))

    def watch_model_id(self) -> None:
        self._update_placeholder()
        self._update_title()

    def watch_is_replying(self) -> None:
        self._update_placeholder()

    def _update_placeholder(self) -> None:
        """Name the model, which a small screen names nowhere else, or what a prompt waits for."""
        if self._prompt_mount is None:
            return
        model = shorten_id(self.model_id, MAX_ID_CELLS) if self.model_id else ""
        words = " ".join(word for word in ("Ask", model, "…") if word)
        words = f"{words}  ({PROMPT.sign('send')} sends, / commands)"
        if self.is_replying:
            words = "The next prompt waits for this reply"
        self.prompt.placeholder = plain(words)

    def _update_title(self) -> None:
        set_frame_title(self, "Chat", self.heading[:60], shorten_id(self.model_id, 48))

    watch_heading = _update_title

    def on_composer_scroll_requested(self, message: "Composer.ScrollRequested") -> None:
        if message.pages:
            self.transcript.action_move(message.pages, "pages")
        else:
            self.transcript.action_follow()

    def on_text_area_changed(self) -> None:
        self.is_written = bool(self.prompt.text)
        if self.commands.display:
            self.call_after_refresh(self._place_commands)
