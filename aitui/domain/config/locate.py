"""Where the value of a model's flag stands in a config file.

Marks are of a whole scalar; inside it ruamel gives no map back to the source. So the decoded text
is matched with its spelling, character by character. That works for `|`, `|2-`, `>-`, plain and
quoted scalars with their escapes and continuations; digits that are written as escapes are refused.
"""

import re
from collections.abc import Callable, Iterator
from enum import Enum

from msgspec import Struct

from aitui.domain.config.document import (
    ConfigDocument,
    ExpandedCommand,
    Macro,
    ModelEntry,
    expand,
    remove_comment_lines,
)
from aitui.domain.config.yaml_tree import LineIndex, Node, YamlScalar
from aitui.domain.llama_server import (
    CommandLine,
    Flag,
    FlagArity,
    FlagOccurrence,
    find_occurrence,
    flag_occurrences,
    launch,
    split_words,
)
from aitui.domain.sanitize import sanitize_line
from aitui.errors import Action, ConfigRefused

_BLANKS = " \t\r\n\x85\u2028\u2029\ufeff"
_PROPERTIES = re.compile(r"(?:(?:&[^\s,\[\]{}]+|!\S*)[ \t\r\n]+(?:#[^\r\n]*[\r\n]+[ \t\r\n]*)?)*")
_BLOCK_HEADER = re.compile(r"[|>][^\r\n]*(?:\r\n|[\r\n]|\Z)")
_DOUBLE = re.compile(
    r"\\(?:x(?P<x>[0-9A-Fa-f]{2})|u(?P<u>[0-9A-Fa-f]{4})|U(?P<U>[0-9A-Fa-f]{8})"
    r"|\r\n|(?P<one>.))|(?P<plain>[^\\])",
    re.DOTALL,
)
_SAME_WHEN_ESCAPED = '"\\/'
_ESCAPED_BLANKS = "tnNLP \t\r\n\x85\u2028\u2029"
_SHORT_ESCAPES = dict(zip("0abvfre_", "\0\a\b\v\f\r\x1b\xa0", strict=True))


class SourceMap(Struct, frozen=True):
    """The positions of a scalar's characters: that of number `n` is `text[starts[n]:ends[n]]`.

    They are −1 for blanks and line breaks. `escaped` holds those that are spelled as a number or a
    letter.
    """

    scalar: YamlScalar
    begin: int
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    escaped: frozenset[int]

    @classmethod
    def read(cls, text: str, scalar: YamlScalar) -> "SourceMap":
        """Match a scalar with its text. Raises ConfigRefused if they don't fit."""
        properties = _PROPERTIES.match(text, scalar.start, scalar.end)
        begin = properties.end() if properties else scalar.start
        raw = list(_iter_characters(text, scalar, begin))
        starts = [-1] * len(scalar.value)
        ends = [-1] * len(scalar.value)
        escaped: set[int] = set()
        at = 0
        for index, character in enumerate(scalar.value):
            if character in _BLANKS:
                continue
            if at >= len(raw) or raw[at][0] != character:
                raise _unclear_error(text, scalar)
            _, starts[index], ends[index], numbered = raw[at]
            if numbered:
                escaped.add(index)
            at += 1
        if at != len(raw):
            raise _unclear_error(text, scalar)
        return cls(scalar, begin, tuple(starts), tuple(ends), frozenset(escaped))

    def locate(self, text: str, start: int, end: int) -> tuple[int, int]:
        """Return where the characters `start` to `end` stand in the file.

        Raises ConfigRefused if one is spelled as an escape, or a blank stands at either end.
        """
        if self.escaped.intersection(range(start, end)):
            raise ConfigRefused(
                "The value contains escape sequences.",
                line=LineIndex.of(text).line(self.starts[start]),
                why="It is unclear which of them to replace.",
                remedy="Write it without escapes, in the editor.",
                action=Action.EDIT_CONFIG,
            )
        if start >= end or self.starts[start] < 0 or self.ends[end - 1] < 0:
            raise _unclear_error(text, self.scalar)
        return self.starts[start], self.ends[end - 1]


def escape_fragment(fragment: str, style: str) -> str:
    """Return a piece of text as it is written inside a scalar of a style."""
    if style == "'":
        return fragment.replace("'", "''")
    if style == '"':
        return fragment.replace("\\", "\\\\").replace('"', '\\"')
    return fragment


def _iter_characters(
    text: str, scalar: YamlScalar, begin: int
) -> Iterator[tuple[str, int, int, bool]]:
    """Yield the characters that aren't blank, their positions, and whether they are escapes."""
    if scalar.style == '"':
        yield from _iter_double_quoted(text, begin + 1, scalar.end - 1)
        return
    start, end = begin, scalar.end
    if scalar.style in {"|", ">"}:
        header = _BLOCK_HEADER.match(text, begin, end)
        start = header.end() if header else begin
    elif scalar.style == "'":
        start, end = begin + 1, end - 1
    at = start
    while at < end:
        size = 2 if scalar.style == "'" and text.startswith("''", at) else 1
        if text[at] not in _BLANKS:
            yield text[at], at, at + size, False
        at += size


