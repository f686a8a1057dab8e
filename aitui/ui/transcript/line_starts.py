"""What a line of Markdown begins with (https://spec.commonmark.org/0.31.2/, section 4 and 5)."""

import re

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
