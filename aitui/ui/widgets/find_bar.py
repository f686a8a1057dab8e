"""The line below a view that what to find is typed into."""

import re
from typing import TYPE_CHECKING

from textual import on
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input

from aitui.domain.units import format_position

if TYPE_CHECKING:
    from aitui.ui.widgets.config_view import ConfigView
    from aitui.ui.widgets.log_view import LogView
    from aitui.ui.widgets.transcript import Transcript
PLACEHOLDER = "find: words that a line has"


def match_position(view: "ConfigView | LogView | Transcript") -> str:
    """Say which of the found lines the cursor is on, and how many there are."""
    if view.needle is None:
        return ""
    return format_position(view.match_number(), view.match_count)


class FindBar(Input):
    """Mounted below `view` when it is opened, to find words in it or, with a placeholder, for other input."""

    class Toggled(Message):
        """The bar was opened or closed."""

    def __init__(self, view: "ConfigView | LogView | Transcript", *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._view = view
        self._start = 0
        self._focus_before: Widget | None = None
        self.finds = True
        self.display = False

    async def open(self, text: str = "", placeholder: str = "") -> None:
        """Take words to find, or another input that the screen handles."""
        if not self.is_attached and isinstance(pane := self._view.parent, Widget):
            await pane.mount(self, after=self._view)
        self.finds, self._start = not placeholder, self._view.cursor
        self._focus_before = self.screen.focused
        with self.prevent(Input.Changed):
            self.value = text
        self.placeholder = placeholder or PLACEHOLDER
        self.display = True
        # Not `focus()`, which comes a turn later: what is typed ahead would go to the view.
        self.screen.set_focus(self)
        self.post_message(self.Toggled())

    def close(self) -> None:
        """Give the focus back to the view; what was found stays marked."""
        self.display = False
        self.screen.set_focus(self._view)
        self.post_message(self.Toggled())

    async def find_next(self, direction: int) -> None:
        """Go to the next or the previous line that has the words, or ask for these."""
        if self._view.needle is None:
            await self.open()
        else:
            self._view.search_next(direction)

    def step_back(self) -> bool:
        """Leave the input, else the search; returns whether there was one of them."""
        if self.display:
            self.close()
            if self._focus_before not in {None, self, self._view}:
                # Opened from a field, where no key would take the marks away.
                self._view.search(None, self._start)
                self.screen.set_focus(self._focus_before)
        elif self._view.needle is not None:
            self._view.search(None, self._view.cursor)
        else:
            return False
        return True

    @on(Input.Changed)
    def _handle_input(self, message: Input.Changed) -> None:
        message.stop()
        if self.finds:
            words = message.value
            flags = re.IGNORECASE if words == words.lower() else re.NOFLAG
            needle = re.compile(re.escape(words), flags) if words else None
            self._view.search(needle, self._start)

    @on(Input.Submitted)
    def _handle_submit(self, message: Input.Submitted) -> None:
        if self.finds:
            message.stop()
            self.close()
