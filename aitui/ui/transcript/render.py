"""A piece drawn as rows of a width. The same piece and width give the same rows, always."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.cells import cell_len

from aitui.ui.transcript.blocks import Piece, PieceKind, split_cells, split_text
from aitui.ui.transcript.highlight import CODE_STYLE, highlight_quickly
from aitui.ui.transcript.style import (
    EMPTY_ROW,
    MARKER_STYLE,
    TEXT_STYLE,
    Run,
    TextStyle,
    TranscriptRow,
)
from aitui.ui.transcript.wrapping import wrap_runs

_SPECIAL = frozenset("\\`*_[]<&~\n")
_MAX_CACHED_LENGTH = 160
_PARSER = MarkdownIt("commonmark", {"html": False, "maxNesting": 20}).enable("strikethrough")


def parse_inline(text: str, ink: TextStyle = TEXT_STYLE) -> tuple[Run, ...]:
    r"""The runs of a paragraph's text; `\n` in them is a line break that the author wants."""
    if _SPECIAL.isdisjoint(text):
        return ((text, ink),) if text else ()
    return (
        _parse_cached_runs(text, ink) if len(text) <= _MAX_CACHED_LENGTH else _parse_runs(text, ink)
    )


def _parse_runs(text: str, ink: TextStyle) -> tuple[Run, ...]:
    tokens = _PARSER.parseInline(text)[0].children or []
    runs: list[Run] = []
    inks = [ink]
    targets: list[str] = []
    for token in tokens:
        kind = token.type
        ink = inks[-1]
        if kind in _OPENING:
            inks.append(_OPENING[kind](ink))
        elif kind in _CLOSING:
            inks.pop()
        elif kind == "image":
            _append_run(runs, f"[image: {token.content}]", ink._replace(part="link"))
            _append_target(runs, _link_target(token, "src"), ink)
        elif kind == "code_inline":
            _append_run(runs, token.content, ink._replace(part="code", ground="code"))
        else:
            _append_run(runs, _BREAKS.get(kind, token.content), ink)
        if kind == "link_open":
            targets.append("" if token.info == "auto" else _link_target(token, "href"))
        elif kind == "link_close":
            _append_target(runs, targets.pop(), inks[-1])
    return tuple(runs)


_BREAKS = {"softbreak": " ", "hardbreak": "\n"}
_OPENING: dict[str, Callable[[TextStyle], TextStyle]] = {
    "em_open": lambda ink: ink._replace(italic=True),
    "strong_open": lambda ink: ink._replace(bold=True),
    "s_open": lambda ink: ink._replace(strike=True),
    "link_open": lambda ink: ink._replace(part="link"),
}
_CLOSING = {"em_close", "strong_close", "s_close", "link_close"}
_parse_cached_runs = lru_cache(512)(_parse_runs)


def _append_run(runs: list[Run], text: str, ink: TextStyle) -> None:
    if not text:
        return
    if runs and runs[-1][1] == ink:
        runs[-1] = (runs[-1][0] + text, ink)
    else:
        runs.append((text, ink))


def _append_target(runs: list[Run], target: str, ink: TextStyle) -> None:
    if target and (not runs or runs[-1][0] != target):
        _append_run(runs, f" ({target})", ink._replace(part="quiet"))


def _link_target(token: Token, name: str) -> str:
    return str(token.attrs.get(name, ""))


COLUMN_SEPARATOR: Run = (" │ ", TextStyle("line"))
NARROWEST_COLUMN = 3
HEADER_STYLE = TextStyle("text", bold=True)

Cells = list[tuple[Run, ...]]


