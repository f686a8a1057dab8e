r"""A parser of server-sent events over bytes, in chunks split anywhere.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html, section 9.2.6. Lines end
with LF, CR or CRLF and nothing else; a BOM at the start is dropped; an event without data is not
dispatched. Own code, because httpx's `aiter_lines` also splits at U+2028, U+0085, \x0b and \x1c, and
httpx-sse 0.4.3 loses the first event after a BOM, dispatches empty events, and has no size limit.

Two things go beyond the format, because llama-swap writes an error into a stream as a line of bare
JSON: a line with an unknown field becomes a bare event, and so does an unfinished one at the end.
"""

from typing import NamedTuple

from aitui.errors import BadResponse

LARGEST_EVENT = 32 * 1024 * 1024

_BOM = b"\xef\xbb\xbf"
_IGNORED = {b"id", b"retry"}


class SseEvent(NamedTuple):
    """One event; `bare` marks a line outside the protocol, whole, as `data`."""

    data: bytes
    event: str = "message"
    bare: bool = False


class SseParser:
    """Turns chunks into events. An event larger than `largest` bytes raises BadResponse."""

    __slots__ = ("_after_cr", "_begun", "_event", "_largest", "_lines", "_rest", "_size")

    def __init__(self, largest: int = LARGEST_EVENT) -> None:
        self._largest = largest
        self._rest = bytearray()
        self._lines: list[bytes] = []
        self._size = 0
        self._event = ""
        self._after_cr = False
        self._begun = False

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Return the events that this chunk completes. Raises BadResponse."""
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        first, *others = chunk.split(b"\n")
        self._rest += first
        events: list[SseEvent] = []
        for following in others:
            self._line(bytes(self._rest), events)
            self._rest[:] = following
        if len(self._rest) + self._size > self._largest:
            raise self._too_large_error()
        return events

    def finish(self) -> list[SseEvent]:
        """Return what the end of the stream completes: lines of data, or an unfinished bare one."""
        events: list[SseEvent] = []
        rest = self._without_bom(bytes(self._rest))
        self._rest.clear()
        self._dispatch(events)
        if rest and not rest.startswith(b":") and not _is_field(rest):
            events.append(SseEvent(rest, bare=True))
        return events

    def _line(self, line: bytes, events: list[SseEvent]) -> None:
        line = self._without_bom(line)
        if line.startswith(b"data:"):
            value = line[6:] if line.startswith(b" ", 5) else line[5:]
            self._size += len(value)
            if self._size > self._largest:
                raise self._too_large_error()
            self._lines.append(value)
        elif not line:
            self._dispatch(events)
        elif not line.startswith(b":"):
            self._other_field(line, events)

    def _other_field(self, line: bytes, events: list[SseEvent]) -> None:
        field, _, value = line.partition(b":")
        if field == b"event":
            self._event = value.removeprefix(b" ").decode("utf-8", "replace")
        elif field == b"data":
            self._lines.append(b"")
        elif field not in _IGNORED:
            events.append(SseEvent(line, bare=True))

    def _dispatch(self, events: list[SseEvent]) -> None:
        if self._lines:
            data = self._lines[0] if len(self._lines) == 1 else b"\n".join(self._lines)
            events.append(SseEvent(data, self._event or "message"))
            self._lines.clear()
            self._size = 0
        self._event = ""

    def _without_bom(self, line: bytes) -> bytes:
        if self._begun:
            return line
        self._begun = True
        return line.removeprefix(_BOM)

    def _too_large_error(self) -> BadResponse:
        return BadResponse(
            f"The server sent an event of more than {self._largest / 2**20:g} MiB",
            why="no llama-swap server says that much at once",
        )


def _is_field(line: bytes) -> bool:
    field = line.partition(b":")[0]
    return field in {b"data", b"event"} or field in _IGNORED
