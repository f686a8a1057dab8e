"""Requests grouped by model, client, hour or day, with the energy that was measured meanwhile."""

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from aitui.domain.activity import HOUR, ActivityFilter, ActivityGroup, ActivitySums, add_sums
from aitui.domain.activity_filter import midnight

if TYPE_CHECKING:
    from aitui.store.activity_db import ActivityStore

JOULES_PER_WATT_HOUR = 3600.0


async def read_groups(
    store: "ActivityStore", wanted: ActivityFilter, by: str, now: float
) -> tuple[ActivityGroup, ...]:
    """Return the requests that pass by one of GROUPINGS: the most of them first, or the latest time.

    Energy belongs to models and times: clients have none, nor has a part of the requests.
    """
    since = 0.0 if wanted.since is None else wanted.since
    until = now if wanted.until is None else wanted.until
    whole = not (wanted.client or wanted.status or wanted.text or wanted.model)
    joules = await store.joules(wanted.server, since, until) if whole and by != "client" else {}
    if by in {"model", "client"}:
        named = await store.sums(wanted, by)
        of_models = Counter[str]()
        for (_, model), amount in joules.items():
            of_models[model] += amount  # type: ignore[assignment]
        groups = [
            ActivityGroup(str(name), sums, watt_hours=_watt_hours(of_models.get(str(name))))
            for name, sums in named.items()
        ]
        return tuple(sorted(groups, key=lambda group: -group.sums.requests))
    hours = await store.sums(wanted, "hour")
    parts: defaultdict[float, list[ActivitySums]] = defaultdict(list)
    energy = Counter[float]()
    for hour, sums in hours.items():
        parts[_began(float(hour) * HOUR, by)].append(sums)
    for (hour, _), amount in joules.items():
        energy[_began(hour * HOUR, by)] += amount  # type: ignore[assignment]
    return tuple(
        ActivityGroup("", add_sums(parts[began]), began, _watt_hours(energy.get(began)))
        for began in sorted(parts, reverse=True)
    )


def _began(hour: float, by: str) -> float:
    return midnight(hour) if by == "day" else hour


def _watt_hours(joules: float | None) -> float | None:
    return None if joules is None else joules / JOULES_PER_WATT_HOUR
