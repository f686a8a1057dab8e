"""What a terminal sends, with every paste taken out of it before anything can become a key.

Textual's own parser goes on reading sequences inside of a bracketed paste: an ESC in the pasted
text leaves the paste, and the rest of it acts as keys. Terminals and tmux pass such an ESC on.
"""

import re
from collections.abc import Callable

from msgspec import Struct

BEGINS, ENDS = "\x1b[200~", "\x1b[201~"

LONGEST_PASTE = 1_000_000
"""Characters; a field takes about a second to show them."""

PATIENCE = 5.0
"""Seconds in which an unfinished paste brings `PROGRESS` characters, or is over.

A line of 9,600 baud brings 4,800 characters in that time, a key that is held down 200.
"""
PROGRESS = 256

AFTERWARDS = 60.0
"""Seconds in which the rest of a paste that was given up is known as such when it comes."""
MOST_KEYS = 64
"""Characters of keys in one read. More is the rest of a paste, after a line that was stuck."""

ESCAPE_PATIENCE = 0.1
"""Seconds after which an ESC is a key and not the beginning of a sequence."""
SEQUENCE_PATIENCE = 1.0
"""Seconds after which nothing more comes of a sequence that has begun."""

LONGEST_SEQUENCE = 32
"""Textual takes a longer one for so many keys."""
LARGEST_NUMBER = 0x10FFFF
"""The last character; places and sizes on a screen are smaller."""
LONGEST_STRING = 4096
"""Characters of a report that is a string, as the answer to a question for a color."""
MOST_COLUMNS, MOST_ROWS = 2000, 1000

_ESC = "\x1b"
# Compiled when first used: the last one takes 2.5 ms, of which the first frame needs none.
_BEGUN = r"\x1b\[[0-?]*[ -/]*"
_SEQUENCES = r"\x1b\[[0-?]*[ -/]*[@-~]"
_STRING = r"\x1b[P\]_^X][ -~]*(?P<end>\x07|\x1b\\|\x1b?\Z)?"
_NUMBERS = r"\d+"
_SIZE = r"\x1b\[48;(\d++)[\d:]*+;(\d++)[\d:]*+;.*t"
_CONTROLS = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|(?<![\u0600-\U0010ffff])\u200d+"
"""Also joiners that join nothing: Textual takes `A`, a joiner and `B` for one cell."""


class PastedText(Struct, frozen=True):
    """The sanitized text of a paste; `left_out` is the number of characters beyond the limit."""

    text: str
    left_out: int = 0


Piece = str | PastedText
"""Keys and reports as the terminal sent them, or a paste."""


class _Paste:
    """A paste that has begun."""

    def __init__(self, now: float) -> None:
        self._parts: list[str] = []
        self._room = LONGEST_PASTE
        self._left_out = 0
        self._fresh = 0
        self.until = now + PATIENCE

    def add(self, text: str, now: float) -> None:
        part = text[: self._room]
        self._parts.append(part)
        self._room -= len(part)
        self._left_out += len(text) - len(part)
        self._fresh += len(text)
        if self._fresh >= PROGRESS:
            self._fresh, self.until = 0, now + PATIENCE

    def finish(self) -> PastedText:
        """Return all of it; a second start mark means that the end of the first paste was lost."""
        text = "".join(self._parts).replace(BEGINS, "")
        return PastedText(re.sub(_CONTROLS, "", text), self._left_out)


