"""Chooses one of several texts."""

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from aitui.ui.model_id import shorten_id
from aitui.ui.plain import plain

MAX_CHOICE_CELLS = 56


class ChooseScreen(ModalScreen[str | None]):
    """Ends with one of them, or with None."""

    CSS_PATH = "small_dialog.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "give_up", "Back")]

    def __init__(self, title: str, choices: Sequence[str]) -> None:
        super().__init__()
        self._title = title
        self._choices = choices

    def compose(self) -> ComposeResult:
        """The title and the list."""
        with Vertical(id="dialog"):
            yield Static(self._title, id="title", markup=False)
            yield OptionList(
                *(Option(plain(shorten_id(choice, MAX_CHOICE_CELLS))) for choice in self._choices),
                id="list",
            )
            yield Static("⏎ choose   Esc back", id="hints", markup=False)

    def on_mount(self) -> None:
        """The list has the focus."""
        self.query_one(OptionList).focus()

    def action_give_up(self) -> None:
        """Choose nothing."""
        if self.is_current:
            self.dismiss(None)

    @on(OptionList.OptionSelected)
    def _handle_option(self, message: OptionList.OptionSelected) -> None:
        if self.is_current:
            self.dismiss(self._choices[message.option_index])
