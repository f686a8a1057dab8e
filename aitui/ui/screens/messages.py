"""The last messages, the newest first, each with its time and whole."""

from collections.abc import Iterable

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen

from aitui.ui.frame import set_frame_title
from aitui.ui.keymap import MESSAGES
from aitui.ui.motions import motion_rows
from aitui.ui.plain import PlainText
from aitui.ui.terminal.notifications import SIGNS, Notice
from aitui.ui.widgets.dialog import BREAKPOINTS, Dialog
from aitui.ui.widgets.key_bar import KeyBar

MESSAGES_CELLS = 100


class MessagesScreen(ModalScreen[None]):
    """Shows what was said in passing."""

    CSS_PATH = ["dialog.tcss", "small_dialog.tcss"]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = BREAKPOINTS
    BINDINGS = MESSAGES.bindings()

    def __init__(self, notices: Iterable[Notice]) -> None:
        super().__init__()
        self._notices = tuple(notices)

    def compose(self) -> ComposeResult:
        with Dialog(MESSAGES_CELLS), VerticalScroll(classes="text"):
            for notice in reversed(self._notices):
                sign, color = SIGNS[notice.severity]
                at = Content.assemble((sign, f"${color}"), (f" {notice.clock_time}", "$muted"))
                with Horizontal(classes="notice"):
                    yield PlainText(at, classes="label")
                    yield PlainText(_notice_text(notice))
            if not self._notices:
                yield PlainText("No messages yet")
        yield KeyBar(MESSAGES.hint("move(1)", "scroll"), MESSAGES.hint("dismiss"), id="keys")

    def on_mount(self) -> None:
        words = "newest first" if self._notices else ""
        set_frame_title(self.query_one(Dialog), "Messages", words)
        self.query_one(VerticalScroll).focus()

    def action_move(self, amount: float, unit: str = "rows") -> None:
        dialog = self.query_one(VerticalScroll)
        dialog.scroll_relative(y=motion_rows(dialog, amount, unit), animate=False)


def _notice_text(notice: Notice) -> Content:
    lines = notice.text.strip().split("\n")
    text = "\n".join(["", *lines] if len(lines) > 2 else lines)
    return Content.assemble((notice.heading, "bold"), Content(text))
