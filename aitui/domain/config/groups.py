"""Who has to go for whom where a config file has groups, or nothing of the kind."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from aitui.domain.config.leaving import EvictionPlan


@dataclass(frozen=True, slots=True)
class SwapGroup:
    """Models that take turns (`swap`) or live together.

    An `exclusive` group sends the models of all others away, but for those of `persistent` ones.
    """

    name: str
    swap: bool = True
    exclusive: bool = True
    persistent: bool = False


DEFAULT = SwapGroup("(default)")
"""That of the models which are in none."""


@dataclass(frozen=True, slots=True)
class SwapGroups:
    """The group of each model that is in one, by its id."""

    group_of: Mapping[str, SwapGroup]

    def eviction_plan(self, wanted: str, running: Collection[str]) -> EvictionPlan:
        """Whom a request for that model sends away, also where it runs already."""
        own = self.group_of.get(wanted, DEFAULT)
        return EvictionPlan(
            frozenset(
                other
                for other in running
                if other != wanted and self._must_leave(own, self._group(other))
            )
        )

    def _group(self, model_id: str) -> SwapGroup:
        return self.group_of.get(model_id, DEFAULT)

    @staticmethod
    def _must_leave(own: SwapGroup, others: SwapGroup) -> bool:
        if own.name == others.name:
            return own.swap
        return own.exclusive and not others.persistent
