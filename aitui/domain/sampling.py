"""Parameters of a chat by name, as a person sets them and as the server wants them."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

RESERVED_NAMES = frozenset(
    {"model", "messages", "stream", "stream_options", "n", "tools", "tool_choice"}
)
"""What aitui itself says in a request."""

_WHOLE = frozenset({"top_k", "seed", "max_tokens", "repeat_last_n", "mirostat", "n_probs"})
_NUMBERS = _WHOLE | {
    *("temperature", "top_p", "min_p", "typical_p", "presence_penalty", "frequency_penalty"),
    *("repeat_penalty", "dry_multiplier", "xtc_probability", "mirostat_tau", "mirostat_eta"),
    *("dynatemp_range", "thinking_budget_tokens"),
}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_LONGEST_VALUE = 100_000


@dataclass(frozen=True, slots=True)
class SamplingParameters:
    """Names and values, the values as JSON text, so that they can be compared and kept."""

    values: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, values: Mapping[str, object]) -> "SamplingParameters":
        """The parameters of a JSON object."""
        return cls(tuple((name, json.dumps(value)) for name, value in values.items()))

    def as_object(self) -> dict[str, object]:
        """The parameters as they stand in a request."""
        return {name: json.loads(value) for name, value in self.values}

    def with_text(self, name: str, text: str) -> "SamplingParameters":
        """One of them set from what a person typed; an empty text removes it.

        A text that is no JSON is meant as text. Raises ValueError, with words for a person.
        """
        name = name.strip()
        _check_name(name)
        others = tuple(pair for pair in self.values if pair[0] != name)
        if not text.strip():
            return SamplingParameters(others)
        return SamplingParameters((*others, (name, json.dumps(_parse_value(name, text.strip())))))

    def with_values(self, others: "SamplingParameters") -> "SamplingParameters":
        """These, and the others where both name one."""
        merged = {**dict(self.values), **dict(others.values)}
        return SamplingParameters(tuple(merged.items()))


def parse_sampling(pairs: Iterable[str]) -> SamplingParameters:
    """The parameters of `NAME=VALUE` texts. Raises ValueError."""
    sampling = SamplingParameters()
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise ValueError(f"“{pair[:80]}” is no NAME=VALUE, like temperature=0.7")
        sampling = sampling.with_text(name, text)
    return sampling


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"“{name[:80]}” can't be the name of a parameter")
    if name in RESERVED_NAMES:
        raise ValueError(f"{name} is not a parameter that can be set: aitui sets it itself")


def _parse_value(name: str, text: str) -> object:
    if len(text) > _LONGEST_VALUE:
        raise ValueError(f"the value of {name} is too long")
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} can't be {text}")
    if name in _NUMBERS and not _is_number(value):
        raise ValueError(f"{name} is a number, not “{text[:80]}”")
    if name in _WHOLE and value != int(value):  # type: ignore[call-overload]
        raise ValueError(f"{name} is a whole number, not {text[:80]}")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
