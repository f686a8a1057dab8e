"""What a server did: requests that ended, models that came and went, and the power that it took."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from functools import partial
from itertools import pairwise

from msgspec import Struct
from msgspec.structs import asdict

from aitui.domain.models import ActiveRequest, FinishedRequest, Model, ModelKind, RunState

HOUR, DAY = 3600.0, 86400.0
SHORTEST_RESTART = 1.0
"""Seconds. A server that starts again answers no request sooner; ids may change places within it."""


class ActivityKind(Enum):
    """What a row is about: a request, or a model that was loaded or left."""

    WAITING = "waiting"
    RUNNING = "running"
    REQUEST = "request"
    START = "start"
    READY = "ready"
    STOP = "stop"
    EVICTION = "eviction"
    FAILED = "failed"


LEFT = frozenset({ActivityKind.STOP, ActivityKind.EVICTION, ActivityKind.FAILED})
"""A model that no longer has a process."""
MODEL_KINDS = (ActivityKind.START, ActivityKind.READY, *sorted(LEFT, key=lambda kind: kind.value))


class ActivityRow(Struct, frozen=True):
    """One row: a request that ended at `at` (Unix time), or what happened to a model then.

    The fields that FinishedRequest has mean the same. A request is known by its server, the start of
    that server (`run`, Unix time, as early as it was seen), and its id; `number` is that of the row in
    the record, 0 outside it. Of a model, `seconds` is how long it took to load, `by` the model that
    evicted it, or why else it was unloaded, and `error` why it failed.
    """

    server: str
    at: float
    model: str
    kind: ActivityKind = ActivityKind.REQUEST
    number: int = 0
    run: float = 0.0
    id: int | None = None
    path: str = ""
    client: str = ""
    who: str = ""
    agent: str = ""
    session: str = ""
    status: int | None = None
    error: str = ""
    by: str = ""
    cached: int | None = None
    prompt: int | None = None
    tokens: int | None = None
    drafted: int | None = None
    accepted: int | None = None
    prompt_rate: float | None = None
    rate: float | None = None
    seconds: float | None = None
    first_token: float | None = None
    has_capture: bool = False


def finished_row(server: str, request: FinishedRequest) -> ActivityRow | None:
    """Return the row of a request, None if the server doesn't say when that ended: it has no key."""
    return None if request.at is None else ActivityRow(server=server, **asdict(request))


def active_row(
    server: str, request: ActiveRequest, now: float, wall: float, *, waiting: bool
) -> ActivityRow:
    """Return the row of a request under way; `now` is monotonic time, `wall` Unix time."""
    seconds = max(0.0, now - request.started)
    replied = request.replied
    return ActivityRow(
        server,
        at=wall - seconds,
        model=request.model,
        kind=ActivityKind.WAITING if waiting else ActivityKind.RUNNING,
        path=request.path,
        client=request.client,
        who=request.who,
        agent=request.user_agent,
        session=request.session,
        tokens=request.tokens,
        rate=request.rate,
        seconds=seconds,
        first_token=None if replied is None else max(0.0, replied - request.started),
    )


def model_rows(
    server: str,
    before: Mapping[str, Model],
    models: Iterable[Model],
    now: float,
    wall: float,
) -> list[ActivityRow]:
    """Return what happened to models since `before`; `now` is monotonic time, `wall` Unix time.

    A model that is seen for the first time and has a process counts as one that was loaded.
    """
    rows: list[ActivityRow] = []
    for model in models:
        known = before.get(model.id, _UNSEEN)
        if model is known or model.kind is not ModelKind.MODEL:
            continue
        add = partial(ActivityRow, server, model=model.id)
        if (kind := _change_of_state(known.state, model.state)) is not None:
            seconds = None
            if kind is ActivityKind.READY and known.state is RunState.STARTING and known.dated:
                seconds = max(0.0, model.since - known.since)
            rows.append(add(at=wall - max(0.0, now - model.since), kind=kind, seconds=seconds))
        if model.evicted is not None and model.evicted != known.evicted:
            by = model.evicted.by
            rows.append(add(at=model.evicted.at, kind=ActivityKind.EVICTION, by=by))
        if model.timed_out is not None and model.timed_out != known.timed_out:
            rows.append(add(at=model.timed_out.at, kind=ActivityKind.STOP, by=IDLE_TIMEOUT))
        if model.unloaded is not None and model.unloaded != known.unloaded:
            by = model.unloaded.client or ANOTHER_CLIENT
            rows.append(add(at=model.unloaded.at, kind=ActivityKind.STOP, by=by))
        if model.failed is not None and model.failed != known.failed:
            rows.append(
                add(at=model.failed.at, kind=ActivityKind.FAILED, error=model.failed.reason)
            )
    return rows


def _change_of_state(before: RunState, after: RunState) -> ActivityKind | None:
    if before is after:
        return None
    if after in {RunState.STARTING, RunState.READY}:
        return ActivityKind.START if after is RunState.STARTING else ActivityKind.READY
    return ActivityKind.STOP if before in {RunState.STARTING, RunState.READY} else None


_UNSEEN = Model("")
IDLE_TIMEOUT, ANOTHER_CLIENT = "idle timeout", "another client"


class FirstToken(Struct, frozen=True):
    """Seconds from a request to the first token of its reply; `exact` if they were seen."""

    seconds: float
    exact: bool


