"""Whether the two machines agree on the time: certificates and ages depend on it."""

from collections.abc import Iterator

from aitui.commands.doctor.so_far import SoFar
from aitui.domain.amounts import format_seconds
from aitui.domain.checks import Check, Status, left_open, passed

CLOCK = "clock"
TOLERATED = 30.0
"""Seconds: a Date header counts whole ones, and answers take their time."""


def clock_checks(so_far: SoFar) -> Iterator[Check]:
    """The server's Date against ours."""
    ahead = so_far.clock_ahead
    if ahead is None:
        yield left_open(CLOCK, "not known: the server told no date")
        return
    difference = abs(ahead)
    if difference <= TOLERATED:
        within = "the same second" if difference < 1.5 else f"{difference:.0f} s apart"
        yield passed(CLOCK, f"ours and the server's: {within}")
        return
    which = "ahead of" if ahead > 0 else "behind"
    yield Check(
        CLOCK,
        Status.FAILED,
        f"the server's clock is {format_seconds(difference)} {which} ours",
        "timedatectl set-ntp true, on the one that is wrong",
        1,
    )
