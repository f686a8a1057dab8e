r"""Markdown cut into pieces, by the blocks that markdown-it finds in it.

Measured with Textual 8.2.8 over 100,000 tokens at 2,000 tokens/s, in CPU relative to rows that are
frozen piece by piece: one `Static(rich.Markdown)` a block 2.5, `Static.update` at 20 fps 3.4,
`Markdown` at 20 fps 4.1; `Markdown.get_stream` did not finish. So only the last block is parsed and
rendered again. What decides the worst case are the cuts within a block: `get_stream` takes 29 times
as long for one list of 4,000 tokens and 20 times as long for one fence. So a piece also ends at every
list item, after 24 lines of a fence and 40 of anything else, and after 4,096 characters.

What stays open (lists, quotes, a fence, a table, a paragraph) is put in front of the rest as a few
lines of Markdown that leave the parser in the same state, so the pieces are the same however the
text was split.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from enum import Enum, auto
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace
from rich.cells import cell_len

# With the first Markdown: its parser takes a quarter of what an empty chat takes to open.
if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.token import Token

MAX_PIECE_LENGTH = 4096
"""Characters."""
FENCE_LINES, BLOCK_LINES, PLAIN_LINES = 24, 40, 24
MAX_DEFINITION_LINES = 8
"""Lines of a link reference definition; without a limit its title could go on for the whole text."""
MAX_NESTING = 40
"""Levels of tokens, two for each list item; deeper markers are text. Markdown-it would drop the text."""
BULLETS = "•◦▪"
QUOTE_MARK = "▎ "
_TASK = r"\[([ xX])\][ \t]+"
_LANGUAGE_CHARACTERS = frozenset("+-.#_")
_SEGMENT = " " * 60 + "x"
"""Precedes a part of a long line in what is parsed: the parser shall see no marker at its start."""

# Characters that steer a terminal or the order of its text; what remains is a matter of width.
_CONTROL_CHARACTERS = (
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)

References = dict[str, dict[str, str]]
"""Link targets by their labels, as markdown-it keeps them."""
_Definition = tuple[int, str, dict[str, str]]
"""The line of a definition, its label and its target."""


class PieceKind(Enum):
    """The kinds of pieces."""

    NOTHING = auto()
    LABEL = auto()
    PLAIN = auto()
    PARAGRAPH = auto()
    HEADING = auto()
    CODE = auto()
    TABLE = auto()
    RULE = auto()


class Piece(Struct, frozen=True):
    """A run of source lines that is drawn by itself.

    `text` is the source without markers. `lead` has a pair for each list item and quote around it:
    what precedes the first row, and what precedes the others. `gap` is what an empty row in front of
    it begins with, None if there is no such row. `opens`: a block begins here, which is what a
    person moves by and copies. `begins`: it has the first line of its fence or table; `ends`: it
    has the last one. `head` is the text of the first part of a table: the other parts share its
    columns. `style` names the color of a label, which is a line of ours and no part of a text; its
    `text` stands beside it, if there is room.
    """

    source: str
    kind: PieceKind
    text: str = ""
    lead: tuple[tuple[str, str], ...] = ()
    gap: tuple[str, ...] | None = None
    level: int = 0
    language: str = ""
    opens: bool = True
    begins: bool = True
    ends: bool = True
    head: str = ""
    style: str = ""


class _Container(Struct, frozen=True):
    """A list item or a quote. `column` is that of an item's text in its quote, 0 for no text."""

    mark: str
    shown: str
    column: int = 0
    number: int = 0

    @property
    def is_quote(self) -> bool:
        return self.mark == ">"

    @property
    def rest(self) -> str:
        """Return the prefix of every row but the first."""
        return self.shown if self.is_quote else " " * cell_len(self.shown)


class _Open(Struct, frozen=True):
    """A container with the level of its token, and its line as long as no text of it has come."""

    container: _Container
    level: int
    start: int | None


class _Leaf(Struct):
    """A block without blocks in it; `texts` has one for each of its lines, None for its marks.

    `top` is the first line of what begins with it. `resume` are the lines that continue it after a cut. `gap` is what an empty row before it begins
    with; `needs_gap` if there is one even below a line of text.
    """

    kind: PieceKind
    start: int
    texts: list[str | None]
    containers: tuple[_Container, ...]
    lead: tuple[tuple[str, str], ...]
    resume: tuple[str, ...]
    gap: tuple[str, ...]
    needs_gap: bool
    opens: bool
    top: int
    is_final: bool
    continues: bool = False
    is_definition: bool = False
    level: int = 0
    language: str = ""
    ends: bool = True

    @property
    def end(self) -> int:
        return self.start + len(self.texts)