def time_to_first_token(row: FinishedRequest | ActivityRow) -> FirstToken | None:
    """Return what was seen, else the time for the part of the prompt that wasn't cached."""
    if row.first_token is not None:
        return FirstToken(row.first_token, exact=True)
    if row.prompt is None or not row.prompt_rate or not row.tokens:
        return None
    return FirstToken(max(0, row.prompt - (row.cached or 0)) / row.prompt_rate, exact=False)


class ActivityFilter(Struct, frozen=True):
    """Which rows of a server; what is left empty lets anything through.

    `model` and `client` are parts of a name, in any case; `status` is "ok", "failed" or a number.
    `text` stands in the model, the client or the error. `since` and `until` are Unix time.
    """

    server: str
    model: str = ""
    client: str = ""
    status: str = ""
    text: str = ""
    since: float | None = None
    until: float | None = None
    kinds: tuple[ActivityKind, ...] = (ActivityKind.REQUEST,)


SORTS = (
    *("at", "who", "model", "path", "status", "cached", "prompt", "tokens", "drafted"),
    *("prompt_rate", "rate", "seconds", "first_token"),
)
"""The fields that rows can be sorted by."""


class ActivitySums(Struct, frozen=True):
    """The sums of some requests; `read` and `written` are the tokens with a known rate, without cached ones."""

    requests: int = 0
    failed: int = 0
    prompt: int = 0
    cached: int = 0
    tokens: int = 0
    drafted: int = 0
    accepted: int = 0
    seconds: float = 0.0
    read: int = 0
    read_seconds: float = 0.0
    written: int = 0
    written_seconds: float = 0.0

    @property
    def cached_share(self) -> float | None:
        """Return the share of prompt tokens that were cached."""
        return self.cached / self.prompt if self.prompt else None

    @property
    def acceptance(self) -> float | None:
        """Return the share of drafted tokens that were accepted."""
        return self.accepted / self.drafted if self.drafted else None

    @property
    def prompt_rate(self) -> float | None:
        """Return the mean of prompt tokens per second."""
        return self.read / self.read_seconds if self.read_seconds else None

    @property
    def rate(self) -> float | None:
        """Return the mean of generated tokens per second."""
        return self.written / self.written_seconds if self.written_seconds else None


def add_sums(sums: Iterable[ActivitySums]) -> ActivitySums:
    """Add sums up, field by field."""
    found = list(sums)
    return ActivitySums(
        **{
            name: sum(getattr(one, name) for one in found)
            for name in ActivitySums.__struct_fields__
        }
    )


class Distribution(Struct, frozen=True):
    """How figures are spread: their number, percentiles, and how many fall into each of equal bins.

    The bins go from `low` to `high`, which leave out a few outliers; those count in the bins at the ends.
    """

    count: int = 0
    low: float = 0.0
    high: float = 0.0
    bins: tuple[int, ...] = ()
    p1: float = 0.0
    p5: float = 0.0
    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0


DISTRIBUTION_BINS = 27


def distribution(ordered: Sequence[float], bins: int = DISTRIBUTION_BINS) -> Distribution:
    """Return how figures are spread that are sorted in ascending order."""
    if not ordered:
        return Distribution()
    last = len(ordered) - 1
    # The figure below which that share lies (nearest rank), so it is one that was measured.
    at = [ordered[min(last, math.ceil(share * len(ordered)) - 1)] for share in _SHARES]
    # One reply of an hour would squeeze all others into the first bin.
    margin = (at[-1] - at[0]) / 10
    low, high = max(ordered[0], at[0] - margin), min(ordered[-1], at[-1] + margin)
    width = (high - low) / bins
    edges = [bisect_left(ordered, low + number * width) for number in range(1, bins)]
    counts = [end - start for start, end in pairwise((0, *edges, len(ordered)))]
    return Distribution(len(ordered), low, high, tuple(counts), *at)


_SHARES = (0.01, 0.05, 0.5, 0.95, 0.99)


class ActivityTotals(Struct, frozen=True):
    """Sums and spreads of the requests that a filter lets through.

    The spreads are those of requests that didn't fail; of first tokens, seen and estimated ones.
    """

    sums: ActivitySums = ActivitySums()
    seconds: Distribution = Distribution()
    first_token: Distribution = Distribution()
    prompt_rate: Distribution = Distribution()
    rate: Distribution = Distribution()


class ActivityGroup(Struct, frozen=True):
    """The requests of one model, one client, one hour or one day.

    `name` is that of the model or the client, `began` the start of the hour or day (Unix time).
    `watt_hours` is None if no power was measured then, or if it can't be divided by clients.
    """

    name: str
    sums: ActivitySums
    began: float = 0.0
    watt_hours: float | None = None

    @property
    def watt_hours_per_thousand(self) -> float | None:
        """Return the watt-hours per 1,000 generated tokens."""
        if self.watt_hours is None or not self.sums.tokens:
            return None
        return self.watt_hours * 1000 / self.sums.tokens


GROUPINGS = ("model", "client", "hour", "day")


def share_power(
    watts: float, resident: Iterable[str], requests: Mapping[str, int]
) -> Mapping[str, float]:
    """Share the power of all cards among the models that ran, else among those that were loaded.

    `requests` is how many ran with each model. An estimate: no card reports which process it works for.
    """
    busy = {model: count for model, count in requests.items() if count > 0}
    weights = busy or dict.fromkeys(resident, 1)
    whole = sum(weights.values())
    return {model: watts * weight / whole for model, weight in weights.items()}
