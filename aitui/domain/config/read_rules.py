"""The rules that say which models may run at the same time, read from a config file.

They stand in `groups` or `matrix`, at the top or under `routing`. Whatever llama-swap would refuse
gives no rules at all, since a server with such a file runs by another one; so does an unknown key
of a matrix, since a newer server may obey it.
"""

import re
from collections.abc import Iterator, Mapping

from aitui.domain.config import swap_rules
from aitui.domain.config.document import ConfigDocument
from aitui.domain.config.lint import entries_at
from aitui.domain.config.swap_rules import Expression, SetReference, SwapGroup, SwapRules
from aitui.domain.config.yaml_tree import (
    MERGE_TAG,
    MappingEntry,
    Node,
    YamlCollection,
    YamlScalar,
    scalar_text,
)
from aitui.errors import ConfigRefused

MOST_SETS = 200
_VARIABLE = re.compile(r"[A-Za-z0-9.-]{1,32}")
_COST = re.compile(r"\+?[0-9]{1,18}")
_MATRIX_KEYS = frozenset({"vars", "evict_costs", "sets"})
# As yaml.v3 reads them into a bool: the words of YAML 1.1 in some spellings only.
_SWITCHES = {
    **dict.fromkeys(("true", "True", "TRUE", "y", "Y", "yes", "on"), True),
    **dict.fromkeys(("false", "False", "FALSE", "n", "N", "no", "off"), False),
}


def read_swap_rules(document: ConfigDocument) -> SwapRules | None:
    """Return the rules of a file, None if they aren't certain. Never raises."""
    try:
        return _RulesReader(document).read()
    except ConfigRefused:
        return None


class _RulesReader:
    def __init__(self, document: ConfigDocument) -> None:
        self._document = document
        self._models = document.entries

    def read(self) -> SwapRules:
        top = self._document.merged.keys(self._document.root)
        router = entries_at(self._document, top, "routing", "router")
        settings = entries_at(self._document, router, "settings")
        use = "" if _is_absent(router.get("use")) else scalar_text(router["use"].value)
        if use == "" and not self._has_any(settings):
            keys, is_matrix, in_routing = top, self._has_matrix(top), False
            if is_matrix and self._has_groups(top):
                raise ConfigRefused("groups and matrix exclude each other.")
        else:
            keys, is_matrix, in_routing = settings, use == "matrix", True
            if self._has_any(top):
                raise ConfigRefused(
                    "groups or matrix appear both at the top level and under routing."
                )
            if use not in {"", "group", "matrix"}:
                raise ConfigRefused("There is no such router.")
        aliases = {alias: block.id for block in self._document.models for alias in block.aliases}
        names = aliases | {model_id: model_id for model_id in self._models}
        return SwapRules(
            names, self._read_matrix(keys) if is_matrix else self._read_groups(keys), in_routing
        )

    def _has_any(self, keys: Mapping[str, MappingEntry]) -> bool:
        return self._has_groups(keys) or self._has_matrix(keys)

    def _has_groups(self, keys: Mapping[str, MappingEntry]) -> bool:
        return bool(self._entries(keys.get("groups")))

    def _has_matrix(self, keys: Mapping[str, MappingEntry]) -> bool:
        return not _is_absent(keys.get("matrix"))

    def _entries(self, entry: MappingEntry | None) -> Mapping[str, MappingEntry]:
        """Return the keys of a mapping, none if it is left out; raise for anything else."""
        if entry is None or _is_absent(entry):
            return {}
        if not isinstance(entry.value, YamlCollection) or not entry.value.mapping:
            raise ConfigRefused("A list or a value stands where a mapping is expected.")
        return self._document.merged.keys(entry.value)

    def _read_groups(self, keys: Mapping[str, MappingEntry]) -> swap_rules.SwapGroups:
        group_of: dict[str, SwapGroup] = {}
        for name, entry in self._entries(keys.get("groups")).items():
            if name == swap_rules.DEFAULT.name:
                raise ConfigRefused("The name of the default group is taken.")
            settings = self._entries(entry)
            group = SwapGroup(
                name,
                swap=read_switch(settings.get("swap"), left_out=True),
                exclusive=read_switch(settings.get("exclusive"), left_out=True),
                persistent=read_switch(settings.get("persistent"), left_out=False),
            )
            for member in _read_members(settings.get("members")):
                if member in group_of or member not in self._models:
                    raise ConfigRefused("A member of a group is not a model, or is in two groups.")
                group_of[member] = group
        return swap_rules.SwapGroups(group_of)

    def _read_matrix(self, keys: Mapping[str, MappingEntry]) -> swap_rules.SwapMatrix:
        matrix = self._entries(keys.get("matrix"))
        if not matrix.keys() <= _MATRIX_KEYS:
            raise ConfigRefused("The matrix has an unknown key.")
        variables = {
            name: self._resolve_model(scalar_text(entry.value), {})
            for name, entry in self._entries(matrix.get("vars")).items()
        }
        if not all(_VARIABLE.fullmatch(name) for name in variables):
            raise ConfigRefused("The name of a variable is invalid.")
        costs: dict[str, int] = {}
        for name, entry in self._entries(matrix.get("evict_costs")).items():
            model_id = self._resolve_model(name, variables)
            if model_id in costs:
                raise ConfigRefused("A model has two costs.")
            costs[model_id] = _read_cost(entry.value)
        return swap_rules.SwapMatrix(
            self._read_sets(matrix.get("sets"), variables), variables, costs
        )

    def _read_sets(
        self, entry: MappingEntry | None, variables: Mapping[str, str]
    ) -> Mapping[str, Expression]:
        found = {
            name: swap_rules.parse_set(scalar_text(one.value) or "")
            for name, one in self._entries(entry).items()
        }
        # llama-swap reads the pairs of this mapping itself: `<<` is a set like any other there.
        if not 0 < len(found) <= MOST_SETS or _has_merge_key(entry):
            raise ConfigRefused("The matrix has no sets, or too many.")
        for expression in found.values():
            for leaf in swap_rules.leaves(expression):
                if not isinstance(leaf, SetReference):
                    self._resolve_model(leaf.name, variables)
        return {name: found[name] for name in _sort_sets(found)}

    def _resolve_model(self, name: str | None, variables: Mapping[str, str]) -> str:
        """Return the model that a variable or an id means; an alias means none there."""
        model_id = variables.get(name, name) if name is not None else None
        if model_id is None or model_id not in self._models:
            raise ConfigRefused("The matrix names an unknown model.")
        return model_id


