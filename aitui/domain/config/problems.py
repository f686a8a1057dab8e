"""What is wrong with a config file, before llama-swap says so by not coming up."""

from collections.abc import Iterator
from dataclasses import dataclass

from aitui.domain.config.document import ConfigDocument
from aitui.domain.config.key_problems import key_diagnostics
from aitui.domain.config.macro_problems import macro_diagnostics
from aitui.domain.config.mistake import OffsetDiagnostic
from aitui.domain.config.name_problems import name_diagnostics
from aitui.domain.config.tree import LineIndex
from aitui.errors import ConfigRefused

MOST_DIAGNOSTICS = 200


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One mistake; line and column are counted from 1. `fatal`: llama-swap would not start."""

    line: int
    column: int
    words: str
    fatal: bool


def find_diagnostics(text: str) -> tuple[Diagnostic, ...]:
    """At most MOST mistakes, in the order of the text; call it in a thread. Never raises."""
    try:
        document = ConfigDocument.read(text)
    except ConfigRefused as error:
        return (_parse_failure(error),)
    lines = LineIndex.of(text)
    found: dict[Diagnostic, None] = {}
    try:
        for mistake in _iter_diagnostics(document):
            line, column = lines.position(mistake.at)
            found[Diagnostic(line, column, mistake.words, mistake.fatal)] = None
            if len(found) == MOST_DIAGNOSTICS:
                break
    except ConfigRefused as error:
        found[Diagnostic(error.line or 1, 1, str(error), fatal=True)] = None
    return tuple(sorted(found, key=lambda problem: (problem.line, problem.column)))


def new_fatal_diagnostics(before: str, after: str) -> tuple[Diagnostic, ...]:
    """The fatal problems of a text that the one before it didn't have, wherever they stand.

    A file may hold what the newest llama-swap refuses and the one that runs it takes; that must
    not stand in the way of changing another value.
    """
    known = {problem.words for problem in find_diagnostics(before) if problem.fatal}
    return tuple(
        problem
        for problem in find_diagnostics(after)
        if problem.fatal and problem.words not in known
    )


def _iter_diagnostics(document: ConfigDocument) -> Iterator[OffsetDiagnostic]:
    yield from key_diagnostics(document.root)
    yield from macro_diagnostics(document)
    yield from name_diagnostics(document)


def _parse_failure(error: ConfigRefused) -> Diagnostic:
    line, column = error.line or 1, error.column or 1
    words = error.why.removeprefix(f"Line {line}, column {column}: ") or error.what
    return Diagnostic(line, column, words, fatal=True)
