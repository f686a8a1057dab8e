"""Names of models, aliases and groups that meet no model, or two.

Fatal is what `LoadConfig` of llama-swap refuses; a group or a preload that names no model is not.
"""

from collections.abc import Iterator, Mapping

from aitui.domain.clean import sanitize_line
from aitui.domain.config.document import ConfigDocument
from aitui.domain.config.mistake import OffsetDiagnostic
from aitui.domain.config.tree import MappingEntry, Node, YamlCollection, YamlScalar, scalar_text
from aitui.domain.nearest import nearest


def name_diagnostics(document: ConfigDocument) -> Iterator[OffsetDiagnostic]:
    """Every name that leads nowhere or to two models."""
    top = document.merged.keys(document.root)
    if not document.entries:
        yield OffsetDiagnostic(document.root.start, "The config file has no models.", fatal=False)
    aliases: dict[str, str] = {}
    yield from _check_aliases(document, aliases)
    known = {**{name: name for name in document.entries}, **aliases}
    settings = entries_at(document, top, "routing", "router", "settings")
    for keys in (top, settings):
        yield from _check_groups(document, keys, known)
        yield from _check_matrix(document, keys, known)
    if "groups" in top and "matrix" in top:
        yield OffsetDiagnostic(
            top["matrix"].pair.key.start, "groups and matrix exclude each other.", fatal=True
        )
    preload = entries_at(document, top, "hooks", "on_startup").get("preload")
    for node in list_items(preload):
        yield from _check_reference(node, known, "preload", fatal=False)
    for name, entry in entries_at(
        document, top, "routing", "scheduler", "settings", "fifo", "priority"
    ).items():
        if name not in known:
            yield _unknown_model(entry.pair.key.start, name, known, "priority", fatal=True)
    for node in list_items(top.get("apiKeys")):
        if (key := scalar_text(node)) is not None and (not key or " " in key):
            yield OffsetDiagnostic(
                node.start, "An API key can't be empty or hold blanks.", fatal=True
            )


def entries_at(
    document: ConfigDocument, keys: Mapping[str, MappingEntry], *path: str
) -> Mapping[str, MappingEntry]:
    """The keys of the mapping at the end of a path, none where it breaks off."""
    for name in path:
        entry = keys.get(name)
        keys = document.merged.keys(entry.value) if entry else {}
    return keys


def list_items(entry: MappingEntry | None) -> tuple[Node, ...]:
    """The items of a list, none of anything else."""
    if entry is None or not isinstance(entry.value, YamlCollection):
        return ()
    return entry.value.items


def _check_aliases(document: ConfigDocument, aliases: dict[str, str]) -> Iterator[OffsetDiagnostic]:
    for model in document.entries.values():
        for node in list_items(model.keys.get("aliases")):
            name = scalar_text(node)
            if name is None:
                continue
            shown = sanitize_line(name, 80)
            if name in aliases:
                other = sanitize_line(aliases[name], 80)
                yield OffsetDiagnostic(
                    node.start, f"{other} has the alias {shown} already.", fatal=True
                )
            elif name in document.entries:
                yield OffsetDiagnostic(
                    node.start, f"The alias {shown} is a model's id.", fatal=False
                )
            aliases.setdefault(name, model.id)


def _check_groups(
    document: ConfigDocument, keys: Mapping[str, MappingEntry], known: Mapping[str, str]
) -> Iterator[OffsetDiagnostic]:
    group_of: dict[str, str] = {}
    for group in entries_at(document, keys, "groups"):
        members = entries_at(document, keys, "groups", group).get("members")
        for node in list_items(members):
            name = scalar_text(node)
            if name is None:
                continue
            if name in group_of:
                other = sanitize_line(group_of[name], 60)
                words = f"{sanitize_line(name, 80)} is in the group {other} already."
                yield OffsetDiagnostic(node.start, words, fatal=True)
            group_of.setdefault(name, group)
            yield from _check_reference(
                node, known, f"the group {sanitize_line(group, 60)}", fatal=False
            )


def _check_matrix(
    document: ConfigDocument, keys: Mapping[str, MappingEntry], known: Mapping[str, str]
) -> Iterator[OffsetDiagnostic]:
    for entry in entries_at(document, keys, "matrix", "vars").values():
        yield from _check_reference(entry.value, known, "the matrix", fatal=True)


def _check_reference(
    node: Node, known: Mapping[str, str], where: str, *, fatal: bool
) -> Iterator[OffsetDiagnostic]:
    name = scalar_text(node)
    if (
        name is not None
        and name.strip()
        and name.strip() not in known
        and isinstance(node, YamlScalar)
    ):
        yield _unknown_model(node.start, name, known, where, fatal=fatal)


def _unknown_model(
    at: int, name: str, known: Mapping[str, str], where: str, *, fatal: bool
) -> OffsetDiagnostic:
    likely = nearest(name, known, 1)
    hint = f" Is “{sanitize_line(likely[0], 80)}” meant?" if likely else ""
    words = (
        f"{where[0].upper()}{where[1:]} names the unknown model {sanitize_line(name, 80)}.{hint}"
    )
    return OffsetDiagnostic(at, words, fatal=fatal)
