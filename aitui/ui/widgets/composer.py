"""The prompt of the chat."""

from collections.abc import Sequence

from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widgets import TextArea

from aitui.domain.chat.conversation import LONGEST_IN_PROMPT
from aitui.domain.slash import TYPED_WHOLE
from aitui.ui.keymap import PROMPT
from aitui.ui.widgets.suggestion_list import SuggestionList

MAX_HISTORY = 200
MAX_LINES = 8
"""Lines of the text that are in sight."""


class Composer(TextArea):
    """Several lines of text; Enter sends them. Long pastes stay whole.

    Up on the first line and Down on the last one walk through earlier prompts; what was being
    written comes back at their end. While a command is typed, both move in the list above the prompt.
    """

    BINDINGS = PROMPT.bindings()

    class Submitted(Message):
        """A prompt or a slash command was submitted."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class ScrollRequested(Message):
        """The transcript is to move by that many pages, or to follow its end for 0."""

        def __init__(self, pages: int) -> None:
            super().__init__()
            self.pages = pages

    class DetachRequested(Message):
        """The last image is to be removed."""

    class LongTextPasted(Message):
        """A text that is too long for the prompt was pasted."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class RecallRequested(Message):
        """The last prompt that is queued is to be taken back."""

    def __init__(self, commands: SuggestionList, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, soft_wrap=True, show_line_numbers=False, tab_behavior="focus")
        self._earlier_prompts: list[str] = []
        self._history_index = 0
        self._draft = ""
        self.cleared = ""
        """The prompt that was cleared last."""
        self.was_cleared = False
        """Whether it is empty because of that."""
        self._commands = commands
        """The completions of a command."""
        self.pending_sends = 0
        """Texts that were submitted and not taken yet."""
        self.has_queue = False
        """Whether prompts wait for the end of a reply."""
        self._wrapped_to = 0

    def add_to_history(self, text: str) -> None:
        """Keep a prompt that was sent among the earlier ones."""
        if text and (not self._earlier_prompts or self._earlier_prompts[-1] != text):
            self._earlier_prompts = [*self._earlier_prompts, text][-MAX_HISTORY:]
        self._history_index = len(self._earlier_prompts)

    def prepend_history(self, texts: Sequence[str]) -> None:
        """Insert prompts before the earlier ones."""
        self._earlier_prompts = [*texts, *self._earlier_prompts][-MAX_HISTORY:]
        self._history_index = len(self._earlier_prompts)

    def set_text(self, text: str) -> None:
        """Set the text of the prompt, with the cursor at its end."""
        self.text = text
        self.move_cursor(self.document.end)

    @property
    def is_recalling(self) -> bool:
        """Whether an earlier prompt is shown, as it was sent."""
        at = self._history_index
        return at < len(self._earlier_prompts) and self.text == self._earlier_prompts[at]

    @property
    def _suggested(self) -> str:
        chosen = self._commands.suggestion
        return "" if chosen is None else chosen.text

    def _close_list(self) -> bool:
        """Close the list of commands; return whether it was open."""
        if not self._commands.display:
            return False
        self._commands.suggestions = ()
        return True

    def on_text_area_changed(self) -> None:
        self._fit_height()

    def on_resize(self) -> None:
        # Only then `TextArea` has wrapped the text.
        self.call_later(self._fit_height)

    def _fit_height(self) -> None:
        self.styles.height = min(MAX_LINES, max(1, self.wrapped_document.height))

    def render_lines(self, crop: Region) -> list[Strip]:
        # Textual 8.2.8 wraps the text after the first frame with another width, and paints it again
        # only if it has another number of lines then.
        if (width := self.wrap_width) != self._wrapped_to:
            self._wrapped_to = width
            self.wrapped_document.wrap(width, self.indent_width)
            self._line_cache.clear()
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        # Textual 8.2.8 wraps the placeholder by no cells, which raises ValueError.
        return super().render_line(y) if self.content_size.width else Strip([])

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "escape" and self._close_list():
            event.stop()
            event.prevent_default()
            return
        # Bindings come out of a queue of their own, and one with priority overtakes the letters
        # before it: what is typed fast, or comes late over a slow line, keeps its order only here.
        for binding in (
            () if event.is_printable else self._bindings.key_to_bindings.get(event.key, ())
        ):
            if await self.app.run_action(binding.action, self):
                event.stop()
                event.prevent_default()

    def on_paste(self, event: events.Paste) -> None:
        """Leave a text that is too long for a field to those that attach it."""
        if len(event.text) > LONGEST_IN_PROMPT:
            event.prevent_default()
            event.stop()
            self.post_message(self.LongTextPasted(event.text))

    def action_send(self) -> None:
        """Send what is written, or what is queued; what is typed from now on is another text."""
        text, suggested = self.text, self._suggested
        if suggested and not self._commands.is_complete(text):
            # A list that came up: what is typed ahead of it is sent as it is.
            if suggested.endswith(" ") or suggested in TYPED_WHOLE:
                self.set_text(suggested)
                return
            text = suggested
        if text.strip() or self.has_queue:
            self.pending_sends += 1
            self.post_message(self.Submitted(text))
            self.set_text("")

    def action_clear(self) -> None:
        """Clear the prompt, or restore the one that was cleared last."""
        if self.text:
            self.cleared, self.was_cleared = self.text, True
            self.add_to_history(self.text)
            self.set_text("")
        elif self.cleared:
            self.set_text(self.cleared)

    def action_begin_command(self) -> None:
        """Type the slash that lists the commands."""
        if not self.text:
            self.insert("/")

    def action_delete_or_detach(self) -> None:
        """Delete what is right of the cursor; at the end there is nothing but images."""
        if self.cursor_location == self.document.end and self.selection.is_empty:
            self.post_message(self.DetachRequested())
        else:
            self.action_delete_right()

    def action_scroll_transcript(self, pages: int) -> None:
        self.post_message(self.ScrollRequested(pages))

    def action_end_or_follow(self) -> None:
        """Go to the end of the line; at the end of the prompt, to that of the transcript."""
        if self.cursor_location == self.document.end:
            self.post_message(self.ScrollRequested(0))
        else:
            self.action_cursor_line_end()

    def action_newline(self) -> None:
        self.insert("\n")

    async def action_complete(self) -> None:
        """Complete a command; elsewhere, go on to the next pane."""
        if self._suggested:
            self.set_text(self._suggested)
        elif self.text.startswith("/"):
            await self.run_action("app.complete_command")
        else:
            self.screen.focus_next()

    def action_earlier(self) -> None:
        """Up one line, or to the prompt before; in the list of commands while it is open.

        An empty prompt takes back what is queued.
        """
        if self._suggested:
            self._commands.move(-1)
            return
        if self.has_queue and not self.text:
            self.post_message(self.RecallRequested())
            return
        if self._cursor_row > 0 or not self._earlier_prompts:
            self.action_cursor_up()
            return
        if self._history_index >= len(self._earlier_prompts):
            self._draft, self._history_index = self.text, len(self._earlier_prompts)
        self._history_index = max(0, self._history_index - 1)
        self.set_text(self._earlier_prompts[self._history_index])

    def action_later(self) -> None:
        """Down one line, or to the prompt after; in the list of commands while it is open."""
        if self._suggested:
            self._commands.move(1)
            return
        is_last_line = self._cursor_row >= self.wrapped_document.height - 1
        if not is_last_line or self._history_index >= len(self._earlier_prompts):
            self.action_cursor_down()
            return
        self._history_index += 1
        at_end = self._history_index == len(self._earlier_prompts)
        self.set_text(self._draft if at_end else self._earlier_prompts[self._history_index])

    @property
    def _cursor_row(self) -> int:
        """The line of the cursor as it is shown: a long one takes several."""
        return self.wrapped_document.location_to_offset(self.cursor_location).y
