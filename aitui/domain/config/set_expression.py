"""The expressions of a matrix: who runs beside whom, `(a | b) & c & +others`.

The grammar is that of llama-swap's `internal/matrix`: `&` binds tighter than `|`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from aitui.errors import ConfigRefused

LONGEST = 4096
DEEPEST = 50


@dataclass(frozen=True, slots=True)
class ModelTerm:
    """A model, or a variable that stands for one."""

    name: str


@dataclass(frozen=True, slots=True)
class SetReference:
    """`+name`: whatever another set allows."""

    name: str


@dataclass(frozen=True, slots=True)
class AllOf:
    """Parts that run together."""

    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Parts of which one is chosen."""

    parts: tuple["Expression", ...]


Expression: TypeAlias = ModelTerm | SetReference | AllOf | AnyOf


def parse_set(text: str) -> Expression:
    """The expression that a text spells.

    Raises ConfigRefused for what llama-swap refuses, and for what is long or deep beyond reason.
    """
    if len(text) > LONGEST:
        raise ConfigRefused(f"A set of more than {LONGEST:,} characters is not read.")
    parser = _SetExpressionParser(tuple(_tokens(text)))
    expression = parser.parse_either(0)
    if not parser.at_end:
        raise ConfigRefused("Something follows a set that is complete.")
    return expression


def leaves(expression: Expression) -> Iterator[ModelTerm | SetReference]:
    """The names and references of an expression, from left to right."""
    if isinstance(expression, ModelTerm | SetReference):
        yield expression
    else:
        for part in expression.parts:
            yield from leaves(part)


def _tokens(text: str) -> Iterator[str]:
    """Signs, names, and references as `+name`."""
    at = 0
    while at < len(text):
        sign = text[at]
        end = at + 1
        if sign == "+" or _is_name_character(sign):
            while end < len(text) and _is_name_character(text[end]):
                end += 1
            if text[at:end] == "+":
                raise ConfigRefused("A + in a set names no other one.")
            yield text[at:end]
        elif sign in "&|()":
            yield sign
        elif not sign.isspace():
            raise ConfigRefused("A set holds a character that has no meaning there.")
        at = end


def _is_name_character(sign: str) -> bool:
    return sign.isalpha() or sign.isdecimal() or sign in "_-."


class _SetExpressionParser:
    """Reads tokens from left to right; `""` stands behind the last one."""

    def __init__(self, tokens: tuple[str, ...]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at == len(self._tokens)

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
        token = self._next_token()
        if token in {"", "&", "|", ")"}:
            raise ConfigRefused("A model is missing in a set.")
        return SetReference(token[1:]) if token.startswith("+") else ModelTerm(token)

    def _accept(self, sign: str) -> bool:
        if self.at_end or self._tokens[self._at] != sign:
            return False
        self._at += 1
        return True

    def _next_token(self) -> str:
        if self.at_end:
            return ""
        self._at += 1
        return self._tokens[self._at - 1]
