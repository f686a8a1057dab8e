"""Models that llama-swap loads when it starts: `hooks.on_startup.preload`."""

from msgspec import Struct

from aitui.domain.config import verify
from aitui.domain.config.blocks import PLAIN_KEY
from aitui.domain.config.document import ConfigDocument
from aitui.domain.config.lint import entries_at, list_items
from aitui.domain.config.locate import ValueSource
from aitui.domain.config.splice import Splice, end_of_line, line_break, write_text
from aitui.domain.config.verify import ConfigChange
from aitui.domain.config.yaml_tree import Node, YamlCollection, block_end, scalar_text
from aitui.domain.llama_server import refuse_unwritable
from aitui.errors import Action, ConfigRefused

_PATH = ("hooks", "on_startup", "preload")


class _Insertion(Struct, frozen=True):
    """A possible edit: `keys` are those that it adds to `target`, none to a list."""

    splice: Splice
    target: YamlCollection
    keys: frozenset[str] = frozenset()


def preloaded_models(document: ConfigDocument) -> tuple[str, ...]:
    """Return the names that are loaded when llama-swap starts, as they stand in the file."""
    top = document.merged.keys(document.root)
    items = list_items(entries_at(document, top, *_PATH[:-1]).get(_PATH[-1]))
    return tuple(filter(None, map(scalar_text, items)))


def add_preload(document: ConfigDocument, model_id: str) -> ConfigChange:
    """Have llama-swap load a model when it starts, after those that it loads already.

    Nothing changes if it does so already. Raises ConfigRefused with the line if the list, or the
    mapping above it, is written in a way that can't be added to.
    """
    document.entry(model_id)
    block = document.model(model_id)
    text, known = document.text, preloaded_models(document)
    node, depth, place = _find_place(document)
    line = document.lines.line(place)
    refuse_unwritable(model_id, line)
    change = ConfigChange(text, text, "", "", None, model_id, ValueSource.KEY, added=True)
    if {block.id, *block.aliases} & set(known):
        return change
    raw = write_text(model_id, PLAIN_KEY)
    for insertion in _insertions(text, node, depth, raw):
        after = insertion.splice.apply(text)
        try:
            result = verify.reparse(document, after, line)
        except ConfigRefused:
            continue
        if (
            preloaded_models(result) == (*known, model_id)
            and not verify.find_changed_models(document, result)
            and _differs_only_in(document.root, result.root, insertion)
        ):
            return ConfigChange(text, after, "", "", None, model_id, ValueSource.KEY, added=True)
    raise ConfigRefused(
        f"{'.'.join(_PATH)} can't be added to.",
        line=line,
        why="The list, or what stands above it, is empty, shared, or on one line with something else.",
        remedy=f"Add “- {raw}” to it in the editor.",
        action=Action.EDIT_CONFIG,
    )


def _differs_only_in(before: Node, after: Node, insertion: _Insertion) -> bool:
    if insertion.keys:
        return verify.differs_only_in_keys(before, after, insertion.target, insertion.keys)
    found = verify.node_differences(before, after)
    return len(found) == 1 and found[0][0] is insertion.target


def _find_place(document: ConfigDocument) -> tuple[Node | None, int, int]:
    """Return what exists of the path: its last node, how many keys lead to it, and where it stands.

    The node is None if it stands elsewhere, behind an anchor or a merge.
    """
    node, at = document.root, document.root.start
    for depth, name in enumerate(_PATH):
        entry = document.merged.keys(node).get(name)
        if entry is None:
            return node, depth, at
        node, at = entry.value, entry.pair.key.start
        if entry.pair.aliased or entry.anchor:
            return None, depth, at
    return node, len(_PATH), at


def _insertions(text: str, node: Node | None, depth: int, raw: str) -> tuple[_Insertion, ...]:
    """Return the edits that may add it, the best first; none if there is no place of its own."""
    if not isinstance(node, YamlCollection):
        return ()
    if depth < len(_PATH):
        return _key_insertions(text, node, _PATH[depth:], raw) if node.pairs else ()
    if node.mapping:
        return ()
    if node.flow:
        at = node.items[-1].end if node.items else node.start + 1
        return (_Insertion(Splice(at, at, f", {raw}" if node.items else raw), node),)
    last = node.items[-1]
    dash = text[text.rfind("\n", 0, last.start) + 1 : last.start]
    if dash.strip() != "-":
        return ()
    at = end_of_line(text, last.end)
    return (_Insertion(Splice(at, at, line_break(text) + dash + raw), node),)


def _key_insertions(
    text: str, mapping: YamlCollection, path: tuple[str, ...], raw: str
) -> tuple[_Insertion, ...]:
    """Add the rest of the path to a mapping: at its end, else before its first key."""
    ending = line_break(text)
    first, last = mapping.pairs[0].key.start, mapping.pairs[-1]
    start = text.rfind("\n", 0, first) + 1
    indentation = text[start:first].removeprefix("\ufeff")
    if mapping.flow or indentation.strip():
        return ()
    lines = [f"{indentation}{'  ' * depth}{name}:" for depth, name in enumerate(path)]
    lines.append(f"{indentation}{'  ' * len(path)}- {raw}")
    added, keys = ending.join(lines), frozenset(path[:1])
    end = end_of_line(text, block_end(text, last))
    before = added.removeprefix(indentation) + ending + indentation
    return (
        _Insertion(Splice(end, end, ending + added), mapping, keys),
        _Insertion(Splice(first, first, before), mapping, keys),
    )
