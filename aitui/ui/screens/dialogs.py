"""Small dialogs: one of several files, a password, another server."""

from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct
from textual import events, on
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from aitui.domain.profiles import Profiles, ServerProfile
from aitui.domain.snapshot import Server
from aitui.errors import KeyPasswordNeeded, SettingsError, SshKeyPassphraseNeeded
from aitui.format.fit import shorten_id, shorten_path
from aitui.ui.frame import set_frame_title
from aitui.ui.keymap import CHOOSE, KEY_PASSWORD, NEW_MODEL, SERVERS, one_line_error, remedy_text
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


class ProfilesScreen(ModalScreen[str | None]):
    """Ends with the id of a profile, "" for none of them, or with None to cancel."""

    CSS_PATH = ["dialog.tcss", "small_dialog.tcss"]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = BREAKPOINTS
    BINDINGS = CHOOSE.bindings()

    def __init__(self, profiles: Profiles) -> None:
        super().__init__()
        self._active = profiles.active
        self._choices = (
            *profiles.listed,
            ServerProfile("", "Names lead where the config file has them"),
        )

    def compose(self) -> ComposeResult:
        with Dialog(SMALL_DIALOG_CELLS) as dialog:
            set_frame_title(dialog, "Profiles")
            yield OptionList(*map(self._option, self._choices), id="list")
        yield KeyBar(CHOOSE.hint("select"), CHOOSE.hint("dismiss"), id="keys")

    def on_mount(self) -> None:
        ids = [profile.id for profile in self._choices]
        self.query_one(OptionList).highlighted = (
            ids.index(self._active) if self._active in ids else 0
        )

    @on(OptionList.OptionSelected)
    def _handle_option(self, message: OptionList.OptionSelected) -> None:
        if self.is_current:
            self.dismiss(self._choices[message.option_index].id)

    def _option(self, profile: ServerProfile) -> Option:
        here = profile.id == self._active
        mark = ("● ", "$ready") if here else ("  ", "")
        lines = [line for line in (profile.description, *profile.pin_lines) if line]
        words = "\n".join(f"  {shorten_id(line, SMALL_DIALOG_CELLS - 8)}" for line in lines)
        name = profile.id or "no profile"
        return Option(Content.assemble(mark, (name, "bold"), "\n", (words, "$muted")))


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
                sentences = (self._error.what, self._error.why, remedy_text(self._error))
                yield PlainText("\n".join(filter(None, sentences)), id="words")
            yield Input(password=True, id="entry")
        yield KeyBar(KEY_PASSWORD.hint("submit"), KEY_PASSWORD.hint("dismiss"), id="keys")

    @on(Input.Submitted)
    def _handle_submit(self, message: Input.Submitted) -> None:
        if self.is_current:
            self.dismiss(message.value)


class NewModelScreen(ModalScreen[str | None]):
    """Ends with a repository and a pattern, or a file of the host, as typed; None to cancel."""

    CSS_PATH = ["dialog.tcss", "small_dialog.tcss"]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = BREAKPOINTS
    BINDINGS = NEW_MODEL.bindings()

    def compose(self) -> ComposeResult:
        with Dialog(SMALL_DIALOG_CELLS) as dialog:
            set_frame_title(dialog, "Add a model")
            with VerticalScroll(id="text", can_focus=False):
                words = "A repository on Hugging Face with a pattern, or a GGUF file there"
                yield PlainText(words, id="words")
            yield Input(placeholder="AUTHOR/REPO *Q8_0*, or /models/NAME.gguf", id="entry")
        yield KeyBar(NEW_MODEL.hint("submit"), NEW_MODEL.hint("dismiss"), id="keys")

    @on(Input.Submitted)
    def _handle_submit(self, message: Input.Submitted) -> None:
        if self.is_current:
            self.dismiss(message.value)


EXAMPLE = "http://localhost:8080"


class ServerChoice(Struct, frozen=True):
    """A server of the settings, or one by its URL alone; without both it is the demo."""

    server: Server | None = None
    url: str = ""

    @property
    def lines(self) -> tuple[str, str]:
        """Return the name and the description."""
        if self.server is not None:
            notes = " · read-only" if self.server.read_only else ""
            return self.server.label, f"{self.server.url}{notes}"
        if self.url:
            return self.url, f"used before · {SERVERS.sign('forget')} forgets it"
        return "demo", "a simulated server on this machine"


