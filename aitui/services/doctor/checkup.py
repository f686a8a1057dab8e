"""Report the checks of one machine, and why the rest can't be tried."""

from collections.abc import Callable
from dataclasses import dataclass

from aitui.domain.checks import CheckResult, CheckStage, failing_check, inconclusive_check
from aitui.errors import AituiError

Report = Callable[[CheckResult | CheckStage], None]


@dataclass(slots=True)
class Checkup:
    """`blocked` says why the machine can't be asked anything more, and is empty while it can."""

    report: Report
    blocked: str = ""

    def skip(self, *names: str, why: str = "") -> None:
        """Leave these checks open for `why`, else for the reason that blocks them."""
        for name in names:
            self.report(inconclusive_check(name, f"not tried: {why or self.blocked}"))

    def block(self, name: str, error: AituiError, *rest: str) -> None:
        """Report an error that blocks all further checks, and leave them open."""
        self.blocked = error.what
        self.report(failing_check(name, error))
        self.skip(*rest)
