"""Markdown cut into pieces line by line: a line is looked at once, however the text came in.

Pieces end at blank lines, at list items, after 24 lines of a fence and 40 of anything else, and
after 4,096 characters, so that what is still open stays small. What a piece is depends on the
lines up to its end and on nothing later.
"""

import re
from copy import copy
from dataclasses import dataclass, replace
from enum import Enum, auto

from rich.cells import cell_len

FENCE = re.compile(r"(`{3,})([^`]*)$|(~{3,})(.*)$")
HEADING = re.compile(r"(#{1,6})(?:[ \t]+|$)")
RULE = re.compile(r"([-*_])[ \t]*(?:\1[ \t]*){2,}$")
BULLET = re.compile(r"([-+*])([ \t]+|$)")
NUMBER = re.compile(r"(\d{1,9})([.)])([ \t]+|$)")
UNDERLINE = re.compile(r"(=+|-+)[ \t]*$")
DELIMITERS = re.compile(r"\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
TASK = re.compile(r"\[([ xX])\][ \t]+")
CELL_BREAK = re.compile(r"(?<!\\)\|")

_STARTS = frozenset("#`~>-+*_0123456789")
TAB = 4


def skip_blanks(text: str, position: int = 0, column: int = 0) -> tuple[int, int]:
    """Index and column of the first character that is no blank, tabs at every fourth column."""
    while position < len(text):
        if text[position] == " ":
            column += 1
        elif text[position] == "\t":
            column += TAB - column % TAB
        else:
            break
        position += 1
    return position, column


def is_block_start(content: str) -> bool:
    """Whether a line without its indentation begins something, even right below a paragraph.

    A list that would interrupt a paragraph needs text, and the number 1.
    """
    if content[:1] not in _STARTS:
        return False
    if content[0] == ">" or HEADING.match(content) or FENCE.match(content) or RULE.match(content):
        return True
    bullet, number = BULLET.match(content), NUMBER.match(content)
    if bullet is not None:
        return bullet.end() < len(content)
    return number is not None and number[1] == "1" and number.end() < len(content)


def is_item_start(content: str) -> bool:
    """Whether a line without its indentation begins a list item."""
    if content[:1] not in _STARTS or RULE.match(content):
        return False
    return bool(BULLET.match(content) or NUMBER.match(content))


def is_fence_end(content: str, fence: str) -> bool:
    """Whether a line without its indentation ends what `fence` opened."""
    mark = content.rstrip(" \t")
    return len(mark) >= len(fence) and mark == fence[0] * len(mark)


def split_cells(line: str) -> list[str]:
    r"""The cells of a table's row, `\|` being a bar in a cell."""
    line = line.strip(" \t")
    line = line.removeprefix("|")
    if line.endswith("|") and not line.endswith("\\|"):
        line = line[:-1]
    return [cell.strip(" \t").replace("\\|", "|") for cell in CELL_BREAK.split(line)]


def is_table_head(line: str, delimiters: str) -> bool:
    """Whether two lines begin a table."""
    return (
        "|" in line
        and "|" in delimiters
        and "-" in delimiters
        and DELIMITERS.match(delimiters) is not None
        and len(split_cells(line)) == len(split_cells(delimiters))
    )


BULLETS = "•◦▪"
MAX_INDENT = 24
"""Cells of indentation; what is nested deeper is not indented further."""


@dataclass(frozen=True, slots=True)
class ListLevel:
    """One list item: the source column of its text, the cells of its indentation, its mark.

    `mark` is what siblings share. `number` is that of an ordered list.
    """

    column: int
    cells: int
    mark: str
    number: int


@dataclass(frozen=True, slots=True)
class ListMarker:
    """What a marker stands for: its level, how it is shown, and where its text begins."""

    level: ListLevel
    marker: str
    position: int
    column: int


def leave_levels(
    levels: tuple[ListLevel, ...], column: int
) -> tuple[tuple[ListLevel, ...], ListLevel | None]:
    """The levels that a line at that column belongs to, and the outermost one that it leaves."""
    gone = None
    while levels and column < levels[-1].column:
        gone, levels = levels[-1], levels[:-1]
    return levels, gone


def parse_item(
    text: str, position: int, column: int, levels: tuple[ListLevel, ...], gone: ListLevel | None
) -> ListMarker | None:
    """The list item that begins at a place in a line, a sibling of `gone` if it has its mark."""
    content = text[position:]
    if RULE.match(content):
        return None
    bullet, number = BULLET.match(content), NUMBER.match(content)
    if bullet is not None:
        mark, width, count = bullet[1], 1, 0
        shown = BULLETS[min(len(levels), len(BULLETS) - 1)] + " "
    elif number is not None:
        mark, width, count = number[2], len(number[1]) + 1, int(number[1])
        if gone is not None and gone.mark == mark:
            count = gone.number + 1
        shown = f"{count}{mark} "
    else:
        return None
    cells = min(MAX_INDENT, (levels[-1].cells if levels else 0) + cell_len(shown))
    after = column + width
    position, text_column = skip_blanks(text, position + width, after)
    # Five blanks and more are one, and four of indented code, which is shown as text here.
    inner = after + 1 if position == len(text) or text_column - after > TAB else text_column
    task = TASK.match(text, position) if bullet is not None else None
    if task is not None:
        shown += "☐ " if task[1] == " " else "☑ "
        position = task.end()
    return ListMarker(ListLevel(inner, cells, mark, count), shown, position, inner)


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


MAX_PIECE_LENGTH = 4096
"""Characters."""
_MAX_LINES = {PieceKind.CODE: 24}
_DEFAULT_MAX_LINES = 40
MAX_MARKER_CELLS = 10
"""Cells; items that begin in one line beyond that are text."""
_LANGUAGE_CHARACTERS = frozenset("+-.#_")


@dataclass(slots=True)
class _OpenPiece:
    """The piece that lines are still added to; `over`: only blank lines are."""

    shape: PieceFormat
    lines: list[str]
    opens: bool = True
    begins: bool = True
    ends: bool = False
    is_closed: bool = False
    head: str = ""
    size: int = 0

    def add(self, line: str) -> None:
        self.lines.append(line)
        self.size += len(line)

    @property
    def is_full(self) -> bool:
        most = _MAX_LINES.get(self.shape.kind, _DEFAULT_MAX_LINES)
        return len(self.lines) >= most or self.size >= MAX_PIECE_LENGTH

    def piece(self) -> Piece:
        source = "".join(self.lines)
        return Piece(source, self.shape, self.opens, self.begins, self.ends, self.head)


class PieceSplitter:
    """Takes lines and lets go of pieces. A copy goes its own way."""

    def __init__(self) -> None:
        self._levels: tuple[ListLevel, ...] = ()
        self._open: _OpenPiece | None = None
        self._done: list[Piece] = []
        self._blank = False
        self._has_begun = False
        self._in_line = False

    def __copy__(self) -> "PieceSplitter":
        twin = PieceSplitter()
        twin._levels, twin._blank, twin._has_begun = self._levels, self._blank, self._has_begun
        twin._in_line, twin._done = self._in_line, self._done.copy()
        if self._open is not None:
            twin._open = replace(self._open, lines=self._open.lines.copy())
        return twin

    def feed(self, line: str) -> None:
        """Add a line with its line break, or without one a part of a line that goes on."""
        text = line.removesuffix("\n")
        position, column = skip_blanks(text)
        if self._in_line:
            self._continue_line(line)
        elif self._in_fence:
            self._fence_line(line, text[position:])
        elif position == len(text):
            self._blank_line(line)
        else:
            self._text_line(line, text, position, column)
        self._in_line = not line.endswith("\n")

    def take(self) -> list[Piece]:
        """The pieces that ended since the last call."""
        done, self._done = self._done, []
        return done

    def pending_pieces(self, rest: str) -> list[Piece]:
        """The pieces that there were if the text ended now, with `rest` as its last line."""
        twin = copy(self)
        if rest:
            twin.feed(rest)
        return twin.end()

    def end(self) -> list[Piece]:
        """The last pieces: nothing follows."""
        self._close()
        return self.take()

    @property
    def _in_fence(self) -> bool:
        now = self._open
        return now is not None and bool(now.shape.fence) and not now.is_closed

    def _continuable_piece(self) -> _OpenPiece | None:
        """The piece that a line may continue, no blank line being between."""
        return None if self._open is None or self._open.is_closed else self._open

    def _close(self) -> None:
        if self._open is not None and self._open.lines:
            self._done.append(self._open.piece())
        self._open = None

    def _start(self, shape: PieceFormat, line: str, *, opens: bool = True) -> _OpenPiece:
        self._close()
        gap = self._has_begun and (self._blank or shape.kind is PieceKind.HEADING)
        self._open = _OpenPiece(replace(shape, gap=gap), [], opens)
        self._open.add(line)
        self._has_begun, self._blank = True, False
        return self._open

    def _cut(self, now: _OpenPiece) -> None:
        """Let the open piece go; the next line begins another part of the same block."""
        indent = now.shape.indent + cell_len(now.shape.marker)
        shape = replace(now.shape, indent=indent, gap=False, marker="", skip=0)
        self._close()
        head = now.head
        if now.shape.kind is PieceKind.TABLE:
            head = head or now.piece().source
        self._open = _OpenPiece(shape, [], opens=False, begins=False, head=head)

    def _add(self, now: _OpenPiece, line: str) -> None:
        now.add(line)
        if now.is_full:
            self._cut(now)

    def _continue_line(self, line: str) -> None:
        now = self._open
        if (
            now is not None
            and not now.is_closed
            and now.shape.kind in {PieceKind.PARAGRAPH, PieceKind.CODE}
        ):
            self._add(now, line)
            return
        indent = 0 if now is None else now.shape.indent
        self._start(PieceFormat(PieceKind.PARAGRAPH, indent), line, opens=False)

    def _fence_line(self, line: str, content: str) -> None:
        now = self._open
        assert now is not None
        if is_fence_end(content, now.shape.fence):
            now.add(line)
            now.ends = now.is_closed = True
        else:
            self._add(now, line)

    def _blank_line(self, line: str) -> None:
        now = self._open
        if now is None or now.size >= MAX_PIECE_LENGTH:
            self._close()
            now = self._open = _OpenPiece(PieceFormat(PieceKind.NOTHING), [], opens=False)
        now.add(line)
        now.is_closed = self._blank = True

    def _text_line(self, line: str, text: str, position: int, column: int) -> None:
        live = self._continuable_piece()
        content = text[position:]
        if live is not None and self._continue_piece(live, line, content, column):
            return
        self._close()
        self._levels, gone = leave_levels(self._levels, column)
        base = self._levels[-1].column if self._levels else 0
        in_list = bool(self._levels) or gone is not None
        if column - base >= TAB and not (in_list and is_item_start(content)):
            self._start(PieceFormat(PieceKind.CODE, self._indent, dedent=base + TAB), line)
        else:
            self._begin_piece(line, text, position, column, gone)

    def _continue_piece(self, live: _OpenPiece, line: str, content: str, column: int) -> bool:
        """Whether the line belongs to the open piece, which then has it."""
        kind = live.shape.kind
        base = self._levels[-1].column if self._levels else 0
        if kind is PieceKind.PARAGRAPH:
            return self._paragraph_line(live, line, content, column - base)
        if kind is PieceKind.CODE:
            belongs = column >= live.shape.dedent
        elif kind is PieceKind.QUOTE:
            belongs = content.startswith(">") or _is_lazy_continuation(live.lines, content)
        else:
            belongs = kind is PieceKind.TABLE and not is_block_start(content)
        if belongs:
            self._add(live, line)
        return belongs

    def _paragraph_line(self, live: _OpenPiece, line: str, content: str, column: int) -> bool:
        """A line below a paragraph; `column` counts from where its container begins."""
        if live.lines and 0 <= column < TAB:
            underline = UNDERLINE.match(content)
            if underline is not None and live.begins:
                self._make_heading(live, line, 1 if underline[1][0] == "=" else 2)
                return True
            if is_table_head(_last_line_text(live), content):
                self._make_table(live, line)
                return True
        starts = is_block_start(content) or (bool(self._levels) and is_item_start(content))
        if starts and (column < TAB or (bool(self._levels) and is_item_start(content))):
            return False
        self._add(live, line)
        return True

    def _make_heading(self, live: _OpenPiece, line: str, level: int) -> None:
        live.shape = replace(live.shape, kind=PieceKind.HEADING, level=level)
        live.add(line)
        live.is_closed = True

    def _make_table(self, live: _OpenPiece, line: str) -> None:
        if len(live.lines) == 1:
            live.shape = replace(live.shape, kind=PieceKind.TABLE)
        else:
            head = live.lines.pop()
            indent = live.shape.indent + cell_len(live.shape.marker)
            live = self._start(PieceFormat(PieceKind.TABLE, indent), head)
        live.add(line)

    def _begin_piece(
        self, line: str, text: str, position: int, column: int, gone: ListLevel | None
    ) -> None:
        """Begin a piece with a line, behind the markers of the list items that begin with it."""
        indent, depth, marker = self._indent, len(self._levels), ""
        while cell_len(marker) <= MAX_MARKER_CELLS:
            item = parse_item(text, position, column, self._levels, gone)
            if item is None:
                break
            self._levels = (*self._levels, item.level)
            marker += item.marker
            position, column, gone = item.position, item.column, None
        shape = PieceFormat(PieceKind.PARAGRAPH, indent, marker, skip=position)
        content = text[position:]
        opens = depth == 0 or not marker
        if fence := FENCE.match(content):
            mark, info = (fence[1], fence[2]) if fence[1] else (fence[3], fence[4])
            shape = replace(
                shape,
                kind=PieceKind.CODE,
                fence=mark,
                language=_parse_language(info),
                dedent=column,
            )
            self._start(shape, line)
        elif heading := HEADING.match(content):
            shape = replace(shape, kind=PieceKind.HEADING, level=len(heading[1]))
            shape = replace(shape, skip=position + heading.end())
            self._start(shape, line, opens=opens).is_closed = True
        elif RULE.match(content):
            self._start(replace(shape, kind=PieceKind.RULE), line, opens=opens).is_closed = True
        elif content.startswith(">"):
            self._start(replace(shape, kind=PieceKind.QUOTE), line, opens=opens)
        else:
            # A list item may be empty: what follows it is no paragraph's continuation then.
            self._start(shape, line, opens=opens).is_closed = not content

    @property
    def _indent(self) -> int:
        return self._levels[-1].cells if self._levels else 0


def _is_lazy_continuation(lines: list[str], content: str) -> bool:
    """Whether a line without `>` continues the paragraph that a quote ends with."""
    inner = lines[-1].strip(" \t\n").lstrip("> \t") if lines else ""
    return bool(inner) and not is_block_start(inner) and not is_block_start(content)


def _last_line_text(live: _OpenPiece) -> str:
    skip = live.shape.skip if len(live.lines) == 1 else 0
    return live.lines[-1][skip:].rstrip("\n")


def _parse_language(info: str) -> str:
    word = info.strip(" \t{").partition(" ")[0].rstrip("}")
    return "".join(c for c in word[:24] if c.isalnum() or c in _LANGUAGE_CHARACTERS)


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
