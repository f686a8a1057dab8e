"""Prints the matrix after its tests: ✓ held, ✘ failed, – can't occur, blank not part of this run."""

import re

import pytest

from faults.cells import HTTP_FAULTS, IMPOSSIBLE, NOTHING_TO_SAY
from faults.operations import OPERATIONS

_CELL = re.compile(r"test_the_app_says_it_and_recovers\[(\w+)-(.+)\]$")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table, its figures, and the reasons of the cells that can't occur."""
    signs = dict.fromkeys(IMPOSSIBLE, "–")
    for outcome, sign in (("passed", "✓"), ("failed", "✘"), ("error", "✘")):
        for report in terminalreporter.stats.get(outcome, ()):
            if found := _CELL.search(report.nodeid):
                signs[found[1], found[2]] = sign
    if not set(signs.values()) & {"✓", "✘"}:
        return
    names = [operation.name for operation in OPERATIONS]
    write = terminalreporter.write_line
    write("")
    write(f"{'':22}" + " ".join(f"{name:>8}" for name in names))
    for fault in HTTP_FAULTS:
        write(f"{fault:22}" + " ".join(f"{signs.get((name, fault), ''):>8}" for name in names))
    counts = {sign: list(signs.values()).count(sign) for sign in "✓✘–"}
    write(f"{counts['✓']} held, {counts['✘']} failed, {counts['–']} can't occur:")
    for reason in dict.fromkeys(IMPOSSIBLE.values()):
        cells = [" × ".join(cell) for cell, why in IMPOSSIBLE.items() if why == reason]
        write(f"  – {', '.join(cells)}: {reason}")
    for reason in dict.fromkeys(NOTHING_TO_SAY.values()):
        cells = [" × ".join(cell) for cell, why in NOTHING_TO_SAY.items() if why == reason]
        write(f"  nothing said: {', '.join(cells)}: {reason}")
