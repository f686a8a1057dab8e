"""Finds, in a log, the lines that say why a load failed."""

from dataclasses import dataclass

from aitui.domain.log_lines import LogLine
from aitui.ui.log_rows import LogRows

MAX_SCANNED_LINES = 5000
"""Lines; a run that failed is among the last ones."""


@dataclass(slots=True)
class FailureLines:
    """`lines` as the failed load told them. `wanted` until somebody moves elsewhere."""

    lines: tuple[str, ...] = ()
    jump_pending: bool = False
    _texts: frozenset[str] = frozenset()
    _first_line: int | None = None

    def __post_init__(self) -> None:
        self._texts = frozenset(_normalize(line) for line in self.lines)

    def __bool__(self) -> bool:
        return bool(self.lines)

    @property
    def is_found(self) -> bool:
        """Whether the log has them."""
        return self._first_line is not None

    def locate(self, rows: LogRows) -> int | None:
        """The first of the lines by which the latest run says why; None where that is no news."""
        seen: set[str] = set()
        at: int | None = None
        for number in range(rows.end - 1, max(rows.first, rows.end - MAX_SCANNED_LINES) - 1, -1):
            text = _normalize(rows.line(number).text)
            if text not in self._texts:
                continue
            if text in seen:
                break  # an earlier run, which failed in the same way
            seen.add(text)
            at = number
            if len(seen) == len(self._texts):
                break
        if at is None or at == self._first_line:
            return None
        self._first_line = at
        return at

    def is_failure_line(self, number: int, line: LogLine) -> bool:
        """Whether a shown line is one of them; those of earlier runs are not."""
        return (
            self._first_line is not None
            and number >= self._first_line
            and _normalize(line.text) in self._texts
        )

    def reset_position(self) -> None:
        """The lines have other numbers from now on."""
        self._first_line = None


def _normalize(text: str) -> str:
    return " ".join(text.split())