def _iter_double_quoted(text: str, start: int, end: int) -> Iterator[tuple[str, int, int, bool]]:
    for found in _DOUBLE.finditer(text, start, end):
        plain, one = found["plain"], found["one"]
        if plain is not None:
            character, numbered = plain, False
        elif one is not None:
            numbered = one not in _SAME_WHEN_ESCAPED
            character = " " if one in _ESCAPED_BLANKS else _SHORT_ESCAPES.get(one, one)
        else:
            # A line break that is escaped has no code, and counts as a blank.
            code = int(found["x"] or found["u"] or found["U"] or "20", 16)
            character, numbered = chr(code) if code <= 0x10FFFF else "\ufffd", True
        if character not in _BLANKS:
            yield character, found.start(), found.end(), numbered


def _unclear_error(text: str, scalar: YamlScalar) -> ConfigRefused:
    return ConfigRefused(
        "The value can't be located in the file.",
        line=LineIndex.of(text).line(scalar.start),
        why="Its spelling can't be traced in the file.",
        remedy="Change it in the editor.",
        action=Action.EDIT_CONFIG,
    )


_MARKER = "\0"


class ValueSource(Enum):
    """The place in the file that a value comes from."""

    COMMAND = "command"
    MACRO = "macro"
    ANCHOR = "anchor"
    ENVIRONMENT = "environment"
    KEY = "key"


class LocatedValue(Struct, frozen=True):
    """The value that counts, the last one in the command, else the environment's.

    It is the range from `start` to `end` of one scalar's decoded text. `line` is counted from 1.
    `shared_name` is the macro or anchor that holds the value's text, "" if the model has it to
    itself; `also` are the ids of the other models that read the same text. `node` is None if the value comes from several places. `quote` are the quotes around
    the range, which stay; `prefix` goes before a new value, and `as_word` says whether that has to
    be one word of a command.
    """

    name: str
    text: str
    where: ValueSource
    line: int
    shared_name: str = ""
    also: tuple[str, ...] = ()
    node: YamlScalar | None = None
    start: int = 0
    end: int = 0
    quote: str = ""
    prefix: str = ""
    as_word: bool = True
    occurrence: FlagOccurrence | None = None


def locate_flag(document: ConfigDocument, model_id: str, flag: Flag) -> LocatedValue | None:
    """Find the value that counts. Raises ConfigRefused for a model that doesn't exist."""
    traced = document.trace(model_id)
    if traced is not None:
        if launch(traced.text, document.named).script is not None:
            return _locate_in_script(document, model_id, traced.text, flag)
        given = find_occurrence(traced.text, flag, document.named)
        if given is not None:
            return _locate_in_command(document, model_id, traced, given)
    return _locate_in_environment(document, model_id, flag)


def models_sharing_command(document: ConfigDocument, model_id: str) -> tuple[str, ...]:
    """Return the other models that have the very same text as their `cmd`."""
    node = document.command_node(model_id)
    return _other_models_where(
        document, model_id, lambda other: document.command_node(other) is node
    )


def _locate_in_command(
    document: ConfigDocument, model_id: str, traced: ExpandedCommand, given: FlagOccurrence
) -> LocatedValue:
    stretch = _value_range(traced.text, given)
    start, end, quote, prefix = stretch or (0, 0, "", "")
    origin = traced.origin(start, end)
    command = document.command_node(model_id)
    assert command is not None
    if origin is None or (node := origin.source.node) is None:
        line = document.lines.line(command.start)
        return locate_macro_reference(document, model_id, traced, given) or LocatedValue(
            given.name, given.value, ValueSource.COMMAND, line, occurrence=given
        )
    source = origin.source
    start, end = origin.start, origin.end
    if source.macro and source.text != node.value:
        # A number that Go prints in other digits than the file's: all of it or nothing.
        whole = (start, end) == (0, len(source.text))
        start, end = 0, len(node.value) if whole else 0
    name = given.flag_word.text.partition("=")[0]
    place = start, end, quote, prefix
    return _in_scalar(document, model_id, given, node, place, name=name, macro=source.macro)


def locate_macro_reference(
    document: ConfigDocument, model_id: str, traced: ExpandedCommand, given: FlagOccurrence
) -> LocatedValue | None:
    """Find the value in the command itself, as `${macro}`; None if it stands in a macro."""
    command = document.command_node(model_id)
    flag = traced.origin(given.flag_word.start, given.flag_word.start + 1)
    if command is None or flag is None or flag.source.macro:
        return None
    # The words before it may be a wrapper's: they aren't read as flags of llama-server.
    behind = tuple(word for word in split_words(command.value) if word.start >= flag.start)
    for own in flag_occurrences(behind, traced.text, document.named):
        if own.flag_word.start == flag.start and "${" in own.value:
            name = own.flag_word.text.partition("=")[0]
            place = _value_range(command.value, own)
            return place and _in_scalar(document, model_id, given, command, place, name=name)
    return None


