"""A piece drawn as rows of a width. The same piece and width give the same rows, always."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from rich.cells import cell_len

from aitui.ui.transcript.inks import EMPTY, MARKER, TEXT, Ink, Row, Run
from aitui.ui.transcript.inline import inline
from aitui.ui.transcript.pieces import Kind, Piece
from aitui.ui.transcript.quick_colours import CODE, quick_runs
from aitui.ui.transcript.source import pieces_of
from aitui.ui.transcript.tables import table_rows
from aitui.ui.transcript.wrapping import wrapped_runs

NARROWEST = 8
"""Cells that text gets at least; narrower panes cut it."""
CODE_BAR: Run = ("│ ", Ink("line", ground="code"))
QUOTE_BAR: Run = ("▎ ", Ink("line"))
ASIDE: Run = ("  ", TEXT)
DEEPEST_QUOTE = 6
ITEM_GAP = " · "
"""Between the items of a footer, which go as a whole, the last ones first, where there is no room."""
_PROMPT = Ink("prompt")


def drawn(piece: Piece, width: int, *, raw: bool = False, depth: int = 0) -> tuple[Row, ...]:
    """The rows of a piece, of its source where it is wanted `raw`."""
    width = max(NARROWEST >> depth, 1, width)
    if piece.shape.indent > width // 3:
        piece = replace(piece, shape=replace(piece.shape, indent=width // 3))
    if raw and piece.shape.kind is not Kind.PLAIN:
        return tuple(_plain(piece.source.removesuffix("\n"), width, 0, TEXT))
    rows = _rows(piece, width, depth)
    return (EMPTY, *rows) if piece.shape.gap and rows else tuple(rows)


def drawn_aside(piece: Piece, width: int, *, raw: bool = False) -> tuple[Row, ...]:
    """The rows of a piece of reasoning: indented, and quieter."""
    return tuple(
        Row((ASIDE, *_quiet(row.runs, "reasoning")), row.glue, row.lead and row.lead + 2, row.fill)
        if row.runs
        else row
        for row in drawn(piece, width - 2, raw=raw)
    )


def estimated_height(piece: Piece, width: int) -> int:
    """About how many rows a piece takes."""
    lines = piece.source.count("\n")
    return max(1, lines, len(piece.source) // max(NARROWEST, width - piece.shape.indent))


def _rows(piece: Piece, width: int, depth: int) -> list[Row]:
    shape = piece.shape
    if shape.kind is Kind.PLAIN:
        return _plain(piece.source.removesuffix("\n"), width, shape.indent, _PROMPT)
    if shape.kind is Kind.QUOTE:
        return _quote(piece, width, depth)
    return _SIMPLE[shape.kind](piece, width)


def _label(piece: Piece, width: int) -> list[Row]:
    ink = Ink(piece.shape.ink, bold=piece.shape.level > 0)
    if piece.shape.ink != "footer":
        return wrapped_runs(((piece.source, ink),), width)
    first, *others = piece.source.split(ITEM_GAP)
    rows = wrapped_runs(((first, ink),), width)
    if len(rows) > 1 and others:
        # A first one of several lines is a sentence, and the others stand below it.
        return [*rows, *_label(replace(piece, source=ITEM_GAP.join(others)), width)]
    while others and cell_len(ITEM_GAP.join((first, *others))) > width:
        others.pop()
    return wrapped_runs(((ITEM_GAP.join((first, *others)), ink),), width)


def _rule(piece: Piece, width: int) -> list[Row]:
    return [Row((*_first(piece), ("─" * max(1, width - _taken(piece)), Ink("line"))))]


def _code(piece: Piece, width: int) -> list[Row]:
    language = piece.shape.language
    return code_rows(piece, width, (quick_runs(line, language) for line in code_lines(piece)))


def code_lines(piece: Piece) -> list[str]:
    """The code in a piece, without fence marks and the indentation of its list."""
    lines = piece.source.split("\n")
    shape = piece.shape
    if not shape.fence:
        while lines and not lines[-1].strip(" \t"):
            lines.pop()
    elif piece.ends:
        while lines and not lines[-1].strip(" \t"):
            lines.pop()
        lines = lines[:-1]
    elif lines[-1] == "":
        lines = lines[:-1]
    if shape.fence and piece.begins:
        lines = lines[1:]
    return [_dedented(line, shape.dedent).expandtabs(4) for line in lines]


def code_rows(piece: Piece, width: int, lines: Iterator[list[Run]]) -> list[Row]:
    """Rows of code whose lines are already in inks."""
    shape = piece.shape
    rows: list[Row] = []
    margin: Run = (" " * _taken(piece), TEXT)
    bar = (margin, CODE_BAR) if margin[0] else (CODE_BAR,)
    lead = sum(len(text) for text, _ in bar)
    first = _first(piece)
    if piece.begins and (shape.language or shape.marker):
        name = (shape.language, Ink("quiet", ground="code"))
        rows.append(Row((*first, CODE_BAR, name), lead=lead + len(name[0]), fill=CODE))
    for runs in lines:
        rows.extend(wrapped_runs(runs, width, others=bar, fill=CODE, anywhere=True))
    return rows


def _prose(piece: Piece, width: int) -> list[Row]:
    shape = piece.shape
    lines = piece.source[shape.skip :].strip(" \t\n").split("\n")
    ink = TEXT
    if shape.kind is Kind.HEADING:
        ink = Ink("heading", bold=shape.level < 4, italic=shape.level >= 3)
        if not piece.source[: shape.skip].strip(" \t").endswith("#"):
            lines = lines[:-1]
        else:
            lines = [_without_closing_marks(lines[0])]
    text = "\n".join(line.lstrip(" \t") for line in lines)
    runs = [(part.expandtabs(4), ink) for part, ink in inline(text, ink)]
    if not runs and not shape.marker:
        return []
    rest: Run = (" " * _taken(piece), TEXT)
    return wrapped_runs(runs, width, first=_first(piece), others=(rest,) if rest[0] else ())


def _without_closing_marks(line: str) -> str:
    bare = line.rstrip(" \t").rstrip("#")
    return bare.rstrip(" \t") if not bare or bare[-1] in " \t" else line


def _table(piece: Piece, width: int) -> list[Row]:
    shape = piece.shape
    lines = piece.source[shape.skip :].rstrip(" \t\n").split("\n")
    head = piece.head.rstrip(" \t\n").split("\n") if piece.head else []
    margin: Run = (" " * _taken(piece), TEXT)
    rows = table_rows(lines, width, head, margin)
    if rows is None:
        return _plain(piece.source[shape.skip :].rstrip(" \t\n"), width, _taken(piece), TEXT)
    if shape.marker:
        rows[0] = Row((*_first(piece), *rows[0].runs[1:]))
    return rows


def _quote(piece: Piece, width: int, depth: int) -> list[Row]:
    lines = piece.source[piece.shape.skip :].rstrip(" \t\n").split("\n")
    text = "\n".join(_unquoted(line) for line in lines)
    if depth >= DEEPEST_QUOTE:
        return _plain(text, width, _taken(piece), TEXT)
    margin: Run = (" " * _taken(piece), TEXT)
    before = (margin, QUOTE_BAR) if margin[0] else (QUOTE_BAR,)
    lead = sum(len(text) for text, _ in before)
    inner = [row for part in pieces_of(text) for row in drawn(part, width - lead, depth=depth + 1)]
    rows = [
        Row((*before, *_quiet(row.runs, "quote")), row.glue, lead + row.lead, row.fill)
        for row in inner
    ]
    if rows and piece.shape.marker:
        rows[0] = Row((*_first(piece), QUOTE_BAR, *_quiet(inner[0].runs, "quote")))
    return rows


def _quiet(runs: Sequence[Run], part: str) -> Iterator[Run]:
    return ((text, ink._replace(part=part) if ink.part == "text" else ink) for text, ink in runs)


def _plain(text: str, width: int, indent: int, ink: Ink) -> list[Row]:
    margin: Run = (" " * indent, TEXT)
    before = (margin,) if indent else ()
    return [
        row
        for line in text.split("\n")
        for row in wrapped_runs(((line.expandtabs(4), ink),) if line else (), width, others=before)
    ]


def _first(piece: Piece) -> tuple[Run, ...]:
    margin, marker = " " * piece.shape.indent, piece.shape.marker
    return tuple(run for run in ((margin, TEXT), (marker, MARKER)) if run[0])


def _taken(piece: Piece) -> int:
    """Cells that the indentation and the marker take."""
    return piece.shape.indent + cell_len(piece.shape.marker)


def _unquoted(line: str) -> str:
    bare = line.lstrip(" \t")
    return bare[1:].removeprefix(" ") if bare.startswith(">") else line


def _dedented(line: str, columns: int) -> str:
    at = 0
    while at < len(line) and at < columns and line[at] == " ":
        at += 1
    if at < columns and line[at : at + 1] == "\t":
        return " " * max(0, 4 - columns + at) + line[at + 1 :]
    return line[at:]


_SIMPLE: dict[Kind, Callable[[Piece, int], list[Row]]] = {
    Kind.NOTHING: lambda _piece, _width: [],
    Kind.LABEL: _label,
    Kind.PARAGRAPH: _prose,
    Kind.HEADING: _prose,
    Kind.CODE: _code,
    Kind.TABLE: _table,
    Kind.RULE: _rule,
}
