"""Entries of the server's list that are other names of a model in it."""

from collections.abc import Collection, Iterable, Sequence

from aitui.domain.model import ListedModel, ModelKind, ModelStatus


def fold_aliases(
    listed: Sequence[ListedModel],
    statuses: Sequence[ModelStatus],
    running: Collection[str],
    shown: Collection[str],
) -> tuple[set[str], dict[str, tuple[str, ...]]]:
    """The shown ids that are aliases of another, and every model's aliases, all by id.

    With `includeAliasesInList` an alias is an entry of its own. Newer servers mark it; on older
    ones it is an entry that another model's status claims and that has no status itself.
    """
    owners: dict[str, str] = {}
    aliases: dict[str, dict[str, None]] = {}
    for entry_id, names in _alias_pairs(listed, statuses):
        aliases.setdefault(entry_id, {}).update(dict.fromkeys(names))
        for name in names:
            owners.setdefault(name, entry_id)
    if not owners:
        return set(), {}
    # Of an id that is listed twice the first entry counts.
    entries = {entry.id: entry for entry in reversed(listed)}
    told = {status.id for status in statuses}
    folded: set[str] = set()
    for name, owner in owners.items():
        if name == owner or owner not in shown or owner in folded:
            continue
        entry = entries.get(name)
        if (
            entry is not None
            and entry.kind in {ModelKind.MODEL, ModelKind.ALIAS}
            and name not in told
            and name not in running
        ):
            folded.add(name)
    return folded, {
        owner: tuple(name for name in names if name in folded or name not in shown)
        for owner, names in aliases.items()
    }


def _alias_pairs(
    listed: Iterable[ListedModel], statuses: Iterable[ModelStatus]
) -> Iterable[tuple[str, tuple[str, ...]]]:
    for entry in listed:
        if entry.aliases:
            yield entry.id, entry.aliases
    for status in statuses:
        if status.aliases:
            yield status.id, status.aliases
    for entry in listed:
        if entry.kind is ModelKind.ALIAS and entry.targets:
            yield entry.targets[0], (entry.id,)
