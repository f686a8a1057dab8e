"""An answer on standard output: as it grows, or whole as JSON."""

import asyncio
import contextlib
from typing import Any, TextIO

import msgspec

from aitui.domain.answer import Reply

_DIM, _NOT_DIM = "\x1b[2m", "\x1b[22m"


def reply_json(answer: Reply, conversation_id: str) -> str:
    """What `--json` prints: seconds, tokens, and null where nothing is known."""
    value = {
        "conversation": conversation_id,
        "model": answer.model,
        "state": answer.phase.value,
        "text": str(answer.text),
        "reasoning": str(answer.reasoning),
        "finish_reason": answer.finish or None,
        "first_token_seconds": answer.rates.first_token,
        "usage": answer.usage,
        "timings": answer.timings,
        "error": None if answer.error is None else str(answer.error),
    }
    indented: bytes = msgspec.json.format(msgspec.json.encode(value), indent=2)
    return indented.decode()


class ReplyPrinter:
    """Writes an answer as it grows: its reasoning dim and only on a terminal."""

    def __init__(self, out: TextIO, *, quiet: bool) -> None:
        self._out = out
        self._quiet = quiet
        self._reasons = out.isatty()
        self._latest: Reply | None = None
        self._news = asyncio.Event()
        self._text = 0
        self._reasoning = 0
        self._is_reasoning = False
        self._ends_line = True
        with contextlib.suppress(AttributeError):
            out.reconfigure(errors="replace")  # type: ignore[attr-defined]

    def show(self, answer: Reply) -> None:
        """The latest state: written as soon as the one before is out."""
        self._latest = answer
        self._news.set()

    def skip_existing(self, text: int, reasoning: int) -> None:
        """So much of the answer was there before."""
        self._text, self._reasoning = text, reasoning

    async def write_until(self, done: "asyncio.Future[Any]") -> None:
        """Write until the answer has ended. Raises OSError where nobody reads any more."""
        done.add_done_callback(lambda _: self._news.set())
        while not done.done():
            await self._news.wait()
            self._news.clear()
            await self._write()
        await self._write(end=True)

    async def _write(self, *, end: bool = False) -> None:
        piece = "" if self._latest is None or self._quiet else self._new_text(self._latest)
        if piece:
            self._ends_line = piece.endswith("\n")
        if end and not self._ends_line:
            piece += "\n"
        if piece:
            # In a thread: whoever reads may be slow, and the answer goes on meanwhile.
            await asyncio.to_thread(self._write_out, piece)

    def _new_text(self, answer: Reply) -> str:
        reasoning = answer.reasoning.since(self._reasoning) if self._reasons else ""
        text = answer.text.since(self._text)
        self._reasoning, self._text = len(answer.reasoning), len(answer.text)
        piece = f"{_DIM}{reasoning}{_NOT_DIM}" if reasoning else ""
        self._is_reasoning |= bool(reasoning)
        if text and self._is_reasoning:
            self._is_reasoning = False
            piece += "\n\n"
        return piece + text

    def _write_out(self, piece: str) -> None:
        self._out.write(piece)
        self._out.flush()
