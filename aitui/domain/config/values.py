"""Where a model's flag has its value from."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from aitui.domain.clean import sanitize_line
from aitui.domain.command_line import CommandWord, flag_value, launch, split_words
from aitui.domain.config.document import ConfigDocument, ModelEntry
from aitui.domain.config.flags import (
    Flag,
    FlagArity,
    FlagOccurrence,
    find_flag,
    find_occurrence,
    flag_occurrences,
)
from aitui.domain.config.macros import (
    CommandSource,
    ExpandedCommand,
    Macro,
    expand,
    remove_comment_lines,
)
from aitui.domain.config.spelling import SourceMap
from aitui.domain.config.tree import Node, YamlScalar
from aitui.errors import ConfigRefused

_MARKER = "\0"


class ValueSource(Enum):
    """The place in the file that a value comes from."""

    COMMAND = "command"
    MACRO = "macro"
    ANCHOR = "anchor"
    ENVIRONMENT = "environment"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class FlagValue:
    """The value that counts: the last one in the command, else the environment's.

    `line` is counted from 1. `shared_name` is the macro or anchor whose text holds it, "" where
    the model has it to itself; `also` are the ids of the other models that read the same text.
    """

    text: str
    where: ValueSource
    line: int
    shared_name: str = ""
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LocatedValue:
    """A flag's value as a stretch of one scalar's decoded text.

    `node` is None where the value is put together from several places. `quote` are the quotes that
    stay around the stretch; `prefix` goes before a new value, and `as_word` says whether it has to
    be one word of a command.
    """

    name: str
    text: str
    where: ValueSource
    line: int
    shared_name: str
    also: tuple[str, ...]
    node: YamlScalar | None
    start: int = 0
    end: int = 0
    quote: str = ""
    prefix: str = ""
    as_word: bool = True
    occurrence: FlagOccurrence | None = None


def current_value(document: ConfigDocument, model_id: str, flag: str) -> FlagValue | None:
    """The value of a flag by any of its spellings, or of its environment variable.

    None where the config doesn't say. Raises ConfigRefused for a model that isn't there.
    """
    found = locate_flag(document, model_id, find_flag(flag))
    if found is None:
        return None
    return FlagValue(found.text, found.where, found.line, found.shared_name, found.also)


def locate_flag(document: ConfigDocument, model_id: str, flag: Flag) -> LocatedValue | None:
    """The value that counts, and its place. Raises ConfigRefused as `current_value` does."""
    traced = document.trace(model_id)
    if traced is not None:
        if launch(traced.text).script is not None:
            return _locate_in_script(document, model_id, traced.text, flag)
        given = find_occurrence(traced.text, flag)
        if given is not None:
            return _locate_in_command(document, model_id, traced, given)
    return _locate_in_environment(document, model_id, flag)


def models_sharing_command(document: ConfigDocument, model_id: str) -> tuple[str, ...]:
    """The other models whose `cmd` is the very same text."""
    node = document.command_node(model_id)
    return _other_models_where(
        document, model_id, lambda other: document.command_node(other) is node
    )


def command_anchor_name(document: ConfigDocument, model_id: str) -> str:
    """The anchor through which a model has its `cmd`, "" where none is named."""
    return _anchor_name(document.entry(model_id), "cmd")


def models_using_macro(
    document: ConfigDocument, model_id: str, node: YamlScalar
) -> tuple[str, ...]:
    """The other models that a macro's text reaches."""
    return _other_models_where(document, model_id, lambda other: _uses_macro(document, other, node))


def _locate_in_command(
    document: ConfigDocument, model_id: str, traced: ExpandedCommand, given: FlagOccurrence
) -> LocatedValue:
    stretch = _value_range(traced.text, given)
    start, end, quote, prefix = stretch or (0, 0, "", "")
    origin = traced.origin(start, end)
    command = document.command_node(model_id)
    assert command is not None
    if origin is None or (node := origin.source.node) is None:
        return locate_macro_reference(document, model_id, traced, given) or LocatedValue(
            name=given.name,
            text=given.value,
            where=ValueSource.COMMAND,
            line=document.lines.line(command.start),
            shared_name="",
            also=(),
            node=None,
            occurrence=given,
        )
    source = origin.source
    start, end = origin.start, origin.end
    if source.macro and source.text != node.value:
        # A number that Go prints in other digits than the file's: all of it or nothing.
        whole = (start, end) == (0, len(source.text))
        start, end = 0, len(node.value) if whole else 0
    where, shared_name, also = _sharing(document, model_id, source, node)
    line = _line_number(document, node, start, end)
    return LocatedValue(
        name=given.flag_word.text.partition("=")[0],
        text=given.value,
        where=where,
        line=line,
        shared_name=shared_name,
        also=also,
        node=node,
        start=start,
        end=end,
        quote=quote,
        prefix=prefix,
        occurrence=given,
    )


