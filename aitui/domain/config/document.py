"""One config.yaml, read: its models, their commands, and where they stand in the text."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from aitui.domain import command_line
from aitui.domain.clean import sanitize_line
from aitui.domain.config.macros import (
    MODEL_ID,
    ExpandedCommand,
    Macro,
    expand,
    format_macro_value,
    trace,
)
from aitui.domain.config.macros import remove_comment_lines as _without_comments
from aitui.domain.config.tree import (
    LineIndex,
    MappingEntry,
    MergedKeys,
    Node,
    YamlCollection,
    YamlPair,
    YamlScalar,
    is_mapping,
    read_tree,
    scalar_text,
)
from aitui.errors import ConfigRefused

_COLON = re.compile(r"\s*:")
_ALIAS = re.compile(r"\s*:?\s*\*[^\s,\[\]{}]+")
_CONTEXT_VARIABLE = "LLAMA_ARG_CTX_SIZE"


@dataclass(frozen=True, slots=True)
class ModelBlock:
    """One entry of `models`. Lines are counted from 1, the last one included."""

    id: str
    first_line: int
    last_line: int
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model's nodes: its pair in `models`, and its keys with those that `<<` merges in."""

    id: str
    pair: YamlPair
    anchor: str
    keys: Mapping[str, MappingEntry]

    @property
    def key(self) -> YamlScalar:
        """The node of the id."""
        assert isinstance(self.pair.key, YamlScalar)
        return self.pair.key


@dataclass(frozen=True, slots=True)
class ConfigDocument:
    """A config file that parses. `text` is the whole of it, byte order mark and line ends too."""

    text: str
    models: tuple[ModelBlock, ...]
    lines: LineIndex = field(repr=False)
    root: Node = field(repr=False)
    entries: Mapping[str, ModelEntry] = field(repr=False)
    macros: tuple[Macro, ...] = field(repr=False)
    merged: MergedKeys = field(repr=False)

    @classmethod
    def read(cls, text: str) -> "ConfigDocument":
        """Parses a config file; call it in a thread, it takes 4 ms a KiB.

        Raises ConfigRefused, with line and column, for what isn't YAML, for duplicate keys, for
        anything but a mapping, and for what is nested or repeated beyond reason.
        """
        root = read_tree(text)
        if root is None or not is_mapping(root):
            raise ConfigRefused(
                "The config file holds no settings.", line=1, why="Its top is not a mapping."
            )
        lines = LineIndex.of(text)
        merged = MergedKeys()
        top = merged.keys(root)
        entries = {
            name: ModelEntry(name, entry.pair, entry.anchor, merged.keys(entry.value))
            for name, entry in merged.keys(_value_node(top, "models")).items()
        }
        return cls(
            text=text,
            models=_build_blocks(text, lines, entries),
            lines=lines,
            root=root,
            entries=entries,
            macros=_build_macros(merged, _value_node(top, "macros")),
            merged=merged,
        )

    def model(self, model_id: str) -> ModelBlock:
        """The block of exactly that id. Raises ConfigRefused where there is none."""
        self.entry(model_id)
        return next(block for block in self.models if block.id == model_id)

    def entry(self, model_id: str) -> ModelEntry:
        """The nodes of exactly that id. Raises ConfigRefused where there is none."""
        entry = self.entries.get(model_id)
        if entry is None:
            raise ConfigRefused(
                f"The config file has no model “{sanitize_line(model_id, 80)}”.",
                remedy="Models of a peer are not in it.",
            )
        return entry

    def command(self, model_id: str) -> str:
        """The command with its macros expanded as llama-swap does; `${PORT}` stays."""
        node = self.command_node(model_id)
        if node is None:
            return ""
        return expand(_without_comments(node.value), self.macros_of(model_id))

    def command_node(self, model_id: str) -> YamlScalar | None:
        """The scalar under `cmd`, None where there is none."""
        node = _value_node(self.entry(model_id).keys, "cmd")
        return node if isinstance(node, YamlScalar) and scalar_text(node) is not None else None

    def trace(self, model_id: str) -> ExpandedCommand | None:
        """The expanded command with the origin of each character, None where there is none."""
        node = self.command_node(model_id)
        return None if node is None else trace(node, self.macros_of(model_id))

    def macros_of(self, model_id: str) -> tuple[Macro, ...]:
        """The macros that a model's command is expanded with, in llama-swap's order."""
        entry = self.entry(model_id)
        macros = [Macro(MODEL_ID, model_id, None), *self.macros]
        place = {macro.name: index for index, macro in enumerate(macros)}
        for macro in _build_macros(self.merged, _value_node(entry.keys, "macros")):
            if macro.name in place:
                macros[place[macro.name]] = macro
            else:
                place[macro.name] = len(macros)
                macros.append(macro)
        return tuple(macros)

    def environment(self, model_id: str) -> tuple[YamlScalar, ...]:
        """The scalars of the model's `env` list, each `NAME=VALUE`."""
        node = _value_node(self.entry(model_id).keys, "env")
        if not isinstance(node, YamlCollection) or node.mapping:
            return ()
        return tuple(item for item in node.items if isinstance(item, YamlScalar))

    def variable(self, model_id: str, name: str) -> YamlScalar | None:
        """The scalar that sets an environment variable, the last one where there are several."""
        found = None
        for item in self.environment(model_id):
            if name and item.value.startswith(f"{name}="):
                found = item
        return found

    def variables(self, model_id: str) -> dict[str, str]:
        """The model's environment with its macros expanded; the last of several counts."""
        macros = self.macros_of(model_id)
        pairs = (item.value.partition("=") for item in self.environment(model_id))
        return {name: expand(value, macros) for name, equals, value in pairs if equals}

    def context_size(self, model_id: str) -> int | None:
        """Tokens of the command's `--ctx-size`, else of `LLAMA_ARG_CTX_SIZE` in `env`."""
        command = self.command(model_id)
        if command_line.has_flag(command, command_line.CONTEXT_SIZE):
            return command_line.context_size(command)
        item = self.variable(model_id, _CONTEXT_VARIABLE)
        if item is None:
            return None
        value = item.value.partition("=")[2].strip()
        return command_line.CommandLine(("-c", value)).context_size


