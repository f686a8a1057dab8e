"""The table that the benchmark prints."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """A figure, what it should be, and whether it is."""

    words: str
    figure: str
    wanted: str = ""
    holds: bool = True


def print_lines(section: str, lines: Sequence[Line]) -> None:
    """Print the figures of a section."""
    print(f"\n{section}")
    for line in lines:
        verdict = f"{line.wanted:>8}  {'✓' if line.holds else '✘ MISSED'}" if line.wanted else ""
        print(f"  {line.words:<50}{line.figure:>16}  {verdict}".rstrip(), flush=True)


def p95(values: Sequence[float]) -> float:
    """The 95th percentile; infinite without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))] if ordered else float("inf")