def _in_scalar(
    document: ConfigDocument,
    model_id: str,
    given: FlagOccurrence,
    node: YamlScalar,
    place: tuple[int, int, str, str],
    *,
    name: str,
    macro: str = "",
) -> LocatedValue:
    """Return a value of a command that stands in one scalar, that of a macro if it is named."""
    start, end, *_ = place
    where, shared_name, also = ValueSource.COMMAND, "", models_sharing_command(document, model_id)
    if macro:
        where, shared_name = ValueSource.MACRO, sanitize_line(macro, 80)
        also = _other_models_where(
            document, model_id, lambda other: _uses_macro(document, other, node)
        )
    elif also:
        where, shared_name = ValueSource.ANCHOR, anchor_name(document.entry(model_id), "cmd")
    line = _line_number(document, node, start, end)
    return LocatedValue(
        name, given.value, where, line, shared_name, also, node, *place, occurrence=given
    )


def _locate_in_script(
    document: ConfigDocument, model_id: str, command: str, flag: Flag
) -> LocatedValue | None:
    value = CommandLine.read(command, document.named).value(flag.names)
    if value is None:
        return _locate_in_environment(document, model_id, flag)
    node = document.command_node(model_id)
    assert node is not None
    line = document.lines.line(node.start)
    return LocatedValue(flag.names[0], value, ValueSource.COMMAND, line)


def _value_range(text: str, given: FlagOccurrence) -> tuple[int, int, str, str] | None:
    """Return where a value stands in the command: start, end, its quotes, what goes before.

    None if quotes enclose the `=` too. For an empty value the `=` is written again, and the value
    after it.
    """
    word = given.value_word
    if word is None:
        last = given.flag_word
        return last.end - 1, last.end, "", text[last.end - 1 : last.end] + " "
    start = word.start
    raw = text[start : word.end]
    if given.has_equals_sign:
        name = word.text.partition("=")[0]
        if raw[:1] in {"'", '"'} and raw == raw[0] + word.text + raw[0]:
            start += len(name) + 2
            if given.value:
                return start, word.end - 1, raw[0], ""
            return start - 1, start, raw[0], "="
        if not raw.startswith(name + "="):
            return None
        start += len(name) + 1
        if not given.value and start == word.end:
            return start - 1, start, "", "="
        raw = text[start : word.end]
    quote, value = raw[:1], given.value
    inside = quote in {"'", '"'} and raw == quote + value + quote
    if not (inside and value and value == value.strip()):
        quote = ""
    return start + len(quote), word.end - len(quote), quote, ""


def _locate_in_environment(
    document: ConfigDocument, model_id: str, flag: Flag
) -> LocatedValue | None:
    if flag.takes not in {FlagArity.ONE, FlagArity.OPTIONAL}:
        return None
    item = document.variable(model_id, flag.environment)
    if item is None:
        return None
    also = _other_models_where(
        document, model_id, lambda other: item in document.environment(other)
    )
    name, _, value = item.value.partition("=")
    start, prefix = len(name) + 1, ""
    if not value.strip():
        start, prefix = start - 1, "="
    where, line = ValueSource.ENVIRONMENT, document.lines.line(item.start)
    shared_name = anchor_name(document.entry(model_id), "env") if also else ""
    place = start, len(item.value.rstrip()), "", prefix
    return LocatedValue(name, value, where, line, shared_name, also, item, *place, as_word=False)


def anchor_name(entry: ModelEntry, key: str) -> str:
    """Return the anchor through which a model has the value of a key, "" if there is none."""
    found = entry.keys.get(key)
    if found is None:
        return ""
    value: Node = found.value
    name = value.anchor or found.anchor or entry.pair.value.anchor or entry.anchor
    return sanitize_line(name, 80)


def _other_models_where(
    document: ConfigDocument, model_id: str, same: Callable[[str], bool]
) -> tuple[str, ...]:
    return tuple(other for other in document.entries if other != model_id and same(other))


def _uses_macro(document: ConfigDocument, model_id: str, node: YamlScalar) -> bool:
    command = document.command_node(model_id)
    macros = document.macros_of(model_id)
    if command is None or all(macro.node is not node for macro in macros):
        return False
    marked = (
        Macro(macro.name, _MARKER if macro.node is node else macro.text, macro.node)
        for macro in macros
    )
    return _MARKER in expand(remove_comment_lines(command.value), marked)


def _line_number(document: ConfigDocument, node: YamlScalar, start: int, end: int) -> int:
    try:
        place = SourceMap.read(document.text, node).locate(document.text, start, end)[0]
    except ConfigRefused as error:
        return error.line or document.lines.line(node.start)
    return document.lines.line(place)