def _sort_sets(sets: Mapping[str, Expression]) -> Iterator[str]:
    """Put each set behind those that it refers to, else keep the order; raise for circles."""
    open_: set[str] = set()
    done: set[str] = set()

    def visit(name: str) -> Iterator[str]:
        if name in done:
            return
        if name not in sets or name in open_:
            raise ConfigRefused("A set refers to an unknown set, or to itself.")
        open_.add(name)
        for leaf in swap_rules.leaves(sets[name]):
            if isinstance(leaf, SetReference):
                yield from visit(leaf.name)
        done.add(name)
        yield name

    for name in sets:
        yield from visit(name)


def _is_absent(entry: MappingEntry | None) -> bool:
    """Whether a key is left out, or null, which is the same."""
    if entry is None:
        return True
    return isinstance(entry.value, YamlScalar) and scalar_text(entry.value) is None


def read_switch(entry: MappingEntry | None, *, left_out: bool) -> bool:
    """Return a key that is true or false, as llama-swap reads it. Raises ConfigRefused."""
    if entry is None or _is_absent(entry):
        return left_out
    node = entry.value
    if not isinstance(node, YamlScalar) or node.style or node.value not in _SWITCHES:
        raise ConfigRefused("A switch is neither true nor false.")
    return _SWITCHES[node.value]


def _read_cost(node: Node) -> int:
    if not isinstance(node, YamlScalar) or node.style or not _COST.fullmatch(node.value):
        raise ConfigRefused("A cost is not a number.")
    # A leading zero makes it octal, in some readers.
    if node.value.lstrip("+").startswith("0"):
        raise ConfigRefused("A cost is not above zero.")
    return int(node.value)


def _read_members(entry: MappingEntry | None) -> Iterator[str]:
    if entry is None or _is_absent(entry):
        return
    if not isinstance(entry.value, YamlCollection) or entry.value.mapping:
        raise ConfigRefused("The members of a group are not a list.")
    for node in entry.value.items:
        text = scalar_text(node)
        if text is None:
            raise ConfigRefused("A member of a group is not a name.")
        yield text


def _has_merge_key(entry: MappingEntry | None) -> bool:
    if entry is None or not isinstance(entry.value, YamlCollection):
        return False
    keys = (pair.key for pair in entry.value.pairs)
    return any(isinstance(key, YamlScalar) and key.tag == MERGE_TAG for key in keys)
