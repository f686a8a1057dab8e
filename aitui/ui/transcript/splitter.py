"""Markdown cut into pieces line by line: a line is looked at once, however the text came in.

Pieces end at blank lines, at list items, after 24 lines of a fence and 40 of anything else, and
after 4,096 characters, so that what is still open stays small. What a piece is depends on the
lines up to its end and on nothing later.
"""

from copy import copy
from dataclasses import dataclass, replace

from rich.cells import cell_len

from aitui.ui.transcript.line_starts import (
    FENCE,
    HEADING,
    RULE,
    TAB,
    UNDERLINE,
    closes_fence,
    is_table_head,
    measured,
    starts_block,
    starts_item,
)
from aitui.ui.transcript.list_levels import Level, item_at, left
from aitui.ui.transcript.pieces import Kind, Piece, Shape

LONGEST_PIECE = 4096
"""Characters."""
_MOST_LINES = {Kind.CODE: 24}
_MOST_OTHER_LINES = 40
WIDEST_MARKERS = 10
"""Cells; items that begin in one line beyond that are text."""
_LANGUAGE_CHARACTERS = frozenset("+-.#_")


@dataclass(slots=True)
class _Open:
    """The piece that lines are still added to; `over`: only blank lines are."""

    shape: Shape
    lines: list[str]
    opens: bool = True
    begins: bool = True
    ends: bool = False
    over: bool = False
    head: str = ""
    size: int = 0

    def add(self, line: str) -> None:
        self.lines.append(line)
        self.size += len(line)

    @property
    def full(self) -> bool:
        most = _MOST_LINES.get(self.shape.kind, _MOST_OTHER_LINES)
        return len(self.lines) >= most or self.size >= LONGEST_PIECE

    def piece(self) -> Piece:
        source = "".join(self.lines)
        return Piece(source, self.shape, self.opens, self.begins, self.ends, self.head)