def table_rows(
    lines: Sequence[str], width: int, head: Sequence[str], lead: Run
) -> list[TranscriptRow] | None:
    """The rows of a table, or of the part of one whose first part is `head`.

    The first part alone gives the columns their widths. None where the columns don't fit.
    """
    begins = head or lines
    names, delimiters = split_cells(begins[0]), split_cells(begins[1])
    wanted = [1] * len(names)
    first = [
        _parse_cells(line, len(names), HEADER_STYLE if not at else TEXT_STYLE)
        for at, line in enumerate(begins)
    ]
    for at, cells in enumerate(first):
        if at != 1:
            wanted = [
                max(size, _cell_width(cell)) for size, cell in zip(wanted, cells, strict=True)
            ]
    room = width - cell_len(lead[0]) - cell_len(COLUMN_SEPARATOR[0]) * (len(names) - 1)
    widths = _column_widths(wanted, room)
    if widths is None:
        return None
    shown = [_parse_cells(line, len(names), TEXT_STYLE) for line in lines] if head else first
    rows: list[TranscriptRow] = []
    for at, cells in enumerate(shown):
        if at == 1 and not head:
            line = "─┼─".join("─" * size for size in widths)
            rows.append(TranscriptRow((lead, (line, TextStyle("line"))), lead=len(lead[0])))
        else:
            rows.extend(_render_row(cells, widths, delimiters, lead))
    return rows


def _parse_cells(line: str, count: int, ink: TextStyle) -> Cells:
    texts = split_cells(line)
    # More cells than columns: the last column takes them all, so that no text is lost.
    if len(texts) > count:
        texts = [*texts[: count - 1], " | ".join(texts[count - 1 :])]
    return [parse_inline(text, ink) for text in (*texts, *[""] * (count - len(texts)))]


def _cell_width(cell: Sequence[Run]) -> int:
    return sum(cell_len(text) for text, _ in cell)