def content_end(text: str, node: Node) -> int:
    """Where a node's own text ends: before the blank and comment lines that follow it."""
    if isinstance(node, YamlScalar):
        return node.start + len(text[node.start : node.end].rstrip())
    if not node.flow and node.mapping and node.pairs:
        return block_end(text, node.pairs[-1])
    inside = [item for item in node.items if node.start <= item.start < item.end <= node.end]
    if not node.flow and inside and inside[-1] is node.items[-1]:
        return content_end(text, inside[-1])
    lines = text[node.start : node.end].rstrip().split("\n")
    while len(lines) > 1 and lines[-1].lstrip()[:1] in {"", "#"}:
        lines.pop()
    return node.start + len("\n".join(lines).rstrip())


def block_end(text: str, pair: YamlPair) -> int:
    """Where the text of a key and its value ends."""
    if pair.aliased:
        alias = _ALIAS.match(text, pair.key.end)
        return alias.end() if alias else pair.key.end
    if pair.value.start == pair.value.end:
        return after_colon(text, pair)
    return content_end(text, pair.value)


def after_colon(text: str, pair: YamlPair) -> int:
    """The place behind a key's colon, where a value would start that isn't there."""
    colon = _COLON.match(text, pair.key.end)
    return colon.end() if colon else pair.key.end


def _build_blocks(
    text: str, lines: LineIndex, entries: Mapping[str, ModelEntry]
) -> tuple[ModelBlock, ...]:
    blocks: list[ModelBlock] = []
    for entry in entries.values():
        aliases = _value_node(entry.keys, "aliases")
        items = aliases.items if isinstance(aliases, YamlCollection) else ()
        blocks.append(
            ModelBlock(
                entry.id,
                lines.line(entry.key.start),
                lines.line(block_end(text, entry.pair)),
                tuple(name for item in items if (name := scalar_text(item))),
            )
        )
    return tuple(blocks)


def _build_macros(merged: MergedKeys, node: Node | None) -> tuple[Macro, ...]:
    return tuple(
        Macro(name, format_macro_value(entry.value), entry.value)
        for name, entry in merged.keys(node).items()
        if isinstance(entry.value, YamlScalar)
    )


def _value_node(keys: Mapping[str, MappingEntry], name: str) -> Node | None:
    entry = keys.get(name)
    return entry.value if entry else None
