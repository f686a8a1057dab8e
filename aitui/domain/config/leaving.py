"""What loading a model costs the others, by the rules of a config file."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EvictionPlan:
    """The ids of the models that have to go.

    `weighed`: others could have gone instead, and what each of them costs decided.
    """

    models: frozenset[str]
    by_cost: bool = False
