"""Prints the matrices after their tests."""

from collections.abc import Iterator

import pytest

from faults.cells import HTTP
from faults.host_cells import HOST
from faults.program_cells import PROGRAM
from idle_time import IDLE_TIME


@pytest.fixture(autouse=True)
def _idle_time() -> Iterator[None]:
    """Let no cell fail because of what else the machine does meanwhile."""
    with IDLE_TIME.for_a_test(leaves_out_others=True):
        yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print each table, its figures, and the reasons of the cells that can't occur."""
    outcomes = [
        (report.nodeid, sign)
        for outcome, sign in (("passed", "✓"), ("failed", "✘"), ("error", "✘"))
        for report in terminalreporter.stats.get(outcome, ())
    ]
    for matrix in (HTTP, HOST, PROGRAM):
        for line in matrix.lines(outcomes):
            terminalreporter.write_line(line)
