"""What a check-up of one server finds: one line a check, and where it is at."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from aitui.errors import Action, AituiError, remedy_with


class CheckStatus(Enum):
    """How a check ended; OPEN is neither: doesn't apply, wasn't tried, or can't be known."""

    PASSED = "passed"
    FAILED = "failed"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check. Every text is harmless; `exit_code` is 0 unless it failed.

    `seen` is what was found, `remedy` a command or a deed that mends it, or what could be better.
    """

    name: str
    status: CheckStatus
    seen: str
    remedy: str = ""
    exit_code: int = 0
    action: Action | None = None

    @property
    def shell_remedy(self) -> str:
        """What mends it, with the command that does it."""
        return remedy_with(self.remedy, self.action.value if self.action else "")


@dataclass(frozen=True, slots=True)
class CheckStage:
    """What is looked at from now on: number `number` of `of`."""

    words: str
    number: int
    of: int


def passing_check(name: str, seen: str, remedy: str = "") -> CheckResult:
    """A check that went well."""
    return CheckResult(name, CheckStatus.PASSED, seen, remedy)


def inconclusive_check(
    name: str, seen: str, remedy: str = "", action: Action | None = None
) -> CheckResult:
    """A check that says neither yes nor no."""
    return CheckResult(name, CheckStatus.OPEN, seen, remedy, action=action)


def failing_check(name: str, error: AituiError) -> CheckResult:
    """A check that an exception tells of."""
    seen = f"{error.what}: {error.why}" if error.why else error.what
    return CheckResult(name, CheckStatus.FAILED, seen, error.remedy, error.exit_code, error.action)


def exit_code(checks: Iterable[CheckResult]) -> int:
    """The exit code of the first check that failed, 0 where none did."""
    return next((check.exit_code for check in checks if check.status is CheckStatus.FAILED), 0)
