"""What sees foreign text costs as much as there is of it, not its square: every regular expression."""

import ast
import importlib
import re
import re._parser as parser  # type: ignore[import-not-found]
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import aitui
from aitui.domain.chat.conversation import append_text_file
from aitui.domain.logs import LONGEST_LINE, parse_log_line

PACKAGE = Path(aitui.__file__).parent
BLANKS = (" ", "\t", "a", "1", "-", "\\", '"', "`", "\n", "/", ".", "=", ":", "a ", "a\n", " \n")
TAKES = re.compile(r"\b([A-Za-z_.]+)\.(search|match|fullmatch|subn?|finditer|findall|split)\(")
CLASSES = {
    "CATEGORY_DIGIT": "1",
    "CATEGORY_SPACE": " ",
    "CATEGORY_WORD": "a",
    "CATEGORY_NOT_SPACE": "a",
    "CATEGORY_NOT_WORD": "-",
}
# They see what aitui itself has written.
OWN_TEXTS = {"aitui.domain.gguf:findall"}
SHORT = 400
EXPONENTIAL = 24
NOISE = 0.0006


def cpu_seconds(call: Callable[[], object]) -> float:
    """The least CPU time of three calls, of one that is long anyway."""
    least = float("inf")
    for _ in range(5):
        begun = time.thread_time()
        call()
        least = min(least, time.thread_time() - begun)
        if not NOISE / 10 < least < 50 * NOISE:
            break
    return least


def grows_too_fast(cost: Callable[[int], object], short: int = SHORT) -> bool:
    """Whether four times the text costs eight times the CPU, measured in one go."""
    if cpu_seconds(lambda: cost(EXPONENTIAL)) > NOISE:
        return True
    begun = time.thread_time()
    cost(4 * short)
    if time.thread_time() - begun < NOISE:
        return False
    long = cpu_seconds(lambda: cost(4 * short))
    return long >= NOISE and long >= 8 * cpu_seconds(lambda: cost(short))


def character(choices: Iterable[Any]) -> str:
    """A character of a set."""
    (kind, value), *others = choices
    if str(kind) == "NEGATE":
        taken = {chr(it) for name, it in others if str(name) == "LITERAL"}
        return next(it for it in "a1 -x\n\u1234" if it not in taken)
    if str(kind) == "LITERAL":
        return chr(value)
    return chr(value[0]) if str(kind) == "RANGE" else CLASSES[str(value)]


def inner(kind: str, value: Any) -> list[Any]:
    """The patterns within one item of a pattern."""
    if kind.endswith("_REPEAT"):
        return [value[2]]
    if kind == "BRANCH":
        return list(value[1])
    if kind == "SUBPATTERN":
        return [value[3]]
    return [value] if kind == "ATOMIC_GROUP" else []


def sample(items: Iterable[Any]) -> str:
    """A text that a parsed pattern takes."""
    text = ""
    for name, value in items:
        kind = str(name)
        if kind == "LITERAL":
            text += chr(value)
        elif kind in {"ANY", "NOT_LITERAL"}:
            text += "a"
        elif kind == "IN":
            text += character(value)
        elif parts := inner(kind, value):
            times = max(value[0], 1) if kind.endswith("_REPEAT") else 1
            text += sample(parts[0]) * times
    return text


def hostile_beginnings(items: list[Any], before: str = "") -> Iterator[tuple[str, str]]:
    """What leads to a place in a pattern, and what it takes there over and over."""
    for at, (name, value) in enumerate(items):
        here = before + sample(items[:at])
        for end in {at + 1, at + 2, len(items)}:
            if repeated := sample(items[at:end]):
                yield here, repeated
                yield "", repeated
        for part in inner(str(name), value):
            yield from hostile_beginnings(list(part), here)


def patterns() -> dict[str, tuple[re.Pattern[Any], set[str]]]:
    """Every compiled pattern of the package by its place, with the methods that use it."""
    found: dict[str, tuple[re.Pattern[Any], set[str]]] = {}
    sources = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] not in {"demo", "__main__"}:
            sources[".".join(("aitui", *parts)).removesuffix(".__init__")] = path.read_text()
    used = [*TAKES.findall("\n".join(sources.values()))]
    for module, source in sources.items():
        for name, value in vars(importlib.import_module(module)).items():
            if isinstance(value, re.Pattern):
                methods = {method for user, method in used if user.rpartition(".")[2] == name}
                found[f"{module}:{name}"] = value, methods or {"search", "fullmatch"}
        for node in ast.walk(ast.parse(source)):
            match node:
                case ast.Call(
                    ast.Attribute(ast.Name("re"), method), [ast.Constant(str(words)), *_]
                ) if method != "compile" and f"{module}:{method}" not in OWN_TEXTS:
                    found[f"{module}:{node.lineno}"] = re.compile(words), {method}
    return found


def slow_uses(pattern: re.Pattern[Any], methods: set[str]) -> Iterator[tuple[str, str, str]]:
    """The methods of a pattern, each with a beginning and a repeated text that cost too much."""
    is_bytes = isinstance(pattern.pattern, bytes)
    words = pattern.pattern.decode("latin-1") if is_bytes else pattern.pattern
    items = list(parser.parse(words, pattern.flags & ~re.UNICODE if is_bytes else pattern.flags))
    attacks = {*hostile_beginnings(items), *(("", blank) for blank in BLANKS)}
    for method in sorted(methods):
        use = getattr(pattern, method)
        empty = (b"" if is_bytes else "",) if method.startswith("sub") else ()

        def cost(length: int, use: Any = use, empty: Any = empty) -> None:
            text: Any = start + repeated * (length // len(repeated)) + "\0"  # noqa: B023
            found = use(*empty, text.encode("latin-1", "replace") if is_bytes else text)
            if method == "finditer":  # noqa: B023
                list(found)

        for start, repeated in attacks:
            if grows_too_fast(cost):
                yield method, start, repeated[:60]
                break


def test_every_pattern_costs_as_much_as_there_is_text() -> None:
    found = patterns()
    slow = {
        f"{place} {uses}"
        for place, (pattern, methods) in found.items()
        if (uses := [*slow_uses(pattern, methods)])
    }

    assert len(found) > 100
    assert slow == set()


def test_a_log_line_that_begins_over_and_over_costs_what_it_is_long() -> None:
    begun = 'Request x "GET /api/metrics'

    def parse(length: int) -> None:
        parse_log_line(begun * (length // len(begun)) + '? HTTP/1.1" 404 83 "x aitui/"')
        parse_log_line(f'{begun}{"?/api/metrics" * (length // 13)} HTTP/1.1" 404 83 "x aitui/"')

    assert not grows_too_fast(parse, LONGEST_LINE // 4)


def test_a_file_of_backticks_is_attached_at_once() -> None:
    assert not grows_too_fast(lambda length: append_text_file("", "a", "`" * length), 50_000)
    attached = append_text_file("", "a", "` ```` ``")
    assert attached == "a:\n`````\n` ```` ``\n`````"
