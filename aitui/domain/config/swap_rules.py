"""Who may run beside whom at one server, as the config file that it runs says."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from aitui.domain.config.groups import SwapGroups
from aitui.domain.config.leaving import EvictionPlan
from aitui.domain.config.matrix import SwapMatrix


@dataclass(frozen=True, slots=True)
class SwapRules:
    """`names` are the ids of the file's models and their aliases, each with the id it means.

    `in_routing`: they stand under `routing`, a key that older servers ignore.
    """

    names: Mapping[str, str]
    router: SwapGroups | SwapMatrix
    in_routing: bool = False

    def eviction_plan(self, wanted: str, running: Collection[str]) -> EvictionPlan | None:
        """Whom a request for that model sends away.

        None where that doesn't follow from the file: it doesn't know the model or one that runs,
        so the server runs something else, or it allows too much to be looked at.
        """
        ids = {name: self.names.get(name) for name in (wanted, *running)}
        known = {name: model_id for name, model_id in ids.items() if model_id is not None}
        if len(known) < len(ids):
            return None
        found = self.router.eviction_plan(known[wanted], {known[name] for name in running})
        if found is None:
            return None
        gone = frozenset(name for name in running if known[name] in found.models)
        return EvictionPlan(gone, found.by_cost)
