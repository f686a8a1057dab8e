"""A log that comes in pieces of bytes cut anywhere, as whole lines: sanitized, with color and level.

Bytes are cut at line breaks before anything else is read from them, so it makes no difference where
a piece ends: in a line, in a color, in a character.
"""

import re
import sys
import warnings
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from aitui.domain.ansi import StyledSpan, parse_ansi
from aitui.errors import AituiError

if TYPE_CHECKING:
    from regex import Pattern


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
# A client's own words follow these in quotes, and may well be about errors.
_REQUEST = re.compile(r"\brequest: ")
# Loads are GETs too, and show what was done.
_OWN = re.compile(r'Request \S+ "GET (?![^"]*/upstream/)[^"]+ HTTP/[\d.]+" \d+ -?\d+ "aitui/')


class ReloadOutcome(Struct, frozen=True):
    """How the proxy log says that a reload ended; `refusal` is why it failed, empty if it didn't."""

    refusal: str = ""


_RELOADED = re.compile(r"\bconfig\w*\W+reloaded\b", re.IGNORECASE)
_RELOAD_REFUSED = re.compile(r"\bfailed to reload config\w*:?\s*(?P<why>.*)", re.IGNORECASE)


def last_reload(lines: Iterable[str]) -> ReloadOutcome | None:
    """Return how the last reload in a proxy log ended, None if the lines hold no end of one."""
    found = None
    for line in lines:
        if refused := _RELOAD_REFUSED.search(line):
            found = ReloadOutcome(refused["why"] or "llama-swap gives no reason")
        elif _RELOADED.search(line):
            found = ReloadOutcome()
    return found


class LogLevel(IntEnum):
    """The severity; a line that names none is INFO."""

    DEBUG = 0
    INFO = 1
    WARNING = 2
    ERROR = 3


_LEVELS = {
    "D": LogLevel.DEBUG,
    "I": LogLevel.INFO,
    "W": LogLevel.WARNING,
    "E": LogLevel.ERROR,
    "F": LogLevel.ERROR,
}
"""By the first letter of what both programs call them."""


class LogLine(Struct, frozen=True):
    """A line, safe to show. `own` lines exist because some aitui polled the server.

    A `mark` is not the server's: it is what aitui says about the log itself.
    """

    text: str
    spans: tuple[StyledSpan, ...] = ()
    level: LogLevel = LogLevel.INFO
    own: bool = False
    mark: bool = False


class LineBatch(Struct, frozen=True):
    """Whole lines, and what there is of the next one; None if that hasn't begun."""

    whole: tuple[LogLine, ...] = ()
    unfinished: LogLine | None = None


@dataclass(slots=True)
class LineAssembler:
    r"""Joins pieces to lines. A line ends with `\n`, `\r\n` or `\r`; none grows without end."""

    longest: int = LONGEST_LINE
    _buffer: bytearray = field(default_factory=bytearray)
    _dropped_bytes: int = 0
    _after_return: bool = False

    def feed(self, piece: bytes) -> LineBatch:
        """Return the lines that this piece completes, and the one that it leaves unfinished."""
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
        text = self._buffer.decode("utf-8", "replace")
        if self._dropped_bytes:
            text = f"{text.rstrip(chr(0xFFFD))}… ({self._dropped_bytes:,} bytes more)"
        self._buffer.clear()
        self._dropped_bytes = 0
        return parse_log_line(text)

    def _append(self, part: bytes) -> None:
        space = self.longest - len(self._buffer)
        self._buffer += part[:space]
        self._dropped_bytes += max(0, len(part) - space)

    def _build_partial_line(self) -> LogLine:
        """Build the unfinished line, only as much as a screen may show: it is read with every piece."""
        text = self._buffer[:LONGEST_UNFINISHED].decode("utf-8", "replace")
        return parse_log_line(text if len(self._buffer) <= LONGEST_UNFINISHED else f"{text}…")


def parse_log_line(raw: str) -> LogLine:
    """Parse one line of a server's log."""
    text, spans = parse_ansi(raw)
    level = detect_level(text)
    return LogLine(text, spans, level, own="aitui/" in text and _OWN.search(text) is not None)


def detect_level(text: str) -> LogLevel:
    """Return the level that a line names, else the one that its words suggest."""
    head = text[:_LOOK_AT]
    named = _EXPLICIT.match(head)
    if named is not None:
        return _LEVELS[(named["name"] or named["letter"])[0]]
    request = _REQUEST.search(head)
    if request is not None:
        head = head[: request.start()]
    if _ERROR.search(head):
        return LogLevel.ERROR
    return LogLevel.WARNING if _WARNING.search(head) else LogLevel.INFO


_LONGEST_PATTERN = 500


class PatternTooSlow(AituiError):
    """Matching a pattern took longer than a user should have to wait."""


