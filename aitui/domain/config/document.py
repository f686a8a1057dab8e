"""A config file as a tree of YAML nodes with their exact places, its models and macros.

`compose()` of ruamel.yaml gives the exact marks of every scalar, also under CRLF and a byte-order
mark, so text can be spliced there. Aliases lead to one and the same node.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, TypeAlias

from aitui.domain.llama_server import CONTEXT_SIZE, CommandLine
from aitui.domain.sanitize import sanitize_line
from aitui.errors import ConfigRefused

if TYPE_CHECKING:
    from ruamel.yaml.nodes import Node as RuamelNode


LARGEST_DOCUMENT = 1024 * 1024
MERGE_TAG = "tag:yaml.org,2002:merge"
_MOST_MERGED_KEYS = 100_000
# Errors of ruamel.yaml itself that it doesn't catch: over `%YAML 1.3`, for one.
_OTHER_REFUSALS = (AssertionError, AttributeError, LookupError, TypeError, ValueError)
_LINE_BREAK = re.compile(r"\r\n|[\r\n]")


@dataclass(frozen=True, slots=True, eq=False)
class YamlScalar:
    """One value. `style` is `|`, `>`, `'`, `"` or "" for plain; it is written `text[start:end]`."""

    value: str
    tag: str
    style: str
    anchor: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class YamlPair:
    """A key and its value. `aliased` is set if the value stands elsewhere, behind its anchor."""

    key: "Node"
    value: "Node"
    aliased: bool


@dataclass(frozen=True, slots=True, eq=False)
class YamlCollection:
    """A mapping's pairs or a sequence's items. `flow` is set for braces or brackets."""

    pairs: tuple[YamlPair, ...]
    items: tuple["Node", ...]
    mapping: bool
    flow: bool
    tag: str
    anchor: str
    start: int
    end: int


Node: TypeAlias = YamlScalar | YamlCollection


@dataclass(frozen=True, slots=True, eq=False)
class MappingEntry:
    """What a mapping has under one key, merged keys included.

    `anchor` names the merged mapping that the pair comes from, "" for the mapping's own pairs.
    """

    pair: YamlPair
    anchor: str

    @property
    def value(self) -> Node:
        """The value's node."""
        return self.pair.value


def read_tree(text: str) -> Node | None:
    """Parse one YAML document; None if it is empty.

    Raises ConfigRefused, with line and column, for what is no YAML, for duplicate keys, for an
    alias inside its own anchor, and for what is nested too deeply.
    """
    if len(text) > LARGEST_DOCUMENT:
        raise ConfigRefused(f"More than {LARGEST_DOCUMENT:,} characters are not read.")
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.reader import ReaderError

    yaml = YAML(typ="safe", pure=True)
    # Setting an anchor again is valid; the warning would be printed across the screen.
    yaml.composer.warn_double_anchors = False
    try:
        found = yaml.compose(text)
        return None if found is None else _TreeBuilder(text).node(found)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = " ".join(part for part in (error.context, error.problem) if part)
        raise invalid_yaml_error(
            text, mark.index if mark else 0, sanitize_line(words, 160)
        ) from error
    except ReaderError as error:
        raise invalid_yaml_error(
            text, error.position, "A character that YAML doesn't allow."
        ) from error
    except RecursionError as error:
        raise ConfigRefused("The config file is nested too deeply.") from error
    except (YAMLError, *_OTHER_REFUSALS) as error:
        raise ConfigRefused(
            "The config file isn't valid YAML.", why=sanitize_line(str(error), 160)
        ) from error


def invalid_yaml_error(text: str, index: int, why: str) -> ConfigRefused:
    """Return the error for a text that is no YAML from that index on."""
    line, column = LineIndex.of(text).position(index)
    return ConfigRefused(
        "The config file isn't valid YAML.",
        line=line,
        column=column,
        why=f"Line {line}, column {column}: {why}",
        remedy="Mend it in the editor (e).",
    )


