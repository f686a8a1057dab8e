"""A YAML text as a tree of nodes with their exact places.

`compose()` of ruamel.yaml gives the exact marks of every scalar, also under CRLF and a byte-order
mark, so text can be spliced there. Aliases lead to one and the same node.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from aitui.domain.sanitize import sanitize_line
from aitui.errors import Action, ConfigRefused

if TYPE_CHECKING:
    from ruamel.yaml.nodes import Node as RuamelNode

LARGEST_FILE = 1024 * 1024
MERGE_TAG = "tag:yaml.org,2002:merge"
_COLON = re.compile(r"\s*:")
_ALIAS = re.compile(r"\s*+:?\s*+\*[^\s,\[\]{}]+")
_MOST_MERGED_KEYS = 100_000
# Errors of ruamel.yaml itself that it doesn't catch: over `%YAML 1.3`, for one.
_OTHER_REFUSALS = (AssertionError, AttributeError, LookupError, TypeError, ValueError)
_LINE_BREAK = re.compile(r"\r\n|[\r\n]")


class YamlScalar(Struct, frozen=True, eq=False):
    """One value. `style` is `|`, `>`, `'`, `"` or "" for plain; it is written `text[start:end]`."""

    value: str
    tag: str
    style: str
    anchor: str
    start: int
    end: int


class YamlPair(Struct, frozen=True, eq=False):
    """A key and its value. `aliased` is set if the value stands elsewhere, behind its anchor."""

    key: "Node"
    value: "Node"
    aliased: bool


class YamlCollection(Struct, frozen=True, eq=False):
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


class MappingEntry(Struct, frozen=True, eq=False):
    """What a mapping has under one key, merged keys included.

    `anchor` names the merged mapping that the pair comes from, "" for the mapping's own pairs.
    """

    pair: YamlPair
    anchor: str

    @property
    def value(self) -> Node:
        """Return the value's node."""
        return self.pair.value


# llama-swap puts the environment into the raw text before it parses it (parseSource in its
# internal/config/merge.go), so `[${env.KEY}]` is a valid list. While we parse, characters of the
# private use area stand for its braces: every position stays.
_ENVIRONMENT_REFERENCE = re.compile(r"\$\{(env\.[^{}\s]*)\}")
_SHOWN_BRACES = {0xE000: "{", 0xE001: "}"}


_TREES: ContextVar[dict[str, Node | None] | None] = ContextVar("trees", default=None)


@contextmanager
def parse_once() -> Iterator[None]:
    """Let `read_tree` parse each text once within the block: parsing is nearly all of an edit's time."""
    before = _TREES.set({})
    try:
        yield
    finally:
        _TREES.reset(before)


def read_tree(text: str) -> Node | None:
    """Return the first YAML document, parsed; None if it is empty.

    Raises ConfigRefused, with line and column, for what is no YAML, for duplicate keys, for an
    alias inside its own anchor, and for what is nested too deeply.
    """
    trees = _TREES.get()
    if trees is None:
        return _parse_tree(text)
    if text not in trees:
        trees[text] = _parse_tree(text)
    return trees[text]


def _parse_tree(text: str) -> Node | None:
    if len(text) > LARGEST_FILE:
        raise ConfigRefused(f"More than {LARGEST_FILE:,} characters are not read.")
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.reader import ReaderError

    yaml = YAML(typ="safe", pure=True)
    # Setting an anchor again is valid; the warning would be printed across the screen.
    yaml.composer.warn_double_anchors = False
    try:
        # llama-swap reads the first document of a file and leaves the others alone.
        found = next(yaml.compose_all(_ENVIRONMENT_REFERENCE.sub("$\ue000\\1\ue001", text)), None)
        return None if found is None else _TreeBuilder(text).node(found)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = sanitize_line(" ".join(filter(None, (error.context, error.problem))), 160)
        raise invalid_yaml_error(text, mark.index if mark else 0, words) from error
    except ReaderError as error:
        words = "YAML doesn't allow one of its characters."
        raise invalid_yaml_error(text, error.position, words) from error
    except RecursionError as error:
        raise ConfigRefused("The config file is nested too deeply.") from error
    except (YAMLError, *_OTHER_REFUSALS) as error:
        why = sanitize_line(str(error), 160)
        raise ConfigRefused("The config file isn't valid YAML.", why=why) from error


def invalid_yaml_error(text: str, index: int, why: str) -> ConfigRefused:
    """Return the error for a text that is no YAML from that index on."""
    line, column = LineIndex.of(text).position(index)
    what, why = "The config file isn't valid YAML.", f"Line {line}, column {column}: {why}"
    remedy = "Fix it in the editor."
    action = Action.EDIT_CONFIG
    return ConfigRefused(what, line=line, column=column, why=why, remedy=remedy, action=action)


class LineIndex(Struct, frozen=True):
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
                why = "An alias is inside its own anchor."
                raise invalid_yaml_error(self._text, raw.start_mark.index, why)
            self._open.add(id(raw))
            built = self._built[id(raw)] = self._build(raw)
            self._open.discard(id(raw))
        return built

    def _build(self, raw: "RuamelNode") -> Node:
        from ruamel.yaml.nodes import CollectionNode, MappingNode, ScalarNode

        start, end, anchor = raw.start_mark.index, raw.end_mark.index, raw.anchor or ""
        tag = str(raw.tag)
        if isinstance(raw, ScalarNode):
            value = str(raw.value).translate(_SHOWN_BRACES)
            return YamlScalar(value, tag, raw.style or "", anchor, start, end)
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
                    why = f"“{sanitize_line(pair.key.value, 60)}” appears twice."
                    raise invalid_yaml_error(self._text, pair.key.start, why)
                seen.add(pair.key.value)


def block_end(text: str, pair: YamlPair) -> int:
    """Return where the text of a key and its value ends."""
    if pair.aliased:
        alias = _ALIAS.match(text, pair.key.end)
        return alias.end() if alias else pair.key.end
    if pair.value.start == pair.value.end:
        return after_colon(text, pair)
    return _content_end(text, pair.value)


def _content_end(text: str, node: Node) -> int:
    """Return where a node's own text ends: before the blank and comment lines that follow it."""
    if isinstance(node, YamlScalar):
        return node.start + len(text[node.start : node.end].rstrip())
    if not node.flow and node.mapping and node.pairs:
        return block_end(text, node.pairs[-1])
    inside = [item for item in node.items if node.start <= item.start < item.end <= node.end]
    if not node.flow and inside and inside[-1] is node.items[-1]:
        return _content_end(text, inside[-1])
    lines = text[node.start : node.end].rstrip().split("\n")
    while len(lines) > 1 and lines[-1].lstrip()[:1] in {"", "#"}:
        lines.pop()
    return node.start + len("\n".join(lines).rstrip())


def after_colon(text: str, pair: YamlPair) -> int:
    """Return the index behind a key's colon, where a missing value would start."""
    colon = _COLON.match(text, pair.key.end)
    return colon.end() if colon else pair.key.end
