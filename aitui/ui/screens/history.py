"""Earlier conversations: find one by its words, and go on with it."""

from collections.abc import Callable
from datetime import datetime

from textual import on
from textual.app import ComposeResult
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from aitui.services.history import ListedConversation
from aitui.ui.frame import set_frame_title
from aitui.ui.keymap import CONVERSATIONS, HISTORY
from aitui.ui.motions import motion_rows
from aitui.ui.plain import plain
from aitui.ui.widgets.dialog import BREAKPOINTS, SMALL_DIALOG_CELLS, Dialog
from aitui.ui.widgets.key_bar import KeyBar


class ConversationList(OptionList):
    """The list of conversations that match."""

    BINDINGS = CONVERSATIONS.bindings()

    def action_move(self, amount: float, unit: str = "rows") -> None:
        # Every conversation has two lines.
        rows = motion_rows(self, amount, unit) // (2 if unit == "pages" else 1)
        at = self.highlighted or 0
        self.highlighted = max(0, min(at + rows, self.option_count - 1))


class HistoryScreen(ModalScreen[str | None]):
    """Ends with the id of a conversation, None for none.

    `search` lists what has these words with `show`, and so does `delete` without a conversation.
    """

    CSS_PATH = ["dialog.tcss", "small_dialog.tcss"]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = BREAKPOINTS
    BINDINGS = HISTORY.bindings()

    def __init__(
        self,
        words: str,
        search: Callable[[str], None],
        delete: Callable[[ListedConversation, str], None],
    ) -> None:
        super().__init__()
        self._search = search
        self._delete = delete
        self._initial_words = words
        self._conversations: tuple[ListedConversation, ...] = ()
        self._listed_words: str | None = None

    def compose(self) -> ComposeResult:
        with Dialog(SMALL_DIALOG_CELLS) as dialog:
            set_frame_title(dialog, "Conversations")
            yield Input(self._initial_words, placeholder="words from a conversation", id="entry")
            yield ConversationList(id="list")
        hints = (HISTORY.hint(action) for action in ("select", "delete", "dismiss"))
        yield KeyBar(*hints, id="keys")

    def on_mount(self) -> None:
        self.query_one(Input).focus()
        self._search(self._initial_words)

    def action_delete(self) -> None:
        at = self.query_one(OptionList).highlighted
        if at is not None and at < len(self._conversations):
            self._delete(self._conversations[at], self.query_one(Input).value)

    def show(self, words: str, found: tuple[ListedConversation, ...]) -> None:
        """List what has these words, unless others stand there by now."""
        if words != self.query_one(Input).value:
            return
        self._conversations, self._listed_words = found, words
        listed = self.query_one(OptionList)
        at = listed.highlighted or 0
        listed.clear_options()
        for one in found:
            changed = datetime.fromtimestamp(one.changed).astimezone()
            below = one.excerpt or f"{changed:%Y-%m-%d %H:%M} · {one.model}"
            listed.add_option(Option(plain(f"{one.heading}\n    {below}"), id=one.id))
        if not found:
            listed.add_option(Option(plain("no conversation contains these words"), disabled=True))
        elif self.focused is listed:
            listed.highlighted = min(at, len(found) - 1)

    def action_to_list(self) -> None:
        listed = self.query_one(OptionList)
        listed.focus()
        # Of what was found for other words nothing must be opened: what has these is on its way.
        if listed.highlighted is None and self._listed_words == self.query_one(Input).value:
            listed.action_first()

    @on(Input.Changed)
    def _handle_input(self, message: Input.Changed) -> None:
        self.query_one(OptionList).highlighted = None
        self._search(message.value)

    @on(Input.Submitted)
    def _handle_submit(self) -> None:
        self.action_to_list()

    @on(OptionList.OptionSelected)
    def _handle_option(self, message: OptionList.OptionSelected) -> None:
        if self.is_current:
            self.dismiss(message.option.id)
