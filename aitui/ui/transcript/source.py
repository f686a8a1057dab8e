"""A text that grows at its end: pieces that are finished, and those that may still change."""

import re

from aitui.ui.transcript.pieces import Kind, Piece, Shape
from aitui.ui.transcript.splitter import LONGEST_PIECE, Splitter

PLAIN_LINES = 24

# Characters that steer a terminal or the order of its text; what remains is a matter of width.
_HARMFUL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def harmless(text: str) -> str:
    """The text with each harmful character replaced by `�`, its line breaks and tabs kept."""
    return _HARMFUL.sub("\ufffd", text)


class GrowingText:
    """Deltas go in with `add`; `advance` cuts what has come since into pieces."""

    def __init__(self) -> None:
        self._splitter = Splitter()
        self._deltas: list[str] = []
        self._rest = ""

    def add(self, delta: str) -> None:
        """Take more of the text. Costs nothing until `advance`."""
        self._deltas.append(harmless(delta))

    @property
    def waiting(self) -> bool:
        """Whether something came since the last `advance`."""
        return bool(self._deltas)

    def advance(self) -> list[Piece]:
        """The pieces that are finished since the last call."""
        lines = (self._rest + "".join(self._deltas)).split("\n")
        self._deltas.clear()
        for line in lines[:-1]:
            self._feed(line, "\n")
        self._rest = self._feed(lines[-1], None)
        return self._splitter.take()

    def all_of_it(self) -> str:
        """What came since the last `advance`, uncut."""
        text = "".join(self._deltas)
        self._deltas.clear()
        return text

    def tail(self) -> list[Piece]:
        """What there is beyond the finished pieces, drawn as if the text ended here."""
        return self._splitter.unfinished(self._rest)

    def _feed(self, line: str, line_break: str | None) -> str:
        start = 0
        while len(line) - start > LONGEST_PIECE:
            blank = line.rfind(" ", start + LONGEST_PIECE // 2, start + LONGEST_PIECE)
            end = blank + 1 if blank >= 0 else start + LONGEST_PIECE
            self._splitter.feed(line[start:end])
            start = end
        rest = line[start:]
        if line_break is not None:
            self._splitter.feed(rest + line_break)
        return rest


def pieces_of(text: str) -> list[Piece]:
    """All pieces of a text."""
    growing = GrowingText()
    growing.add(text)
    return [*growing.advance(), *growing.tail()]


def plain_pieces(text: str, indent: int) -> list[Piece]:
    """A text as it was typed, in pieces of a few lines; they are one block."""
    lines = harmless(text).splitlines(keepends=True)
    shape = Shape(Kind.PLAIN, indent)
    return [
        Piece("".join(lines[at : at + PLAIN_LINES]), shape, opens=at == 0)
        for at in range(0, len(lines), PLAIN_LINES)
    ]
