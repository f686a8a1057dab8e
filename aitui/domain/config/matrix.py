"""Who has to go for whom where a config file has a matrix.

Of all combinations that its sets allow and that hold the wanted model, llama-swap takes the one
whose leavers cost least, the first of equal ones. A model in no set runs alone.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from aitui.domain.config.leaving import EvictionPlan
from aitui.domain.config.set_expression import AllOf, AnyOf, Expression, ModelTerm, SetReference

MOST_STEPS = 20_000
"""Combinations looked at before it is given up: a matter of milliseconds."""


@dataclass(frozen=True, slots=True)
class SwapMatrix:
    """Sets by name, each behind those that it refers to.

    `variables` are the models that short names stand for; `costs` are those of evicting a model,
    1 where none is given.
    """

    sets: Mapping[str, Expression]
    variables: Mapping[str, str]
    costs: Mapping[str, int]

    def eviction_plan(self, wanted: str, running: Collection[str]) -> EvictionPlan | None:
        """Whom loading that model sends away; None where there are too many combinations."""
        if wanted in running:
            return EvictionPlan(frozenset())
        others = sorted(set(running))
        try:
            allowed = _Combinations(self, (wanted, *others)).all()
        except _TooManyCombinations:
            return None
        # Bit 0 is the wanted model.
        candidates = [mask for mask in allowed if mask & 1]
        if not candidates:
            return EvictionPlan(frozenset(others))
        best = min(candidates, key=lambda mask: self._eviction_cost(mask, others))
        gone = frozenset(_missing_models(best, others))
        return EvictionPlan(gone, by_cost=any(mask & ~best for mask in candidates))

    def _eviction_cost(self, mask: int, others: list[str]) -> int:
        return sum(self.costs.get(model_id, 1) for model_id in _missing_models(mask, others))


class _TooManyCombinations(Exception):
    """The sets allow more combinations than are looked at."""


class _Combinations:
    """What sets allow, seen through those models alone which matter now: a bit for each of them.

    In the order in which they would be written out in full, each once.
    """

    def __init__(self, matrix: SwapMatrix, models: tuple[str, ...]) -> None:
        self._matrix = matrix
        self._bits = {model_id: 1 << place for place, model_id in enumerate(models)}
        self._masks_by_set: dict[str, tuple[int, ...]] = {}
        self._steps = 0

    def all(self) -> tuple[int, ...]:
        """Those of all sets."""
        for name, expression in self._matrix.sets.items():
            self._masks_by_set[name] = self._masks(expression)
        return self._distinct(mask for masks in self._masks_by_set.values() for mask in masks)

    def _masks(self, expression: Expression) -> tuple[int, ...]:
        match expression:
            case ModelTerm(name):
                return (self._bits.get(self._matrix.variables.get(name, name), 0),)
            case SetReference(name):
                return self._masks_by_set[name]
            case AnyOf(parts):
                return self._distinct(mask for part in parts for mask in self._masks(part))
            case AllOf(parts):
                found: tuple[int, ...] = (0,)
                for part in parts:
                    masks = self._masks(part)
                    found = self._distinct(left | right for left in found for right in masks)
                return found

    def _distinct(self, masks: Iterable[int]) -> tuple[int, ...]:
        found: dict[int, None] = {}
        for mask in masks:
            self._steps += 1
            if self._steps > MOST_STEPS:
                raise _TooManyCombinations
            found[mask] = None
        return tuple(found)


def _missing_models(mask: int, others: list[str]) -> Iterable[str]:
    return (model_id for place, model_id in enumerate(others, 1) if not mask >> place & 1)