def _column_widths(wanted: Sequence[int], room: int) -> list[int] | None:
    """The widths that columns get: narrow ones what they want, the others equal shares."""
    if sum(wanted) <= room:
        return list(wanted)
    if room < NARROWEST_COLUMN * len(wanted):
        return None
    widths = [0] * len(wanted)
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    for place, index in enumerate(order):
        widths[index] = min(wanted[index], room // (len(order) - place))
        room -= widths[index]
    return widths


def _render_row(
    cells: Cells, widths: Sequence[int], delimiters: Sequence[str], lead: Run
) -> list[TranscriptRow]:
    columns = [wrap_runs(cell, size) for cell, size in zip(cells, widths, strict=True)]
    rows: list[TranscriptRow] = []
    for height in range(max(len(column) for column in columns)):
        runs: list[Run] = [lead]
        for at, (column, size) in enumerate(zip(columns, widths, strict=True)):
            if at:
                runs.append(COLUMN_SEPARATOR)
            row = column[height].runs if height < len(column) else ()
            before, after = _padding(size - _cell_width(row), delimiters[at])
            last = at == len(widths) - 1
            runs.extend((*before, *row, *(() if last else after)))
        rows.append(TranscriptRow(tuple(run for run in runs if run[0]), lead=len(lead[0])))
    return rows


def _padding(free: int, delimiter: str) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
    if not delimiter.endswith(":"):
        before = 0
    elif delimiter.startswith(":"):
        before = free // 2
    else:
        before = free
    return ((" " * before, TEXT_STYLE),), ((" " * (free - before), TEXT_STYLE),)


NARROWEST_BLOCK = 8
"""Cells that text gets at least; narrower panes cut it."""
CODE_BAR: Run = ("│ ", TextStyle("line", ground="code"))
QUOTE_BAR: Run = ("▎ ", TextStyle("line"))
REASONING_INDENT: Run = ("  ", TEXT_STYLE)
MAX_QUOTE_DEPTH = 6
ITEM_GAP = " · "
"""Between the items of a footer, which go as a whole, the last ones first, where there is no room."""
_PROMPT_STYLE = TextStyle("prompt")


def render_piece(
    piece: Piece, width: int, *, raw: bool = False, depth: int = 0
) -> tuple[TranscriptRow, ...]:
    """The rows of a piece, of its source where it is wanted `raw`."""
    width = max(NARROWEST_BLOCK >> depth, 1, width)
    if piece.shape.indent > width // 3:
        piece = replace(piece, shape=replace(piece.shape, indent=width // 3))
    if raw and piece.shape.kind is not PieceKind.PLAIN:
        return tuple(_render_plain(piece.source.removesuffix("\n"), width, 0, TEXT_STYLE))
    rows = _render_content(piece, width, depth)
    return (EMPTY_ROW, *rows) if piece.shape.gap and rows else tuple(rows)


def render_reasoning(piece: Piece, width: int, *, raw: bool = False) -> tuple[TranscriptRow, ...]:
    """The rows of a piece of reasoning: indented, and quieter."""
    return tuple(
        TranscriptRow(
            (REASONING_INDENT, *_dim_runs(row.runs, "reasoning")),
            row.glue,
            row.lead and row.lead + 2,
            row.fill,
        )
        if row.runs
        else row
        for row in render_piece(piece, width - 2, raw=raw)
    )


def estimate_height(piece: Piece, width: int) -> int:
    """About how many rows a piece takes."""
    lines = piece.source.count("\n")
    return max(1, lines, len(piece.source) // max(NARROWEST_BLOCK, width - piece.shape.indent))


def _render_content(piece: Piece, width: int, depth: int) -> list[TranscriptRow]:
    shape = piece.shape
    if shape.kind is PieceKind.PLAIN:
        return _render_plain(piece.source.removesuffix("\n"), width, shape.indent, _PROMPT_STYLE)
    if shape.kind is PieceKind.QUOTE:
        return _render_quote(piece, width, depth)
    return _RENDERERS[shape.kind](piece, width)


def _render_label(piece: Piece, width: int) -> list[TranscriptRow]:
    ink = TextStyle(piece.shape.style, bold=piece.shape.level > 0)
    if piece.shape.style != "footer":
        return wrap_runs(((piece.source, ink),), width)
    first, *others = piece.source.split(ITEM_GAP)
    rows = wrap_runs(((first, ink),), width)
    if len(rows) > 1 and others:
        # A first one of several lines is a sentence, and the others stand below it.
        return [*rows, *_render_label(replace(piece, source=ITEM_GAP.join(others)), width)]
    while others and cell_len(ITEM_GAP.join((first, *others))) > width:
        others.pop()
    return wrap_runs(((ITEM_GAP.join((first, *others)), ink),), width)


def _render_rule(piece: Piece, width: int) -> list[TranscriptRow]:
    return [
        TranscriptRow(
            (
                *_first_row_prefix(piece),
                ("─" * max(1, width - _prefix_width(piece)), TextStyle("line")),
            )
        )
    ]


def _render_code(piece: Piece, width: int) -> list[TranscriptRow]:
    language = piece.shape.language
    return render_code(
        piece, width, (highlight_quickly(line, language) for line in code_lines(piece))
    )


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
    return [_dedent_line(line, shape.dedent).expandtabs(4) for line in lines]


def render_code(piece: Piece, width: int, lines: Iterator[list[Run]]) -> list[TranscriptRow]:
    """Rows of code whose lines are already in inks."""
    shape = piece.shape
    rows: list[TranscriptRow] = []
    margin: Run = (" " * _prefix_width(piece), TEXT_STYLE)
    bar = (margin, CODE_BAR) if margin[0] else (CODE_BAR,)
    lead = sum(len(text) for text, _ in bar)
    first = _first_row_prefix(piece)
    if piece.begins and (shape.language or shape.marker):
        name = (shape.language, TextStyle("quiet", ground="code"))
        rows.append(
            TranscriptRow((*first, CODE_BAR, name), lead=lead + len(name[0]), fill=CODE_STYLE)
        )
    for runs in lines:
        rows.extend(wrap_runs(runs, width, others=bar, fill=CODE_STYLE, anywhere=True))
    return rows


def _render_prose(piece: Piece, width: int) -> list[TranscriptRow]:
    shape = piece.shape
    lines = piece.source[shape.skip :].strip(" \t\n").split("\n")
    ink = TEXT_STYLE
    if shape.kind is PieceKind.HEADING:
        ink = TextStyle("heading", bold=shape.level < 4, italic=shape.level >= 3)
        if not piece.source[: shape.skip].strip(" \t").endswith("#"):
            lines = lines[:-1]
        else:
            lines = [_strip_closing_marks(lines[0])]
    text = "\n".join(line.lstrip(" \t") for line in lines)
    runs = [(part.expandtabs(4), ink) for part, ink in parse_inline(text, ink)]
    if not runs and not shape.marker:
        return []
    rest: Run = (" " * _prefix_width(piece), TEXT_STYLE)
    return wrap_runs(runs, width, first=_first_row_prefix(piece), others=(rest,) if rest[0] else ())


def _strip_closing_marks(line: str) -> str:
    bare = line.rstrip(" \t").rstrip("#")
    return bare.rstrip(" \t") if not bare or bare[-1] in " \t" else line


def _render_table(piece: Piece, width: int) -> list[TranscriptRow]:
    shape = piece.shape
    lines = piece.source[shape.skip :].rstrip(" \t\n").split("\n")
    head = piece.head.rstrip(" \t\n").split("\n") if piece.head else []
    margin: Run = (" " * _prefix_width(piece), TEXT_STYLE)
    rows = table_rows(lines, width, head, margin)
    if rows is None:
        return _render_plain(
            piece.source[shape.skip :].rstrip(" \t\n"), width, _prefix_width(piece), TEXT_STYLE
        )
    if shape.marker:
        rows[0] = TranscriptRow((*_first_row_prefix(piece), *rows[0].runs[1:]))
    return rows


def _render_quote(piece: Piece, width: int, depth: int) -> list[TranscriptRow]:
    lines = piece.source[piece.shape.skip :].rstrip(" \t\n").split("\n")
    text = "\n".join(_strip_quote_mark(line) for line in lines)
    if depth >= MAX_QUOTE_DEPTH:
        return _render_plain(text, width, _prefix_width(piece), TEXT_STYLE)
    margin: Run = (" " * _prefix_width(piece), TEXT_STYLE)
    before = (margin, QUOTE_BAR) if margin[0] else (QUOTE_BAR,)
    lead = sum(len(text) for text, _ in before)
    inner = [
        row
        for part in split_text(text)
        for row in render_piece(part, width - lead, depth=depth + 1)
    ]
    rows = [
        TranscriptRow((*before, *_dim_runs(row.runs, "quote")), row.glue, lead + row.lead, row.fill)
        for row in inner
    ]
    if rows and piece.shape.marker:
        rows[0] = TranscriptRow(
            (*_first_row_prefix(piece), QUOTE_BAR, *_dim_runs(inner[0].runs, "quote"))
        )
    return rows


def _dim_runs(runs: Sequence[Run], part: str) -> Iterator[Run]:
    return ((text, ink._replace(part=part) if ink.part == "text" else ink) for text, ink in runs)


def _render_plain(text: str, width: int, indent: int, ink: TextStyle) -> list[TranscriptRow]:
    margin: Run = (" " * indent, TEXT_STYLE)
    before = (margin,) if indent else ()
    return [
        row
        for line in text.split("\n")
        for row in wrap_runs(((line.expandtabs(4), ink),) if line else (), width, others=before)
    ]


def _first_row_prefix(piece: Piece) -> tuple[Run, ...]:
    margin, marker = " " * piece.shape.indent, piece.shape.marker
    return tuple(run for run in ((margin, TEXT_STYLE), (marker, MARKER_STYLE)) if run[0])


def _prefix_width(piece: Piece) -> int:
    """Cells that the indentation and the marker take."""
    return piece.shape.indent + cell_len(piece.shape.marker)


def _strip_quote_mark(line: str) -> str:
    bare = line.lstrip(" \t")
    return bare[1:].removeprefix(" ") if bare.startswith(">") else line


def _dedent_line(line: str, columns: int) -> str:
    at = 0
    while at < len(line) and at < columns and line[at] == " ":
        at += 1
    if at < columns and line[at : at + 1] == "\t":
        return " " * max(0, 4 - columns + at) + line[at + 1 :]
    return line[at:]


_RENDERERS: dict[PieceKind, Callable[[Piece, int], list[TranscriptRow]]] = {
    PieceKind.NOTHING: lambda _piece, _width: [],
    PieceKind.LABEL: _render_label,
    PieceKind.PARAGRAPH: _render_prose,
    PieceKind.HEADING: _render_prose,
    PieceKind.CODE: _render_code,
    PieceKind.TABLE: _render_table,
    PieceKind.RULE: _render_rule,
}
