"""The lines of a config file in colours; made in a thread, since long files take a while."""

from collections.abc import Sequence
from dataclasses import dataclass

from aitui.domain.clean import clean_line
from aitui.ui.transcript.highlighting import highlighted
from aitui.ui.transcript.inks import Run

LONGEST_LINE = 4000


@dataclass(frozen=True, slots=True)
class ColouredConfig:
    """One list of runs a line."""

    lines: Sequence[Sequence[Run]]


def coloured(text: str) -> ColouredConfig:
    """The lines of a text; blocks."""
    lines = [clean_line(line, LONGEST_LINE) for line in text.removeprefix("\ufeff").splitlines()]
    return ColouredConfig(tuple(tuple(line) for line in highlighted(lines, "yaml")))
