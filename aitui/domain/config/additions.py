"""Text put into a config file where there was none, in the style of what stands around it."""

import re
from dataclasses import dataclass

from aitui.domain.command_line import split_words
from aitui.domain.config.document import ModelEntry, block_end
from aitui.domain.config.flags import is_flag
from aitui.domain.config.spelling import SourceMap, escape_fragment
from aitui.domain.config.tree import YamlCollection, YamlScalar
from aitui.errors import ConfigRefused

_ONE_STEP = "  "


@dataclass(frozen=True, slots=True)
class Splice:
    """`text[start:end]` makes way for `put_in`."""

    start: int
    end: int
    text: str

    def apply(self, text: str) -> str:
        """The text after it."""
        return text[: self.start] + self.text + text[self.end :]


def line_break(text: str) -> str:
    """What ends the lines of a text, by its first one."""
    first = text.find("\n")
    return "\r\n" if first > 0 and text[first - 1] == "\r" else "\n"


def word_insertion(text: str, command: YamlScalar, added: str) -> Splice:
    """Puts words behind the last one of a command.

    On a line of their own where the command has one flag a line, with a backslash where the others
    have one; else on the last word's line.
    """
    found = split_words(command.value)
    if not found:
        raise ConfigRefused("The command is empty.", remedy="Change it in the editor (e).")
    spelling = SourceMap.read(text, command)
    last = found[-1]
    end = spelling.locate(text, last.end - 1, last.end)[1]
    start = text.rfind("\n", 0, end) + 1
    before = text[start:end]
    content = before.lstrip(" \t")
    own_line = (
        start > command.start and sum(is_flag(word.text) for word in split_words(content)) == 1
    )
    fragment = escape_fragment(added, command.style)
    if not (own_line and content.startswith("-")):
        return Splice(end, end, " " + fragment)
    indentation = before[: len(before) - len(content)]
    ending = line_break(text)
    if _is_continued(text[end:]):
        return _insertion_after_backslash(text, end, ending + indentation + fragment)
    previous = text[:start].rstrip("\r\n").rpartition("\n")[2].rstrip()
    backslash = " \\" if previous.endswith("\\") else ""
    return Splice(end, end, backslash + ending + indentation + fragment)


def _is_continued(rest: str) -> bool:
    return rest.partition("\n")[0].strip() == "\\"


def _insertion_after_backslash(text: str, end: int, put_in: str) -> Splice:
    at = text.index("\\", end) + 1
    return Splice(at, at, put_in)


def key_insertion(
    text: str, entry: ModelEntry, key: str, raw: str, *, first: bool = False
) -> Splice:
    """Puts a key into a model's own mapping: at its end, or before its first key.

    `raw` is the value as the file shall have it, its further lines indented for a key at column 0.
    Raises ConfigRefused where the block is another model's, or empty.
    """
    mapping = entry.pair.value
    if entry.pair.aliased or not isinstance(mapping, YamlCollection) or not mapping.pairs:
        raise ConfigRefused(
            "The model has no block of its own.",
            why="All of it stands elsewhere.",
            remedy="Write one in the editor (e).",
        )
    ending = line_break(text)
    opening = mapping.pairs[0].key.start
    if mapping.flow:
        if "\n" in raw or "\r" in raw:
            raise ConfigRefused("A block doesn't go into braces.", remedy="Use the editor (e).")
        # In JSON keys are quoted.
        quote = text[opening] if text[opening] in {'"', "'"} else ""
        return Splice(opening, opening, f"{quote}{key}{quote}: {raw}, ")
    line_start = text.rfind("\n", 0, opening) + 1
    indentation = text[line_start:opening]
    lines = f"{key}: {raw}".split("\n")
    if indentation.strip(" \ufeff"):
        raise ConfigRefused(
            "The block starts in the middle of a line.", remedy="Use the editor (e)."
        )
    put_in = (ending + indentation).join(line.rstrip("\r") for line in lines)
    if first:
        return Splice(opening, opening, put_in + ending + indentation)
    at = end_of_line(text, block_end(text, entry.pair))
    return Splice(at, at, ending + indentation + put_in)


def end_of_line(text: str, at: int) -> int:
    """Where the line of a place ends, before its line break."""
    end = text.find("\n", at)
    if end < 0:
        return len(text)
    return end - 1 if text[end - 1] == "\r" else end


def copy_scalar(text: str, scalar: YamlScalar, begin: int) -> str:
    """A scalar as it is written, without anchor and tag, indented for a key at column 0.

    `begin` is where its own spelling starts, behind the anchor.
    """
    lines = text[begin : scalar.end].rstrip().replace("\r\n", "\n").split("\n")
    if len(lines) == 1:
        return lines[0]
    if scalar.style not in {"|", ">"}:
        return "\n".join([lines[0], *(_ONE_STEP + line.strip() for line in lines[1:])])
    body = [line for line in lines[1:] if line.strip()]
    depth = min((len(line) - len(line.lstrip(" ")) for line in body), default=0)
    # Indentation that is stated counts from the parent; the copy has only what it needs.
    header = re.sub("[0-9]", "", lines[0][:3]) + lines[0][3:]
    moved = (_ONE_STEP + line[depth:] if line.strip() else "" for line in lines[1:])
    return "\n".join([header, *moved])