class ServersScreen(ModalScreen[ServerChoice | None]):
    """Ends with one of the list, with a URL that was typed, or with None.

    `check` raises SettingsError for a text that can't be a URL: it stays in the field. `used_before`
    returns URLs, and `forget` is called with one that is to be remembered no longer.
    """

    CSS_PATH = ["dialog.tcss", "small_dialog.tcss"]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = BREAKPOINTS
    BINDINGS = SERVERS.bindings()

    def __init__(
        self,
        servers: Sequence[Server],
        current: ServerChoice | None,
        check: Callable[[str], object] = str,
        *,
        used_before: Callable[[], Awaitable[Sequence[str]]] | None = None,
        forget: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__()
        self._check = check
        self._used_before = used_before
        self._forget = forget
        self._current = current
        self._choices = [*(ServerChoice(server) for server in servers), ServerChoice()]
        if current is not None and current not in self._choices:
            self._choices.insert(-1, current)

    def compose(self) -> ComposeResult:
        with Dialog(SMALL_DIALOG_CELLS) as dialog:
            set_frame_title(dialog, "Servers")
            yield OptionList(*map(self._option, self._choices), id="list")
            with VerticalScroll(id="text", can_focus=False):
                yield PlainText("or the URL of another one", id="words")
            yield Input(placeholder=EXAMPLE, select_on_focus=False, id="entry")
        hints = (SERVERS.hint(action) for action in ("submit", "focus_next", "dismiss"))
        yield KeyBar(*hints, id="keys")

    def on_mount(self) -> None:
        listed = self.query_one(OptionList)
        if self._current in self._choices:
            listed.highlighted = self._choices.index(self._current)
        listed.focus()
        if self._used_before is not None:
            self.run_worker(self._add_urls(self._used_before()))

    async def _add_urls(self, used_before: Awaitable[Sequence[str]]) -> None:
        """List them ahead of the demo; the selected choice stays that."""
        known = {choice.url or (choice.server and choice.server.url) for choice in self._choices}
        added = [ServerChoice(url=url) for url in await used_before if url not in known]
        # A screen that is closed loses its widgets before its workers end.
        if added and self.display:
            self._list([*self._choices[:-1], *added, self._choices[-1]])

    def action_forget(self) -> None:
        choice = self._highlighted()
        if choice is not None and choice.url and choice != self._current:
            self._forget(choice.url)
            self._list([one for one in self._choices if one != choice])

    def on_key(self, event: events.Key) -> None:
        """Pass letters typed in the list on to the URL field: the list uses none."""
        entry = self.query_one(Input)
        letter = event.character if event.is_printable else None
        if self.focused is not entry and letter is not None and not letter.isspace():
            event.stop()
            self.set_focus(entry)
            entry.insert_text_at_cursor(letter)

    @on(OptionList.OptionSelected)
    def _handle_option(self) -> None:
        if self.is_current:
            self.dismiss(self._highlighted())

    @on(Input.Submitted)
    def _handle_submit(self, message: Input.Submitted) -> None:
        typed = message.value.strip()
        if not self.is_current or not typed:
            return
        try:
            self._check(typed)
        except SettingsError as error:
            words = Content.styled(one_line_error(error), "$error")
            self.query_one("#words", PlainText).update(words)
        else:
            self.dismiss(ServerChoice(url=typed))

    def _list(self, choices: list[ServerChoice]) -> None:
        highlighted, listed = self._highlighted(), self.query_one(OptionList)
        at = listed.highlighted or 0
        self._choices = choices
        listed.clear_options()
        listed.add_options(map(self._option, choices))
        at = choices.index(highlighted) if highlighted in choices else min(at, len(choices) - 1)
        listed.highlighted = at

    def _highlighted(self) -> ServerChoice | None:
        at = self.query_one(OptionList).highlighted
        return None if at is None else self._choices[at]

    def _option(self, choice: ServerChoice) -> Option:
        name, words = choice.lines
        here = choice == self._current
        mark = ("● ", "$ready") if here else ("  ", "")
        if here and choice.url:
            words = "current"
        return Option(Content.assemble(mark, (name, "bold"), "\n  ", (words, "$muted")))