def locate_macro_reference(
    document: ConfigDocument, model_id: str, traced: ExpandedCommand, given: FlagOccurrence
) -> LocatedValue | None:
    """The value as the command itself has it, `${macro}` and all; None where a macro holds it."""
    command = document.command_node(model_id)
    flag = traced.origin(given.flag_word.start, given.flag_word.start + 1)
    if command is None or flag is None or flag.source.macro:
        return None
    # What stands before it may be a wrapper's, and isn't read as flags of llama-server.
    behind = tuple(word for word in split_words(command.value) if word.start >= flag.start)
    for own in flag_occurrences(behind):
        if own.flag_word.start == flag.start and "${" in own.value:
            stretch = _value_range(command.value, own)
            if stretch is None:
                return None
            start, end, quote, prefix = stretch
            also = models_sharing_command(document, model_id)
            return LocatedValue(
                name=own.flag_word.text.partition("=")[0],
                text=given.value,
                where=ValueSource.ANCHOR if also else ValueSource.COMMAND,
                line=_line_number(document, command, start, end),
                shared_name=command_anchor_name(document, model_id) if also else "",
                also=also,
                node=command,
                start=start,
                end=end,
                quote=quote,
                prefix=prefix,
                occurrence=given,
            )
    return None


def _locate_in_script(
    document: ConfigDocument, model_id: str, command: str, flag: Flag
) -> LocatedValue | None:
    value = flag_value(command, flag.names)
    if value is None:
        return _locate_in_environment(document, model_id, flag)
    node = document.command_node(model_id)
    assert node is not None
    line = document.lines.line(node.start)
    return LocatedValue(flag.names[0], value, ValueSource.COMMAND, line, "", (), None)


def _sharing(
    document: ConfigDocument, model_id: str, source: CommandSource, node: YamlScalar
) -> tuple[ValueSource, str, tuple[str, ...]]:
    if source.macro:
        return (
            ValueSource.MACRO,
            sanitize_line(source.macro, 80),
            models_using_macro(document, model_id, node),
        )
    also = models_sharing_command(document, model_id)
    if also:
        return ValueSource.ANCHOR, command_anchor_name(document, model_id), also
    return ValueSource.COMMAND, "", ()


def _value_range(text: str, given: FlagOccurrence) -> tuple[int, int, str, str] | None:
    """Where the value stands in the command: start, end, the quotes around it, what goes before.

    None where quotes run across the `=`.
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
            return (
                (start, word.end - 1, raw[0], "")
                if given.value
                else _range_after_equals(start, raw[0])
            )
        if not raw.startswith(name + "="):
            return None
        start += len(name) + 1
        if not given.value and start == word.end:
            return _range_after_equals(start, "")
    return _range_inside_quotes(text, word, start, given.value)


def _range_after_equals(start: int, quote: str) -> tuple[int, int, str, str]:
    """An empty value behind its `=`: the sign is written again, and the value after it."""
    return start - 1, start, quote, "="


def _range_inside_quotes(
    text: str, word: CommandWord, start: int, value: str
) -> tuple[int, int, str, str]:
    raw = text[start : word.end]
    quote = raw[:1]
    inside = quote in {"'", '"'} and raw == quote + value + quote
    if inside and value and value == value.strip():
        return start + 1, word.end - 1, quote, ""
    return start, word.end, "", ""


def _locate_in_environment(
    document: ConfigDocument, model_id: str, flag: Flag
) -> LocatedValue | None:
    if flag.takes not in {FlagArity.ONE, FlagArity.OPTIONAL}:
        return None
    item = document.variable(model_id, flag.environment)
    if item is None:
        return None
    also = _other_models_where(
        document, model_id, lambda other: any(item is node for node in document.environment(other))
    )
    name, _, value = item.value.partition("=")
    start, prefix = len(name) + 1, ""
    if not value.strip():
        start, prefix = start - 1, "="
    return LocatedValue(
        name=name,
        text=value,
        where=ValueSource.ENVIRONMENT,
        line=document.lines.line(item.start),
        shared_name=_anchor_name(document.entry(model_id), "env") if also else "",
        also=also,
        node=item,
        start=start,
        end=len(item.value.rstrip()),
        prefix=prefix,
        as_word=False,
    )


def _anchor_name(entry: ModelEntry, key: str) -> str:
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
