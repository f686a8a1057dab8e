"""Whether the two machines agree on the time: certificates and ages depend on it."""

from collections.abc import Iterator

from aitui.commands.doctor.so_far import ServerFindings
from aitui.domain.amounts import format_seconds
from aitui.domain.checks import CheckResult, CheckStatus, inconclusive_check, passing_check

CLOCK = "clock"
TOLERANCE = 30.0
"""Seconds: a Date header counts whole ones, and answers take their time."""


def clock_checks(so_far: ServerFindings) -> Iterator[CheckResult]:
    """The server's Date against ours."""
    ahead = so_far.clock_ahead
    if ahead is None:
        yield inconclusive_check(CLOCK, "not known: the server told no date")
        return
    difference = abs(ahead)
    if difference <= TOLERANCE:
        within = "the same second" if difference < 1.5 else f"{difference:.0f} s apart"
        yield passing_check(CLOCK, f"ours and the server's: {within}")
        return
    which = "ahead of" if ahead > 0 else "behind"
    yield CheckResult(
        CLOCK,
        CheckStatus.FAILED,
        f"the server's clock is {format_seconds(difference)} {which} ours",
        "timedatectl set-ntp true, on the one that is wrong",
        1,
    )
