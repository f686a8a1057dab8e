"""10,000 lines a second of a log, in aitui's view and in Textual's `RichLog`."""

import asyncio
import time

from textual.app import App, ComposeResult
from textual.widgets import RichLog

from aitui.domain.logs import MOST_LINES, LineAssembler
from aitui.ui.widgets.log_view import LogView
from bench.measured import Measured

LINE_RATE, SECONDS, BATCHES = 10_000, 5, 20
"""Lines a second, and into how many pieces a second's lines are divided."""


def _piece(number: int) -> bytes:
    """The lines of one batch, as a server sends them."""
    count = LINE_RATE // BATCHES
    return b"".join(
        b"srv  update_slots: id %2d | task %d | prompt processing, n_past = %d\n"
        % (line % 8, number, number * count + line)
        for line in range(count)
    )


class Logging(App[None]):
    """A screen with one widget that a log streams into."""

    CSS = "LogView, RichLog { height: 1fr; }"

    def __init__(self, widget: str) -> None:
        super().__init__()
        self._widget = widget
        self.measured = Measured()

    def compose(self) -> ComposeResult:
        """One widget, with as many lines as the other keeps."""
        yield LogView() if self._widget == "log" else RichLog(max_lines=MOST_LINES)

    def on_mount(self) -> None:
        """Begin when the first frame is there."""
        self.set_timer(0.5, lambda: self.run_worker(self._measure()))

    async def _measure(self) -> None:
        widget, assembler = self.query_one("LogView, RichLog"), LineAssembler()
        pieces = [_piece(number) for number in range(SECONDS * BATCHES)]
        began, cpu = time.monotonic(), time.process_time()
        for number, piece in enumerate(pieces):
            if isinstance(widget, LogView):
                widget.extend(assembler.feed(piece).whole)
            elif isinstance(widget, RichLog):
                for line in piece.decode().splitlines():
                    widget.write(line)
            await asyncio.sleep(max(0.0, began + (number + 1) / BATCHES - time.monotonic()))
        painted = asyncio.Event()
        widget.call_after_refresh(painted.set)
        await painted.wait()
        self.measured.cpu = time.process_time() - cpu
        self.measured.wall = time.monotonic() - began
        self.exit()


def log_run(widget: str) -> Measured:
    """Write the lines into a widget: `log` or `richlog`."""
    app = Logging(widget)
    app.run()
    return app.measured
