"""The doctor's report as text for people and as JSON for scripts."""

from collections.abc import Iterable, Sequence

from aitui.domain.checks import CheckResult, CheckStatus
from aitui.format.report import format_json

MARKS = {CheckStatus.PASSED: "✔", CheckStatus.FAILED: "✘", CheckStatus.OPEN: "–"}


def as_json(checks: Iterable[CheckResult]) -> str:
    """Format all checks as an indented JSON list; `status` is passed, failed or open."""
    rows = [
        {"check": one.name, "status": one.status, "seen": one.seen, "remedy": one.shell_remedy}
        for one in checks
    ]
    return format_json(rows)


def as_lines(check: CheckResult) -> tuple[str, ...]:
    """Format a check as its line, and one for its remedy."""
    line = f"{MARKS[check.status]} {check.name}: {check.seen}"
    return (line, f"    → {check.shell_remedy}") if check.remedy else (line,)


def as_text(checks: Iterable[CheckResult]) -> str:
    """Format the whole report, as it is copied."""
    return "\n".join(line for check in checks for line in as_lines(check))


def summary(checks: Sequence[CheckResult]) -> str:
    """Count how many checks ended how."""
    counts = {
        status: sum(check.status is status for check in checks)
        for status in (CheckStatus.PASSED, CheckStatus.FAILED, CheckStatus.OPEN)
    }
    return ", ".join(f"{count} {status.value}" for status, count in counts.items())
