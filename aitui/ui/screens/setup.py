"""Shown instead of a connection where the default server's certificate files are missing."""

from pathlib import Path

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen

from aitui.domain.server import Server, copy_command
from aitui.ui.keymap import APP, SETUP
from aitui.ui.plain import PlainText
from aitui.ui.widgets.key_bar import KeyBar


class SetupScreen(Screen[None]):
    """Shows the missing certificate files and the next steps."""

    CSS_PATH = "setup.tcss"
    BINDINGS = SETUP.bindings()
    BLANK = True

    def __init__(self, server: Server, missing: tuple[tuple[str, Path], ...]) -> None:
        super().__init__()
        self._server = server
        self._missing = missing

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="setup"):
            yield PlainText("aitui has not connected to anything yet", id="title")
            yield PlainText(id="text")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        self.show(self._missing)
        self.query_one(KeyBar).hints = (
            *(SETUP.hint(action) for action in _ACTIONS),
            *(APP.hint(action) for action in ("doctor", "quit", "help")),
        )
        self.query_one("#setup").focus()

    def show(self, missing: tuple[tuple[str, Path], ...]) -> None:
        self._missing = missing
        gone = {path for _, path in missing}
        lines = [
            Content.assemble(
                (self._server.url, "bold"), " accepts only clients with a certificate."
            ),
            Content("These files were looked for:"),
            Content(""),
        ]
        for what, path in self._server.certificate_files:
            mark, style = (
                ("✘ missing", "$text-error") if path in gone else ("✔ there", "$text-success")
            )
            lines.append(Content.assemble("  ", (f"{mark:<9}", style), f"  {path} ({what})"))
        copies = (Content(f"  {copy_command(path)}") for _, path in missing)
        lines += [Content(""), *map(Content, _STEPS), *copies, Content(""), *map(Content, _OTHERS)]
        self.query_one("#text", PlainText).update(Content("\n").join(lines))


_ACTIONS = ("app.open_demo", "app.switch_server", "app.recheck_certificates")
_DEMO, _SWITCH, _RECHECK = (f"  {SETUP.sign(action):<5}" for action in _ACTIONS)
_STEPS = (
    "What you can do now",
    "",
    f"{_DEMO}open the demo: a simulated server on this machine",
    f"{_SWITCH}connect to another server, such as http://localhost:8080",
    f"{_RECHECK}check again, once the files are there",
    "",
    "Copy what is missing from the machine where it was made (PROXY:CERTS), then chmod 600 the key:",
    "",
)
_OTHERS = (
    "AI_SERVER_CERTS_DIR names another directory. AI_SERVER_URL, or config.toml,",
    "names another server. See also aitui --help.",
)
