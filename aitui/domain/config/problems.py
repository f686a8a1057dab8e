"""What is wrong with a config file, before llama-swap says so by not coming up."""

from collections.abc import Iterator
from dataclasses import dataclass

from aitui.domain.config.document import Document
from aitui.domain.config.key_problems import key_mistakes
from aitui.domain.config.macro_problems import macro_mistakes
from aitui.domain.config.mistake import Mistake
from aitui.domain.config.name_problems import name_mistakes
from aitui.domain.config.tree import Lines
from aitui.errors import ConfigRefused

MOST = 200


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake; line and column are counted from 1. `fatal`: llama-swap would not start."""

    line: int
    column: int
    words: str
    fatal: bool


def problems(text: str) -> tuple[Problem, ...]:
    """At most MOST mistakes, in the order of the text; call it in a thread. Never raises."""
    try:
        document = Document.read(text)
    except ConfigRefused as error:
        return (_unreadable(error),)
    lines = Lines.of(text)
    found: dict[Problem, None] = {}
    try:
        for mistake in _mistakes(document):
            line, column = lines.place(mistake.at)
            found[Problem(line, column, mistake.words, mistake.fatal)] = None
            if len(found) == MOST:
                break
    except ConfigRefused as error:
        found[Problem(error.line or 1, 1, str(error), fatal=True)] = None
    return tuple(sorted(found, key=lambda problem: (problem.line, problem.column)))


def new_fatal_problems(before: str, after: str) -> tuple[Problem, ...]:
    """The fatal problems of a text that the one before it didn't have, wherever they stand.

    A file may hold what the newest llama-swap refuses and the one that runs it takes; that must
    not stand in the way of changing another value.
    """
    known = {problem.words for problem in problems(before) if problem.fatal}
    return tuple(
        problem for problem in problems(after) if problem.fatal and problem.words not in known
    )


def _mistakes(document: Document) -> Iterator[Mistake]:
    yield from key_mistakes(document.root)
    yield from macro_mistakes(document)
    yield from name_mistakes(document)


def _unreadable(error: ConfigRefused) -> Problem:
    line, column = error.line or 1, error.column or 1
    words = error.why.removeprefix(f"Line {line}, column {column}: ") or error.what
    return Problem(line, column, words, fatal=True)
