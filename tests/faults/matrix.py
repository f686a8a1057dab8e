"""A table of operations and faults: which cells there are, and what came of them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest


class Named(Protocol):
    """An operation, as far as the table is concerned."""

    @property
    def name(self) -> str:
        """What its column is called."""


Cell = tuple[str, str]
_OF_CI = 2
_INTERNAL = re.compile(
    r"Traceback|Errno|\w+Error\b|\w+Exception\b|object at 0x|<class|\bNone\b|bytearray"
)
"""What only a programmer would understand."""


@dataclass(frozen=True)
class Matrix:
    """One table. `test` is the file of its tests; `every` so many cells are a part of every run.

    `faults` are each with a pattern of what the app says, empty where there is nothing to say; `says`
    are the patterns of cells that differ. `impossible` are the cells that can't occur, and `silent`
    those in which the app rightly says nothing, each with its reason.
    """

    test: str
    operations: Sequence[Named]
    faults: Mapping[str, tuple[Any, str]]
    impossible: Mapping[Cell, str]
    says: Mapping[Cell, str] = field(default_factory=dict)
    silent: Mapping[Cell, str] = field(default_factory=dict)
    every: int = 23

    @property
    def cells(self) -> list[Any]:
        """The parameters of the test: operation and fault."""
        return [
            pytest.param(
                operation,
                fault,
                id=f"{operation.name}-{fault}",
                marks=self._marks(row * len(self.faults) + column),
            )
            for row, operation in enumerate(self.operations)
            for column, fault in enumerate(self.faults)
            if (operation.name, fault) not in self.impossible
        ]

    def _marks(self, number: int) -> tuple[pytest.MarkDecorator, ...]:
        """Leave a cell to `make faults`, and half of them to `make faults-selection` as well."""
        if number % self.every == 0:
            return ()
        in_ci = (pytest.mark.faults_selection,) if number % _OF_CI == 1 else ()
        return (pytest.mark.faults, *in_ci)

    def check(self, operation: str, fault: str, texts: Sequence[str], sent: str = "") -> None:
        """Check that what the app shows is fit for people, and says what it has to.

        It may also have said that before, in what it has `sent` to the terminal.
        """
        for text in texts:
            assert not _INTERNAL.search(text), text
            assert not set(text) & {"\x1b", "\x07", "\u202e", "\x85"}, text
        cell = (operation, fault)
        says = "" if cell in self.silent else self.says.get(cell, self.faults[fault][1])
        shown = " ".join("\n".join((*texts, sent)).split())
        assert re.search(says, shown), f"never said: {says}\n" + "\n".join(texts)

    def lines(self, outcomes: Iterable[tuple[str, str]]) -> list[str]:
        """Draw it: ✓ held, ✘ failed, – can't occur, blank not part of this run.

        `outcomes` are the signs of node ids. Empty if none of them is of this table.
        """
        cell = re.compile(re.escape(self.test) + r"::\w+\[([^-\]]+)-(.+)\]$")
        signs = dict.fromkeys(self.impossible, "–")
        for node, sign in outcomes:
            if found := cell.search(node):
                signs[found[1], found[2]] = sign
        if not set(signs.values()) & {"✓", "✘"}:
            return []
        names = [one.name for one in self.operations]
        lines = [
            "",
            f"{self.test:26}" + " ".join(f"{name:>8}" for name in names),
        ]
        for fault in self.faults:
            row = " ".join(f"{signs.get((name, fault), ''):>{max(8, len(name))}}" for name in names)
            lines.append(f"{fault:26}{row}")
        counts = {sign: list(signs.values()).count(sign) for sign in "✓✘–"}
        lines.append(f"{counts['✓']} held, {counts['✘']} failed, {counts['–']} can't occur:")
        return [*lines, *_reasons("–", self.impossible), *_reasons("nothing said:", self.silent)]


def _reasons(sign: str, cells: Mapping[Cell, str]) -> list[str]:
    return [
        f"  {sign} {', '.join(' × '.join(cell) for cell in cells if cells[cell] == why)}: {why}"
        for why in dict.fromkeys(cells.values())
    ]
