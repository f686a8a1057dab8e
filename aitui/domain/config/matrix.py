"""Who has to go for whom where a config file has a matrix.

Of all combinations that its sets allow and that hold the wanted model, llama-swap takes the one
whose leavers cost least, the first of equal ones. A model in no set runs alone.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from aitui.domain.config.leaving import Leaving
from aitui.domain.config.set_expression import Either, Every, Expression, Name, Reference

MOST_STEPS = 20_000
"""Combinations looked at before it is given up: a matter of milliseconds."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Sets by name, each behind those that it refers to.

    `variables` are the models that short names stand for; `costs` are those of evicting a model,
    1 where none is given.
    """

    sets: Mapping[str, Expression]
    variables: Mapping[str, str]
    costs: Mapping[str, int]

    def leaving(self, wanted: str, running: Collection[str]) -> Leaving | None:
        """Whom loading that model sends away; None where there are too many combinations."""
        if wanted in running:
            return Leaving(frozenset())
        others = sorted(set(running))
        try:
            allowed = _Combinations(self, (wanted, *others)).all()
        except _TooMany:
            return None
        # Bit 0 is the wanted model.
        candidates = [mask for mask in allowed if mask & 1]
        if not candidates:
            return Leaving(frozenset(others))
        best = min(candidates, key=lambda mask: self._cost(mask, others))
        gone = frozenset(_absent(best, others))
        return Leaving(gone, weighed=any(mask & ~best for mask in candidates))

    def _cost(self, mask: int, others: list[str]) -> int:
        return sum(self.costs.get(model_id, 1) for model_id in _absent(mask, others))


class _TooMany(Exception):
    """The sets allow more combinations than are looked at."""


class _Combinations:
    """What sets allow, seen through those models alone which matter now: a bit for each of them.

    In the order in which they would be written out in full, each once.
    """

    def __init__(self, matrix: Matrix, models: tuple[str, ...]) -> None:
        self._matrix = matrix
        self._bits = {model_id: 1 << place for place, model_id in enumerate(models)}
        self._of_set: dict[str, tuple[int, ...]] = {}
        self._steps = 0

    def all(self) -> tuple[int, ...]:
        """Those of all sets."""
        for name, expression in self._matrix.sets.items():
            self._of_set[name] = self._of(expression)
        return self._distinct(mask for masks in self._of_set.values() for mask in masks)

    def _of(self, expression: Expression) -> tuple[int, ...]:
        match expression:
            case Name(name):
                return (self._bits.get(self._matrix.variables.get(name, name), 0),)
            case Reference(name):
                return self._of_set[name]
            case Either(parts):
                return self._distinct(mask for part in parts for mask in self._of(part))
            case Every(parts):
                found: tuple[int, ...] = (0,)
                for part in parts:
                    masks = self._of(part)
                    found = self._distinct(left | right for left in found for right in masks)
                return found

    def _distinct(self, masks: Iterable[int]) -> tuple[int, ...]:
        found: dict[int, None] = {}
        for mask in masks:
            self._steps += 1
            if self._steps > MOST_STEPS:
                raise _TooMany
            found[mask] = None
        return tuple(found)


def _absent(mask: int, others: list[str]) -> Iterable[str]:
    return (model_id for place, model_id in enumerate(others, 1) if not mask >> place & 1)