@dataclass(frozen=True, slots=True)
class LineIndex:
    """Where the lines of a text start; LF, CR LF and CR end them."""

    starts: tuple[int, ...]

    @classmethod
    def of(cls, text: str) -> "LineIndex":
        """Find the lines of a text; a byte-order mark stands before the first one."""
        first = 1 if text.startswith("\ufeff") else 0
        return cls((first, *(found.end() for found in _LINE_BREAK.finditer(text))))

    def line(self, index: int) -> int:
        """Return the line of an index, from 1."""
        return max(1, bisect_right(self.starts, index))

    def position(self, index: int) -> tuple[int, int]:
        """Return line and column of an index, both from 1."""
        line = self.line(index)
        return line, max(0, index - self.starts[line - 1]) + 1


def scalar_text(node: Node | None) -> str | None:
    """Return the text of a scalar that isn't null, else None."""
    return node.value if isinstance(node, YamlScalar) and not node.tag.endswith(":null") else None


def is_mapping(node: Node | None) -> bool:
    """Whether the node is a mapping."""
    return isinstance(node, YamlCollection) and node.mapping


class MergedKeys:
    """The keys of mappings with those that `<<` merges; own keys win, then the first merged one.

    Raises ConfigRefused if merges repeat too often.
    """

    def __init__(self) -> None:
        self._known: dict[int, Mapping[str, MappingEntry]] = {}
        self._keys_left = _MOST_MERGED_KEYS

    def keys(self, node: Node | None) -> Mapping[str, MappingEntry]:
        """Return the entries of a mapping in the order of the text; none of anything else."""
        if not isinstance(node, YamlCollection) or not node.mapping:
            return {}
        known = self._known.get(id(node))
        if known is None:
            known = self._known[id(node)] = self._read(node)
        return known

    def _read(self, node: YamlCollection) -> Mapping[str, MappingEntry]:
        entries = {
            pair.key.value: MappingEntry(pair, "")
            for pair in node.pairs
            if isinstance(pair.key, YamlScalar) and pair.key.tag != MERGE_TAG
        }
        for source in _merge_sources(node):
            for name, entry in self.keys(source).items():
                anchor = source.anchor or entry.anchor
                entries.setdefault(name, MappingEntry(entry.pair, anchor))
                self._keys_left -= 1
                if self._keys_left < 0:
                    raise ConfigRefused("The config file merges the same keys too many times.")
        return entries


def _merge_sources(node: YamlCollection) -> Iterator[Node]:
    for pair in node.pairs:
        if isinstance(pair.key, YamlScalar) and pair.key.tag == MERGE_TAG:
            value = pair.value
            if isinstance(value, YamlCollection) and not value.mapping:
                yield from value.items
            else:
                yield value


