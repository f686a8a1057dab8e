"""Keys that llama-swap doesn't know, lacks, or reads as another kind of value."""

from collections.abc import Iterator
from dataclasses import dataclass

from aitui.domain.clean import sanitize_line
from aitui.domain.config.kinds import constraint_violation, matches_schema
from aitui.domain.config.known_keys import TOP, KeySchema, ValueType
from aitui.domain.config.mistake import OffsetDiagnostic
from aitui.domain.config.tree import (
    MERGE_TAG,
    Node,
    YamlCollection,
    YamlPair,
    YamlScalar,
    is_mapping,
)
from aitui.domain.nearest import nearest

_LONGEST_SHOWN = 60
_SHORTEST_SLIP = 3


@dataclass(frozen=True, slots=True)
class _PendingNode:
    """A node to look at: what it ought to be, how it is called, where that is said."""

    node: Node
    kind: KeySchema
    name: str
    at: int


def key_diagnostics(root: Node) -> Iterator[OffsetDiagnostic]:
    """Every unknown, missing or mistyped key of a file, each node looked at once for each kind."""
    seen: set[tuple[int, int]] = set()
    waiting = [_PendingNode(root, TOP, "The config file", root.start)]
    while waiting:
        task = waiting.pop()
        if (id(task.node), id(task.kind)) not in seen:
            seen.add((id(task.node), id(task.kind)))
            for found in _check_node(task):
                if isinstance(found, OffsetDiagnostic):
                    yield found
                else:
                    waiting.append(found)


def _check_node(task: _PendingNode) -> Iterator[_PendingNode | OffsetDiagnostic]:
    node, kind = task.node, task.kind
    if not matches_schema(node, kind):
        yield OffsetDiagnostic(task.at, f"{task.name} takes {kind.takes.value}.", fatal=True)
    elif isinstance(node, YamlScalar):
        if words := constraint_violation(node, kind):
            yield OffsetDiagnostic(task.at, f"{task.name} {words}.", fatal=kind.strict)
    elif node.mapping:
        yield from _check_required_keys(node, kind, task.name, task.at)
        for pair in node.pairs:
            yield from _check_pair(pair, kind)
    elif kind.each is not None:
        for item in node.items:
            yield _PendingNode(item, kind.each, f"An entry of {task.name}", item.start)


def _check_pair(pair: YamlPair, kind: KeySchema) -> Iterator[_PendingNode | OffsetDiagnostic]:
    key, value = pair.key, pair.value
    if not isinstance(key, YamlScalar):
        yield OffsetDiagnostic(key.start, "A key has to be a single word.", fatal=True)
        return
    if key.tag == MERGE_TAG:
        yield _check_merge(value, kind, key.start)
        return
    name = sanitize_line(key.value, _LONGEST_SHOWN)
    known = kind.keys.get(key.value) or kind.each
    if known is not None:
        yield _PendingNode(value, known, name, key.start if pair.aliased else value.start)
    elif kind.keys and not _holds_anchor(key.value, value):
        likely = nearest(key.value, kind.keys, 1) if len(key.value) >= _SHORTEST_SLIP else ()
        hint = f" Is “{likely[0]}” meant?" if likely else ""
        yield OffsetDiagnostic(key.start, f"llama-swap knows no “{name}” here.{hint}", fatal=False)


def _check_merge(value: Node, kind: KeySchema, at: int) -> _PendingNode | OffsetDiagnostic:
    """What `<<` brings in has to be right as if it stood in the mapping itself."""
    if is_mapping(value):
        return _PendingNode(value, kind, "What is merged", at)
    if isinstance(value, YamlCollection) and all(is_mapping(item) for item in value.items):
        return _PendingNode(value, KeySchema(ValueType.LIST, each=kind), "What is merged", at)
    return OffsetDiagnostic(at, "Only mappings can be merged.", fatal=True)


def _check_required_keys(
    node: YamlCollection, kind: KeySchema, name: str, at: int
) -> Iterator[OffsetDiagnostic]:
    present = {pair.key.value for pair in node.pairs if isinstance(pair.key, YamlScalar)}
    if "<<" in present:
        return
    for required in kind.required:
        if required not in present:
            yield OffsetDiagnostic(at, f"{name} has no {required}.", fatal=False)


def _holds_anchor(name: str, value: Node) -> bool:
    """Whether a free key is there for the anchor below it, as Compose files do with `x-…`."""
    return bool(value.anchor) or name.startswith(("x-", "."))
