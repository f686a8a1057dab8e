"""A piece drawn as rows of a width. The same piece and width give the same rows, always."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from msgspec.structs import replace
from rich.cells import cell_len

from aitui.domain.sanitize import remove_joiners
from aitui.ui.transcript.blocks import QUOTE_MARK, Piece, PieceKind, References
from aitui.ui.transcript.rows import (
    CODE_STYLE,
    EMPTY_ROW,
    MARKER_STYLE,
    TEXT_STYLE,
    Run,
    TextStyle,
    TranscriptRow,
    find_breaks,
    slice_runs,
    wrap_runs,
)

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

_SPECIAL = frozenset("\\`*_[]<&~\n")
_MAX_CACHED_LENGTH = 160

_NO_REFERENCES: References = {}


@cache
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False, "maxNesting": 20}).enable("strikethrough")


def parse_inline(
    text: str, style: TextStyle = TEXT_STYLE, references: References = _NO_REFERENCES
) -> tuple[Run, ...]:
    r"""The runs of a paragraph's text; `\n` in them is a line break that the author wants."""
    if _SPECIAL.isdisjoint(text):
        return ((text, style),) if text else ()
    if len(text) > _MAX_CACHED_LENGTH or (references and "[" in text):
        return _parse_runs(text, style, references)
    return _parse_cached_runs(text, style)


def _parse_runs(
    text: str, style: TextStyle, references: References = _NO_REFERENCES
) -> tuple[Run, ...]:
    tokens = _parser().parseInline(text, {"references": references})[0].children or []
    runs: list[Run] = []
    styles = [style]
    targets: list[str | int | float | None] = []
    for token in tokens:
        kind = token.type
        style = styles[-1]
        if kind in _OPENING:
            styles.append(_OPENING[kind](style))
        elif kind in _CLOSING:
            styles.pop()
        elif kind == "image":
            _append_run(runs, f"[image: {token.content}]", replace(style, part="link"))
            _append_target(runs, token.attrs.get("src"), style)
        elif kind == "code_inline":
            _append_run(runs, token.content, replace(style, part="code", ground="code"))
        else:
            _append_run(runs, _BREAKS.get(kind, token.content), style)
        if kind == "link_open":
            targets.append("" if token.info == "auto" else token.attrs.get("href"))
        elif kind == "link_close":
            _append_target(runs, targets.pop(), styles[-1])
    return tuple(runs)


_BREAKS = {"softbreak": " ", "hardbreak": "\n"}
_OPENING: dict[str, Callable[[TextStyle], TextStyle]] = {
    "em_open": lambda style: replace(style, italic=True),
    "strong_open": lambda style: replace(style, bold=True),
    "s_open": lambda style: replace(style, strike=True),
    "link_open": lambda style: replace(style, part="link"),
}
_CLOSING = {"em_close", "strong_close", "s_close", "link_close"}
_parse_cached_runs = lru_cache(512)(_parse_runs)


def _append_run(runs: list[Run], text: str, style: TextStyle) -> None:
    if not text:
        return
    if runs and runs[-1][1] == style:
        runs[-1] = (runs[-1][0] + text, style)
    else:
        runs.append((text, style))


def _append_target(runs: list[Run], target: object, style: TextStyle) -> None:
    # As text: the target of a style's link would pass the app's filters, which clean only texts.
    if target and (not runs or runs[-1][0] != target):
        _append_run(runs, f" ({target})", replace(style, part="quiet"))


_CELL_BREAK = r"(?<!\\)\|"
COLUMN_SEPARATOR: Run = (" │ ", TextStyle("line"))
TIGHT_SEPARATOR: Run = (" ", TEXT_STYLE)
NARROWEST_COLUMN = 10
"""Cells below which a column isn't wrapped: the table is stacked then."""
STACK_RULE = 24
"""Cells of the line between two rows of a stacked table."""
HEADER_STYLE = TextStyle("text", bold=True)

Cells = list[tuple[Run, ...]]


def table_rows(
    lines: Sequence[str], width: int, head: Sequence[str], references: References
) -> list[TranscriptRow]:
    """The rows of a table, or of a later part of it; `head` is its first part then.

    The first part gives the columns their widths; a later one with longer words has its own. If the
    columns don't fit, each row is a block of lines with the names of the columns.
    """
    begins = head or lines
    names, delimiters = split_cells(begins[0]), split_cells(begins[1])

    def parse(some: Sequence[str], *, first: bool) -> list[Cells]:
        return [
            _parse_cells(
                line, len(names), TEXT_STYLE if at or not first else HEADER_STYLE, references
            )
            for at, line in enumerate(some)
            if at != 1 or not first
        ]

    first = parse(begins, first=True)
    shown = parse(lines, first=False) if head else first
    widths, gap = _column_widths(first, width)
    if widths and head and not _fits(shown, widths):
        widths, gap = _column_widths([*first, *shown], width)
    if not widths:
        return _render_stacked(first[0], shown if head else shown[1:], width, leading=not head)
    rows: list[TranscriptRow] = []
    for at, cells in enumerate(shown):
        rows.extend(_render_row(cells, widths, delimiters, gap))
        if not at and not head:
            crossing = "─" if gap == TIGHT_SEPARATOR else "─┼─"
            line = crossing.join("─" * size for size in widths)
            rows.append(TranscriptRow(((line, TextStyle("line")),)))
    return rows