class _TreeBuilder:
    """Turns the parser's nodes into ours, each one once, and checks its keys."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._built: dict[int, Node] = {}
        self._open: set[int] = set()

    def node(self, raw: "RuamelNode") -> Node:
        built = self._built.get(id(raw))
        if built is None:
            if id(raw) in self._open:
                raise invalid_yaml_error(
                    self._text, raw.start_mark.index, "An alias inside its own anchor."
                )
            self._open.add(id(raw))
            built = self._built[id(raw)] = self._build(raw)
            self._open.discard(id(raw))
        return built

    def _build(self, raw: "RuamelNode") -> Node:
        from ruamel.yaml.nodes import CollectionNode, MappingNode, ScalarNode

        start, end, anchor = raw.start_mark.index, raw.end_mark.index, raw.anchor or ""
        tag = str(raw.tag)
        if isinstance(raw, ScalarNode):
            return YamlScalar(str(raw.value), tag, raw.style or "", anchor, start, end)
        assert isinstance(raw, CollectionNode)
        flow = bool(raw.flow_style)
        if isinstance(raw, MappingNode):
            pairs = tuple(self._pair(key, value) for key, value in raw.value)
            # `compose()` accepts duplicate keys silently.
            self._refuse_duplicates(pairs)
            return YamlCollection(pairs, (), True, flow, tag, anchor, start, end)
        items = tuple(self.node(item) for item in raw.value)
        return YamlCollection((), items, False, flow, tag, anchor, start, end)

    def _pair(self, key: "RuamelNode", value: "RuamelNode") -> YamlPair:
        aliased = value.start_mark.index < key.start_mark.index
        return YamlPair(self.node(key), self.node(value), aliased)

    def _refuse_duplicates(self, pairs: tuple[YamlPair, ...]) -> None:
        seen: set[str] = set()
        for pair in pairs:
            if isinstance(pair.key, YamlScalar):
                if pair.key.value in seen:
                    name = sanitize_line(pair.key.value, 60)
                    raise invalid_yaml_error(
                        self._text, pair.key.start, f"“{name}” stands there twice."
                    )
                seen.add(pair.key.value)


MODEL_ID = "MODEL_ID"
REFERENCE = re.compile(r"\$\{([A-Za-z0-9_-]+)\}")
LONGEST_COMMAND = 64 * 1024

_SIMPLE_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class Macro:
    """A macro; `text` replaces its references. `node` is None for `MODEL_ID`."""

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
    """An expanded command; each character has its source and its index there."""

    text: str
    sources: tuple[CommandSource, ...]
    places: tuple[tuple[int, int], ...]

    def origin(self, start: int, end: int) -> SourceRange | None:
        """Return the one source that a range was taken from in one piece, else None."""
        places = self.places[start:end]
        if not places:
            return None
        source, first = places[0]
        if any(place != (source, first + step) for step, place in enumerate(places)):
            return None
        return SourceRange(self.sources[source], first, first + len(places))


def format_macro_value(node: YamlScalar) -> str:
    """Return a macro's value as it is in a command: numbers as Go prints them."""
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
    """Format a float64 as `%v`: the shortest digits, an exponent from 1e+06 on and below 1e-04."""
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
    """Return a command without the lines that begin with `#`."""
    if "#" not in command:
        return command
    return "\n".join(line for line in command.split("\n") if not line.strip().startswith("#"))


def expand(text: str, macros: Iterable[Macro]) -> str:
    """Expand the macros of a text, the last one first.

    Raises ConfigRefused if it grows beyond LONGEST_COMMAND characters.
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
    """Expand a command as `expand` does it, with the origin of every character."""
    sources = [CommandSource(command, command.value, "")]
    text, places = _strip_comment_lines(command.value)
    for macro in reversed(tuple(macros)):
        reference = "${" + macro.name + "}"
        at = text.find(reference)
        if at < 0:
            continue
        sources.append(CommandSource(macro.node, macro.text, macro.name))
        inserted = [(len(sources) - 1, offset) for offset in range(len(macro.text))]
        pieces: list[str] = []
        moved: list[tuple[int, int]] = []
        done = 0
        while at >= 0:
            pieces += (text[done:at], macro.text)
            moved += places[done:at]
            moved += inserted
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


_COLON = re.compile(r"\s*:")
_ALIAS = re.compile(r"\s*:?\s*\*[^\s,\[\]{}]+")
_CONTEXT_VARIABLE = "LLAMA_ARG_CTX_SIZE"


@dataclass(frozen=True, slots=True)
class ModelBlock:
    """An entry of `models`. Lines are counted from 1, the last one included."""

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
    """A config file that parses. `text` is the whole of it, with byte-order mark and line ends."""

    text: str
    models: tuple[ModelBlock, ...]
    lines: LineIndex = field(repr=False)
    root: Node = field(repr=False)
    entries: Mapping[str, ModelEntry] = field(repr=False)
    macros: tuple[Macro, ...] = field(repr=False)
    merged: MergedKeys = field(repr=False)

    @classmethod
    def read(cls, text: str) -> "ConfigDocument":
        """Parse a config file; call it in a thread, it takes 4 ms per KiB.

        Raises ConfigRefused, with line and column, for what isn't YAML, for duplicate keys, for
        anything but a mapping, and for what is nested or repeated too much.
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
        """Return the block of exactly that id. Raises ConfigRefused if there is none."""
        self.entry(model_id)
        return next(block for block in self.models if block.id == model_id)

    def entry(self, model_id: str) -> ModelEntry:
        """Return the nodes of exactly that id. Raises ConfigRefused if there is none."""
        entry = self.entries.get(model_id)
        if entry is None:
            raise ConfigRefused(
                f"The config file has no model “{sanitize_line(model_id, 80)}”.",
                remedy="Models of a peer are not in it.",
            )
        return entry

    def command(self, model_id: str) -> str:
        """Return the command with its macros expanded as llama-swap does; `${PORT}` stays."""
        node = self.command_node(model_id)
        if node is None:
            return ""
        return expand(remove_comment_lines(node.value), self.macros_of(model_id))

    def command_node(self, model_id: str) -> YamlScalar | None:
        """Return the scalar under `cmd`, None if there is none."""
        node = _value_node(self.entry(model_id).keys, "cmd")
        return node if isinstance(node, YamlScalar) and scalar_text(node) is not None else None

    def trace(self, model_id: str) -> ExpandedCommand | None:
        """Return the expanded command with the origin of each character, None if there is none."""
        node = self.command_node(model_id)
        return None if node is None else trace(node, self.macros_of(model_id))

    def macros_of(self, model_id: str) -> tuple[Macro, ...]:
        """Return the macros that a model's command is expanded with, in llama-swap's order."""
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
        """Return the scalars of the model's `env` list, each `NAME=VALUE`."""
        node = _value_node(self.entry(model_id).keys, "env")
        if not isinstance(node, YamlCollection) or node.mapping:
            return ()
        return tuple(item for item in node.items if isinstance(item, YamlScalar))

    def variable(self, model_id: str, name: str) -> YamlScalar | None:
        """Return the scalar that sets an environment variable, the last one of several."""
        found = None
        for item in self.environment(model_id):
            if name and item.value.startswith(f"{name}="):
                found = item
        return found

    def variables(self, model_id: str) -> dict[str, str]:
        """Return the model's environment with its macros expanded; the last of several counts."""
        macros = self.macros_of(model_id)
        pairs = (item.value.partition("=") for item in self.environment(model_id))
        return {name: expand(value, macros) for name, equals, value in pairs if equals}

    def context_size(self, model_id: str) -> int | None:
        """Return the tokens of the command's `--ctx-size`, else of `LLAMA_ARG_CTX_SIZE` in `env`."""
        command = CommandLine.read(self.command(model_id))
        if command.has(CONTEXT_SIZE):
            return command.context_size
        item = self.variable(model_id, _CONTEXT_VARIABLE)
        if item is None:
            return None
        value = item.value.partition("=")[2].strip()
        return CommandLine(("-c", value)).context_size