class _Part(Struct, frozen=True):
    """A piece with the line behind it and its leaf; `is_last` for the last one of a leaf.

    `skipped` are the lines before it that belong to no leaf.
    """

    skipped: Sequence[str]
    piece: Piece
    end: int
    leaf: _Leaf
    is_last: bool


_Rule = Callable[["StateBlock", int, int, bool], bool]


def _wrap_rule(name: str, rule: _Rule) -> _Rule:
    """Limit a rule, and let it leave in its first token what that lacks: columns, bare lines."""
    nests, has_lines = name in _NESTING_RULES, name in _RULES_OF_LINES

    def apply(state: "StateBlock", line: int, end: int, silent: bool) -> bool:  # noqa: FBT001
        if nests and state.level >= MAX_NESTING:
            return False
        count, last = len(state.tokens), state.lineMax
        if name == "reference":
            state.lineMax = min(last, line + MAX_DEFINITION_LINES)
        found = rule(state, line, end, silent)
        state.lineMax = last
        if found and not silent:
            meta = state.tokens[count].meta
            meta["indent"], meta["column"] = state.blkIndent, state.sCount[line]
            if has_lines:
                meta["lines"] = [
                    state.src[state.bMarks[at] + state.tShift[at] : state.eMarks[at]]
                    for at in range(line, state.line)
                ]
        return found

    return apply


_NESTING_RULES = {"list", "blockquote"}
_RULES_OF_LINES = {"paragraph", "lheading", "table", "reference"}


@cache
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    parser = MarkdownIt(
        "commonmark", {"html": False, "maxNesting": 2 * MAX_NESTING, "inline_definitions": True}
    )
    parser.enable("table").disable("html_block")
    ruler = parser.block.ruler
    chains = {
        name: ruler.getRules(name) for name in ("paragraph", "reference", "blockquote", "list")
    }
    for name, rule in zip(ruler.get_active_rules(), ruler.getRules(""), strict=True):
        alt = [chain for chain, rules in chains.items() if rule in rules]
        ruler.at(name, _wrap_rule(name, rule), {"alt": alt})
    return parser


def _open_lines(containers: Sequence[_Container], resume: Sequence[str]) -> list[str]:
    """The Markdown after which these containers are open, and in them what `resume` continues."""
    lines: list[str] = []
    before, column = "", 0
    for container in containers:
        if container.is_quote:
            before, column, marker = f"{before}{' ' * column}> ", 0, ""
        else:
            # An item without text may have been indented as far as it can be.
            width = container.column - column if container.column else 14
            is_bullet = container.mark in "-+*"
            digits = 0 if is_bullet else min(9, width - 2)
            # Up to three blanks may precede a marker, and up to four follow it.
            left = max(0, width - digits - 1 - 4) if container.column else 3
            marker = " " * (column + left) + "1".zfill(digits) * (not is_bullet) + container.mark
            marker, column = marker.ljust(container.column), container.column
        # An item without text ends at the first blank line.
        is_empty = not container.is_quote and not container.column
        lines += [before + marker] if is_empty else [f"{before}{marker}x", before.rstrip()]
    return [*lines, *(before + line for line in resume)]


def _walk(tokens: Sequence["Token"], offset: int, known: Sequence[_Container]) -> Iterator[_Leaf]:
    """The leaves in their order; the first `offset` lines are those that open the containers."""
    from markdown_it.token import Token

    stack: list[_Open] = []
    numbers: dict[int, int] = {}
    for token, following in pairwise((*tokens, Token("end", "", 0))):
        if token.map is None:
            continue
        start = token.map[0] - offset
        stack = [opened for opened in stack if opened.level < token.level]
        if token.type in {"bullet_list_open", "ordered_list_open"}:
            numbers.pop(token.level + 1, None)
        elif token.type in {"list_item_open", "blockquote_open"}:
            if start < 0:
                container = known[len(stack)]
            elif token.type == "blockquote_open":
                container = _Container(">", QUOTE_MARK)
            else:
                depth = [opened.container.is_quote for opened in reversed(stack)]
                bullet = BULLETS[min((*depth, True).index(True), len(BULLETS) - 1)]
                number = numbers.get(token.level, int(token.info or 1) - 1) + 1
                shown = f"{number}{token.markup} " if token.info else f"{bullet} "
                column = following.meta.get("indent", 0)
                container = _Container(token.markup, shown, column, number)
            numbers[token.level] = container.number
            stack.append(_Open(container, token.level, None if start < 0 else start))
        is_empty = token.type == "list_item_open" and following.type == "list_item_close"
        kind = PieceKind.PARAGRAPH if is_empty else _KINDS.get(token.type)
        if kind is None:
            continue
        leaf = _make_leaf(kind, token, start, stack, following.content)
        if leaf.end > 0:
            if leaf.start < 0:
                leaf.texts, leaf.start, leaf.continues = leaf.texts[-leaf.start :], 0, True
            stack = [replace(opened, start=None) for opened in stack]
            yield leaf


