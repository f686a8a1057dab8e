"""How a scalar's text is spelled in the file, character by character, and how to respell a part.

Blanks and line breaks fold and escape in ways of their own (YAML 1.2, chapters 7 and 8), every
other character stands in the file in the same order. So these are matched, and a stretch that
begins and ends with one of them has an exact place in the file.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from aitui.domain.config.tree import LineIndex, YamlScalar
from aitui.errors import ConfigRefused

_BLANKS = " \t\r\n\x85\u2028\u2029\ufeff"
_PROPERTIES = re.compile(r"(?:(?:&[^\s,\[\]{}]+|!\S*)[ \t\r\n]+(?:#[^\r\n]*[\r\n]+[ \t\r\n]*)?)*")
_BLOCK_HEADER = re.compile(r"[|>][^\r\n]*(?:\r\n|[\r\n]|\Z)")
_DOUBLE = re.compile(
    r"\\(?:x(?P<x>[0-9A-Fa-f]{2})|u(?P<u>[0-9A-Fa-f]{4})|U(?P<U>[0-9A-Fa-f]{8})"
    r"|\r\n|(?P<one>.))|(?P<plain>[^\\])",
    re.DOTALL,
)
_SAME_WHEN_ESCAPED = '"\\/'
_ESCAPED_BLANKS = "tnNLP \t\r\n\x85\u2028\u2029"
_SHORT_ESCAPES = {
    "0": "\0",
    "a": "\a",
    "b": "\b",
    "v": "\v",
    "f": "\f",
    "r": "\r",
    "e": "\x1b",
    "_": "\xa0",
}


@dataclass(frozen=True, slots=True)
class SourceMap:
    """The places of a scalar's characters: the one at `n` is `text[starts[n]:ends[n]]`.

    −1 for blanks and line breaks. `escaped` holds those that are spelled as a number or a letter.
    """

    scalar: YamlScalar
    begin: int
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    escaped: frozenset[int]

    @classmethod
    def read(cls, text: str, scalar: YamlScalar) -> "SourceMap":
        """Matches a scalar with its text. Raises ConfigRefused where they don't fit."""
        properties = _PROPERTIES.match(text, scalar.start, scalar.end)
        begin = properties.end() if properties else scalar.start
        raw = list(_iter_characters(text, scalar, begin))
        starts = [-1] * len(scalar.value)
        ends = [-1] * len(scalar.value)
        escaped: set[int] = set()
        at = 0
        for index, character in enumerate(scalar.value):
            if character in _BLANKS:
                continue
            if at >= len(raw) or raw[at][0] != character:
                raise _unclear_error(text, scalar)
            _, starts[index], ends[index], numbered = raw[at]
            if numbered:
                escaped.add(index)
            at += 1
        if at != len(raw):
            raise _unclear_error(text, scalar)
        return cls(scalar, begin, tuple(starts), tuple(ends), frozenset(escaped))

    def locate(self, text: str, start: int, end: int) -> tuple[int, int]:
        """Where the characters `start` to `end` stand in the file.

        Raises ConfigRefused where one is spelled as an escape, or a blank stands at either end.
        """
        if self.escaped.intersection(range(start, end)):
            raise ConfigRefused(
                "The value is written in escapes.",
                line=LineIndex.of(text).line(self.starts[start]),
                why="It can't be told which of them to replace.",
                remedy="Write it out, in the editor (e).",
            )
        if start >= end or self.starts[start] < 0 or self.ends[end - 1] < 0:
            raise _unclear_error(text, self.scalar)
        return self.starts[start], self.ends[end - 1]


def escape_fragment(fragment: str, style: str) -> str:
    """A piece of text as it is written inside a scalar of a style."""
    if style == "'":
        return fragment.replace("'", "''")
    if style == '"':
        return fragment.replace("\\", "\\\\").replace('"', '\\"')
    return fragment


def _iter_characters(
    text: str, scalar: YamlScalar, begin: int
) -> Iterator[tuple[str, int, int, bool]]:
    """The characters that aren't blank: what they are, their place, whether they are escapes."""
    if scalar.style == '"':
        yield from _iter_double_quoted(text, begin + 1, scalar.end - 1)
        return
    start, end = begin, scalar.end
    if scalar.style in {"|", ">"}:
        header = _BLOCK_HEADER.match(text, begin, end)
        start = header.end() if header else begin
    elif scalar.style == "'":
        start, end = begin + 1, end - 1
    at = start
    while at < end:
        size = 2 if scalar.style == "'" and text.startswith("''", at) else 1
        if text[at] not in _BLANKS:
            yield text[at], at, at + size, False
        at += size


def _iter_double_quoted(text: str, start: int, end: int) -> Iterator[tuple[str, int, int, bool]]:
    for found in _DOUBLE.finditer(text, start, end):
        plain, one = found["plain"], found["one"]
        if plain is not None:
            character, numbered = plain, False
        elif one is not None:
            numbered = one not in _SAME_WHEN_ESCAPED
            character = " " if one in _ESCAPED_BLANKS else _SHORT_ESCAPES.get(one, one)
        else:
            code = found["x"] or found["u"] or found["U"]
            character, numbered = _decode_escape(code), True
        if character not in _BLANKS:
            yield character, found.start(), found.end(), numbered


def _decode_escape(code: str | None) -> str:
    number = int(code, 16) if code else 0x20
    return chr(number) if number <= 0x10FFFF else "\ufffd"


def _unclear_error(text: str, scalar: YamlScalar) -> ConfigRefused:
    return ConfigRefused(
        "The value can't be found again in the file.",
        line=LineIndex.of(text).line(scalar.start),
        why="It is spelled in a way that can't be followed.",
        remedy="Change it in the editor (e).",
    )