def content_end(text: str, node: Node) -> int:
    """Return where a node's own text ends: before the blank and comment lines that follow it."""
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
    """Return where the text of a key and its value ends."""
    if pair.aliased:
        alias = _ALIAS.match(text, pair.key.end)
        return alias.end() if alias else pair.key.end
    if pair.value.start == pair.value.end:
        return after_colon(text, pair)
    return content_end(text, pair.value)


def after_colon(text: str, pair: YamlPair) -> int:
    """Return the index behind a key's colon, where a missing value would start."""
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


LARGEST_FILE = 1024 * 1024


def decode_config(content: bytes) -> str:
    """Decode a file's text, its byte-order mark and line ends included.

    Raises ConfigRefused, with the line, for more than LARGEST_FILE bytes, for what isn't UTF-8, and
    for NUL.
    """
    if len(content) > LARGEST_FILE:
        raise ConfigRefused(
            f"The config file has {len(content):,} bytes.",
            why=f"More than {LARGEST_FILE:,} are not read.",
        )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigRefused(
            "The config file isn't UTF-8.",
            line=content.count(b"\n", 0, error.start) + 1,
            why=f"Byte 0x{content[error.start]:02x} at {error.start:,}.",
            remedy="Save it as UTF-8.",
        ) from error
    nul = text.find("\0")
    if nul >= 0:
        raise ConfigRefused(
            "The config file holds a NUL character.", line=text.count("\n", 0, nul) + 1
        )
    return text


def encode_config(text: str) -> bytes:
    """Encode a text that `decode_config` may have decoded.

    Raises ConfigRefused, with the line, for a lone surrogate, which no file can hold.
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ConfigRefused(
            "The text can't be written as UTF-8.", line=text.count("\n", 0, error.start) + 1
        ) from error
