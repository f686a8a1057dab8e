"""The runs of a model in its log: llama-swap keeps them one after another."""

import re
from collections.abc import Sequence

from aitui.domain.sanitize import sanitize_line

_LONGEST_LINE = 2000
_UNKNOWN_RUN_LINES = 60
_CLOCK = re.compile(r"(\d+)\.(\d\d)\.(\d{3})\.(\d{3}) ")
# Builds up to 9001 begin with "initializing", 10605 with "verbosity" (at -lv 4 with "build"); a
# program that refuses its command line, or can't be linked, prints that line alone.
_FIRST_LINE = re.compile(
    r"llama_server: (?:initializing|loading)|^\s*(?:main: )?build(?:: [0-9]|_info)"
    r"|common_params_print_info: (?:build|verbosity)"
    r"|^error: (?:unknown|invalid|unrecognized) (?:argument|option)|^error while handling argument"
    r"|^\S+: (?:error while loading shared libraries|symbol lookup error)"
)


class RunDetector:
    """Finds the lines with which a run begins, fed with the lines of a log in their order."""

    def __init__(self) -> None:
        self._last_clock: tuple[str, ...] = ()

    def begins_run(self, line: str) -> bool:
        """Return whether a new run begins with a line: by its words, or its clock began again.

        Lines of one run never go back: llama.cpp takes their times under a lock.
        """
        text = sanitize_line(line[:_LONGEST_LINE], _LONGEST_LINE)
        before, clock = self._last_clock, _CLOCK.match(text)
        if clock is not None:
            self._last_clock = (clock[1].zfill(9), *clock.groups()[1:])
            if text.startswith("0.00.") and self._last_clock < before:
                return True
        return _FIRST_LINE.search(text) is not None


def last_run_lines(lines: Sequence[str]) -> tuple[str, ...]:
    """Return the lines of the last run, at most sixty if no run is seen to begin."""
    detector = RunDetector()
    begins = [index for index, line in enumerate(lines) if detector.begins_run(line)]
    return tuple(lines[begins[-1] :] if begins else lines[-_UNKNOWN_RUN_LINES:])
