"""The house: one meaning a class name, no circle between files, plain names, few crumbs."""

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import aitui

PACKAGE = Path(aitui.__file__).parent

MOST_CRUMBS = 10
MOST_PARTICIPLES = 0.015
MOST_OLD_WORDS = 20
CRUMB_LINES = 60

_OLD_WORDS = re.compile(
    r"\b(deeds?|wish(es|ed)?|told|anew|whose|whom|whoever|somebody|nobody)\b", re.IGNORECASE
)
_PARTICIPLE = re.compile(
    r"([a-z]{2,}ed|told|drawn|sent|kept|held|found|known|seen|made|given|taken|written|said|shown"
    r"|sized|built|lost|begun|gone|grown|chosen|broken)"
)
_NOUNS_AND_ADJECTIVES = frozenset(
    [
        "expected",
        "split",
        "feed",
        "embed",
        "seed",
        "speed",
        "need",
        "needed",
        "left",
        "shared",
        "cached",
        "limited",
        "failed",
        "used",
        "allowed",
        "required",
        "supported",
        "selected",
        "enabled",
        "disabled",
    ]
)
_FRAMEWORK = ("on_", "watch_", "action_", "is_", "has_", "can_", "was_")

Trees = Mapping[str, ast.Module]


@pytest.fixture(scope="module")
def paths() -> dict[str, Path]:
    """Every module of the package with its file."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


@pytest.fixture(scope="module")
def trees(paths: dict[str, Path]) -> Trees:
    return {name: ast.parse(path.read_text()) for name, path in paths.items()}


@pytest.fixture(scope="module")
def imports(paths: dict[str, Path], trees: Trees) -> dict[str, set[str]]:
    """What each module imports of the package, inside functions as well; packages don't count."""
    graph: dict[str, set[str]] = {name: set() for name in trees}
    for name, tree in trees.items():
        for imported in _imported(tree, set(trees)):
            if imported != name and paths[imported].name != "__init__.py":
                graph[name].add(imported)
    return graph


def _imported(tree: ast.Module, modules: set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module in modules:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in modules else node.module


def _functions(trees: Trees) -> Iterator[tuple[str, str]]:
    for module, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield module, node.name


def test_no_class_name_stands_for_two_things(trees: Trees) -> None:
    places = defaultdict(list)
    for module, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(module)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_no_files_import_each_other_in_a_circle(imports: dict[str, set[str]]) -> None:
    open_ends, done = set[str](), set[str]()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in open_ends, f"a circle: {' → '.join((*path, module))}"
        if module in done:
            return
        open_ends.add(module)
        for imported in sorted(imports[module]):
            visit(imported, (*path, module))
        open_ends.remove(module)
        done.add(module)

    for module in imports:
        visit(module, ())


def test_small_files_with_one_importer_are_few(
    paths: dict[str, Path], imports: dict[str, set[str]]
) -> None:
    importers: dict[str, set[str]] = defaultdict(set)
    for module, imported in imports.items():
        for target in imported:
            importers[target].add(module)
    crumbs = [
        module
        for module, path in paths.items()
        if path.name != "__init__.py"
        and len(importers[module]) == 1
        and path.read_text().count("\n") < CRUMB_LINES
    ]
    assert len(crumbs) <= MOST_CRUMBS, crumbs


def test_nothing_is_raised_in_a_group_by_early_python(trees: Trees) -> None:
    """Before Python 3.11.4 an error that is raised in `except*` comes in a group."""
    found = [
        path
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.TryStar)
    ]
    assert not found


def test_functions_are_not_named_by_participles(trees: Trees) -> None:
    functions = list(_functions(trees))
    participles = []
    for module, name in functions:
        bare = name.strip("_")
        first = bare.split("_")[0]
        if first in _NOUNS_AND_ADJECTIVES or bare.startswith(_FRAMEWORK):
            continue
        if _PARTICIPLE.fullmatch(first):
            participles.append(f"{module}.{name}")
    assert len(participles) <= MOST_PARTICIPLES * len(functions), participles


def test_names_docstrings_and_comments_use_plain_words(paths: dict[str, Path]) -> None:
    found = [
        f"{path}:{token.start[0]}: {token.line.strip()}"
        for path in paths.values()
        for token in _tokens(path)
        if _OLD_WORDS.search(_words(token))
    ]
    assert len(found) <= MOST_OLD_WORDS, found


def _tokens(path: Path) -> Iterator[tokenize.TokenInfo]:
    """Names, comments and docstrings of a file that may have an old word."""
    text = path.read_text()
    if not (_OLD_WORDS.search(text) or _OLD_WORDS.search(_apart(text))):
        return
    docstrings = {
        (body[0].value.lineno, body[0].value.col_offset)
        for node in ast.walk(ast.parse(text))
        if isinstance(body := getattr(node, "body", None), list) and body
        if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    }
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        is_docstring = token.type == tokenize.STRING and token.start in docstrings
        if token.type in {tokenize.NAME, tokenize.COMMENT} or is_docstring:
            yield token


def _words(token: tokenize.TokenInfo) -> str:
    if token.type != tokenize.NAME:
        return token.string
    return _apart(token.string)


def _apart(name: str) -> str:
    """The words of a name."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.replace("_", " "))


REPLACED_PHRASES = (
    *("after what goes", "G free", "request runs", "requests run there", "then loads"),
    *(
        "looks whether",
        "was asked yet",
        "what the prompt takes",
        "cut answer",
        "gone on with",
        "Nobody",
    ),
    *("tells how", "is as it was", "it is written", "never by itself", "unwatched"),
    *("goes on loading", "there to answer", "give --yes", "all the same", "thinks"),
    *("before it answers", "from the fallback", "isn't known", "not been measured", "whose"),
    *("graphics memory", "that nobody told", "leave it", "has read it before", "watch it"),
)
"""Words that people found stilted on screen: each was replaced by plain English."""
REPLACED_LABELS = frozenset({"heat", "busy", "others"})


def _texts(tree: ast.Module) -> Iterator[ast.Constant]:
    """String constants that aren't docstrings."""
    bare = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare:
            yield node


def test_no_text_has_a_phrase_that_was_replaced(trees: Trees) -> None:
    phrases = "|".join(map(re.escape, REPLACED_PHRASES))
    pattern = re.compile(rf"(?<![A-Za-z])(?:{phrases})\b", re.IGNORECASE)
    texts = [
        (f"{name}:{text.lineno}", text.value)
        for name, tree in trees.items()
        for text in _texts(tree)
        if isinstance(text.value, str)
    ]
    for name in ("README.md", "CHANGELOG.md"):
        texts += [(name, line) for line in (PACKAGE.parent / name).read_text().splitlines()]
    found = [
        f"{place}: {text!r}"
        for place, text in texts
        if pattern.search(text) or text.strip() in REPLACED_LABELS
    ]
    assert not found


_KEY = re.compile(r" \((?:[a-zA-Z/]|\^[a-z]|F\d+)\)|\b[Pp]ress \S")


def test_no_text_outside_of_the_screens_names_a_key(trees: Trees) -> None:
    """The command line prints these texts too; an error has an action, whose key `ui` adds."""
    found = [
        f"{name}:{text.lineno}: {text.value!r}"
        for name, tree in trees.items()
        if not name.startswith(("aitui.ui.", "aitui.demo."))
        for text in _texts(tree)
        if isinstance(text.value, str) and _KEY.search(text.value)
    ]
    assert not found
