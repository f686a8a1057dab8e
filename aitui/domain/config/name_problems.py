"""Names of models, aliases and groups that meet no model, or two.

Fatal is what `LoadConfig` of llama-swap refuses; a group or a preload that names no model is not.
"""

from collections.abc import Iterator, Mapping

from aitui.domain.clean import clean_line
from aitui.domain.config.document import Document
from aitui.domain.config.mistake import Mistake
from aitui.domain.config.tree import Collection, Entry, Node, Scalar, text_of
from aitui.domain.nearest import nearest


def name_mistakes(document: Document) -> Iterator[Mistake]:
    """Every name that leads nowhere or to two models."""
    top = document.merged.keys(document.root)
    if not document.entries:
        yield Mistake(document.root.start, "The config file has no models.", fatal=False)
    aliases: dict[str, str] = {}
    yield from _aliases(document, aliases)
    known = {**{name: name for name in document.entries}, **aliases}
    settings = dig(document, top, "routing", "router", "settings")
    for keys in (top, settings):
        yield from _groups(document, keys, known)
        yield from _matrix(document, keys, known)
    if "groups" in top and "matrix" in top:
        yield Mistake(
            top["matrix"].pair.key.start, "groups and matrix exclude each other.", fatal=True
        )
    preload = dig(document, top, "hooks", "on_startup").get("preload")
    for node in items(preload):
        yield from _unknown(node, known, "preload", fatal=False)
    for name, entry in dig(
        document, top, "routing", "scheduler", "settings", "fifo", "priority"
    ).items():
        if name not in known:
            yield _no_model(entry.pair.key.start, name, known, "priority", fatal=True)
    for node in items(top.get("apiKeys")):
        if (key := text_of(node)) is not None and (not key or " " in key):
            yield Mistake(node.start, "An API key can't be empty or hold blanks.", fatal=True)


def dig(document: Document, keys: Mapping[str, Entry], *path: str) -> Mapping[str, Entry]:
    """The keys of the mapping at the end of a path, none where it breaks off."""
    for name in path:
        entry = keys.get(name)
        keys = document.merged.keys(entry.value) if entry else {}
    return keys


def items(entry: Entry | None) -> tuple[Node, ...]:
    """The items of a list, none of anything else."""
    if entry is None or not isinstance(entry.value, Collection):
        return ()
    return entry.value.items


def _aliases(document: Document, aliases: dict[str, str]) -> Iterator[Mistake]:
    for model in document.entries.values():
        for node in items(model.keys.get("aliases")):
            name = text_of(node)
            if name is None:
                continue
            shown = clean_line(name, 80)
            if name in aliases:
                other = clean_line(aliases[name], 80)
                yield Mistake(node.start, f"{other} has the alias {shown} already.", fatal=True)
            elif name in document.entries:
                yield Mistake(node.start, f"The alias {shown} is a model's id.", fatal=False)
            aliases.setdefault(name, model.id)


def _groups(
    document: Document, keys: Mapping[str, Entry], known: Mapping[str, str]
) -> Iterator[Mistake]:
    group_of: dict[str, str] = {}
    for group in dig(document, keys, "groups"):
        members = dig(document, keys, "groups", group).get("members")
        for node in items(members):
            name = text_of(node)
            if name is None:
                continue
            if name in group_of:
                other = clean_line(group_of[name], 60)
                words = f"{clean_line(name, 80)} is in the group {other} already."
                yield Mistake(node.start, words, fatal=True)
            group_of.setdefault(name, group)
            yield from _unknown(node, known, f"the group {clean_line(group, 60)}", fatal=False)


def _matrix(
    document: Document, keys: Mapping[str, Entry], known: Mapping[str, str]
) -> Iterator[Mistake]:
    for entry in dig(document, keys, "matrix", "vars").values():
        yield from _unknown(entry.value, known, "the matrix", fatal=True)


def _unknown(node: Node, known: Mapping[str, str], where: str, *, fatal: bool) -> Iterator[Mistake]:
    name = text_of(node)
    if name is not None and name.strip() and name.strip() not in known and isinstance(node, Scalar):
        yield _no_model(node.start, name, known, where, fatal=fatal)


def _no_model(at: int, name: str, known: Mapping[str, str], where: str, *, fatal: bool) -> Mistake:
    likely = nearest(name, known, 1)
    hint = f" Is “{clean_line(likely[0], 80)}” meant?" if likely else ""
    words = f"{where[0].upper()}{where[1:]} names the unknown model {clean_line(name, 80)}.{hint}"
    return Mistake(at, words, fatal=fatal)
