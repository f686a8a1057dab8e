"""One mistake at a place of the text."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OffsetDiagnostic:
    """`at` counts characters from 0; `fatal`: llama-swap would not start."""

    at: int
    words: str
    fatal: bool
