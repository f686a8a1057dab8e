"""Asks for the password of an encrypted private key, of the certificate or of SSH, once."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from aitui.errors import KeyPasswordNeeded, SshKeyPassphraseNeeded


class KeyPasswordScreen(ModalScreen[str]):
    """Ends with the password, or with an empty text where nobody gives it."""

    CSS_PATH = "small_dialog.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "give_up", "Give up")]

    def __init__(self, error: KeyPasswordNeeded | SshKeyPassphraseNeeded) -> None:
        super().__init__()
        self._error = error

    def compose(self) -> ComposeResult:
        """What is wanted, and where to type it."""
        with Vertical(id="dialog"):
            yield Static("Password of the private key", id="title", markup=False)
            yield Static(str(self._error), id="words", markup=False)
            yield Input(password=True, id="entry")
            yield Static("⏎ connect   Esc give up", id="hints", markup=False)

    def on_mount(self) -> None:
        """The entry has the focus."""
        self.query_one(Input).focus()

    def action_give_up(self) -> None:
        """Close without a password."""
        self.dismiss("")

    @on(Input.Submitted)
    def _handle_submit(self, message: Input.Submitted) -> None:
        if self.is_current:
            self.dismiss(message.value)
