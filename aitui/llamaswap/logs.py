"""A log stream as it arrives, line by line or as text."""

import codecs
import re
from collections.abc import AsyncGenerator, AsyncIterator

from aitui.domain.logs import LineAssembler, LineBatch
from aitui.domain.sanitize import sanitize_text

_LONGEST_PENDING = 256
_WHOLE = r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]+[0-~]"
_CUT = r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*\x1b?|[ -/]*)"
# An escape sequence that the next piece may complete, and half of a CRLF, colors after it or not.
_UNFINISHED = re.compile(rf"(?:\r(?:{_WHOLE})*(?:{_CUT})?|{_CUT})\Z")


async def read_lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[LineBatch, None]:
    """Yield what each chunk completes; a chunk that only continues a line changes `unfinished`."""
    assembler = LineAssembler()
    async for chunk in chunks:
        yield assembler.feed(chunk)


class LogTextDecoder:
    """Decodes and sanitizes piece by piece: a sequence in two pieces is removed as one."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._pending = ""

    def feed(self, piece: bytes) -> str:
        """Return as much sanitized text as is certain by now."""
        text = self._pending + self._decode(piece)
        self._pending = ""
        found = _UNFINISHED.search(text, max(len(text) - _LONGEST_PENDING, 0))
        if found is not None:
            self._pending = text[found.start() :]
            text = text[: found.start()]
        return sanitize_text(text)

    def finish(self) -> str:
        """Return what was held back, at the end of the log."""
        text = self._pending + self._decode(b"", True)
        self._pending = ""
        return sanitize_text(text)


async def read_text(chunks: AsyncIterator[bytes]) -> AsyncGenerator[str, None]:
    """Yield the text of chunks; a chunk that completes nothing yields none."""
    text = LogTextDecoder()
    async for chunk in chunks:
        piece = text.feed(chunk)
        if piece:
            yield piece
    piece = text.finish()
    if piece:
        yield piece
