"""One of the answers that a dialog offers."""

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Static


class Choice(Static, can_focus=True):
    """A word that can be focused, clicked, and chosen with Enter; the focused one is marked."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space", "choose", "Choose", show=False)]
    DEFAULT_CSS = """
    Choice {
        width: auto;
        height: 1;
        margin-right: 2;
        padding: 0 1;
        background: $panel;
        color: $foreground;
        &:focus { background: $primary; color: $text; text-style: bold; }
        &:hover { text-style: underline; }
    }
    """

    class Chosen(Message):
        """This answer was chosen."""

        def __init__(self, *, answer: bool) -> None:
            super().__init__()
            self.value = answer

    def __init__(self, words: str, *, answer: bool, id: str | None = None) -> None:  # noqa: A002
        super().__init__(words, id=id, markup=False)
        self._words = words
        self._value = answer

    def on_focus(self) -> None:
        """Mark the focus by a sign, since a colour alone may not show."""
        self.update(f"▸ {self._words}")

    def on_blur(self) -> None:
        """Take the mark away."""
        self.update(f"  {self._words}")

    def on_mount(self) -> None:
        """Take the same room with and without the mark."""
        self.update(f"  {self._words}")

    def on_click(self) -> None:
        """A click chooses."""
        self.action_choose()

    def action_choose(self) -> None:
        """Tell the dialog."""
        self.post_message(self.Chosen(answer=self._value))
