"""The first start: what answers on this machine, another address, the demo; nothing connects by itself."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.segment import Segment
from textual.app import ComposeResult
from textual.containers import Container, Horizontal, VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget
from textual.worker import Worker

from aitui.domain.server import Clock, Server
from aitui.format.fit import truncate
from aitui.services.first_run import FoundServer, ServerDraft, ask_usual_ports
from aitui.ui.frame import Pieces, set_frame_title
from aitui.ui.keymap import APP, CHOICE, FIRST_RUN
from aitui.ui.messages import ServerAddRequested, ServerRequested
from aitui.ui.plain import PlainText
from aitui.ui.theme import theme_style
from aitui.ui.widgets.dialog import Dialog
from aitui.ui.widgets.key_bar import KeyBar
from aitui.ui.widgets.pane_body import FrameLine
from aitui.ui.widgets.server_header import ServerHeader

FRAME_CELLS = 84
NAME_CELLS = 22
"""Cells of the address of a row, as long as its words have as much room as it has."""
HIGH_ROWS, MIDDLE_ROWS = 30, 20
"""Rows of a terminal from which there are blank lines, and from which there is more than the list."""
_ASKING, _FOUND, _OTHER, _FAILED, _OPEN = "◌", "●", "!", "✘", "○"
_STYLES = {_FOUND: "ready", _OTHER: "warning", _FAILED: "error"}
_LOGO = "▄▀█ █ ▀█▀ █ █ █\n█▀█ █  █  █▄█ █"


class ServerRow(Widget, can_focus=True):
    """One line that can be chosen: a sign, an address, what is known of it, and its key."""

    BINDINGS = CHOICE.bindings()
    DEFAULT_CSS = "ServerRow { height: 1; width: 1fr; &:focus { background: $select; } }"

    def __init__(self, name: str, words: str, action: str, *, mark: str = _OPEN) -> None:
        super().__init__()
        self.address = name
        self.action = action
        self._mark = mark
        self._words = words
        self._key = "" if action == "connect" else FIRST_RUN.sign(action)

    def show(self, mark: str, words: str) -> None:
        """Show what is known by now."""
        self._mark, self._words = mark, words
        self.refresh()

    @property
    def is_server(self) -> bool:
        """Whether a llama-swap answered there."""
        return self._mark == _FOUND

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        return 1

    def render_line(self, y: int) -> Strip:
        width, plain = self.size.width, self.visual_style.rich_style
        if y:
            return Strip.blank(width, plain)
        can_connect = self.has_focus and self._mark in {_FOUND, _OPEN}
        key = self._key or FIRST_RUN.sign("connect") * can_connect
        room = width - 4 - 3 - cell_len(key)
        name = self.address if width >= 2 * NAME_CELLS else self.address.removeprefix("http://")
        if cell_len(name) < NAME_CELLS and room >= 2 * NAME_CELLS:
            name = f"{name:{NAME_CELLS}}"
        name = truncate(name, room)
        words = truncate(self._words, max(0, room - cell_len(name) - 1))
        pieces = (
            ("▌" if self.has_focus else " ", "accent"),
            (f" {self._mark} ", _STYLES.get(self._mark, "muted")),
            (name, "bold foreground" if self.has_focus else "foreground"),
            (f" {words}" if words else "", "muted"),
        )
        segments = [Segment(text, plain + theme_style(self.app, style)) for text, style in pieces]
        gap = width - sum(segment.cell_length for segment in segments) - cell_len(key) - 2
        segments += [
            Segment(" " * max(0, gap), plain),
            Segment(f"{key}  ", plain + theme_style(self.app, "bold accent")),
        ]
        return Strip(segments).adjust_cell_length(width, plain)

    async def action_choose(self) -> None:
        await self.screen.run_action(self.action)

    on_click = action_choose


class FirstRunScreen(Screen[None]):
    """Lists what answers at the usual ports of this machine and the servers of config.toml.

    `config` is where a server is saved. `ports` are asked once, and again on a key.
    """

    CSS_PATH = "first_run.tcss"
    BINDINGS = FIRST_RUN.bindings()
    BLANK = True

    def __init__(
        self,
        servers: Sequence[Server],
        clock: Clock,
        config: str,
        ports: tuple[int, ...],
    ) -> None:
        super().__init__()
        self._servers = servers
        self._header = ServerHeader(clock, id="header")
        self._config = config
        self._ports = ports
        self._has_moved = False
        self._rows = [
            *(ServerRow(f"http://localhost:{port}", "", "connect") for port in ports),
            *(ServerRow(one.label, one.url, "connect") for one in servers),
            ServerRow(
                "another address", "https with a client certificate works too", "app.add_server"
            ),
            ServerRow("demo server", "simulated models, no network", "app.open_demo"),
        ]

    def compose(self) -> ComposeResult:
        yield self._header
        with Container(id="middle"), Dialog(FRAME_CELLS) as dialog:
            set_frame_title(dialog, "Connect to llama-swap")
            with VerticalScroll(id="content", can_focus=False):
                with Horizontal(id="intro", classes="more"):
                    yield PlainText(Content.styled(_LOGO, "$accent"), id="logo")
                    yield PlainText(_tagline(), id="tagline")
                yield FrameLine("──", id="found")
                yield from self._rows
                yield FrameLine("──", id="next")
                yield PlainText(self._next_steps(), id="facts", classes="more")
        yield KeyBar(id="keys")
        self._fit(self.app.size)

    def on_mount(self) -> None:
        self.query_one("#found", FrameLine).title = ("Servers found", "", "on this machine")
        self.query_one("#next", FrameLine).title = ("What happens next", "", "")
        hints = ("connect", "move(1)", "app.add_server", "app.open_demo", "ask_again")
        self.query_one(KeyBar).hints = (
            *(FIRST_RUN.hint(action) for action in hints),
            *(APP.hint(action) for action in ("doctor", "quit", "help")),
        )
        self._rows[0].focus()
        self.action_ask_again()

    def on_resize(self) -> None:
        self._fit(self.app.size)

    def tick(self) -> None:
        """Nothing here changes by the mere passing of time but the header."""
        self._header.tick()

    def action_ask_again(self) -> None:
        """Ask the ports, all at once."""
        for row in self._rows[: len(self._ports)]:
            row.show(_ASKING, "…")
        # Not a coroutine: Python complains of one that is cancelled before it has begun.
        _: Worker[None] = self.run_worker(self._ask, group="ports", exclusive=True)

    def action_move(self, rows: int) -> None:
        self._has_moved = True
        focused = self.focused
        at = self._rows.index(focused) if isinstance(focused, ServerRow) else 0
        self._rows[(at + rows) % len(self._rows)].focus()

    async def action_connect(self) -> None:
        """Save the server under the cursor, if it is a new one, and connect to it."""
        row = self.focused
        if not isinstance(row, ServerRow):
            return
        if row.action != "connect":
            await self.run_action(row.action)
            return
        at = self._rows.index(row)
        if at >= len(self._ports):
            self.post_message(ServerRequested(self._servers[at - len(self._ports)]))
        elif row.is_server:
            self.post_message(ServerAddRequested(ServerDraft(url=row.address)))
        else:
            words = (
                f"No llama-swap answers on {row.address}: {FIRST_RUN.sign('ask_again')} asks again"
            )
            self.notify(words, severity="warning")

    async def _ask(self) -> None:
        await ask_usual_ports(self._show, self._ports)
        servers = [row for row in self._rows if row.is_server]
        for row in servers[:1]:
            self.notify(f"llama-swap answers on {row.address}")
        if not servers:
            self.notify("No llama-swap answers on this machine's usual ports", severity="warning")
        if not self._has_moved and self.is_current:
            (servers[:1] or self._rows[-2:])[0].focus()

    def _show(self, server: FoundServer) -> None:
        row = next(row for row in self._rows if row.address == server.url)
        mark = _OTHER if server.is_there else _FAILED
        row.show(_FOUND if server.is_llama_swap else mark, server.words)

    def show_message(self, line: Pieces) -> bool:
        """Write the last message into the frame, where it has no line of its own."""
        set_frame_title(self.query_one(Dialog), "", line, bottom=True)
        return True

    def _fit(self, size: Size) -> None:
        self.set_class(size.height >= HIGH_ROWS, "-high")
        self.set_class(size.height < MIDDLE_ROWS, "-list")

    def _next_steps(self) -> Content:
        add = FIRST_RUN.sign("app.add_server")
        facts = (
            ("saves", f"the address to {self._config}, and nothing else"),
            ("reads", "models, activity and logs; loads nothing by itself"),
            ("local server", "config, hardware and restart work at once"),
            ("remote server", f"the same over SSH; {add} asks for its host"),
        )
        lines = [Content.assemble((f"{name:16}", "$muted"), words) for name, words in facts]
        script = Content.assemble(
            ("From a script: ", "$muted"),
            "aitui --url http://localhost:8080   ",
            ("or ", "$muted"),
            "AI_SERVER_URL",
        )
        return Content("\n").join((*lines, Content(""), script))


def _tagline() -> Content:
    return Content.assemble(
        ("A dashboard for llama-swap.", "bold"),
        ("\nLoad, watch and chat with the models of your own server.", "$muted"),
    )