def _make_leaf(
    kind: PieceKind, token: "Token", start: int, stack: Sequence[_Open], content: str
) -> _Leaf:
    """The leaf that begins with a token at a line; `content` is that of the next token."""
    containers = tuple(opened.container for opened in stack)
    begun = [opened.start for opened in stack if opened.start is not None]
    known = len(stack) - len(begun)
    # An item begins on the line of its marker, a quote with its first text.
    new_items = zip(begun, containers[known:], strict=True)
    marked = [at for at, item in new_items if not item.is_quote]
    quotes = [at for at, item in enumerate(containers[:known], 1) if item.is_quote]
    marks = {item.mark for item in containers[known:]}
    has_marker = bool(marks - {">"})
    lead = [(new.shown if at >= known else new.rest, new.rest) for at, new in enumerate(containers)]
    meta, indent = token.meta, " " * token.meta.get("indent", 0)
    texts: list[str | None] = list(meta.get("lines", ())) or [None]
    first = min((start, *marked))
    leaf = _Leaf(
        kind,
        first,
        texts,
        containers,
        (),
        (f"{indent}x",),
        gap=tuple(rest for _, rest in lead[: max(quotes, default=0)]),
        needs_gap=kind is PieceKind.HEADING and ">" not in marks,
        opens=not quotes and (kind is PieceKind.CODE or not (known and has_marker)),
        top=min((start, *begun)),
        is_final=token.type not in {"list_item_open", "code_block"},
    )
    if token.type == "paragraph_open":
        task = re.match(_TASK, texts[0] or "")
        if task is not None and begun and containers[-1].mark in "-+*":
            box = "☐ " if task[1] == " " else "☑ "
            lead[-1] = (lead[-1][0] + box, lead[-1][1] + "  ")
            texts[0] = (texts[0] or "")[task.end() :]
    elif token.type == "heading_open":
        leaf.level = int(token.tag[1])
        leaf.texts = [content] if texts == [None] else [*texts[:-1], None]
    elif token.type == "fence":
        code = token.content.split("\n")[:-1]
        first_line, end = token.map or (0, 0)
        leaf.ends = leaf.is_final = end - first_line > len(code) + 1
        leaf.texts = [None, *code, *[None] * leaf.ends]
        leaf.language = _parse_language(token.info)
        leaf.resume = (f"{' ' * meta['column']}{token.markup}{token.info}",)
    elif token.type == "code_block":
        leaf.texts, leaf.resume = [*token.content.split("\n")[:-1]], (f"{indent}    x",)
    elif kind is PieceKind.TABLE:
        leaf.resume = tuple(indent + (text or "") for text in texts[:2])
    elif kind is PieceKind.NOTHING:
        leaf.texts, leaf.is_definition = [None] * len(texts), True
        if has_marker:
            leaf.kind = PieceKind.PARAGRAPH
        else:
            leaf.opens = False
    leaf.texts = [*[None] * (start - first), *leaf.texts]
    leaf.lead = tuple(lead)
    return leaf


_KINDS = {
    "paragraph_open": PieceKind.PARAGRAPH,
    "heading_open": PieceKind.HEADING,
    "fence": PieceKind.CODE,
    "code_block": PieceKind.CODE,
    "table_open": PieceKind.TABLE,
    "hr": PieceKind.RULE,
    "definition": PieceKind.NOTHING,
}


def _parse_language(info: str) -> str:
    word = info.strip(" \t{").partition(" ")[0].rstrip("}")
    return "".join(c for c in word[:24] if c.isalnum() or c in _LANGUAGE_CHARACTERS)


