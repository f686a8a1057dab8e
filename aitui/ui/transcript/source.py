"""A text that grows at its end: pieces that are finished, and those that may still change."""

import re

from aitui.ui.transcript.pieces import Piece, PieceFormat, PieceKind
from aitui.ui.transcript.splitter import MAX_PIECE_LENGTH, PieceSplitter

PLAIN_LINES = 24

# Characters that steer a terminal or the order of its text; what remains is a matter of width.
_CONTROL_CHARACTERS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def replace_control_characters(text: str) -> str:
    """The text with each harmful character replaced by `�`, its line breaks and tabs kept."""
    return _CONTROL_CHARACTERS.sub("\ufffd", text)


class StreamedText:
    """Deltas go in with `add`; `advance` cuts what has come since into pieces."""

    def __init__(self) -> None:
        self._splitter = PieceSplitter()
        self._deltas: list[str] = []
        self._rest = ""

    def add(self, delta: str) -> None:
        """Take more of the text. Costs nothing until `advance`."""
        self._deltas.append(replace_control_characters(delta))

    @property
    def has_pending(self) -> bool:
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

    def take_pending_text(self) -> str:
        """What came since the last `advance`, uncut."""
        text = "".join(self._deltas)
        self._deltas.clear()
        return text

    def tail(self) -> list[Piece]:
        """What there is beyond the finished pieces, drawn as if the text ended here."""
        return self._splitter.pending_pieces(self._rest)

    def _feed(self, line: str, line_break: str | None) -> str:
        start = 0
        while len(line) - start > MAX_PIECE_LENGTH:
            blank = line.rfind(" ", start + MAX_PIECE_LENGTH // 2, start + MAX_PIECE_LENGTH)
            end = blank + 1 if blank >= 0 else start + MAX_PIECE_LENGTH
            self._splitter.feed(line[start:end])
            start = end
        rest = line[start:]
        if line_break is not None:
            self._splitter.feed(rest + line_break)
        return rest


def split_text(text: str) -> list[Piece]:
    """All pieces of a text."""
    growing = StreamedText()
    growing.add(text)
    return [*growing.advance(), *growing.tail()]


def split_plain_text(text: str, indent: int) -> list[Piece]:
    """A text as it was typed, in pieces of a few lines; they are one block."""
    lines = replace_control_characters(text).splitlines(keepends=True)
    shape = PieceFormat(PieceKind.PLAIN, indent)
    return [
        Piece("".join(lines[at : at + PLAIN_LINES]), shape, opens=at == 0)
        for at in range(0, len(lines), PLAIN_LINES)
    ]