def split_cells(line: str) -> list[str]:
    r"""The cells of a table's row, `\|` being a bar in a cell."""
    line = line.strip(" \t")
    line = line.removeprefix("|")
    if line.endswith("|") and not line.endswith("\\|"):
        line = line[:-1]
    return [cell.strip(" \t").replace("\\|", "|") for cell in re.split(_CELL_BREAK, line)]


def _parse_cells(line: str, count: int, style: TextStyle, references: References) -> Cells:
    texts = split_cells(line)
    # Markdown drops cells beyond the columns; here the last column takes them, so no text is lost.
    if len(texts) > count:
        texts = [*texts[: count - 1], " | ".join(texts[count - 1 :])]
    return [
        parse_inline(text, style, references) for text in (*texts, *[""] * (count - len(texts)))
    ]


def _cell_width(cell: Sequence[Run]) -> int:
    return sum(cell_len(text) for text, _ in cell)


def _longest_word(cell: Sequence[Run]) -> int:
    words = "".join(text for text, _ in cell).split()
    return max((cell_len(word) for word in words), default=0)


def _fits(rows: Sequence[Cells], widths: Sequence[int]) -> bool:
    """Whether no word of these rows would be cut."""
    return all(
        _longest_word(cell) <= size
        for cells in rows
        for cell, size in zip(cells, widths, strict=True)
    )


