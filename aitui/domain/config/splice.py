"""Insert text into a config file and leave everything around it unchanged."""

import re

from msgspec import Struct

from aitui.domain.config.document import ModelEntry
from aitui.domain.config.locate import SourceMap, escape_fragment
from aitui.domain.config.yaml_tree import YamlCollection, YamlScalar, block_end
from aitui.domain.llama_server import is_flag, split_words
from aitui.errors import Action, ConfigRefused

_INDENTATION = "  "
# Without quotes these are no texts, in YAML 1.1 or in 1.2.
_OTHER_TYPES = re.compile(r"(?i:true|false|null|yes|no|on|off|y|n)")


class Splice(Struct, frozen=True):
    """`text[start:end]` is replaced by `replacement`."""

    start: int
    end: int
    replacement: str

    def apply(self, text: str) -> str:
        """Return the text after the replacement."""
        return text[: self.start] + self.replacement + text[self.end :]


def line_break(text: str) -> str:
    """Return the line break of a text, by its first line."""
    first = text.find("\n")
    return "\r\n" if first > 0 and text[first - 1] == "\r" else "\n"


def word_insertion(text: str, command: YamlScalar, added: str) -> Splice:
    """Put words behind the last one of a command.

    They get a line of their own if the command has one flag per line, with a backslash if the
    others have one.
    """
    found = split_words(command.value)
    if not found:
        raise ConfigRefused(
            "The command is empty.", remedy="Change it in the editor.", action=Action.EDIT_CONFIG
        )
    source_map = SourceMap.read(text, command)
    last = found[-1]
    end = source_map.locate(text, last.end - 1, last.end)[1]
    start = text.rfind("\n", 0, end) + 1
    before = text[start:end]
    content = before.lstrip(" \t")
    flags = sum(is_flag(word.text) for word in split_words(content))
    own_line = start > command.start and flags == 1
    fragment = escape_fragment(added, command.style)
    if not (own_line and content.startswith("-")):
        return Splice(end, end, " " + fragment)
    indentation = before[: len(before) - len(content)]
    ending = line_break(text)
    if text[end:].partition("\n")[0].strip() == "\\":
        at = text.index("\\", end) + 1
        return Splice(at, at, ending + indentation + fragment)
    previous = text[:start].rstrip("\r\n").rpartition("\n")[2].rstrip()
    backslash = " \\" if previous.endswith("\\") else ""
    return Splice(end, end, backslash + ending + indentation + fragment)


def key_insertion(
    text: str, entry: ModelEntry, key: str, raw: str, *, first: bool = False
) -> Splice:
    """Put a key into a model's own mapping, at its end or before its first key.

    `raw` is the value as YAML, its further lines indented for a key at column 0. Raises
    ConfigRefused if the block is another model's, or empty.
    """
    mapping = entry.pair.value
    if entry.pair.aliased or not isinstance(mapping, YamlCollection) or not mapping.pairs:
        raise ConfigRefused(
            "The model has no block of its own.",
            why="All of it is defined elsewhere.",
            remedy="Write one in the editor.",
            action=Action.EDIT_CONFIG,
        )
    ending = line_break(text)
    opening = mapping.pairs[0].key.start
    if mapping.flow:
        if "\n" in raw or "\r" in raw:
            raise ConfigRefused(
                "A block can't be added inside braces.",
                remedy="Use the editor.",
                action=Action.EDIT_CONFIG,
            )
        # In JSON keys are quoted.
        quote = text[opening] if text[opening] in {'"', "'"} else ""
        return Splice(opening, opening, f"{quote}{key}{quote}: {raw}, ")
    line_start = text.rfind("\n", 0, opening) + 1
    indentation = text[line_start:opening]
    lines = f"{key}: {raw}".split("\n")
    if indentation.strip(" \ufeff"):
        what = "The block starts in the middle of a line."
        raise ConfigRefused(what, remedy="Use the editor.", action=Action.EDIT_CONFIG)
    insertion = (ending + indentation).join(line.rstrip("\r") for line in lines)
    if first:
        return Splice(opening, opening, insertion + ending + indentation)
    at = end_of_line(text, block_end(text, entry.pair))
    return Splice(at, at, ending + indentation + insertion)


def end_of_line(text: str, at: int) -> int:
    """Return where the line of a position ends, before its line break."""
    end = text.find("\n", at)
    if end < 0:
        return len(text)
    return end - 1 if text[end - 1] == "\r" else end


def write_text(text: str, plain: re.Pattern[str]) -> str:
    """Write a text as a YAML scalar: in quotes unless it matches `plain` and stays a text."""
    if plain.fullmatch(text) and not _OTHER_TYPES.fullmatch(text):
        return text
    return '"' + escape_fragment(text, '"') + '"'


def copy_scalar(text: str, scalar: YamlScalar, begin: int) -> str:
    """Return a scalar's own text without anchor and tag, indented for a key at column 0.

    `begin` is where the text starts, behind the anchor.
    """
    lines = text[begin : scalar.end].rstrip().replace("\r\n", "\n").split("\n")
    if len(lines) == 1:
        return lines[0]
    if scalar.style not in {"|", ">"}:
        return "\n".join([lines[0], *(_INDENTATION + line.strip() for line in lines[1:])])
    body = [line for line in lines[1:] if line.strip()]
    depth = min((len(line) - len(line.lstrip(" ")) for line in body), default=0)
    # An indentation indicator counts from the parent; the copy has only what it needs.
    header = re.sub("[0-9]", "", lines[0][:3]) + lines[0][3:]
    moved = (_INDENTATION + line[depth:] if line.strip() else "" for line in lines[1:])
    return "\n".join([header, *moved])
