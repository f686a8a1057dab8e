"""Values as words of a command that llama-swap splits like a shell."""

import re

from aitui.domain.clean import sanitize_line
from aitui.errors import ConfigRefused

LONGEST_VALUE = 4096

_SAFE = re.compile(r"[A-Za-z0-9._/:=,+@%~^{}\[\]()<>|&;?*!-]+")
_SAFE_INSIDE = {"'": re.compile(r"[^']*"), '"': re.compile(r'[^"\\]*')}
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")


def refuse_unwritable(value: str, line: int) -> None:
    """Raises ConfigRefused for what can't be a value: control characters, macros, a novel."""
    if len(value) > LONGEST_VALUE:
        raise ConfigRefused(f"A value has at most {LONGEST_VALUE:,} characters.", line=line)
    if _CONTROL_CHARACTERS.search(value):
        raise ConfigRefused(
            f"“{sanitize_line(value, 60)}” can't be a value.",
            line=line,
            why="It holds a line break or another control character.",
        )
    if "${" in value:
        raise ConfigRefused(
            f"“{sanitize_line(value, 60)}” names a macro.",
            line=line,
            remedy="Give the value itself, or change it in the editor (e).",
        )


def quote_word(value: str) -> str:
    """The value as one word: as it is where nothing in it splits, else in quotes."""
    if _SAFE.fullmatch(value):
        return value
    if "'" not in value:
        return f"'{value}'"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def fits_in_quotes(value: str, quote: str) -> bool:
    """Whether the value can stand between these quotes as it is; "" for none."""
    if not quote:
        return bool(_SAFE.fullmatch(value))
    return bool(value) and value == value.strip() and bool(_SAFE_INSIDE[quote].fullmatch(value))
