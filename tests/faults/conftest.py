"""Prints the matrices after their tests."""

import pytest

from faults.cells import HTTP
from faults.host_cells import HOST


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print each table, its figures, and the reasons of the cells that can't occur."""
    outcomes = [
        (report.nodeid, sign)
        for outcome, sign in (("passed", "✓"), ("failed", "✘"), ("error", "✘"))
        for report in terminalreporter.stats.get(outcome, ())
    ]
    for matrix in (HTTP, HOST):
        for line in matrix.lines(outcomes):
            terminalreporter.write_line(line)
