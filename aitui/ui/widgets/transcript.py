"""A conversation of any length: turns that stream in, blocks to move by and to copy."""

from collections.abc import Iterable

from textual.message import Message

from aitui.ui.keymap import TRANSCRIPT
from aitui.ui.motions import motion_rows
from aitui.ui.transcript.layout import block_start, block_text, next_block_start
from aitui.ui.transcript.turns import CompletedTurn
from aitui.ui.transcript.view import TranscriptView


class Transcript(TranscriptView):
    """Turns that come in by `begin_turn`, `append` and `finish`, or whole by `replace`."""

    BINDINGS = TRANSCRIPT.bindings()

    class OpenRequested(Message):
        """An editor with that block was requested."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    # --- what the chat tells

    def begin_turn(self, turn_id: str, role: str, model: str = "") -> None:
        """Add a turn at the end. `role` is user, assistant or system."""
        self.conversation.begin(turn_id, role, model)
        self._show()

    def append(self, turn_id: str, text: str, kind: str = "text") -> None:
        """Add text to a turn; `kind` is text or reasoning. It is on screen some frames later.

        Raises KeyError for a turn that was never begun.
        """
        self.conversation.append(turn_id, text, reasoning=kind == "reasoning")
        self._schedule_flush()

    def set_state(self, turn_id: str, words: str) -> None:
        """Say beside the model's name what a turn waits for or does. Raises KeyError."""
        self.conversation.set_state(turn_id, words)
        self._show()

    def set_thinking_time(self, turn_id: str, seconds: float) -> None:
        """Say how long the reasoning of a turn took that is over. Raises KeyError."""
        self.conversation.set_thinking_time(turn_id, seconds)
        self._show()

    def finish(self, turn_id: str, footer: str = "") -> None:
        """End a turn: everything of it is shown at once, and `footer` below it. Raises KeyError."""
        self.conversation.finish(turn_id, footer)
        self._next_scrollbar_at = 0.0
        self._show()
        self._schedule_idle_work()

    def replace(self, turns: Iterable[CompletedTurn]) -> None:
        """Show other turns: another branch, or another conversation. Follows their end."""
        self.conversation.replace(turns)
        self._cursor, self.following = None, True
        self._reflow()

    # --- keys

    def action_follow(self) -> None:
        self._set_following(following=True)
        self._sync_view()

    def action_move(self, amount: float, unit: str = "rows") -> None:
        rows = motion_rows(self, amount, unit)
        self.scroll_to(y=self.scroll_offset.y + rows, animate=False, force=True)

    def action_block(self, direction: int) -> None:
        """Put the cursor on the next block, or the one before; first on the last one in sight."""
        entries = self._layout.entries
        if self._cursor is None or self._cursor >= len(entries):
            bottom = self._layout.entry_at(self.scroll_offset.y + self.size.height - 1)
            found = block_start(entries, bottom)
        else:
            found = next_block_start(entries, self._cursor, direction)
        if found is not None:
            self._cursor = found
            self._scroll_block_into_view(found)
        self.refresh()

    def action_copy(self, what: str) -> None:
        if what == "conversation":
            text = self.conversation.text
        elif what == "answer":
            text = self.conversation.reply_at(self._cursor)
        else:
            text = block_text(self._layout.entries, self._cursor)
        if text:
            self.app.copy_to_clipboard(text)

    def action_open_block(self) -> None:
        text = block_text(self._layout.entries, self._cursor)
        if text:
            self.post_message(self.OpenRequested(text))

    def action_reasoning(self) -> None:
        """Unfold or fold the reasoning under the cursor, else the last one."""
        if self.conversation.toggle_reasoning(self._cursor):
            self.screen.clear_selection()
            self._show()

    def action_raw(self) -> None:
        self.raw = not self.raw
