"""The last lines of the server's log, beside the models."""

from collections import deque

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from aitui.domain.logs import LogLevel, LogLine
from aitui.format.fit import truncate
from aitui.services.logs import FeedPhase, LogUpdate
from aitui.ui.drawn_lines import DrawnLines
from aitui.ui.frame import set_frame_title
from aitui.ui.keymap import APP
from aitui.ui.theme import theme_style

MOST_LINES = 200
"""Lines to keep: more than any terminal shows."""
_STYLES = {LogLevel.DEBUG: "muted", LogLevel.WARNING: "warning", LogLevel.ERROR: "error"}


class LogTail(Widget):
    """As many of the last lines as there are rows, without aitui's own polls."""

    def __init__(self, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id, classes="frame")
        self._kept: deque[LogLine] = deque(maxlen=MOST_LINES)
        self._lines = DrawnLines(self, self._redraw)

    def on_mount(self) -> None:
        self._show_phase(FeedPhase.WAITING)
        self.app.theme_changed_signal.subscribe(self, lambda _: self._redraw())

    def clear(self) -> None:
        """Start over with the log of another server."""
        self._kept.clear()
        self._redraw()

    def show_update(self, update: LogUpdate) -> None:
        """Show what has come in."""
        shown = [line for line in update.lines[-MOST_LINES:] if line.text and not line.own]
        self._kept.extend(shown)
        self._show_phase(update.state.phase)
        if shown:
            self._redraw()

    def on_resize(self) -> None:
        self._redraw()

    def render_line(self, y: int) -> Strip:
        return self._lines.strip(y, self.size.width)

    def _show_phase(self, phase: FeedPhase) -> None:
        words = {FeedPhase.FOLLOWING: "following", FeedPhase.LOST: "lost"}.get(phase, "connecting")
        key = (APP.sign("logs"), "bold accent")
        set_frame_title(self, "Log", "all models", (key, (f" open · {words}", "")))

    def _redraw(self) -> None:
        width, height = self.size
        strips = []
        for line in list(self._kept)[-height:] if height > 0 else ():
            style = theme_style(self.app, _STYLES.get(line.level, "foreground"))
            strips.append(Strip([Segment(truncate(line.text[: 4 * width], width), style)]))
        self._lines.show(strips)