class LinePattern(Struct, frozen=True):
    """A pattern as it was typed, and what matches it."""

    words: str
    _compiled: "Pattern[str]"

    def matches(self, text: str, seconds: float) -> bool:
        """Whether the text matches. Raises PatternTooSlow after so many seconds of computing."""
        if seconds > 0:
            try:
                return self._compiled.search(text, timeout=seconds) is not None
            except TimeoutError:
                pass
        raise PatternTooSlow(
            "This pattern takes too long",
            why="the cause is nested repeats, as in (a+)+, or a choice inside a repeat, as in (a|a)*",
            remedy="use a simpler one, or search for plain words",
        )


def compile_pattern(words: str) -> LinePattern | None:
    """Compile the regular expression that was typed, in Python's syntax; None for an empty one.

    Case counts only if there are capitals. Raises AituiError if it is invalid.
    """
    import regex  # Python's own module has no time limit.

    if not words:
        return None
    flags = regex.IGNORECASE if words == words.lower() else regex.V0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            # Refuses what only the `regex` module knows: recursion takes memory as long as it runs.
            re.compile(words[:_LONGEST_PATTERN])
            return LinePattern(words, regex.compile(words[:_LONGEST_PATTERN], flags | regex.V0))
    except (re.error, regex.error, RecursionError, OverflowError) as error:
        raise AituiError("This is not a regular expression", why=str(error)) from error


MATCH_SECONDS = 1.0


class LogFilter(Struct, frozen=True):
    """The lowest level, a pattern that a line must match, and whether aitui's own polls show."""

    level: LogLevel = LogLevel.DEBUG
    pattern: LinePattern | None = None
    show_own: bool = False

    def passes(self, line: LogLine, seconds: float = MATCH_SECONDS) -> bool:
        """Whether that line is shown; a mark always is.

        Raises PatternTooSlow if computing that takes more than so many seconds.
        """
        if line.mark:
            return True
        if line.level < self.level or (line.own and not self.show_own):
            return False
        return self.pattern is None or self.pattern.matches(line.text, seconds)

    def passes_each(
        self, lines: Sequence[LogLine], seconds: float, clock: Callable[[], float]
    ) -> list[bool]:
        """Return the same for all lines, in so many seconds of that clock together."""
        if self.pattern is None:
            return [self.passes(line) for line in lines]
        end = clock() + seconds
        return [self.passes(line, end - clock()) for line in lines]


LEAST_OVERLAP = 2


def overlap_length(old: Sequence[Hashable], received: Sequence[Hashable]) -> int | None:
    """Return how many of the `received` lines are known already; None if the two don't overlap.

    They overlap if some lines of `received` end as `old` ends; the longest such run counts. A
    single line may be a coincidence, unless there is no other, or it stands at the very beginning
    (the second line counts as that: the server cuts the oldest one in two).
    """
    if not old or not received:
        return None
    backwards = [*reversed(old), object(), *reversed(received)]
    runs = _prefix_lengths(backwards)[len(old) + 1 :]
    longest = max(runs)
    if longest == 0:
        return None
    # The earliest of the longest: where lines repeat, showing one twice beats losing one.
    known = len(received) - max(at for at, run in enumerate(runs) if run == longest)
    return known if longest >= min(LEAST_OVERLAP, len(old)) or known - longest <= 1 else None


def _prefix_lengths(items: Sequence[object]) -> list[int]:
    """Return for each index how many items from there equal those from the start (Z-function)."""
    common = [0] * len(items)
    left = right = 0
    for at in range(1, len(items)):
        length = min(right - at, common[at - left]) if at < right else 0
        while at + length < len(items) and items[length] == items[at + length]:
            length += 1
        common[at] = length
        if at + length > right:
            left, right = at, at + length
    return common


MOST_LINES = 50_000
MOST_BYTES = 32 * 1024 * 1024

_OBJECTS = 160
_SPAN = 200


@dataclass(slots=True)
class LogRing:
    """A ring buffer: adding to a full one drops the oldest lines. `bytes` is close to what they take."""

    most_lines: int = MOST_LINES
    most_bytes: int = MOST_BYTES
    bytes: int = 0
    _lines: deque[LogLine] = field(default_factory=deque)

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[LogLine]:
        return iter(self._lines)

    def extend(self, lines: Iterable[LogLine]) -> list[LogLine]:
        """Add lines; return those that were dropped, the oldest first."""
        for line in lines:
            self._lines.append(line)
            self.bytes += _size(line)
        gone: list[LogLine] = []
        while len(self._lines) > self.most_lines or self.bytes > self.most_bytes:
            line = self._lines.popleft()
            self.bytes -= _size(line)
            gone.append(line)
        return gone

    def pop(self) -> LogLine:
        """Remove and return the newest line. Raises IndexError if there is none."""
        line = self._lines.pop()
        self.bytes -= _size(line)
        return line

    def take(self) -> tuple[LogLine, ...]:
        """Return all lines; the ring is empty afterwards."""
        lines = tuple(self._lines)
        self._lines.clear()
        self.bytes = 0
        return lines


def _size(line: LogLine) -> int:
    return _OBJECTS + sys.getsizeof(line.text) + _SPAN * len(line.spans)