class Splitter:
    """Takes lines and lets go of pieces. A copy goes its own way."""

    def __init__(self) -> None:
        self._levels: tuple[Level, ...] = ()
        self._open: _Open | None = None
        self._done: list[Piece] = []
        self._blank = False
        self._begun = False
        self._in_line = False

    def __copy__(self) -> "Splitter":
        twin = Splitter()
        twin._levels, twin._blank, twin._begun = self._levels, self._blank, self._begun
        twin._in_line, twin._done = self._in_line, self._done.copy()
        if self._open is not None:
            twin._open = replace(self._open, lines=self._open.lines.copy())
        return twin

    def feed(self, line: str) -> None:
        """Add a line with its line break, or without one a part of a line that goes on."""
        text = line.removesuffix("\n")
        position, column = measured(text)
        if self._in_line:
            self._go_on(line)
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

    def unfinished(self, rest: str) -> list[Piece]:
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
        return now is not None and bool(now.shape.fence) and not now.over

    def _live(self) -> _Open | None:
        """The piece that a line may continue, no blank line being between."""
        return None if self._open is None or self._open.over else self._open

    def _close(self) -> None:
        if self._open is not None and self._open.lines:
            self._done.append(self._open.piece())
        self._open = None

    def _start(self, shape: Shape, line: str, *, opens: bool = True) -> _Open:
        self._close()
        gap = self._begun and (self._blank or shape.kind is Kind.HEADING)
        self._open = _Open(replace(shape, gap=gap), [], opens)
        self._open.add(line)
        self._begun, self._blank = True, False
        return self._open

    def _cut(self, now: _Open) -> None:
        """Let the open piece go; the next line begins another part of the same block."""
        indent = now.shape.indent + cell_len(now.shape.marker)
        shape = replace(now.shape, indent=indent, gap=False, marker="", skip=0)
        self._close()
        head = now.head
        if now.shape.kind is Kind.TABLE:
            head = head or now.piece().source
        self._open = _Open(shape, [], opens=False, begins=False, head=head)

    def _add(self, now: _Open, line: str) -> None:
        now.add(line)
        if now.full:
            self._cut(now)

    def _go_on(self, line: str) -> None:
        now = self._open
        if now is not None and not now.over and now.shape.kind in {Kind.PARAGRAPH, Kind.CODE}:
            self._add(now, line)
            return
        indent = 0 if now is None else now.shape.indent
        self._start(Shape(Kind.PARAGRAPH, indent), line, opens=False)

    def _fence_line(self, line: str, content: str) -> None:
        now = self._open
        assert now is not None
        if closes_fence(content, now.shape.fence):
            now.add(line)
            now.ends = now.over = True
        else:
            self._add(now, line)

    def _blank_line(self, line: str) -> None:
        now = self._open
        if now is None or now.size >= LONGEST_PIECE:
            self._close()
            now = self._open = _Open(Shape(Kind.NOTHING), [], opens=False)
        now.add(line)
        now.over = self._blank = True

    def _text_line(self, line: str, text: str, position: int, column: int) -> None:
        live = self._live()
        content = text[position:]
        if live is not None and self._continued(live, line, content, column):
            return
        self._close()
        self._levels, gone = left(self._levels, column)
        base = self._levels[-1].column if self._levels else 0
        in_list = bool(self._levels) or gone is not None
        if column - base >= TAB and not (in_list and starts_item(content)):
            self._start(Shape(Kind.CODE, self._indent, dedent=base + TAB), line)
        else:
            self._begin(line, text, position, column, gone)

    def _continued(self, live: _Open, line: str, content: str, column: int) -> bool:
        """Whether the line belongs to the open piece, which then has it."""
        kind = live.shape.kind
        base = self._levels[-1].column if self._levels else 0
        if kind is Kind.PARAGRAPH:
            return self._paragraph_line(live, line, content, column - base)
        if kind is Kind.CODE:
            belongs = column >= live.shape.dedent
        elif kind is Kind.QUOTE:
            belongs = content.startswith(">") or _is_lazy(live.lines, content)
        else:
            belongs = kind is Kind.TABLE and not starts_block(content)
        if belongs:
            self._add(live, line)
        return belongs

    def _paragraph_line(self, live: _Open, line: str, content: str, column: int) -> bool:
        """A line below a paragraph; `column` counts from where its container begins."""
        if live.lines and 0 <= column < TAB:
            underline = UNDERLINE.match(content)
            if underline is not None and live.begins:
                self._underline(live, line, 1 if underline[1][0] == "=" else 2)
                return True
            if is_table_head(_text_of_last(live), content):
                self._become_table(live, line)
                return True
        starts = starts_block(content) or (bool(self._levels) and starts_item(content))
        if starts and (column < TAB or (bool(self._levels) and starts_item(content))):
            return False
        self._add(live, line)
        return True

    def _underline(self, live: _Open, line: str, level: int) -> None:
        live.shape = replace(live.shape, kind=Kind.HEADING, level=level)
        live.add(line)
        live.over = True

    def _become_table(self, live: _Open, line: str) -> None:
        if len(live.lines) == 1:
            live.shape = replace(live.shape, kind=Kind.TABLE)
        else:
            head = live.lines.pop()
            indent = live.shape.indent + cell_len(live.shape.marker)
            live = self._start(Shape(Kind.TABLE, indent), head)
        live.add(line)

    def _begin(self, line: str, text: str, position: int, column: int, gone: Level | None) -> None:
        """Begin a piece with a line, behind the markers of the list items that begin with it."""
        indent, depth, marker = self._indent, len(self._levels), ""
        while cell_len(marker) <= WIDEST_MARKERS:
            item = item_at(text, position, column, self._levels, gone)
            if item is None:
                break
            self._levels = (*self._levels, item.level)
            marker += item.shown
            position, column, gone = item.position, item.column, None
        shape = Shape(Kind.PARAGRAPH, indent, marker, skip=position)
        content = text[position:]
        opens = depth == 0 or not marker
        if fence := FENCE.match(content):
            mark, info = (fence[1], fence[2]) if fence[1] else (fence[3], fence[4])
            shape = replace(
                shape, kind=Kind.CODE, fence=mark, language=_language(info), dedent=column
            )
            self._start(shape, line)
        elif heading := HEADING.match(content):
            shape = replace(shape, kind=Kind.HEADING, level=len(heading[1]))
            shape = replace(shape, skip=position + heading.end())
            self._start(shape, line, opens=opens).over = True
        elif RULE.match(content):
            self._start(replace(shape, kind=Kind.RULE), line, opens=opens).over = True
        elif content.startswith(">"):
            self._start(replace(shape, kind=Kind.QUOTE), line, opens=opens)
        else:
            # A list item may be empty: what follows it is no paragraph's continuation then.
            self._start(shape, line, opens=opens).over = not content

    @property
    def _indent(self) -> int:
        return self._levels[-1].cells if self._levels else 0


def _is_lazy(lines: list[str], content: str) -> bool:
    """Whether a line without `>` continues the paragraph that a quote ends with."""
    inner = lines[-1].strip(" \t\n").lstrip("> \t") if lines else ""
    return bool(inner) and not starts_block(inner) and not starts_block(content)


def _text_of_last(live: _Open) -> str:
    skip = live.shape.skip if len(live.lines) == 1 else 0
    return live.lines[-1][skip:].rstrip("\n")


def _language(info: str) -> str:
    word = info.strip(" \t{").partition(" ")[0].rstrip("}")
    return "".join(c for c in word[:24] if c.isalnum() or c in _LANGUAGE_CHARACTERS)
