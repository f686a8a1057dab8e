"""Code in inks, line by line, by the lexers of Pygments."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Token, _TokenType
from pygments.util import ClassNotFound

from aitui.ui.transcript.style import Run, TextStyle

CODE_STYLE = TextStyle("code-text", ground="code")
_HASH_COMMENT_LANGUAGES = frozenset(
    [
        "bash",
        "console",
        "docker",
        "dockerfile",
        "elixir",
        "fish",
        "ini",
        "julia",
        "makefile",
        "nix",
        "perl",
        "py",
        "python",
        "python3",
        "r",
        "rb",
        "ruby",
        "sh",
        "shell",
        "toml",
        "yaml",
        "yml",
        "zsh",
    ]
)
_DASH_COMMENT_LANGUAGES = frozenset(("haskell", "lua", "sql", "ada", "elm"))
_KEYWORDS = frozenset(
    [
        "abstract",
        "and",
        "as",
        "assert",
        "async",
        "await",
        "begin",
        "break",
        "case",
        "catch",
        "class",
        "const",
        "continue",
        "def",
        "default",
        "defer",
        "del",
        "do",
        "done",
        "echo",
        "elif",
        "else",
        "elsif",
        "end",
        "enum",
        "except",
        "export",
        "extends",
        "extern",
        "false",
        "fi",
        "final",
        "finally",
        "fn",
        "for",
        "foreach",
        "from",
        "func",
        "function",
        "go",
        "goto",
        "if",
        "impl",
        "implements",
        "import",
        "in",
        "interface",
        "is",
        "lambda",
        "let",
        "local",
        "loop",
        "match",
        "mod",
        "module",
        "mut",
        "namespace",
        "new",
        "nil",
        "none",
        "not",
        "null",
        "of",
        "or",
        "package",
        "pass",
        "private",
        "protected",
        "pub",
        "public",
        "raise",
        "ref",
        "return",
        "select",
        "self",
        "static",
        "struct",
        "super",
        "switch",
        "then",
        "this",
        "throw",
        "trait",
        "true",
        "try",
        "type",
        "typedef",
        "union",
        "unless",
        "until",
        "use",
        "using",
        "var",
        "void",
        "where",
        "while",
        "with",
        "yield",
        "None",
        "True",
        "False",
        "SELECT",
        "FROM",
        "WHERE",
        "AND",
        "OR",
        "NOT",
        "INSERT",
        "INTO",
        "VALUES",
        "UPDATE",
        "SET",
        "DELETE",
        "CREATE",
        "TABLE",
        "JOIN",
        "ON",
        "GROUP",
        "BY",
        "ORDER",
        "LIMIT",
        "AS",
        "NULL",
        "int",
        "float",
        "double",
        "char",
        "bool",
        "long",
    ]
)
_GROUP_PARTS = {
    "comment": CODE_STYLE._replace(part="code-comment"),
    "string": CODE_STYLE._replace(part="code-string"),
    "number": CODE_STYLE._replace(part="code-number"),
    "call": CODE_STYLE._replace(part="code-function"),
}
_KEYWORD_STYLE = CODE_STYLE._replace(part="code-keyword")


def highlight_quickly(line: str, language: str) -> list[Run]:
    """The runs of one line of code."""
    if not language or not line:
        return [(line, CODE_STYLE)] if line else []
    runs: list[Run] = []
    at = 0
    for match in _token_pattern(language.lower()).finditer(line):
        kind = match.lastgroup
        start, end = match.span()
        if at < start:
            runs.append((line[at:start], CODE_STYLE))
        runs.append((line[start:end], _GROUP_PARTS.get(kind or "", _KEYWORD_STYLE)))
        at = end
    if at < len(line):
        runs.append((line[at:], CODE_STYLE))
    return runs


@lru_cache(64)
def _token_pattern(language: str) -> re.Pattern[str]:
    if language in _HASH_COMMENT_LANGUAGES:
        comment = r"(?:(?<=\s)|^)#.*"
    elif language in _DASH_COMMENT_LANGUAGES:
        comment = r"--.*"
    else:
        comment = r"//.*|/\*.*?(?:\*/|$)"
    return re.compile(
        rf"(?P<comment>{comment})"
        r"|(?P<string>\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.)*')"
        r"|(?P<number>\b\d[\w.]*)"
        r"|(?P<word>\b(?:{words})\b)".replace("{words}", "|".join(sorted(_KEYWORDS)))
        + r"|(?P<call>\b[A-Za-z_]\w*(?=\())"
    )


MAX_LINE_LENGTH = 1000
"""Characters; lexers may take very long for a line that no person has written."""
_TOKEN_PARTS = {
    Token.Keyword: "code-keyword",
    Token.Operator.Word: "code-keyword",
    Token.Name.Function: "code-function",
    Token.Name.Class: "code-function",
    Token.Name.Tag: "code-keyword",
    Token.Name.Attribute: "code-function",
    Token.Name.Builtin: "code-function",
    Token.Name.Decorator: "code-function",
    Token.Literal.String: "code-string",
    Token.Literal.Number: "code-number",
    Token.Comment: "code-comment",
    Token.Generic.Deleted: "code-deleted",
    Token.Generic.Inserted: "code-string",
    Token.Generic.Heading: "code-keyword",
    Token.Generic.Subheading: "code-keyword",
}


def highlight_lines(lines: Sequence[str], language: str) -> Iterator[list[Run]]:
    """The runs of each line; plain ones where the language is unknown or a line too long."""
    lexer = find_lexer(language)
    if lexer is None or any(len(line) > MAX_LINE_LENGTH for line in lines):
        for line in lines:
            yield [(line, CODE_STYLE)] if line else []
        return
    rows = _tokenize_lines(lexer, "\n".join(lines))
    for line in lines:
        row = next(rows, [])
        # Lexers should pass all text on; where one doesn't, the code counts, not its colours.
        yield row if "".join(text for text, _ in row) == line else [(line, CODE_STYLE)]


def _tokenize_lines(lexer: Lexer, text: str) -> Iterator[list[Run]]:
    row: list[Run] = []
    for _, kind, value in lexer.get_tokens_unprocessed(text):
        ink = _token_style(kind)
        first, *others = value.split("\n")
        _append_text(row, first, ink)
        for part in others:
            yield row
            row = []
            _append_text(row, part, ink)
    yield row


def _append_text(row: list[Run], text: str, ink: TextStyle) -> None:
    if row and (row[-1][1] is ink or not text.strip()):
        row[-1] = (row[-1][0] + text, row[-1][1])
    elif text:
        row.append((text, ink))


@lru_cache(256)
def _token_style(kind: _TokenType) -> TextStyle:
    known: _TokenType | None = kind
    while known is not None:
        if known in _TOKEN_PARTS:
            return CODE_STYLE._replace(part=_TOKEN_PARTS[known])
        known = known.parent
    return CODE_STYLE


@lru_cache(64)
def find_lexer(language: str) -> Lexer | None:
    """The lexer of a language, None for one that is unknown or not named."""
    if not language:
        return None
    try:
        return get_lexer_by_name(language.lower())
    except ClassNotFound:
        return None
