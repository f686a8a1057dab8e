"""A config file: its models, with their commands as llama-swap expands them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from decimal import Decimal, InvalidOperation

from msgspec import Struct

from aitui.domain.config.yaml_tree import (
    LARGEST_FILE,
    LineIndex,
    MappingEntry,
    MergedKeys,
    Node,
    YamlCollection,
    YamlPair,
    YamlScalar,
    block_end,
    is_mapping,
    read_tree,
    scalar_text,
)
from aitui.domain.launch import NO_NAMES, NamedServers
from aitui.domain.llama_server import CONTEXT_SIZE, CommandLine
from aitui.domain.sanitize import sanitize_line
from aitui.domain.suggest import nearest
from aitui.errors import ConfigRefused

MODEL_ID = "MODEL_ID"
REFERENCE = re.compile(r"\$\{([A-Za-z0-9_-]+)\}")
LONGEST_COMMAND = 64 * 1024

_SIMPLE_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")


class Macro(Struct, frozen=True):
    """A macro; `text` replaces its references. `node` is None for `MODEL_ID`."""

    name: str
    text: str
    node: YamlScalar | None


class CommandSource(Struct, frozen=True):
    """A scalar that a command is put together from; `macro` is "" for the command itself."""

    node: YamlScalar | None
    text: str
    macro: str


class SourceRange(Struct, frozen=True):
    """The part `text[start:end]` of one source's decoded text."""

    source: CommandSource
    start: int
    end: int


class ExpandedCommand(Struct, frozen=True):
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
        "A command becomes too long when its macros are expanded.",
        why=f"It exceeds {LONGEST_COMMAND:,} characters at “{sanitize_line(macro.name, 60)}”.",
    )


class ModelBlock(Struct, frozen=True):
    """An entry of `models`. Lines are counted from 1, the last one included."""

    id: str
    first_line: int
    last_line: int
    aliases: tuple[str, ...] = ()


class ModelEntry(Struct, frozen=True):
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


