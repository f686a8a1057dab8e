"""What sees foreign text costs as much as there is of it, not its square: every regular expression."""

import ast
import importlib
import re
import re._parser as parser  # type: ignore[import-not-found]
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

import aitui
from aitui.domain.chat.conversation import append_text_file
from aitui.domain.logs import LONGEST_LINE, parse_log_line

PACKAGE = Path(aitui.__file__).parent
BLANKS = (" ", "\t", "a", "1", "-", "\\", '"', "`", "\n", "/", ".", "=", ":", "a ", "a\n", " \n")
CLASSES = {
    "CATEGORY_DIGIT": "1",
    "CATEGORY_SPACE": " ",
    "CATEGORY_WORD": "a",
    "CATEGORY_NOT_SPACE": "a",
    "CATEGORY_NOT_WORD": "-",
}
FLAGS_AT = {"compile": 1, "sub": 4, "subn": 4, "split": 3} | dict.fromkeys(
    ("search", "match", "fullmatch", "findall", "finditer"), 2
)
"""The functions of `re`, and which of their arguments are the flags."""
LOCALS = {
    "domain.config.keys._pattern": "for pattern in given('_pattern')",
    # What the user types, which has a time limit; `re` only checks it.
    "domain.logs.compile_pattern": "for words in ()",
    "domain.merge._is_in_family": "for _, pattern in (*_REASONING, *_NOT_REASONING)",
    "domain.sanitize._compile": "for pattern in given('_compile')",
    "domain.slash._suggest_commands": "for typed in ('context', 'aaaa')",
    "format.doctor.redact": "for home in ('/home/a', '/////')",
    "host.base.__init__": "for written in (b'mark', b'1111')",
    "host.config_file._list_backups": "for name in ('config.yaml', 'aaaa')",
    "host.config_file.leftovers": "for name in ('config.yaml', 'aaaa')",
    "llamaswap.connection_errors._break_text": "for pattern, _ in _BREAKS",
    "services.failures._read_causes": "for patterns in ([cause.pattern.pattern] for cause in CAUSES)",
    "ui.screens.palette.match_commands": "for word in ('unload', 'aaaa')",
    "ui.widgets.find_bar._handle_input": "for words in ('unload', 'aaaa') for flags in (0, re.I)",
}
"""The values of what a function passes to `re`. `given` is what the module calls a function with."""
METHODS = {
    "domain.config.keys.pattern": {"fullmatch"},
    "domain.programs.CONTEXT_FLAGS": {"fullmatch"},
    "services.failures._read_causes": {"search"},
}
"""How patterns within other values are used."""
# It sees what aitui itself has written.
OWN_TEXTS = {"domain.gguf._ROWS"}
SHORT = 400
EXPONENTIAL = 24
NOISE = 0.0003


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
    if kind.startswith("ASSERT"):
        return [value[1]]
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
        elif not kind.startswith("ASSERT") and (parts := inner(kind, value)):
            times = max(value[0], 1) if kind.endswith("_REPEAT") else 1
            text += sample(parts[0]) * times
    return text


def hostile_beginnings(items: list[Any], before: str = "") -> Iterator[tuple[str, str, str]]:
    """What leads to a place in a pattern, what it takes there over and over, and then."""
    runs = groupby(enumerate(items), lambda one: -1 if str(one[1][0]) == "LITERAL" else one[0])
    parts = [[item for _, item in run] for _, run in runs]
    texts = [sample(part) for part in parts]
    for at, part in enumerate(parts):
        here = before + "".join(texts[:at])
        for end in range(at + 1, len(parts) + 1):
            # Of literals all, and the last one.
            for first in {texts[at], texts[at][-1:]}:
                if repeated := first + "".join(texts[at + 1 : end]):
                    yield here, repeated, "".join(texts[end:])
                    yield "", repeated, "".join(texts[end:])
        for name, value in part:
            for within in inner(str(name), value):
                yield from hostile_beginnings(list(within), here)


def name_of(node: ast.AST) -> str:
    """The last name of an expression."""
    match node:
        case ast.Name(name) | ast.Attribute(_, name):
            return name
        case ast.Call(within) | ast.Subscript(within):
            return name_of(within)
    return ""


