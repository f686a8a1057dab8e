"""A log that comes in pieces of bytes cut anywhere, as whole lines: clean, coloured, with level.

Bytes are cut at line breaks before anything else is read from them, so that it makes no difference
where a piece ends: in a line, in a colour, in a character.
"""

import re
from dataclasses import dataclass, field
from enum import IntEnum

from aitui.domain.sgr import Span, read_sgr

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


class Level(IntEnum):
    """How bad it is; a line that doesn't say so is INFO."""

    DEBUG = 0
    INFO = 1
    WARNING = 2
    ERROR = 3


_NAMED = {
    "DEBUG": Level.DEBUG,
    "INFO": Level.INFO,
    "WARN": Level.WARNING,
    "ERROR": Level.ERROR,
    "FATAL": Level.ERROR,
    "D": Level.DEBUG,
    "I": Level.INFO,
    "W": Level.WARNING,
    "E": Level.ERROR,
    "F": Level.ERROR,
}


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line, harmless. `own` lines are there because some aitui looked at the server.

    A `mark` is no line of the server: aitui says there what is known of the log itself.
    """

    text: str
    spans: tuple[Span, ...] = ()
    level: Level = Level.INFO
    own: bool = False
    mark: bool = False


@dataclass(frozen=True, slots=True)
class Lines:
    """Whole lines, and what there is of the next one; None where it hasn't begun."""

    whole: tuple[LogLine, ...] = ()
    unfinished: LogLine | None = None


@dataclass(slots=True)
class LineAssembler:
    r"""Makes lines of pieces. A line ends with `\n`, `\r\n` or `\r`; no line grows without end."""

    longest: int = LONGEST_LINE
    _kept: bytearray = field(default_factory=bytearray)
    _let_go: int = 0
    _after_return: bool = False

    def feed(self, piece: bytes) -> Lines:
        """The lines that this piece completes, and the one that it leaves unfinished."""
        if self._after_return and piece:
            self._after_return = False
            piece = piece.removeprefix(b"\n")
        if piece.endswith(b"\r"):
            self._after_return = True
        if b"\r" in piece:
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *ended, rest = piece.split(b"\n")
        whole = tuple(self._end(part) for part in ended)
        self._keep(rest)
        return Lines(whole, self._beginning() if self._kept else None)

    def _end(self, part: bytes) -> LogLine:
        self._keep(part)
        line = self._line()
        self._kept.clear()
        self._let_go = 0
        return line

    def _keep(self, part: bytes) -> None:
        room = self.longest - len(self._kept)
        self._kept += part[:room]
        self._let_go += max(0, len(part) - room)

    def _beginning(self) -> LogLine:
        """Read anew with each piece, so not more of it than a screen may show."""
        text = self._kept[:LONGEST_UNFINISHED].decode("utf-8", "replace")
        return log_line(text if len(self._kept) <= LONGEST_UNFINISHED else f"{text}…")

    def _line(self) -> LogLine:
        text = self._kept.decode("utf-8", "replace")
        if self._let_go:
            text = f"{text.rstrip(chr(0xFFFD))}… ({self._let_go:,} bytes more)"
        return log_line(text)


def log_line(raw: str) -> LogLine:
    """One line of a server's log, as it came, read."""
    text, spans = read_sgr(raw)
    level = level_of(text)
    return LogLine(text, spans, level, own="aitui/" in text and _OWN.search(text) is not None)


def level_of(text: str) -> Level:
    """The level that a line names, else the one that its words suggest."""
    head = text[:_LOOK_AT]
    named = _EXPLICIT.match(head)
    if named is not None:
        return _NAMED[named["name"] or named["letter"]]
    request = _REQUEST.search(head)
    if request is not None:
        head = head[: request.start()]
    if _ERROR.search(head):
        return Level.ERROR
    return Level.WARNING if _WARNING.search(head) else Level.INFO
