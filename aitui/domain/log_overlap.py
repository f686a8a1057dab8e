"""Where a log goes on that was read before: its history, told again, begins with known lines."""

from collections.abc import Hashable, Sequence

LEAST_OVERLAP = 2


def overlap_length(old: Sequence[Hashable], told: Sequence[Hashable]) -> int | None:
    """How many of the lines told again are known already; None where the two don't join.

    They join where some lines of `told` end as `old` ends, the longest such run counting. One line
    alone may be a coincidence, unless there is no other, or it stands at the very beginning (the
    second line counts as that: the server cuts the oldest one in two).
    """
    if not old or not told:
        return None
    backwards = [*reversed(old), _Sentinel(), *reversed(told)]
    runs = _prefix_lengths(backwards)[len(old) + 1 :]
    longest = max(runs)
    if longest == 0:
        return None
    # The earliest of the longest: where lines repeat, showing one twice beats losing one.
    known = len(told) - max(at for at, run in enumerate(runs) if run == longest)
    return known if longest >= min(LEAST_OVERLAP, len(old)) or known - longest <= 1 else None


class _Sentinel:
    """Equal to nothing but itself."""


def _prefix_lengths(items: Sequence[object]) -> list[int]:
    """For each place, how many items from there equal those from the beginning (Z-function)."""
    common = [0] * len(items)
    left = right = 0
    for at in range(1, len(items)):
        length = min(right - at, common[at - left]) if at < right else 0
        while at + length < len(items) and items[length] == items[at + length]:
            length += 1
        common[at] = length
        if at + length > right:
            left, right = at, at + length
    return common