class Module(ast.NodeVisitor):
    """Finds the patterns of a module, by evaluating what its calls of `re` are given.

    Each has its place, the names that may hold it, and the function of `re`. The methods that are
    used of any name are added to `methods`.
    """

    def __init__(self, path: Path, methods: dict[str, set[str]]) -> None:
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        self.name = ".".join(parts).removesuffix(".__init__")
        self.methods = methods
        self.found: list[tuple[str, re.Pattern[Any], set[str], str]] = []
        self.local: set[str] = set()
        self._tree = ast.parse(path.read_text())
        names = vars(importlib.import_module(f"aitui.{self.name}"))
        self._names = {"re": re, **names, "given": self._given}
        self._function, self._holders = "", set[str]()
        self.visit(self._tree)

    def visit(self, node: ast.AST) -> None:
        before = self._function, self._holders
        match node:
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name):
                self._function, self._holders = name, {name}
            case ast.Assign([target, *_]) | ast.AnnAssign(target) | ast.NamedExpr(target):
                self._holders = {name_of(target)}
            case ast.keyword(str(name)):
                self._holders = {*self._holders, name}
            case ast.Call(ast.Attribute(ast.Name("re"), use), [words, *others]) if use in FLAGS_AT:
                self._add(use, words, others, {it.arg: it.value for it in node.keywords})
                for within in (*node.args, *node.keywords):
                    self.visit(within)
                return
            case ast.Attribute(ast.Name("re"), use):
                assert use not in FLAGS_AT, f"{self.name}:{node.lineno} calls it elsewhere"
            case ast.Attribute(value, use) if use in FLAGS_AT:
                self.methods[name_of(value)].add(use)
            case ast.ImportFrom("re") | ast.alias("re", str()):
                raise AssertionError(f"{self.name} gives `re` another name")
        self.generic_visit(node)
        self._function, self._holders = before

    def _add(
        self, use: str, words: ast.expr, others: list[ast.expr], named: dict[str | None, ast.expr]
    ) -> None:
        flags = named.get("flags") or [*others, *[ast.Constant(0)] * 5][FLAGS_AT[use] - 1]
        call = f"re.compile({ast.unparse(words)}, {ast.unparse(flags)})"
        try:
            compiled = [eval(call, self._names)]
        except NameError:
            place = f"{self.name}.{self._function}"
            compiled = eval(f"[{call} {LOCALS[place]}]", self._names)
            self.local.add(place)
        for pattern in compiled:
            self.found.append((f"{self.name}:{words.lineno}", pattern, self._holders, use))

    def _given(self, function: str) -> Iterator[Any]:
        for node in ast.walk(self._tree):
            match node:
                case ast.Call(ast.Name(name), [first, *_]) if name == function:
                    yield eval(ast.unparse(first), self._names)


def patterns() -> tuple[set[tuple[str, re.Pattern[Any], str]], set[str]]:
    """The place, pattern and method of each use of `re` in the package; which functions pass locals."""
    methods: dict[str, set[str]] = defaultdict(set)
    modules = [
        Module(path, methods)
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).parts[0] not in {"demo", "__main__.py"}
    ]
    found = {
        (place, pattern, method)
        for module in modules
        for place, pattern, holders, use in module.found
        if not any(f"{module.name}.{name}" in OWN_TEXTS for name in holders)
        for method in (
            {use}
            if use != "compile"
            else set().union(*(METHODS.get(f"{module.name}.{name}", ()) for name in holders))
            or set().union(*(methods[name] for name in holders))
            or {"search", "fullmatch"}
        )
    }
    return found, set().union(*(module.local for module in modules))


def slow_texts(pattern: re.Pattern[Any], method: str) -> Iterator[tuple[str, str, str]]:
    """The first beginning, repeated text and end that cost a method of a pattern too much."""
    is_bytes = isinstance(pattern.pattern, bytes)
    words = pattern.pattern.decode("latin-1") if is_bytes else pattern.pattern
    items = list(parser.parse(words, pattern.flags & ~re.UNICODE if is_bytes else pattern.flags))
    use = getattr(pattern, method)
    empty = (b"" if is_bytes else "",) if method.startswith("sub") else ()

    def cost(length: int) -> None:
        # Starting at each repeat and going on to the end takes as many steps for each text.
        text: Any = start + repeated * int(length / len(repeated) ** 0.5) + end
        found = use(*empty, text.encode("latin-1", "replace") if is_bytes else text)
        if method == "finditer":
            list(found)

    attacks = {*hostile_beginnings(items), *(("", blank, "") for blank in BLANKS)}
    for start, repeated, rest in attacks:
        for end in {"\0", "\n\0", f"{rest}\n\0"}:
            # Of so many measurements one may be disturbed all along.
            if all(grows_too_fast(cost) for _ in range(3)):
                yield start[:60], repeated[:60], end[:60]
                return


def test_every_pattern_costs_as_much_as_there_is_text() -> None:
    found, local = patterns()
    slow = {
        (place, method, *texts)
        for place, pattern, method in found
        for texts in slow_texts(pattern, method)
    }

    assert local == set(LOCALS)
    assert len(found) > 300
    assert slow == set()


@pytest.mark.parametrize(
    ("pattern", "method"),
    [
        (rb"(?is)<title[^>]*>(.{0,400}?)</title>", "search"),
        ("-----BEGIN A-----[^$]*?-----END A-----", "search"),
        (".*server.*", "fullmatch"),
        ("a(?!.*(?:x.*y))", "search"),
        ("[^:]*cpp[^:]*(?::(.*))?", "fullmatch"),
        (r"Request (\S+) (?:a+)+ HTTP", "match"),
    ],
)
def test_what_is_not_linear_is_found(pattern: str | bytes, method: str) -> None:
    assert [*slow_texts(re.compile(pattern), method)]


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
