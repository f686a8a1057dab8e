"""Macros put into a command as llama-swap does it, and where each character came from.

llama-swap drops the comment lines of a command, then takes its macros from the last to the first:
the model's own, those of the file, `MODEL_ID`. A model's macro of a global one's name stands in
that one's place. So a macro may name those that were defined before it. (`internal/config/load.go`)
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from aitui.domain.clean import sanitize_line
from aitui.domain.config.tree import YamlScalar
from aitui.errors import ConfigRefused

MODEL_ID = "MODEL_ID"
REFERENCE = re.compile(r"\$\{([A-Za-z0-9_-]+)\}")
LONGEST_COMMAND = 64 * 1024

_SIMPLE_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class Macro:
    """One macro; `text` is what takes its place. `node` is None for `MODEL_ID`."""

    name: str
    text: str
    node: YamlScalar | None


@dataclass(frozen=True, slots=True)
class CommandSource:
    """A scalar that a command is put together from; `macro` is "" for the command itself."""

    node: YamlScalar | None
    text: str
    macro: str


@dataclass(frozen=True, slots=True)
class SourceRange:
    """The part `text[start:end]` of one source's decoded text."""

    source: CommandSource
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ExpandedCommand:
    """An expanded command; each character knows its source and its place there."""

    text: str
    sources: tuple[CommandSource, ...]
    places: tuple[tuple[int, int], ...]

    def origin(self, start: int, end: int) -> SourceRange | None:
        """The one source that a stretch was taken from in one piece; None where it wasn't."""
        places = self.places[start:end]
        if not places:
            return None
        source, first = places[0]
        if any(place != (source, first + step) for step, place in enumerate(places)):
            return None
        return SourceRange(self.sources[source], first, first + len(places))


def format_macro_value(node: YamlScalar) -> str:
    """What a macro's value looks like in a command: numbers as Go prints them."""
    if node.tag.endswith(":bool"):
        return node.value.lower()
    if node.tag.endswith(":int") and not _SIMPLE_INTEGER.fullmatch(node.value):
        try:
            return str(int(node.value.replace("_", ""), 0))
        except ValueError:
            return node.value
    if node.tag.endswith(":float"):
        return _go_float(node.value)
    return node.value


def _go_float(text: str) -> str:
    """`%v` of a float64: the shortest digits, with an exponent from 1e+06 on and below 1e-04."""
    try:
        number = Decimal(repr(float(text.replace("_", "")))).normalize()
    except (ValueError, InvalidOperation):
        return text
    if not number.is_finite():
        return text
    exponent = number.adjusted()
    if number and (exponent < -4 or exponent >= 6):
        digits = f"{number:E}".partition("E")[0]
        return f"{digits}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    return f"{number:f}"


def remove_comment_lines(command: str) -> str:
    """A command without the lines whose first character is `#`."""
    if "#" not in command:
        return command
    return "\n".join(line for line in command.split("\n") if not line.strip().startswith("#"))


def expand(text: str, macros: Iterable[Macro]) -> str:
    """A text with its macros put in, the last one first.

    Raises ConfigRefused where it grows beyond LONGEST characters.
    """
    for macro in reversed(tuple(macros)):
        reference = "${" + macro.name + "}"
        count = text.count(reference)
        if count:
            if len(text) + count * (len(macro.text) - len(reference)) > LONGEST_COMMAND:
                raise _too_long_error(macro)
            text = text.replace(reference, macro.text)
    return text


def trace(command: YamlScalar, macros: Iterable[Macro]) -> ExpandedCommand:
    """A command expanded as `expand` does it, with the origin of every character."""
    sources = [CommandSource(command, command.value, "")]
    text, places = _strip_comment_lines(command.value)
    for macro in reversed(tuple(macros)):
        reference = "${" + macro.name + "}"
        at = text.find(reference)
        if at < 0:
            continue
        sources.append(CommandSource(macro.node, macro.text, macro.name))
        put_in = [(len(sources) - 1, offset) for offset in range(len(macro.text))]
        pieces: list[str] = []
        moved: list[tuple[int, int]] = []
        done = 0
        while at >= 0:
            pieces += (text[done:at], macro.text)
            moved += places[done:at]
            moved += put_in
            if len(moved) > LONGEST_COMMAND:
                raise _too_long_error(macro)
            done = at + len(reference)
            at = text.find(reference, done)
        text = "".join(pieces) + text[done:]
        places = moved + places[done:]
    return ExpandedCommand(text, tuple(sources), tuple(places))


def _strip_comment_lines(command: str) -> tuple[str, list[tuple[int, int]]]:
    kept: list[str] = []
    places: list[tuple[int, int]] = []
    start = 0
    for line in command.split("\n"):
        if not line.strip().startswith("#"):
            if kept:
                places.append((0, start - 1))
            kept.append(line)
            places += ((0, start + offset) for offset in range(len(line)))
        start += len(line) + 1
    return "\n".join(kept), places


def _too_long_error(macro: Macro) -> ConfigRefused:
    return ConfigRefused(
        "A command grows beyond all measure when its macros are put in.",
        why=f"More than {LONGEST_COMMAND:,} characters, at “{sanitize_line(macro.name, 60)}”.",
    )
