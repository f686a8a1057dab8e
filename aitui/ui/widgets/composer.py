"""Where a prompt is written."""

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

HISTORY_KEPT = 200


class Composer(TextArea):
    """Several lines of text; Enter sends them. Long pastes stay whole.

    Up on the first line and Down on the last one walk through earlier prompts; what was being
    written comes back at their end.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "send", "send", key_display="⏎"),
        Binding("ctrl+j,shift+enter", "newline", "new line", key_display="^j"),
        Binding("ctrl+e", "edit", "write in $EDITOR", key_display="^e"),
        Binding("tab", "complete", "complete a command", show=False),
        Binding("up", "earlier", "earlier prompt", show=False),
        Binding("down", "later", "later prompt", show=False),
        Binding("escape", "leave", "leave the prompt"),
        Binding(
            "ctrl+c,super+c",
            "copy",
            "copy what is selected, else stop the answer",
            show=False,
            key_display="^c",
        ),
    ]

    class Sent(Message):
        """Somebody wants that text asked or done."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class CompletionWished(Message):
        """Somebody wants the command completed."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class EditorWished(Message):
        """Somebody wants to go on in an editor."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Left(Message):
        """Somebody is done with writing for now; the text stays."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, soft_wrap=True, show_line_numbers=False, tab_behavior="focus")
        self._earlier: list[str] = []
        self._place = 0
        self._draft = ""
        self.on_their_way = 0
        """Texts that were sent, and that nobody has taken yet."""

    def remember(self, text: str) -> None:
        """Keep a prompt that was sent among the earlier ones."""
        if text and (not self._earlier or self._earlier[-1] != text):
            self._earlier = [*self._earlier, text][-HISTORY_KEPT:]
        self._place = len(self._earlier)

    def recall(self, texts: Sequence[str]) -> None:
        """Have these in front of the earlier prompts."""
        self._earlier = [*texts, *self._earlier][-HISTORY_KEPT:]
        self._place = len(self._earlier)

    def put(self, text: str) -> None:
        """Have that text in the prompt, the cursor at its end."""
        self.text = text
        self.move_cursor(self.document.end)

    async def _on_key(self, event: events.Key) -> None:
        # Bindings come out of a queue of their own, and one with priority overtakes the letters
        # before it: what is typed fast, or comes late over a slow line, keeps its order only here.
        for binding in (
            () if event.is_printable else self._bindings.key_to_bindings.get(event.key, ())
        ):
            if await self.app.run_action(binding.action, self):
                event.stop()
                event.prevent_default()

    def action_send(self) -> None:
        """Send what is written, unless it is nothing; what is typed from now on is another text."""
        text = self.text
        if text.strip():
            self.on_their_way += 1
            self.post_message(self.Sent(text))
            self.put("")

    def action_newline(self) -> None:
        """Begin a new line."""
        self.insert("\n")

    def action_edit(self) -> None:
        """Go on in an editor."""
        self.post_message(self.EditorWished(self.text))

    def action_complete(self) -> None:
        """Complete a command; elsewhere, go on to the next pane."""
        if self.text.startswith("/"):
            self.post_message(self.CompletionWished(self.text))
        else:
            self.screen.focus_next()

    def action_leave(self) -> None:
        """Leave the prompt."""
        self.post_message(self.Left())

    def action_earlier(self) -> None:
        """Up one line, or to the prompt before."""
        if self._row > 0 or not self._earlier:
            self.action_cursor_up()
            return
        if self._place >= len(self._earlier):
            self._draft, self._place = self.text, len(self._earlier)
        self._place = max(0, self._place - 1)
        self.put(self._earlier[self._place])

    def action_later(self) -> None:
        """Down one line, or to the prompt after."""
        is_last_line = self._row >= self.wrapped_document.height - 1
        if not is_last_line or self._place >= len(self._earlier):
            self.action_cursor_down()
            return
        self._place += 1
        at_end = self._place == len(self._earlier)
        self.put(self._draft if at_end else self._earlier[self._place])

    @property
    def _row(self) -> int:
        """The line of the cursor as it is shown: a long one takes several."""
        return self.wrapped_document.location_to_offset(self.cursor_location).y