class PasteGuard:
    """Reads what a terminal sends, in whatever pieces; `now` is monotonic seconds.

    It also leaves out reports that Textual would take apart into keys: those that were not asked for,
    which it doesn't know (as `knows_sequence` says), strings, and absurd ones: numbers beyond every
    character, sizes beyond every screen, and sequences that are too long.
    """

    def __init__(
        self,
        escape_patience: float = ESCAPE_PATIENCE,
        knows_sequence: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._escape_patience = escape_patience
        self._knows_sequence = knows_sequence
        self._held = ""
        self._held_since = 0.0
        self._escaped = float("-inf")
        self._without_escape = False
        self._paste: _Paste | None = None
        self._given_up = float("-inf")

    @property
    def is_waiting(self) -> bool:
        """Whether `tick` is needed soon."""
        return bool(self._held)

    @property
    def is_in_paste(self) -> bool:
        """Whether the end of a paste is still to come."""
        return self._paste is not None

    def feed(self, text: str, now: float) -> list[Piece]:
        if not text:
            return []
        if self._paste is None and not self._held:
            if now - self._given_up < AFTERWARDS and _is_sequence_rest(text):
                self._paste = _Paste(now)
            elif text[0] == "[" and now - self._escaped < SEQUENCE_PATIENCE:
                # The line was slow just behind an ESC, which has been a key meanwhile.
                self._held, self._without_escape = _ESC, True
        rest, self._held = self._held + text, ""
        pieces: list[Piece] = []
        while rest:
            read = self._outside if self._paste is None else self._inside
            rest = read(rest, now, pieces)
        self._held_since = now
        self._escaped = float("-inf")
        return pieces

    def tick(self, now: float) -> list[Piece]:
        """Give up waiting if it has been long enough."""
        pieces: list[Piece] = []
        if self._paste is not None:
            if now >= self._paste.until:
                self._paste.add(self._held, now)
                self._held = ""
                self._given_up = now
                self._end_paste(pieces)
        elif self._held and now - self._held_since >= self._patience:
            if self._held == _ESC:
                self._escaped = now
            self._pass(self._held, pieces)
            self._held = ""
        return pieces

    @property
    def _patience(self) -> float:
        bracket = _ESC + "["
        if self._held == _ESC or (self._held == bracket and self._without_escape):
            return self._escape_patience
        if len(self._held) == len(bracket) and self._held != bracket:
            # A letter with Alt, or the beginning of a string.
            return self._escape_patience
        if self._held != bracket and BEGINS.startswith(self._held):
            # No person types that: the rest of the mark is late, and a paste comes behind it.
            return float("inf")
        return SEQUENCE_PATIENCE

    def _outside(self, text: str, now: float, pieces: list[Piece]) -> str:
        """Pass the first key or report on, or hold it until it is whole; the text behind it."""
        start = text.find(_ESC)
        if start:
            end = len(text) if start < 0 else start
            self._pass(text[:end], pieces)
            return text[end:]
        begun = re.match(_BEGUN, text)
        if begun is None:
            return self._without_bracket(text, pieces)
        end = begun.end()
        if end == len(text):
            # However long it becomes: it is too long.
            self._held = text[:LONGEST_SEQUENCE] + text[LONGEST_SEQUENCE:][-1:]
            return ""
        if "@" <= text[end] <= "~":
            end += 1
        sequence = text[:end]
        if sequence == BEGINS:
            self._without_escape = False
            self._paste = _Paste(now)
        elif _is_absurd(sequence) or not self._knows_sequence(sequence):
            self._without_escape = False
        else:
            self._pass(sequence, pieces)
        return text[end:]

    def _without_bracket(self, text: str, pieces: list[Piece]) -> str:
        """Leave out a string, hold what may become one, else pass the ESC; the text behind it."""
        string = re.match(_STRING, text)
        end = string["end"] if string and string.end() <= LONGEST_STRING else None
        if text == _ESC or end in {"", _ESC}:
            self._held = text
            return ""
        if string is None or end is None:
            self._pass(_ESC, pieces)
            return text[1:]
        self._without_escape = False
        return text[string.end() :]

    def _inside(self, text: str, now: float, pieces: list[Piece]) -> str:
        """Keep the text up to the end of the paste; the text behind it."""
        assert self._paste is not None
        pasted, mark, behind = text.partition(ENDS)
        if not mark:
            split = len(text) - _count_of_mark(text)
            pasted, self._held = text[:split], text[split:]
        self._paste.add(pasted, now)
        if mark:
            self._given_up = float("-inf")
            self._end_paste(pieces)
        return behind

    def _end_paste(self, pieces: list[Piece]) -> None:
        assert self._paste is not None
        pasted = self._paste.finish()
        self._paste = None
        if pasted.text:
            pieces.append(pasted)

    def _pass(self, text: str, pieces: list[Piece]) -> None:
        if self._without_escape:
            text, self._without_escape = text[1:], False
        if text:
            pieces.append(text)


def _count_of_mark(text: str) -> int:
    """Count the characters at the end of a text that may be the beginning of the end mark."""
    return next((n for n in range(len(ENDS) - 1, 0, -1) if text.endswith(ENDS[:n])), 0)


def _is_sequence_rest(text: str) -> bool:
    """Whether one read holds more than a person types, or the end of a paste."""
    first = text.partition(BEGINS)[0]
    return ENDS in first or len(re.sub(_SEQUENCES, "", first)) > MOST_KEYS


def _is_absurd(sequence: str) -> bool:
    if len(sequence) > LONGEST_SEQUENCE:
        return True
    size = re.fullmatch(_SIZE, sequence)
    if size is not None:
        rows, columns = map(int, size.groups())
        return not (0 < rows <= MOST_ROWS and 0 < columns <= MOST_COLUMNS)
    return any(int(number) > LARGEST_NUMBER for number in re.findall(_NUMBERS, sequence))
