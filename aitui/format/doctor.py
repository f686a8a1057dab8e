"""The doctor's report as text for people and as JSON for scripts."""

from collections.abc import Iterable, Sequence

from aitui.domain.checks import CheckResult, CheckStatus
from aitui.format.report import format_json
from aitui.format.styled import Line, Span, plain_text

MARKS = {CheckStatus.PASSED: "✔", CheckStatus.FAILED: "✘", CheckStatus.OPEN: "–"}


def as_json(checks: Iterable[CheckResult]) -> str:
    """Format all checks as an indented JSON list; `status` is passed, failed or open."""
    rows = [
        {"check": one.name, "status": one.status, "seen": one.seen, "remedy": one.shell_remedy}
        for one in checks
    ]
    return format_json(rows)


_STYLES = {CheckStatus.PASSED: "ready", CheckStatus.FAILED: "error", CheckStatus.OPEN: "muted"}


def as_lines(check: CheckResult) -> tuple[Line, ...]:
    """Format a check as its line, and one for its remedy."""
    style = _STYLES[check.status]
    seen = Span(f": {check.seen}", style if check.status is CheckStatus.FAILED else "")
    line = (Span(MARKS[check.status], style), Span(f" {check.name}"), seen)
    return (line, (Span(f"    → {check.shell_remedy}", "strong"),)) if check.remedy else (line,)


def as_text(checks: Iterable[CheckResult]) -> str:
    """Format the whole report, as it is copied."""
    return plain_text(line for check in checks for line in as_lines(check))


def summary(checks: Sequence[CheckResult]) -> str:
    """Count how many checks ended how."""
    counts = {
        status: sum(check.status is status for check in checks)
        for status in (CheckStatus.PASSED, CheckStatus.FAILED, CheckStatus.OPEN)
    }
    return ", ".join(f"{count} {status.value}" for status, count in counts.items())