def _column_widths(rows: Sequence[Cells], width: int) -> tuple[list[int], Run]:
    """The widths that columns get: narrow ones what they want, the others equal shares.

    None of them if a word would be cut, or a text squeezed into a column of a few cells. Behind them
    comes what separates them, a blank if all cells are whole only with that.
    """
    columns = list(zip(*rows, strict=True))
    wanted = [max(1, *map(_cell_width, cells)) for cells in columns]
    widths = [max(1, *map(_longest_word, cells)) for cells in columns]
    room = width - cell_len(COLUMN_SEPARATOR[0]) * (len(columns) - 1) - sum(widths)
    if room < 0:
        is_tight = sum(wanted) + len(columns) - 1 <= width
        return wanted if is_tight else [], TIGHT_SEPARATOR
    order = sorted(range(len(wanted)), key=lambda index: wanted[index] - widths[index])
    for place, index in enumerate(order):
        more = min(wanted[index] - widths[index], room // (len(order) - place))
        widths[index] += more
        room -= more
    if any(size < min(want, NARROWEST_COLUMN) for size, want in zip(widths, wanted, strict=True)):
        return [], COLUMN_SEPARATOR
    return widths, COLUMN_SEPARATOR


def _render_stacked(
    names: Cells, shown: Sequence[Cells], width: int, *, leading: bool
) -> list[TranscriptRow]:
    """A block of `name: value` lines for each row, a line between two of them.

    `leading` is the part with the names, which stand alone as long as no row has come.
    """
    if leading and not shown:
        return [row for name in names for row in wrap_runs(name, width)]
    rule = TranscriptRow((("─" * min(width, STACK_RULE), TextStyle("line")),))
    rows: list[TranscriptRow] = []
    for at, cells in enumerate(shown):
        if at or not leading:
            rows.append(rule)
        for name, cell in zip(names, cells, strict=True):
            if any(text.strip() for text, _ in cell):
                label = (*name, (": ", HEADER_STYLE)) if name else ()
                rows.extend(wrap_runs((*label, *cell), width))
    return rows


def _render_row(
    cells: Cells, widths: Sequence[int], delimiters: Sequence[str], gap: Run
) -> list[TranscriptRow]:
    columns = [wrap_runs(cell, size) for cell, size in zip(cells, widths, strict=True)]
    rows: list[TranscriptRow] = []
    for height in range(max(len(column) for column in columns)):
        runs: list[Run] = []
        for at, (column, size) in enumerate(zip(columns, widths, strict=True)):
            if at:
                runs.append(gap)
            row = column[height].runs if height < len(column) else ()
            free = size - _cell_width(row)
            before = 0
            if delimiters[at].endswith(":"):
                before = free // 2 if delimiters[at].startswith(":") else free
            runs += [(" " * before, TEXT_STYLE), *row]
            if at < len(widths) - 1:
                runs.append((" " * (free - before), TEXT_STYLE))
        rows.append(TranscriptRow(tuple(run for run in runs if run[0])))
    return rows


NARROWEST_BLOCK = 8
"""Cells that text gets at least; narrower panes cut it."""
MAX_LEAD = 34
"""Cells of list items and quotes around a block, and at most half of the width; deeper ones alone."""
CODE_BAR: Run = ("│ ", TextStyle("line", ground="code"))
CODE_HANG = 2
"""Cells by which the rest of a long line of code is indented more than its beginning."""
QUOTE_STYLE = TextStyle("line")
REASONING_INDENT: Run = ("  ", TEXT_STYLE)
ITEM_GAP = " · "
"""Between the items of a footer, which go as a whole, the last ones first, if there is no room."""
_PROMPT_STYLE = TextStyle("prompt")


def render_piece(
    piece: Piece,
    width: int,
    *,
    raw: bool = False,
    references: References = _NO_REFERENCES,
    code: Sequence[list[Run]] | None = None,
) -> tuple[TranscriptRow, ...]:
    """The rows of a piece, of its source for `raw`; `code` are its lines in color, if known."""
    width = max(NARROWEST_BLOCK, width)
    if not piece.source.isascii() or not piece.text.isascii():
        source, text, head = map(remove_joiners, (piece.source, piece.text, piece.head))
        piece = replace(piece, source=source, text=text, head=head)
    if raw and piece.kind is not PieceKind.PLAIN:
        return tuple(_render_plain(piece.source.removesuffix("\n"), width, TEXT_STYLE))
    lead = piece.lead
    while lead and sum(cell_len(rest) for _, rest in lead) > min(MAX_LEAD, width // 2):
        lead = lead[1:]
    width -= sum(cell_len(rest) for _, rest in lead)
    if piece.kind is PieceKind.CODE:
        rows = _render_code(piece, width, code)
    else:
        rows = _RENDERERS[piece.kind](piece, width, references)
    if lead:
        rows = _add_lead(rows, lead)
    if piece.gap is None or not rows:
        return tuple(rows)
    gap = _lead_runs([(rest, rest) for rest in piece.gap])[0]
    return (TranscriptRow(gap, lead=sum(len(text) for text, _ in gap)) if gap else EMPTY_ROW, *rows)


def _add_lead(
    rows: Sequence[TranscriptRow], lead: Sequence[tuple[str, str]]
) -> list[TranscriptRow]:
    """The rows behind their markers and bars; only a marker is copied, with the text behind it."""
    first, rest = _lead_runs(lead)
    length = copied = sum(len(text) for _, text in lead)
    marked = next((at for at, (text, other) in enumerate(lead) if text != other), None)
    if marked is not None:
        bars = [at for at, (text, _) in enumerate(lead[:marked], 1) if text == QUOTE_MARK]
        copied = sum(len(text) for text, _ in lead[: max(bars, default=0)])
    in_quote = any(text == QUOTE_MARK for text, _ in lead)
    return [
        replace(
            row,
            runs=(
                *(rest if at else first),
                *(_dim_runs(row.runs, "quote") if in_quote else row.runs),
            ),
            lead=row.lead + length if at or row.lead else copied,
        )
        for at, row in enumerate(rows)
    ]


def _lead_runs(lead: Sequence[tuple[str, str]]) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
    """The runs in front of the first row, and of the others."""
    first: list[Run] = []
    others: list[Run] = []
    for text, other in lead:
        style = QUOTE_STYLE if text == QUOTE_MARK else MARKER_STYLE if text != other else TEXT_STYLE
        _append_run(first, text, style)
        _append_run(others, other, QUOTE_STYLE if text == QUOTE_MARK else TEXT_STYLE)
    return tuple(first), tuple(others)


def indent_reasoning(rows: Sequence[TranscriptRow]) -> tuple[TranscriptRow, ...]:
    """The rows of a piece of reasoning: indented, and quieter."""
    return tuple(
        replace(
            row,
            runs=(REASONING_INDENT, *_dim_runs(row.runs, "reasoning")),
            lead=row.lead and row.lead + len(REASONING_INDENT[0]),
        )
        if row.runs
        else row
        for row in rows
    )


def estimate_height(piece: Piece, width: int) -> int:
    """About how many rows a piece takes."""
    lines = piece.source.count("\n")
    indent = sum(cell_len(rest) for _, rest in piece.lead)
    return max(1, lines, len(piece.source) // max(NARROWEST_BLOCK, width - indent))


def _render_label(piece: Piece, width: int, references: References) -> list[TranscriptRow]:
    style = TextStyle(piece.style, bold=piece.level > 0)
    if piece.style != "footer":
        beside = f"  {piece.text}" if piece.text else ""
        if cell_len(piece.source + beside) > width:
            beside = ""
        runs = ((piece.source, style), (beside, TextStyle("quiet")))
        return wrap_runs(runs if beside else runs[:1], width, fill=style)
    first, *others = piece.source.split(ITEM_GAP)
    rows = wrap_runs(((first, style),), width)
    if len(rows) > 1 and others:
        # A first one of several lines is a sentence, and the others stand below it.
        rest = replace(piece, source=ITEM_GAP.join(others))
        return [*rows, *_render_label(rest, width, references)]
    while others and cell_len(ITEM_GAP.join((first, *others))) > width:
        others.pop()
    return wrap_runs(((ITEM_GAP.join((first, *others)), style),), width)


def code_lines(piece: Piece) -> list[str]:
    """The code in a piece, without fence marks and the indentation of its list."""
    return [line.expandtabs(4) for line in remove_joiners(piece.text).split("\n")[:-1]]


def _render_code(piece: Piece, width: int, code: Sequence[list[Run]] | None) -> list[TranscriptRow]:
    rows: list[TranscriptRow] = []
    if piece.begins and (piece.language or any(text != rest for text, rest in piece.lead)):
        name = (piece.language, TextStyle("quiet", ground="code"))
        rows.append(
            TranscriptRow((CODE_BAR, name), lead=len(CODE_BAR[0] + name[0]), fill=CODE_STYLE)
        )
    if code is None:
        code = [[(line, CODE_STYLE)] if line else [] for line in code_lines(piece)]
    for runs in code:
        rows.extend(_wrap_code_line(runs, width))
    return rows


def _wrap_code_line(runs: Sequence[Run], width: int) -> list[TranscriptRow]:
    """A line of code; what doesn't fit goes on below it, indented, if its words have the room."""
    text = "".join(text for text, _ in runs)
    bar = len(CODE_BAR[0])
    measure = len if text.isascii() else cell_len
    if measure(text) + bar <= width:
        return wrap_runs(runs, width, lead=CODE_BAR, fill=CODE_STYLE)
    body = text.lstrip(" ")
    indent = len(text) - len(body)
    hang = indent + CODE_HANG
    room = width - bar - hang
    if hang > width // 2 or max(map(measure, body.split())) > room:
        return wrap_runs(runs, width, lead=CODE_BAR, fill=CODE_STYLE)
    breaks = [(indent + start, indent + end, glue) for start, end, glue in find_breaks(body, room)]
    first, rest = (" " * indent, CODE_STYLE), (" " * hang, CODE_STYLE)
    return [
        TranscriptRow(
            (CODE_BAR, rest if at else first, *shown), glue, bar + hang if at else bar, CODE_STYLE
        )
        for at, ((_, _, glue), shown) in enumerate(
            zip(breaks, slice_runs(runs, breaks), strict=True)
        )
    ]


def _render_prose(piece: Piece, width: int, references: References) -> list[TranscriptRow]:
    style = TEXT_STYLE
    if piece.kind is PieceKind.HEADING:
        style = TextStyle("heading", bold=piece.level < 4, italic=piece.level >= 3)
    runs = [
        (text.expandtabs(4), style) for text, style in parse_inline(piece.text, style, references)
    ]
    if not runs and all(text == rest for text, rest in piece.lead):
        return []
    return wrap_runs(runs, width)


def _render_table(piece: Piece, width: int, references: References) -> list[TranscriptRow]:
    head = piece.head.split("\n") if piece.head else []
    return table_rows(piece.text.split("\n"), width, head, references)


def _dim_runs(runs: Sequence[Run], part: str) -> Iterator[Run]:
    return (
        (text, replace(style, part=part) if style.part == "text" else style) for text, style in runs
    )


def _render_plain(text: str, width: int, style: TextStyle) -> list[TranscriptRow]:
    return [
        row
        for line in text.split("\n")
        for row in wrap_runs(((line.expandtabs(4), style),) if line else (), width, fill=style)
    ]


_RENDERERS: dict[PieceKind, Callable[[Piece, int, References], list[TranscriptRow]]] = {
    PieceKind.NOTHING: lambda _piece, _width, _references: [],
    PieceKind.LABEL: _render_label,
    PieceKind.PLAIN: lambda piece, width, _: _render_plain(piece.text, width, _PROMPT_STYLE),
    PieceKind.PARAGRAPH: _render_prose,
    PieceKind.HEADING: _render_prose,
    PieceKind.TABLE: _render_table,
    PieceKind.RULE: lambda _piece, width, _references: [
        TranscriptRow((("─" * max(1, width), TextStyle("line")),))
    ],
}
