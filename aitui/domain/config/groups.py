"""Who has to go for whom where a config file has groups, or nothing of the kind."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from aitui.domain.config.leaving import Leaving


@dataclass(frozen=True, slots=True)
class Group:
    """Models that take turns (`swap`) or live together.

    An `exclusive` group sends the models of all others away, but for those of `persistent` ones.
    """

    name: str
    swap: bool = True
    exclusive: bool = True
    persistent: bool = False


DEFAULT = Group("(default)")
"""That of the models which are in none."""


@dataclass(frozen=True, slots=True)
class Groups:
    """The group of each model that is in one, by its id."""

    group_of: Mapping[str, Group]

    def leaving(self, wanted: str, running: Collection[str]) -> Leaving:
        """Whom a request for that model sends away, also where it runs already."""
        own = self.group_of.get(wanted, DEFAULT)
        return Leaving(
            frozenset(
                other for other in running if other != wanted and self._goes(own, self._of(other))
            )
        )

    def _of(self, model_id: str) -> Group:
        return self.group_of.get(model_id, DEFAULT)

    @staticmethod
    def _goes(own: Group, others: Group) -> bool:
        if own.name == others.name:
            return own.swap
        return own.exclusive and not others.persistent
