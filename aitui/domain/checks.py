"""The results of the doctor's checks, one per line, and its progress."""

from collections.abc import Iterable
from enum import Enum

from msgspec import Struct

from aitui.errors import Action, AituiError, remedy_with


class CheckStatus(Enum):
    """How a check ended. OPEN means that it doesn't apply, wasn't tried, or can't be known."""

    PASSED = "passed"
    FAILED = "failed"
    OPEN = "open"


class CheckResult(Struct, frozen=True):
    """One check. Every text is safe to show; `exit_code` is 0 unless it failed.

    `seen` is what was found, `remedy` a command or an action that repairs it, or what could be
    better.
    """

    name: str
    status: CheckStatus
    seen: str
    remedy: str = ""
    exit_code: int = 0
    action: Action | None = None

    @property
    def shell_remedy(self) -> str:
        """Return the remedy with its shell command."""
        return remedy_with(self.remedy, self.action.value if self.action else "")


class CheckStage(Struct, frozen=True):
    """The stage that begins: number `number` of `of`."""

    words: str
    number: int
    of: int


def passing_check(name: str, seen: str, remedy: str = "") -> CheckResult:
    """Return a check that passed."""
    return CheckResult(name, CheckStatus.PASSED, seen, remedy)


def inconclusive_check(
    name: str, seen: str, remedy: str = "", action: Action | None = None
) -> CheckResult:
    """Return a check that neither passed nor failed."""
    return CheckResult(name, CheckStatus.OPEN, seen, remedy, action=action)


def failing_check(name: str, error: AituiError) -> CheckResult:
    """Return a check that failed with an exception."""
    return CheckResult(
        name, CheckStatus.FAILED, error.summary, error.remedy, error.exit_code, error.action
    )


def defect_check(name: str, seen: str, remedy: str, action: Action | None = None) -> CheckResult:
    """Return a check that failed without an exception."""
    return CheckResult(name, CheckStatus.FAILED, seen, remedy, 1, action)


def exit_code(checks: Iterable[CheckResult]) -> int:
    """Return the exit code of the first check that failed, 0 if none did."""
    return next((check.exit_code for check in checks if check.status is CheckStatus.FAILED), 0)
