"""The confirmation before a change that affects other clients."""

from collections.abc import Awaitable, Callable

from msgspec import Struct

from aitui.domain.snapshot import Snapshot
from aitui.domain.unload_costs import ModelCost


class Confirmation(Struct, frozen=True):
    """A question with its facts, one per line; `yes` and `no` say what each reply does.

    `needed` is False if no other client would notice: then it may be done without asking. `diff`
    holds the lines of a diff that yes would apply; `other` offers a third choice. `unprompted` is
    set if the question appears by itself, while the user may be typing for something else.
    `separate` is set if `--yes` doesn't answer it: that answers for the model that was named, never
    for others. `costs` say what becomes of the models that run, ahead of the facts; if `loads` names
    a model that yes loads, they are of those that are evicted for it.
    """

    title: str
    facts: tuple[str, ...]
    yes: str
    no: str = "Cancel"
    needed: bool = True
    diff: tuple[str, ...] = ()
    other: str = ""
    unprompted: bool = False
    separate: bool = False
    costs: tuple[ModelCost, ...] = ()
    loads: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        """Return the costs and the facts, one sentence per line."""
        costs = (line for cost in self.costs for line in cost.lines)
        return (*costs, *self.facts)


Ask = Callable[[Callable[[Snapshot], Confirmation]], Awaitable[bool]]
"""Puts a confirmation to the user.

It is built again from each snapshot that arrives while it is open, so that a yes is never given to
facts that have changed.
"""
