"""Chooses one of several texts."""

from collections.abc import Callable, Sequence

from textual import events, on
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from aitui.domain.snapshot import Server
from aitui.errors import KeyPasswordNeeded, SettingsError, SshKeyPassphraseNeeded
from aitui.format.fit import shorten_path
from aitui.ui.frame import set_frame_title
from aitui.ui.keymap import CHOOSE, KEY_PASSWORD, SERVERS, remedy_text
from aitui.ui.plain import PlainText, plain
from aitui.ui.widgets.dialog import BREAKPOINTS, SMALL_DIALOG_CELLS, Dialog
from aitui.ui.widgets.key_bar import KeyBar

MAX_CHOICE_CELLS = 56


class ChooseScreen(ModalScreen[str | None]):
    """Ends with one of some paths, or with None."""

    CSS_PATH = ["dialog.tcss", "small_dialog.tcss"]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = BREAKPOINTS
    BINDINGS = CHOOSE.bindings()

    def __init__(self, title: str, choices: Sequence[str]) -> None:
        super().__init__()
        self._title = title
        self._choices = choices

    def compose(self) -> ComposeResult:
        with Dialog(SMALL_DIALOG_CELLS):
            yield PlainText(id="title")
            yield OptionList(
                *(
                    Option(plain(shorten_path(choice, MAX_CHOICE_CELLS)))
                    for choice in self._choices
                ),
                id="list",
            )
        yield KeyBar(CHOOSE.hint("select"), CHOOSE.hint("dismiss"), id="keys")

    def on_resize(self) -> None:
        self.query_one(Dialog).show_title(self._title, self.query_one("#title", PlainText))

    @on(OptionList.OptionSelected)
    def _handle_option(self, message: OptionList.OptionSelected) -> None:
        if self.is_current:
            self.dismiss(self._choices[message.option_index])


class KeyPasswordScreen(ModalScreen[str | None]):
    """Ends with the password, or with None or an empty text if none is given."""

    CSS_PATH = ["dialog.tcss", "small_dialog.tcss"]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = BREAKPOINTS
    BINDINGS = KEY_PASSWORD.bindings()

    def __init__(self, error: KeyPasswordNeeded | SshKeyPassphraseNeeded) -> None:
        super().__init__()
        self._error = error

    def compose(self) -> ComposeResult:
        with Dialog(SMALL_DIALOG_CELLS) as dialog:
            set_frame_title(dialog, "Password of the private key")
            with VerticalScroll(id="text", can_focus=False):
                yield PlainText(str(self._error), id="words")
            yield Input(password=True, id="entry")
        yield KeyBar(KEY_PASSWORD.hint("submit"), KEY_PASSWORD.hint("dismiss"), id="keys")

    @on(Input.Submitted)
    def _handle_submit(self, message: Input.Submitted) -> None:
        if self.is_current:
            self.dismiss(message.value)


EXAMPLE = "http://localhost:8080"


class ServersScreen(ModalScreen[Server | str | None]):
    """Ends with a server of the list, with a URL that was typed, or with None.

    `check` raises SettingsError for a text that can't be a URL: it stays in the field.
    """

    CSS_PATH = ["dialog.tcss", "small_dialog.tcss"]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = BREAKPOINTS
    BINDINGS = SERVERS.bindings()

    def __init__(
        self,
        servers: tuple[Server, ...],
        current: Server | None,
        check: Callable[[str], object] = str,
    ) -> None:
        super().__init__()
        self._check = check
        self._servers = servers
        self._current = current

    def compose(self) -> ComposeResult:
        with Dialog(SMALL_DIALOG_CELLS) as dialog:
            set_frame_title(dialog, "Servers")
            yield OptionList(*(self._option(server) for server in self._servers), id="list")
            with VerticalScroll(id="text", can_focus=False):
                yield PlainText("or the URL of another one", id="words")
            yield Input(placeholder=EXAMPLE, select_on_focus=False, id="entry")
        hints = (SERVERS.hint(action) for action in ("submit", "focus_next", "dismiss"))
        yield KeyBar(*hints, id="keys")

    def on_mount(self) -> None:
        listed = self.query_one(OptionList)
        if self._current in self._servers:
            listed.highlighted = self._servers.index(self._current)
        listed.focus()

    def on_key(self, event: events.Key) -> None:
        """Pass letters typed in the list on to the URL field: the list uses none."""
        entry = self.query_one(Input)
        letter = event.character if event.is_printable else None
        if self.focused is not entry and letter is not None and not letter.isspace():
            event.stop()
            self.set_focus(entry)
            entry.insert_text_at_cursor(letter)

    @on(OptionList.OptionSelected)
    def _handle_option(self, message: OptionList.OptionSelected) -> None:
        if self.is_current:
            self.dismiss(self._servers[message.option_index])

    @on(Input.Submitted)
    def _handle_submit(self, message: Input.Submitted) -> None:
        typed = message.value.strip()
        if not self.is_current or not typed:
            return
        try:
            self._check(typed)
        except SettingsError as error:
            refusal = " ".join(part for part in (error.what, error.why, remedy_text(error)) if part)
            self.query_one("#words", PlainText).update(Content.styled(refusal, "$error"))
        else:
            self.dismiss(typed)

    def _option(self, server: Server) -> Option:
        mark = "● " if server == self._current else "  "
        notes = " (read-only)" if server.read_only else ""
        return Option(plain(f"{mark}{server.label}{notes}\n    {server.url}"))
