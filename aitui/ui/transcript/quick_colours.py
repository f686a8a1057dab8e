"""Colours for code that still streams in: a line at a time, by a look that any language allows.

A lexer of Pygments costs more than everything else of a frame together, so it has its turn once,
when the fence is complete.
"""

import re
from functools import lru_cache

from aitui.ui.transcript.inks import Run, TextStyle

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
