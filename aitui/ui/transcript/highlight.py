"""Code in color, line by line, by the lexers of Pygments."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec.structs import replace

from aitui.ui.transcript.rows import CODE_STYLE, Run, TextStyle

if TYPE_CHECKING:
    from pygments.lexer import Lexer
    from pygments.token import _TokenType

MAX_LINE_LENGTH = 1000
"""Characters; lexers may take very long for a line that no person has written."""
_TOKEN_PARTS = {
    "Token.Keyword": "code-keyword",
    "Token.Operator.Word": "code-keyword",
    "Token.Name.Function": "code-function",
    "Token.Name.Class": "code-function",
    "Token.Name.Tag": "code-keyword",
    "Token.Name.Attribute": "code-function",
    "Token.Name.Builtin": "code-function",
    "Token.Name.Decorator": "code-function",
    "Token.Literal.String": "code-string",
    "Token.Literal.Number": "code-number",
    "Token.Comment": "code-comment",
    "Token.Generic.Deleted": "code-deleted",
    "Token.Generic.Inserted": "code-string",
    "Token.Generic.Heading": "code-keyword",
    "Token.Generic.Subheading": "code-keyword",
}


def highlight_lines(lines: Sequence[str], language: str) -> Iterator[list[Run]]:
    """The runs of each line; plain ones if the language is unknown or a line too long."""
    lexer = find_lexer(language)
    if lexer is None or any(len(line) > MAX_LINE_LENGTH for line in lines):
        for line in lines:
            yield [(line, CODE_STYLE)] if line else []
        return
    rows = _tokenize_lines(lexer, "\n".join(lines))
    for line in lines:
        row = next(rows, [])
        # Lexers should pass all text on; if one doesn't, the code counts, not its colors.
        yield row if "".join(text for text, _ in row) == line else [(line, CODE_STYLE)]


def _tokenize_lines(lexer: "Lexer", text: str) -> Iterator[list[Run]]:
    row: list[Run] = []
    for _, kind, value in lexer.get_tokens_unprocessed(text):
        style = _token_style(kind)
        first, *others = value.split("\n")
        _append_text(row, first, style)
        for part in others:
            yield row
            row = []
            _append_text(row, part, style)
    yield row


def _append_text(row: list[Run], text: str, style: TextStyle) -> None:
    if row and (row[-1][1] is style or not text.strip()):
        row[-1] = (row[-1][0] + text, row[-1][1])
    elif text:
        row.append((text, style))


@lru_cache(256)
def _token_style(kind: "_TokenType") -> TextStyle:
    known: _TokenType | None = kind
    while known is not None:
        if (part := _TOKEN_PARTS.get(str(known))) is not None:
            return replace(CODE_STYLE, part=part)
        known = known.parent
    return CODE_STYLE


@lru_cache(64)
def find_lexer(language: str) -> "Lexer | None":
    """The lexer of a language, None for one that is unknown or not named."""
    if not language:
        return None
    # Its table of lexers takes 41 ms: it is imported for the first fence that is shown.
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        return get_lexer_by_name(language.lower())
    except ClassNotFound:
        return None
