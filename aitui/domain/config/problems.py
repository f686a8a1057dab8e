"""What is wrong with a config file, before llama-swap says so by not coming up."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake; line and column are counted from 1. `fatal`: llama-swap would not start."""

    line: int
    column: int
    words: str
    fatal: bool


def problems(text: str) -> tuple[Problem, ...]:
    """Everything that is found, in the order of the text; call it in a thread. Never raises."""
    raise NotImplementedError
