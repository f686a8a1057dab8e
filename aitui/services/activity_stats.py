"""Activity in groups, with the energy that models took, and over time."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from aitui.domain.activity import DAY, HOUR, ActivityFilter, ActivityGroup, ActivitySums, add_sums
from aitui.domain.residency import ResidencyTimeline, residency_timeline

if TYPE_CHECKING:
    from aitui.store.activity_db import ActivityStore

_JOULES_A_WATT_HOUR = 3600.0
LONGEST_STAY = 7 * DAY
"""How far back a stay is looked for that goes on."""


async def group_requests(
    store: "ActivityStore", wanted: ActivityFilter, by: str, now: float
) -> tuple[ActivityGroup, ...]:
    """Return the requests that pass in groups of GROUPINGS; raises HistoryError.

    Models and clients come with the most tokens first, hours and days with the latest first, both in
    this machine's zone. `now` is Unix time. Energy is that of the whole server, or of the models.
    """
    timed = by in {"hour", "day"}
    sums = await store.sums(wanted, "hour" if timed else by)
    energy: Mapping[tuple[int, str], float] = {}
    if by != "client" and not (wanted.client or wanted.text or wanted.status):
        since = 0.0 if wanted.since is None else wanted.since
        until = now if wanted.until is None else wanted.until
        energy = await store.joules(wanted.server, since, until)
    joules: defaultdict[str | int, float] = defaultdict(float)
    for (hour, model), amount in energy.items():
        if wanted.model.casefold() in model.casefold():
            joules[hour if timed else model] += amount
    if by == "day":
        sums, joules = _by_day(sums, joules)
    groups = [
        ActivityGroup(
            "" if timed else str(key),
            one,
            float(key) * HOUR if timed else 0.0,
            joules[key] / _JOULES_A_WATT_HOUR if key in joules else None,
        )
        for key, one in sums.items()
    ]
    groups.sort(key=lambda group: (-group.began, -group.sums.tokens, group.name))
    return tuple(groups)


def _by_day(
    sums: Mapping[str | int, ActivitySums], joules: Mapping[str | int, float]
) -> tuple[dict[str | int, ActivitySums], defaultdict[str | int, float]]:
    """Put hours together, each day under its first hour with requests."""
    first: dict[str, str | int] = {}
    parts: defaultdict[str | int, list[ActivitySums]] = defaultdict(list)
    energy: defaultdict[str | int, float] = defaultdict(float)
    for hour in sorted(sums, key=int):
        day = _day(hour)
        parts[first.setdefault(day, hour)].append(sums[hour])
    for hour, amount in joules.items():
        if (day := _day(hour)) in first:
            energy[first[day]] += amount
    return {hour: add_sums(found) for hour, found in parts.items()}, energy


def _day(hour: str | int) -> str:
    return datetime.fromtimestamp(int(hour) * HOUR).astimezone().strftime("%Y-%m-%d")


async def load_timeline(
    store: "ActivityStore", server: str, since: float, now: float
) -> ResidencyTimeline:
    """Return the stays of a server's models that ended since then (Unix time), or go on."""
    rows = await store.model_rows(server, since - LONGEST_STAY)
    watched = await store.watched_times(server, since - LONGEST_STAY)
    timeline = residency_timeline(rows, watched, now)
    return timeline.since(since)
