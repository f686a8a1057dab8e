"""One run of the benchmark in a process of its own: a stream to a widget, or to nothing at all.

Arguments: what to run, the port, the folder of the certificates, the file for what was measured.
"""

import asyncio
import gc
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.filter import LineFilter
from textual.widgets import Markdown

from aitui.collector import tune_collector
from aitui.domain.chat.conversation import ChatRequest
from aitui.domain.chat.reply import TextDelta
from aitui.domain.snapshot import Clock, Server
from aitui.llamaswap.chat import ChatClient
from aitui.llamaswap.tls import tls_context
from aitui.ui.terminal.filters import ContrastFilter, ControlCharFilter
from aitui.ui.terminal.key_queue import KeyQueue, QueuedEvent
from aitui.ui.terminal.screen_diff import FrameWriter
from aitui.ui.transcript.blocks import StreamedText
from aitui.ui.transcript.conversation import CompletedTurn
from aitui.ui.transcript.render import render_piece
from aitui.ui.widgets.transcript import Transcript
from bench.logs import log_run
from bench.measured import Measured, resident
from bench.tables import merging_run, table_run
from bench.texts import tokens
from ui.themed import Themed
from ui.transcript.shown import is_settled

MARK = 1000
PACE_TEXT = "".join(tokens("mixed", 1000))
CLOCK = Clock(time.monotonic, time.time)


class Streaming(Themed):
    """A screen with one widget that an answer streams into."""

    CSS = "Transcript, VerticalScroll { height: 1fr; }"

    def __init__(self, widget: str, model: str, server: Server, begun: Path) -> None:
        super().__init__()
        self._key_queue = KeyQueue(self, super().on_event)
        self._frames = FrameWriter(self, super()._display)
        self._filters_before_terminal = (ControlCharFilter(), ContrastFilter())
        self._widget = widget
        self._model = model
        self._server = server
        self._begun = begun
        self.measured = Measured()

    def get_line_filters(self) -> Sequence[LineFilter]:
        """The filters that aitui has."""
        return (*super().get_line_filters(), *self._filters_before_terminal)

    async def on_event(self, event: events.Event) -> None:
        """Take keys as aitui does."""
        if isinstance(event, QueuedEvent):
            await self._key_queue.on_event(event)
        else:
            await super().on_event(event)

    def _display(self, screen: Any, renderable: Any) -> None:
        self._frames.write(screen, renderable)

    def compose(self) -> ComposeResult:
        """One widget."""
        if self._widget != "markdown":
            yield Transcript(CLOCK)
        else:
            with VerticalScroll():
                yield Markdown()

    def on_mount(self) -> None:
        """Begin when the first frame is there."""
        self._frames.start()
        self.set_timer(0.5, lambda: self.run_worker(self._measure()))

    def on_key(self, event: events.Key) -> None:
        """Take the time of a key."""
        if event.key == "x":
            self.measured.keys.append(time.monotonic())

    async def _measure(self) -> None:
        if self._widget == "transcript":
            await self._warm_up()
        gc.collect()
        before = resident()
        self._begun.touch()
        streams = {
            "transcript": self._transcript,
            "markdown": self._markdown,
            "unseen": self._unseen,
        }
        await streams[self._widget](self.measured)
        gc.collect()
        self.measured.grown = resident() - before
        self.exit()

    async def _warm_up(self) -> None:
        """Let the lexer be there: its patterns are compiled once for a process."""
        transcript = self.query_one(Transcript)
        transcript.replace([CompletedTurn("0", "assistant", "```python\nx = 1\n```\n")])
        while not is_settled(transcript):
            await asyncio.sleep(0.01)
        transcript.replace([])

    async def _transcript(self, measured: Measured) -> None:
        transcript = self.query_one(Transcript)
        transcript.focus()
        transcript.begin_turn("1", "assistant", "bench")
        request = ChatRequest(self._model, ({"role": "user", "content": "?"},))
        count = 0
        async with ChatClient(self._server) as client, client.stream(request) as batches:
            began, cpu = time.monotonic(), time.process_time()
            async for batch in batches:
                for delta in batch:
                    if isinstance(delta, TextDelta):
                        transcript.append("1", delta.text)
                        count += delta.pieces
                while len(measured.marks) < count // MARK:
                    measured.marks.append(time.process_time() - cpu)
                    measured.pace.append(paced())
                    cpu += measured.pace[-1]
        transcript.finish("1", "done")
        painted = asyncio.Event()
        transcript.call_after_refresh(painted.set)
        await painted.wait()
        measured.painted = time.monotonic()
        while not is_settled(transcript):
            await asyncio.sleep(0.005)
        measured.cpu, measured.wall = time.process_time() - cpu, time.monotonic() - began
        shape, number, _ = self._model.split(":")
        measured.lost = transcript.conversation.text != "".join(tokens(shape, int(number))).strip(
            "\n"
        )

    async def _unseen(self, _measured: Measured) -> None:
        request = ChatRequest(self._model, ({"role": "user", "content": "?"},))
        async with ChatClient(self._server) as client, client.stream(request) as batches:
            async for _ in batches:
                pass

    async def _markdown(self, measured: Measured) -> None:
        widget = self.query_one(Markdown)
        self.query_one(VerticalScroll).anchor()
        request = ChatRequest(self._model, ({"role": "user", "content": "?"},))
        stream = Markdown.get_stream(widget)
        async with ChatClient(self._server) as client, client.stream(request) as batches:
            began, cpu = time.monotonic(), time.process_time()
            async for batch in batches:
                for delta in batch:
                    if isinstance(delta, TextDelta):
                        await stream.write(delta.text)
        await stream.stop()
        painted = asyncio.Event()
        widget.call_after_refresh(painted.set)
        await painted.wait()
        measured.painted = time.monotonic()
        measured.cpu, measured.wall = time.process_time() - cpu, time.monotonic() - began


def paced() -> float:
    """CPU seconds of some work of the transcript's kind, the same each time."""
    began = time.process_time()
    text = StreamedText()
    text.add(PACE_TEXT)
    for piece in (*text.advance(), *text.tail()):
        render_piece(piece, 100)
    return time.process_time() - began


async def drained(model: str, server: Server) -> Measured:
    """The reference: httpx reads the stream and throws it away."""
    measured = Measured()
    assert server.ca
    context = await tls_context(server)
    assert context is not None
    async with httpx.AsyncClient(verify=context, timeout=None) as client:
        url = f"{server.url}/v1/chat/completions"
        async with client.stream("POST", url, json={"model": model}) as response:
            began, cpu = time.monotonic(), time.process_time()
            async for _ in response.aiter_raw():
                pass
            measured.cpu, measured.wall = time.process_time() - cpu, time.monotonic() - began
    return measured


def main() -> None:
    """Run, and leave what was measured."""
    what, model, port, folder, result = sys.argv[1:]
    certificates = Path(folder)
    server = Server(
        f"https://127.0.0.1:{port}",
        "bench",
        ca=certificates / "root-ca.pem",
        client_cert=certificates / "client.pem",
        client_key=certificates / "client-key.pem",
    )
    if what == "bare":
        measured = asyncio.run(drained(model, server))
    elif what == "table":
        measured = table_run(int(model))
    elif what == "merging":
        measured = merging_run(int(model))
    elif what == "lines":
        measured = log_run(model)
    else:
        tune_collector()
        app = Streaming(what, model, server, Path(f"{result}.begun"))
        app.run()
        measured = app.measured
    measured.write(Path(result))


if __name__ == "__main__":
    main()