def replace_control_characters(text: str) -> str:
    """The text with each harmful character replaced by `�`, its line breaks and tabs kept."""
    return re.sub(_CONTROL_CHARACTERS, "\ufffd", text)


class StreamedText:
    """Deltas go in with `add`; `advance` cuts what has come since into pieces."""

    def __init__(self) -> None:
        self._deltas: list[str] = []
        self._lines: list[str] = []
        self._rest = ""
        self.references: References = {}
        self.tail_references: References = {}
        """The link reference definitions in the finished pieces, and in the others."""
        self._tail: list[Piece] = []
        # What precedes the lines that are not in finished pieces yet.
        self._containers: tuple[_Container, ...] = ()
        self._resume: tuple[str, ...] = ()
        self._part: Piece | None = None
        self._has_begun = self._is_blank = self._in_line = False

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
            self._lines.append(self._cut_line(line) + "\n")
        self._rest = self._cut_line(lines[-1])
        lines = [*self._lines, self._rest] if self._rest else self._lines.copy()
        parts, definitions = self._parse(lines)
        count = self._count_finished(parts)
        end = parts[count - 1].end if count else 0
        self._tail = list(_all_pieces(parts[count:]))
        self._tail += _empty_pieces("".join(lines[parts[-1].end if parts else 0 :]))
        self.tail_references = {label: target for at, label, target in definitions if at >= end}
        for at, label, target in definitions:
            if at < end:
                self.references.setdefault(label, target)
        if count:
            self._cut(parts, count)
        elif not parts and not self._resume and all(line.isspace() for line in self._lines):
            # A model that is stuck may send nothing but line breaks.
            self._lines = ["".join(self._lines)] if self._lines else []
        return list(_all_pieces(parts[:count]))

    def tail(self) -> list[Piece]:
        """Return the pieces after the finished ones, as if the text ended here."""
        return self._tail

    def take_pending_text(self) -> str:
        """Return the text received since the last `advance`."""
        text = "".join(self._deltas)
        self._deltas.clear()
        return text

    def _cut_line(self, line: str) -> str:
        """Take whole parts from a long line; returns what remains of it."""
        start = 0
        while len(line) - start > MAX_PIECE_LENGTH:
            blank = line.rfind(" ", start + MAX_PIECE_LENGTH // 2, start + MAX_PIECE_LENGTH)
            end = blank + 1 if blank >= 0 else start + MAX_PIECE_LENGTH
            self._lines.append(line[start:end])
            start = end
        return line[start:]

    def _count_finished(self, parts: Sequence[_Part]) -> int:
        """How many of the pieces no further text can change, neither lines nor the end of one."""
        complete = len(self._lines)
        # The last whole line may become the head of a table: what begins there is not known yet.
        unknown = (at for at, part in enumerate(parts) if part.leaf.start > complete - 2)
        first = next(unknown, len(parts))
        if not first:
            return 0
        leaf, last = parts[first - 1].leaf, first - 1
        following = parts[first].leaf.start if first < len(parts) else complete
        is_closed = leaf.kind is PieceKind.CODE or following > leaf.end
        if leaf.is_final and leaf.end + (leaf.kind is not PieceKind.CODE) <= complete and is_closed:
            return first
        below = parts[last - 1] if last else None
        if below is not None and below.end == leaf.start and below.leaf.is_definition:
            # A paragraph below a definition may become its title.
            return last - 1
        # An unfinished line may become the end of a fence or the underline of a heading; the last
        # whole one the head of a table, and then the paragraph ends before it.
        known = complete - (leaf.kind is PieceKind.PARAGRAPH)
        is_unsure = below is not None and below.leaf is leaf and below.end >= known
        return last - is_unsure

    def _cut(self, parts: Sequence[_Part], count: int) -> None:
        last = parts[count - 1]
        leaf = last.leaf
        self._in_line = not self._lines[last.end - 1].endswith("\n")
        del self._lines[: last.end]
        self._containers = leaf.containers
        self._resume, self._part = ((), None) if last.is_last else (leaf.resume, last.piece)
        self._has_begun |= any(part.leaf.kind is not PieceKind.NOTHING for part in parts[:count])
        self._is_blank = leaf.kind is PieceKind.NOTHING and last.piece.gap is not None

    def _parse(self, lines: Sequence[str]) -> tuple[list[_Part], list[_Definition]]:
        opened = _open_lines(self._containers, self._resume)
        fed = list(opened)
        in_line = self._in_line
        for line in lines:
            text = line.removesuffix("\n")
            fed.append(_SEGMENT + text if in_line else "" if "\n" in text else text)
            in_line = not line.endswith("\n")
        env: dict[str, Any] = {}
        tokens: list[Token] = []
        parser = _parser()
        parser.block.parse("\n".join(fed) + "\n", parser, env, tokens)
        parts: list[_Part] = []
        at, is_blank, has_begun = 0, self._is_blank, self._has_begun
        for leaf in _walk(tokens, len(opened), self._containers):
            is_blank |= leaf.top > at
            parts += self._split(leaf, lines, at, is_blank=is_blank, has_begun=has_begun)
            at = leaf.end
            if leaf.kind is not PieceKind.NOTHING:
                is_blank, has_begun = False, True
        return parts, [
            (found["map"][0] - len(opened), label, {"href": found["href"], "title": ""})
            for label, found in env.get("references", {}).items()
        ]

    def _split(
        self, leaf: _Leaf, lines: Sequence[str], at: int, *, is_blank: bool, has_begun: bool
    ) -> Iterator[_Part]:
        """The pieces of a leaf: the first one has the lines before it that belong to none."""
        limit = FENCE_LINES if leaf.kind is PieceKind.CODE else BLOCK_LINES
        cuts: list[int] = []
        begin, size = leaf.start, 0
        for number, text in enumerate(leaf.texts, leaf.start):
            is_segment = not lines[number - 1].endswith("\n") if number else self._in_line
            if is_segment and text is not None:
                leaf.texts[number - leaf.start] = text.partition("x")[2]
            full = number - begin >= limit or size >= MAX_PIECE_LENGTH
            if number > begin and text is not None and (full or is_segment):
                cuts.append(number)
                begin, size = number, 0
            size += len(lines[number])
        # The first part of a long heading was taken for a paragraph when it was finished.
        needs_gap = is_blank or (leaf.needs_gap and not cuts)
        before = self._part if leaf.continues else None
        for begin, end in zip((leaf.start, *cuts), (*cuts, leaf.end), strict=True):
            is_first, is_last = begin == leaf.start and not leaf.continues, end == leaf.end
            part = leaf.texts[begin - leaf.start : end - leaf.start]
            texts = [text for text in part if text is not None]
            lead, head = leaf.lead, ""
            if before is not None:
                lead = tuple((rest, rest) for _, rest in before.lead)
                head = before.head or before.text if leaf.kind is PieceKind.TABLE else ""
            kind, content = leaf.kind, "\n".join(texts).strip(" \t\n")
            if kind is PieceKind.CODE:
                content = "".join(f"{text}\n" for text in texts)
            elif kind is PieceKind.HEADING and not is_last:
                kind = PieceKind.PARAGRAPH
            before = Piece(
                "".join(lines[begin:end]),
                kind,
                content,
                lead,
                leaf.gap if is_first and has_begun and needs_gap else None,
                leaf.level if is_last else 0,
                leaf.language,
                opens=is_first and leaf.opens,
                begins=is_first,
                ends=leaf.ends and is_last,
                head=head,
            )
            yield _Part(lines[at:begin], before, end, leaf, is_last)
            at = end


def _all_pieces(parts: Sequence[_Part]) -> Iterator[Piece]:
    """The pieces of parts, with blank lines in the piece below them."""
    for part in parts:
        source = "".join(part.skipped)
        if source.strip():
            yield from _empty_pieces(source)
            yield part.piece
        else:
            yield replace(part.piece, source=source + part.piece.source) if source else part.piece


def _empty_pieces(source: str) -> Iterator[Piece]:
    lines = source.splitlines(keepends=True)
    for at in range(0, len(lines), BLOCK_LINES):
        yield Piece("".join(lines[at : at + BLOCK_LINES]), PieceKind.NOTHING, opens=False)


def split_plain_text(text: str, indent: int) -> list[Piece]:
    """A text as it was typed, in pieces of a few lines; they are one block."""
    lines = replace_control_characters(text).splitlines(keepends=True)
    lead = ((" " * indent, " " * indent),)
    return [
        Piece(source, PieceKind.PLAIN, source.removesuffix("\n"), lead, opens=at == 0)
        for at in range(0, len(lines), PLAIN_LINES)
        for source in ["".join(lines[at : at + PLAIN_LINES])]
    ]
