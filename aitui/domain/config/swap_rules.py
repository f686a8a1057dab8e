"""The rules of a config file about which models may run at the same time."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TypeAlias

from msgspec import Struct

from aitui.errors import ConfigRefused


class EvictionPlan(Struct, frozen=True):
    """The ids of the models that will be evicted.

    `by_cost` is set if others could have been evicted instead, and their costs decided.
    """

    models: frozenset[str]
    by_cost: bool = False


class SwapGroup(Struct, frozen=True):
    """Models that take turns (`swap`) or run at the same time.

    An `exclusive` group evicts the models of all others, except those of `persistent` ones.
    """

    name: str
    swap: bool = True
    exclusive: bool = True
    persistent: bool = False


DEFAULT = SwapGroup("(default)")
"""The group of the models that are in none."""


class SwapGroups(Struct, frozen=True):
    """The group of each model that is in one, by its id."""

    group_of: Mapping[str, SwapGroup]

    def eviction_plan(self, wanted: str, running: Collection[str]) -> EvictionPlan:
        """Return the models that a request for that model evicts, also if it runs already."""
        own = self.group_of.get(wanted, DEFAULT)
        groups = {other: self.group_of.get(other, DEFAULT) for other in running if other != wanted}
        return EvictionPlan(
            frozenset(
                other
                for other, group in groups.items()
                if (own.swap if group.name == own.name else own.exclusive and not group.persistent)
            )
        )


LONGEST = 4096
DEEPEST = 50


class ModelTerm(Struct, frozen=True):
    """A model, or a variable that stands for one."""

    name: str


class SetReference(Struct, frozen=True):
    """`+name`: whatever another set allows."""

    name: str


class AllOf(Struct, frozen=True):
    """Parts that run at the same time."""

    parts: tuple["Expression", ...]


class AnyOf(Struct, frozen=True):
    """Parts of which one is chosen."""

    parts: tuple["Expression", ...]


Expression: TypeAlias = ModelTerm | SetReference | AllOf | AnyOf


def parse_set(text: str) -> Expression:
    """Parse the expression of a set.

    Raises ConfigRefused for what llama-swap refuses, and for what is too long or too deep.
    """
    if len(text) > LONGEST:
        raise ConfigRefused(f"A set of more than {LONGEST:,} characters is not read.")
    parser = _SetExpressionParser(tuple(_tokens(text)))
    expression = parser.parse_either(0)
    if not parser.at_end:
        raise ConfigRefused("There is text after the end of a set.")
    return expression


def leaves(expression: Expression) -> Iterator[ModelTerm | SetReference]:
    """Return the names and references of an expression, from left to right."""
    if isinstance(expression, ModelTerm | SetReference):
        yield expression
    else:
        for part in expression.parts:
            yield from leaves(part)


def _tokens(text: str) -> Iterator[str]:
    """Return signs, names, and references as `+name`."""
    at = 0
    while at < len(text):
        sign = text[at]
        end = at + 1
        if sign == "+" or _is_name_character(sign):
            while end < len(text) and _is_name_character(text[end]):
                end += 1
            if text[at:end] == "+":
                raise ConfigRefused("A + in a set is not followed by a set.")
            yield text[at:end]
        elif sign in "&|()":
            yield sign
        elif not sign.isspace():
            raise ConfigRefused("A set contains an invalid character.")
        at = end


def _is_name_character(sign: str) -> bool:
    return sign.isalpha() or sign.isdecimal() or sign in "_-."


class _SetExpressionParser:
    """Reads tokens from left to right; `""` stands behind the last one."""

    def __init__(self, tokens: tuple[str, ...]) -> None:
        self._tokens = (*tokens, "")
        self._at = 0

    @property
    def at_end(self) -> bool:
        return not self._tokens[self._at]

    def parse_either(self, depth: int) -> Expression:
        parts = [self._parse_every(depth)]
        while self._accept("|"):
            parts.append(self._parse_every(depth))
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _parse_every(self, depth: int) -> Expression:
        parts = [self._parse_one(depth)]
        while self._accept("&"):
            parts.append(self._parse_one(depth))
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _parse_one(self, depth: int) -> Expression:
        if self._accept("("):
            if depth == DEEPEST:
                raise ConfigRefused("A set is nested too deeply.")
            inner = self.parse_either(depth + 1)
            if not self._accept(")"):
                raise ConfigRefused("A bracket of a set isn't closed.")
            return inner
        token = self._tokens[self._at]
        if token in {"", "&", "|", ")"}:
            raise ConfigRefused("A set is missing a model.")
        self._at += 1
        return SetReference(token[1:]) if token.startswith("+") else ModelTerm(token)

    def _accept(self, sign: str) -> bool:
        if self._tokens[self._at] != sign:
            return False
        self._at += 1
        return True


MOST_STEPS = 20_000
"""Maximum of combinations to try, which takes some milliseconds."""


class SwapMatrix(Struct, frozen=True):
    """Sets by name, each behind those that it refers to.

    `variables` are the models that short names stand for; `costs` are those of evicting a model, 1
    if none is given.
    """

    sets: Mapping[str, Expression]
    variables: Mapping[str, str]
    costs: Mapping[str, int]

    def eviction_plan(self, wanted: str, running: Collection[str]) -> EvictionPlan | None:
        """Return the models that a load evicts; None if there are too many combinations."""
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
    """The sets allow more combinations than aitui tries."""


class _Combinations:
    """What sets allow of the models that matter now, with a bit for each of them.

    Combinations come in the order in which they would be written out in full, each once.
    """

    def __init__(self, matrix: SwapMatrix, models: tuple[str, ...]) -> None:
        self._matrix = matrix
        self._bits = {model_id: 1 << place for place, model_id in enumerate(models)}
        self._masks_by_set: dict[str, tuple[int, ...]] = {}
        self._steps = 0

    def all(self) -> tuple[int, ...]:
        """Return the combinations of all sets."""
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


class SwapRules(Struct, frozen=True):
    """The rules of a config file.

    `names` are the ids of the file's models and their aliases, each with the id it means.
    `in_routing` is set if the rules stand under `routing`, a key that older servers ignore.
    """

    names: Mapping[str, str]
    router: SwapGroups | SwapMatrix
    in_routing: bool = False

    def eviction_plan(self, wanted: str, running: Collection[str]) -> EvictionPlan | None:
        """Return the models that a request for that model evicts.

        None if that doesn't follow from the file: either it has no such model or not one that runs,
        so that the server runs by something else, or it allows too many combinations.
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
