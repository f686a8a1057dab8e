"""A log that comes in pieces of bytes cut anywhere, as whole lines: clean, coloured, with level.

Bytes are cut at line breaks before anything else is read from them, so that it makes no difference
where a piece ends: in a line, in a colour, in a character.
"""

import re
from dataclasses import dataclass, field
from enum import IntEnum

from aitui.domain.sgr import StyledSpan, parse_ansi

LONGEST_LINE = 32 * 1024
"""Bytes that are kept of one line; the rest of a longer one is counted and let go."""
LONGEST_UNFINISHED = 4 * 1024

_LOOK_AT = 240
_EXPLICIT = re.compile(
    r"^(?:\S+ )?\[(?P<name>DEBUG|INFO|WARN|ERROR|FATAL)\]"  # llama-swap
    r"|^\d+\.\d\d\.\d{3}\.\d{3} (?P<letter>[DIWEF]) "  # llama-server with its time stamps
)
_ERROR = re.compile(
    r"\berror\b|\bfatal\b|\bfailed to\b|\bfailed:|out of memory|\bpanic:|\bexception\b|\btraceback\b",
    re.IGNORECASE,
)
_WARNING = re.compile(r"\bwarn(?:ing)?\b", re.IGNORECASE)
# What a client said stands in quotes after these, and may well be about errors.
_REQUEST = re.compile(r"\brequest: ")
_OWN = re.compile(
    r'Request \S+ "GET \S*?/(?:running|v1/models|logs/stream\S*'
    r"|api/(?:events|version|performance|hardware|profiles|metrics\S*))"
    r'(?:\?\S*)? HTTP/[\d.]+" \d+ -?\d+ "aitui/'
)


class LogLevel(IntEnum):
    """How bad it is; a line that doesn't say so is INFO."""

    DEBUG = 0
    INFO = 1
    WARNING = 2
    ERROR = 3


_LEVELS = {
    "DEBUG": LogLevel.DEBUG,
    "INFO": LogLevel.INFO,
    "WARN": LogLevel.WARNING,
    "ERROR": LogLevel.ERROR,
    "FATAL": LogLevel.ERROR,
    "D": LogLevel.DEBUG,
    "I": LogLevel.INFO,
    "W": LogLevel.WARNING,
    "E": LogLevel.ERROR,
    "F": LogLevel.ERROR,
}


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line, harmless. `own` lines are there because some aitui looked at the server.

    A `mark` is no line of the server: aitui says there what is known of the log itself.
    """

    text: str
    spans: tuple[StyledSpan, ...] = ()
    level: LogLevel = LogLevel.INFO
    own: bool = False
    mark: bool = False


@dataclass(frozen=True, slots=True)
class LineBatch:
    """Whole lines, and what there is of the next one; None where it hasn't begun."""

    whole: tuple[LogLine, ...] = ()
    unfinished: LogLine | None = None


@dataclass(slots=True)
class LineAssembler:
    r"""Makes lines of pieces. A line ends with `\n`, `\r\n` or `\r`; no line grows without end."""

    longest: int = LONGEST_LINE
    _buffer: bytearray = field(default_factory=bytearray)
    _dropped_bytes: int = 0
    _after_return: bool = False

    def feed(self, piece: bytes) -> LineBatch:
        """The lines that this piece completes, and the one that it leaves unfinished."""
        if self._after_return and piece:
            self._after_return = False
            piece = piece.removeprefix(b"\n")
        if piece.endswith(b"\r"):
            self._after_return = True
        if b"\r" in piece:
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *ended, rest = piece.split(b"\n")
        whole = tuple(self._finish_line(part) for part in ended)
        self._append(rest)
        return LineBatch(whole, self._build_partial_line() if self._buffer else None)

    def _finish_line(self, part: bytes) -> LogLine:
        self._append(part)
        line = self._build_line()
        self._buffer.clear()
        self._dropped_bytes = 0
        return line

    def _append(self, part: bytes) -> None:
        room = self.longest - len(self._buffer)
        self._buffer += part[:room]
        self._dropped_bytes += max(0, len(part) - room)

    def _build_partial_line(self) -> LogLine:
        """Read anew with each piece, so not more of it than a screen may show."""
        text = self._buffer[:LONGEST_UNFINISHED].decode("utf-8", "replace")
        return parse_log_line(text if len(self._buffer) <= LONGEST_UNFINISHED else f"{text}…")

    def _build_line(self) -> LogLine:
        text = self._buffer.decode("utf-8", "replace")
        if self._dropped_bytes:
            text = f"{text.rstrip(chr(0xFFFD))}… ({self._dropped_bytes:,} bytes more)"
        return parse_log_line(text)


def parse_log_line(raw: str) -> LogLine:
    """One line of a server's log, as it came, read."""
    text, spans = parse_ansi(raw)
    level = detect_level(text)
    return LogLine(text, spans, level, own="aitui/" in text and _OWN.search(text) is not None)


def detect_level(text: str) -> LogLevel:
    """The level that a line names, else the one that its words suggest."""
    head = text[:_LOOK_AT]
    named = _EXPLICIT.match(head)
    if named is not None:
        return _LEVELS[named["name"] or named["letter"]]
    request = _REQUEST.search(head)
    if request is not None:
        head = head[: request.start()]
    if _ERROR.search(head):
        return LogLevel.ERROR
    return LogLevel.WARNING if _WARNING.search(head) else LogLevel.INFO