class ConfigDocument(Struct, frozen=True):
    """A config file that parses. `text` is the whole of it, with byte-order mark and line ends.

    `named` are the programs that count as llama-servers in its commands, with the usual ones.
    """

    text: str
    models: tuple[ModelBlock, ...]
    lines: LineIndex
    root: Node
    entries: Mapping[str, ModelEntry]
    macros: tuple[Macro, ...]
    merged: MergedKeys
    named: NamedServers = NO_NAMES

    @classmethod
    def read(cls, text: str, named: NamedServers = NO_NAMES) -> "ConfigDocument":
        """Parse a config file; call it in a thread, it takes 4 ms per KiB.

        Raises ConfigRefused, with line and column, for what isn't YAML, for duplicate keys, for
        anything but a mapping, and for what is nested or repeated too much.
        """
        root = read_tree(text)
        if root is None or not is_mapping(root):
            why = "Its top level is not a mapping."
            raise ConfigRefused("The config file contains no settings.", line=1, why=why)
        lines = LineIndex.of(text)
        merged = MergedKeys()
        top = merged.keys(root)
        entries = {
            name: ModelEntry(name, entry.pair, entry.anchor, merged.keys(entry.value))
            for name, entry in merged.keys(_value_node(top, "models")).items()
        }
        macros = _build_macros(merged, _value_node(top, "macros"))
        blocks = []
        for entry in entries.values():
            first, last = lines.line(entry.key.start), lines.line(block_end(text, entry.pair))
            aliases = tuple(_aliases(merged, entry, macros))
            blocks.append(ModelBlock(entry.id, first, last, aliases))
        return cls(
            text=text,
            models=tuple(blocks),
            lines=lines,
            root=root,
            entries=entries,
            macros=macros,
            merged=merged,
            named=named,
        )

    def model(self, model_id: str) -> ModelBlock:
        """Return the block of exactly that id. Raises ConfigRefused if there is none."""
        self.entry(model_id)
        return next(block for block in self.models if block.id == model_id)

    def entry(self, model_id: str) -> ModelEntry:
        """Return the nodes of exactly that id. Raises ConfigRefused if there is none."""
        entry = self.entries.get(model_id)
        if entry is None:
            near = sanitize_line(", ".join(nearest(model_id, self.entries)), 300)
            raise ConfigRefused(
                f"The config file has no model “{sanitize_line(model_id, 80)}”.",
                why=f"Nearest: {near}." if near else "",
                remedy="It does not list the models of peers.",
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
        return _macros_of(self.merged, self.entry(model_id), self.macros)

    def environment(self, model_id: str) -> tuple[YamlScalar, ...]:
        """Return the scalars of the model's `env` list, each `NAME=VALUE`."""
        node = _value_node(self.entry(model_id).keys, "env")
        if not isinstance(node, YamlCollection) or node.mapping:
            return ()
        return tuple(item for item in node.items if isinstance(item, YamlScalar))

    def variable(self, model_id: str, name: str) -> YamlScalar | None:
        """Return the scalar that sets an environment variable, the last one of several."""
        items = [item for item in self.environment(model_id) if item.value.startswith(f"{name}=")]
        return items[-1] if name and items else None

    def variables(self, model_id: str) -> dict[str, str]:
        """Return the model's environment with its macros expanded; the last of several counts."""
        macros = self.macros_of(model_id)
        pairs = (item.value.partition("=") for item in self.environment(model_id))
        return {name: expand(value, macros) for name, equals, value in pairs if equals}

    @property
    def peer_urls(self) -> dict[str, str]:
        """What `proxy` says of each peer, with its macros expanded."""
        peers = self.merged.keys(_value_node(self.merged.keys(self.root), "peers"))
        urls = {}
        for name, entry in peers.items():
            node = _value_node(self.merged.keys(entry.value), "proxy")
            text = None if node is None else scalar_text(node)
            if text:
                # No URL is as long as is refused, and the models stand without it.
                with suppress(ConfigRefused):
                    urls[name] = expand(text, self.macros)
        return urls

    def context_size(self, model_id: str) -> int | None:
        """Return the tokens of the command's `--ctx-size`, else of `LLAMA_ARG_CTX_SIZE` in `env`."""
        command = CommandLine.read(self.command(model_id), self.named)
        if command.has(CONTEXT_SIZE):
            return command.context_size
        item = self.variable(model_id, "LLAMA_ARG_CTX_SIZE")
        value = "" if item is None else item.value.partition("=")[2].strip()
        return CommandLine(("-c", value)).context_size


def _aliases(
    merged: MergedKeys, entry: ModelEntry, file_macros: tuple[Macro, ...]
) -> Iterator[str]:
    """Yield the other names to which llama-swap answers with a model.

    Its `aliases`, and the keys of `filters.setParamsByID` (mostlygeek/llama-swap#793), both with
    their macros put in.
    """
    node = _value_node(entry.keys, "aliases")
    names = [scalar_text(item) for item in node.items] if isinstance(node, YamlCollection) else []
    by_id = _value_node(merged.keys(_value_node(entry.keys, "filters")), "setParamsByID")
    for name in filter(None, (*names, *merged.keys(by_id))):
        if "${" in name:
            with suppress(ConfigRefused):
                yield expand(name, _macros_of(merged, entry, file_macros))
        else:
            yield name


def _macros_of(
    merged: MergedKeys, entry: ModelEntry, file_macros: tuple[Macro, ...]
) -> tuple[Macro, ...]:
    own = _build_macros(merged, _value_node(entry.keys, "macros"))
    # A model's own macro takes the place of the file's in the order.
    macros = (Macro(MODEL_ID, entry.id, None), *file_macros, *own)
    return tuple({macro.name: macro for macro in macros}.values())


def _build_macros(merged: MergedKeys, node: Node | None) -> tuple[Macro, ...]:
    return tuple(
        Macro(name, format_macro_value(entry.value), entry.value)
        for name, entry in merged.keys(node).items()
        if isinstance(entry.value, YamlScalar)
    )


def _value_node(keys: Mapping[str, MappingEntry], name: str) -> Node | None:
    entry = keys.get(name)
    return entry.value if entry else None


def decode_config(content: bytes) -> str:
    """Decode a file's text, its byte-order mark and line ends included.

    Raises ConfigRefused, with the line, for more than LARGEST_FILE bytes, for what isn't UTF-8, and
    for NUL.
    """
    if len(content) > LARGEST_FILE:
        raise ConfigRefused(
            f"The config file has {len(content):,} bytes.",
            why=f"The limit is {LARGEST_FILE:,}.",
        )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigRefused(
            "The config file isn't UTF-8.",
            line=content.count(b"\n", 0, error.start) + 1,
            why=f"Byte 0x{content[error.start]:02x} at offset {error.start:,} is invalid.",
            remedy="Save it as UTF-8.",
        ) from error
    before, nul, _ = text.partition("\0")
    if nul:
        line = before.count("\n") + 1
        raise ConfigRefused("The config file contains a NUL character.", line=line)
    return text


def encode_config(text: str) -> bytes:
    """Encode a text that `decode_config` may have decoded.

    Raises ConfigRefused, with the line, for a lone surrogate, which no file can hold.
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise ConfigRefused("The text can't be written as UTF-8.", line=line) from error
