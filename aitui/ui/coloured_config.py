"""The lines of a config file in colours; made in a thread, since long files take a while."""

from collections.abc import Sequence
from dataclasses import dataclass

from aitui.domain.clean import sanitize_line
from aitui.ui.transcript.highlighting import highlight_lines
from aitui.ui.transcript.inks import Run

MAX_LINE_LENGTH = 4000


@dataclass(frozen=True, slots=True)
class HighlightedConfig:
    """One list of runs a line."""

    lines: Sequence[Sequence[Run]]


def highlight_config(text: str) -> HighlightedConfig:
    """The lines of a text; blocks."""
    lines = [
        sanitize_line(line, MAX_LINE_LENGTH) for line in text.removeprefix("\ufeff").splitlines()
    ]
    return HighlightedConfig(tuple(tuple(line) for line in highlight_lines(lines, "yaml")))
