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
class Name:
    """A model, or a variable that stands for one."""

    name: str


@dataclass(frozen=True, slots=True)
class Reference:
    """`+name`: whatever another set allows."""

    name: str


@dataclass(frozen=True, slots=True)
class Every:
    """Parts that run together."""

    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Either:
    """Parts of which one is chosen."""

    parts: tuple["Expression", ...]


Expression: TypeAlias = Name | Reference | Every | Either


def parse_set(text: str) -> Expression:
    """The expression that a text spells.

    Raises ConfigRefused for what llama-swap refuses, and for what is long or deep beyond reason.
    """
    if len(text) > LONGEST:
        raise ConfigRefused(f"A set of more than {LONGEST:,} characters is not read.")
    parser = _Parser(tuple(_tokens(text)))
    expression = parser.either(0)
    if not parser.at_end:
        raise ConfigRefused("Something follows a set that is complete.")
    return expression


def leaves(expression: Expression) -> Iterator[Name | Reference]:
    """The names and references of an expression, from left to right."""
    if isinstance(expression, Name | Reference):
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
        if sign == "+" or _is_of_name(sign):
            while end < len(text) and _is_of_name(text[end]):
                end += 1
            if text[at:end] == "+":
                raise ConfigRefused("A + in a set names no other one.")
            yield text[at:end]
        elif sign in "&|()":
            yield sign
        elif not sign.isspace():
            raise ConfigRefused("A set holds a character that has no meaning there.")
        at = end


def _is_of_name(sign: str) -> bool:
    return sign.isalpha() or sign.isdecimal() or sign in "_-."


class _Parser:
    """Reads tokens from left to right; `""` stands behind the last one."""

    def __init__(self, tokens: tuple[str, ...]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at == len(self._tokens)

    def either(self, depth: int) -> Expression:
        parts = [self._every(depth)]
        while self._takes("|"):
            parts.append(self._every(depth))
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _every(self, depth: int) -> Expression:
        parts = [self._one(depth)]
        while self._takes("&"):
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _one(self, depth: int) -> Expression:
        if self._takes("("):
            if depth == DEEPEST:
                raise ConfigRefused("A set is nested too deeply.")
            inner = self.either(depth + 1)
            if not self._takes(")"):
                raise ConfigRefused("A bracket of a set isn't closed.")
            return inner
        token = self._next()
        if token in {"", "&", "|", ")"}:
            raise ConfigRefused("A model is missing in a set.")
        return Reference(token[1:]) if token.startswith("+") else Name(token)

    def _takes(self, sign: str) -> bool:
        if self.at_end or self._tokens[self._at] != sign:
            return False
        self._at += 1
        return True

    def _next(self) -> str:
        if self.at_end:
            return ""
        self._at += 1
        return self._tokens[self._at - 1]
