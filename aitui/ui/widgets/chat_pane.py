"""A conversation with one model: transcript, status and prompt."""

from rich.cells import cell_len
from rich.style import Style
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from aitui.domain.chat.conversation import ImageAttachment
from aitui.domain.slash import SLASH_COMMANDS, Suggestion
from aitui.domain.snapshot import Clock
from aitui.ui.frame import set_frame_title
from aitui.ui.keymap import CHAT_PANE
from aitui.ui.plain import component_classes, plain
from aitui.ui.text import LineItem, fit_items, render_items, shorten_id, truncate
from aitui.ui.widgets.chat_status import ChatStatus
from aitui.ui.widgets.composer import Composer
from aitui.ui.widgets.suggestion_list import SuggestionList
from aitui.ui.widgets.transcript import Transcript

MAX_PROMPT_LINES = 8
"""Lines of the prompt that are in sight."""
MAX_ID_CELLS = 24
"""Cells of a model's id in an empty prompt, beside what the prompt takes."""
MAX_NAME_CELLS = 24
"""Cells of an image's name in the line above the prompt."""


class AttachmentLine(Widget):
    """The images that go along with the next prompt; a click on one detaches it."""

    COMPONENT_CLASSES = component_classes("attachment-line", "image", "hint")

    images: reactive[tuple[ImageAttachment, ...]] = reactive(())

    class Detached(Message):
        """An image was clicked on; `index` is its place."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def watch_images(self) -> None:
        self.display = bool(self.images)

    def render_line(self, y: int) -> Strip:  # noqa: ARG002 - there is one line
        return render_items(self._items(), (), self.size.width, self._item_style, self.rich_style)

    def on_click(self, event: events.Click) -> None:
        at = 1
        for item in fit_items(self._items(), self.size.width - 2):
            width = cell_len(item.text)
            if item.style == "image" and at <= event.x < at + width:
                self.post_message(self.Detached(int(item.action)))
            at += width + 2

    def _items(self) -> tuple[LineItem, ...]:
        """A count, since names may have no room; the last ones have the most need of it."""
        chips = (
            LineItem(f"{truncate(image.name, MAX_NAME_CELLS)} ✕", 2 + index, "image", str(index))
            for index, image in enumerate(self.images)
        )
        count = LineItem(f"{len(self.images)} attached:", len(self.images) + 2, "hint")
        return count, *chips, LineItem(f"{CHAT_PANE.sign('detach')} detaches", 1, "hint")

    def _item_style(self, name: str) -> Style:
        return self.get_component_rich_style(f"attachment-line--{name}")


class ChatPane(Vertical):
    """Shows what it is given, and passes on what is typed."""

    BINDINGS = CHAT_PANE.bindings()

    model_id: reactive[str] = reactive("")
    heading: reactive[str] = reactive("")
    is_replying: reactive[bool] = reactive(False)
    needed_context: reactive[int] = reactive(0)
    """The context size, in tokens, that a prompt needs that was refused; 0 if none is offered."""
    attachments: reactive[tuple[ImageAttachment, ...]] = reactive(())
    """What goes along with the next prompt."""
    suggested: reactive[str] = reactive("")
    """The command that is selected in the list above the prompt; empty while there is no list."""

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes="frame")
        self.transcript = Transcript(clock, id="transcript")
        self.status = ChatStatus(clock, id="chat-status")
        self.attachment_line = AttachmentLine(id="attachments")
        self.prompt = Composer(id="prompt")
        self.commands = SuggestionList(id="commands")
        self.commands.total = len(SLASH_COMMANDS)
        self.prompt.commands = self.commands

    def compose(self) -> ComposeResult:
        yield from (self.transcript, self.status, self.attachment_line, self.prompt, self.commands)

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
        self.attachment_line.images = self.attachments

    def action_detach(self) -> None:
        """Detach the last image."""
        self.attachments = self.attachments[:-1]

    @on(AttachmentLine.Detached)
    def _detach_clicked(self, message: AttachmentLine.Detached) -> None:
        at = message.index
        self.attachments = (*self.attachments[:at], *self.attachments[at + 1 :])

    def watch_model_id(self) -> None:
        """Name the model in the border, and in the prompt, which a small screen has alone."""
        model = shorten_id(self.model_id, MAX_ID_CELLS) if self.model_id else ""
        words = " ".join(word for word in ("Ask", model, "…") if word)
        self.prompt.placeholder = plain(f"{words}  (⏎ sends, / commands)")
        self._update_title()

    def _update_title(self) -> None:
        set_frame_title(self, "Chat", self.heading[:60], shorten_id(self.model_id, 48))

    watch_heading = _update_title

    @on(Composer.Changed)
    def _resize_prompt(self) -> None:
        lines = min(MAX_PROMPT_LINES, max(1, self.prompt.wrapped_document.height))
        self.prompt.styles.height = lines
        if self.commands.display:
            self.call_after_refresh(self._place_commands)
