"""Keys that llama-swap doesn't know, lacks, or reads as another kind of value."""

from collections.abc import Iterator
from dataclasses import dataclass

from aitui.domain.clean import clean_line
from aitui.domain.config.kinds import fits, oversteps
from aitui.domain.config.known_keys import TOP, Kind, Takes
from aitui.domain.config.mistake import Mistake
from aitui.domain.config.tree import MERGE_TAG, Collection, Node, Pair, Scalar, is_mapping
from aitui.domain.nearest import nearest

_LONGEST_SHOWN = 60
_SHORTEST_SLIP = 3


@dataclass(frozen=True, slots=True)
class _Task:
    """A node to look at: what it ought to be, how it is called, where that is said."""

    node: Node
    kind: Kind
    name: str
    at: int


def key_mistakes(root: Node) -> Iterator[Mistake]:
    """Every unknown, missing or mistyped key of a file, each node looked at once for each kind."""
    seen: set[tuple[int, int]] = set()
    waiting = [_Task(root, TOP, "The config file", root.start)]
    while waiting:
        task = waiting.pop()
        if (id(task.node), id(task.kind)) not in seen:
            seen.add((id(task.node), id(task.kind)))
            for found in _look(task):
                if isinstance(found, Mistake):
                    yield found
                else:
                    waiting.append(found)


def _look(task: _Task) -> Iterator[_Task | Mistake]:
    node, kind = task.node, task.kind
    if not fits(node, kind):
        yield Mistake(task.at, f"{task.name} takes {kind.takes.value}.", fatal=True)
    elif isinstance(node, Scalar):
        if words := oversteps(node, kind):
            yield Mistake(task.at, f"{task.name} {words}.", fatal=kind.strict)
    elif node.mapping:
        yield from _missing(node, kind, task.name, task.at)
        for pair in node.pairs:
            yield from _of_pair(pair, kind)
    elif kind.each is not None:
        for item in node.items:
            yield _Task(item, kind.each, f"An entry of {task.name}", item.start)


def _of_pair(pair: Pair, kind: Kind) -> Iterator[_Task | Mistake]:
    key, value = pair.key, pair.value
    if not isinstance(key, Scalar):
        yield Mistake(key.start, "A key has to be a single word.", fatal=True)
        return
    if key.tag == MERGE_TAG:
        yield _merged(value, kind, key.start)
        return
    name = clean_line(key.value, _LONGEST_SHOWN)
    known = kind.keys.get(key.value) or kind.each
    if known is not None:
        yield _Task(value, known, name, key.start if pair.aliased else value.start)
    elif kind.keys and not _holds_anchor(key.value, value):
        likely = nearest(key.value, kind.keys, 1) if len(key.value) >= _SHORTEST_SLIP else ()
        hint = f" Is “{likely[0]}” meant?" if likely else ""
        yield Mistake(key.start, f"llama-swap knows no “{name}” here.{hint}", fatal=False)


def _merged(value: Node, kind: Kind, at: int) -> _Task | Mistake:
    """What `<<` brings in has to be right as if it stood in the mapping itself."""
    if is_mapping(value):
        return _Task(value, kind, "What is merged", at)
    if isinstance(value, Collection) and all(is_mapping(item) for item in value.items):
        return _Task(value, Kind(Takes.LIST, each=kind), "What is merged", at)
    return Mistake(at, "Only mappings can be merged.", fatal=True)


def _missing(node: Collection, kind: Kind, name: str, at: int) -> Iterator[Mistake]:
    present = {pair.key.value for pair in node.pairs if isinstance(pair.key, Scalar)}
    if "<<" in present:
        return
    for required in kind.required:
        if required not in present:
            yield Mistake(at, f"{name} has no {required}.", fatal=False)


def _holds_anchor(name: str, value: Node) -> bool:
    """Whether a free key is there for the anchor below it, as Compose files do with `x-…`."""
    return bool(value.anchor) or name.startswith(("x-", "."))
