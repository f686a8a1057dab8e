"""The pieces that a text is cut into: the joined sources of all pieces are the text."""

from dataclasses import dataclass
from enum import Enum, auto


class PieceKind(Enum):
    """What a piece is drawn as."""

    NOTHING = auto()
    LABEL = auto()
    PLAIN = auto()
    PARAGRAPH = auto()
    HEADING = auto()
    CODE = auto()
    TABLE = auto()
    QUOTE = auto()
    RULE = auto()


@dataclass(frozen=True, slots=True)
class PieceFormat:
    """How a piece is drawn, as far as that is known when it begins.

    `indent` is in cells; `marker` stands in front of the first row; `gap` asks for an empty row
    before it. `skip` are the characters of the first line in front of its text, `dedent` the
    columns that lines of code lose. `fence` is the mark that opened a fence. `ink` names the colour
    of a label, which is a line of ours and no part of a text.
    """

    kind: PieceKind
    indent: int = 0
    marker: str = ""
    gap: bool = False
    level: int = 0
    skip: int = 0
    dedent: int = 0
    language: str = ""
    fence: str = ""
    style: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of source lines that is drawn by itself.

    `opens`: a block begins here, which is what a person moves by and copies. `begins`: it has the
    first line of its fence or table; `ends`: it has the last one. `head` is the source of the first
    part of a table, whose columns the other parts share.
    """

    source: str
    shape: PieceFormat
    opens: bool = True
    begins: bool = True
    ends: bool = True
    head: str = ""
