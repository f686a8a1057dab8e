"""Which models were loaded when, how busy each was, and which requests waited for loads."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from aitui.domain.activity import ActivityKind, ActivityRow


class WatchedTime(Struct, frozen=True):
    """A time (Unix) in which a server's models were watched."""

    began: float
    ended: float


class ModelStay(Struct, frozen=True):
    """A model that was loaded: Unix times, `ready` None while or if it did not become ready.

    `ended` is when it left, or when it was last seen; `end` is how it left, None if it wasn't seen to.
    `loading` is how long it took to load, None if that wasn't seen.
    """

    model: str
    began: float
    ended: float
    ready: float | None = None
    loading: float | None = None
    end: ActivityKind | None = None
    by: str = ""
    error: str = ""


class MutualEviction(Struct, frozen=True):
    """Two models that evicted each other, how often together, and the seconds that their loads took."""

    models: tuple[str, str]
    times: int
    loading: float


class ResidencyTimeline(Struct, frozen=True):
    """Which models were loaded when, the first to be loaded first."""

    stays: tuple[ModelStay, ...] = ()

    def since(self, at: float) -> "ResidencyTimeline":
        """Return the stays that ended no earlier, or go on; only loads that did count as loading."""
        kept = (
            stay if stay.began >= at else replace(stay, loading=None)
            for stay in self.stays
            if stay.ended >= at
        )
        return ResidencyTimeline(tuple(kept))

    @property
    def mutual(self) -> tuple[MutualEviction, ...]:
        """Return the models that evicted each other, the most often first."""
        return _mutual_evictions(self.stays)

    @property
    def loads(self) -> int:
        """Return how many loads were seen."""
        return sum(stay.loading is not None for stay in self.stays)

    @property
    def loading_seconds(self) -> float:
        """Return how long all loads took together."""
        return sum(stay.loading or 0.0 for stay in self.stays)

    def count(self, end: ActivityKind) -> int:
        """Return how many models left in that way."""
        return sum(stay.end is end for stay in self.stays)


class _StayBuilder:
    """Collects the stays of one server's models from rows in the order of their times."""

    def __init__(self, watched: Sequence[WatchedTime]) -> None:
        self._watched = watched
        self._open: dict[str, ModelStay] = {}
        self.stays: list[ModelStay] = []

    def add(self, row: ActivityRow) -> None:
        """Take over what happened to a model."""
        stay = self._open.get(row.model)
        if row.kind is ActivityKind.START:
            self.close(row.model, row.at)
            self._open[row.model] = ModelStay(row.model, row.at, row.at)
        elif row.kind is ActivityKind.READY:
            if stay is not None and stay.ready is not None and row.seconds is not None:
                self.close(row.model, row.at - row.seconds)
                stay = None
            stay = stay or ModelStay(row.model, row.at - (row.seconds or 0.0), row.at)
            loading = stay.loading if row.seconds is None else row.seconds
            self._open[row.model] = replace(stay, ready=stay.ready or row.at, loading=loading)
        else:
            stay = stay or ModelStay(row.model, row.at, row.at)
            if row.kind is ActivityKind.FAILED and stay.ready is None:
                stay = replace(stay, loading=row.at - stay.began)
            self._open[row.model] = stay
            self.close(row.model, row.at, row)

    def close(self, model: str, at: float, row: ActivityRow | None = None) -> None:
        """End the stay of a model, if it has one: as the row says, else when it was last watched."""
        stay = self._open.pop(model, None)
        if stay is None:
            return
        seen = next((time.ended for time in self._watched if time.ended >= stay.began), stay.began)
        if row is not None and at <= seen:
            self.stays.append(replace(stay, ended=at, end=row.kind, by=row.by, error=row.error))
        else:
            self.stays.append(replace(stay, ended=max(stay.began, min(at, seen))))

    def close_all(self, now: float) -> None:
        """End all stays that go on."""
        for model in list(self._open):
            self.close(model, now)


def residency_timeline(
    rows: Iterable[ActivityRow], watched: Iterable[WatchedTime], now: float
) -> ResidencyTimeline:
    """Return the stays that these rows show, all of one server.

    While nothing watched, a model may have left: a stay ends there, unless it is seen again.
    """
    builder = _StayBuilder(merge_watched(watched))
    for row in sorted(rows, key=lambda row: row.at):
        builder.add(row)
    builder.close_all(now)
    stays = sorted(builder.stays, key=lambda stay: stay.began)
    return ResidencyTimeline(tuple(stays))


def merge_watched(watched: Iterable[WatchedTime], gap: float = 90.0) -> list[WatchedTime]:
    """Return times without overlaps; a pause of up to `gap` seconds is none."""
    times: list[WatchedTime] = []
    for time in sorted(watched, key=lambda time: time.began):
        if times and time.began <= times[-1].ended + gap:
            times[-1] = replace(times[-1], ended=max(times[-1].ended, time.ended))
        else:
            times.append(time)
    return times


def _mutual_evictions(stays: Iterable[ModelStay]) -> tuple[MutualEviction, ...]:
    evictions = Counter[tuple[str, str]]()
    loading: defaultdict[str, float] = defaultdict(float)
    for stay in stays:
        loading[stay.model] += stay.loading or 0.0
        if stay.end is ActivityKind.EVICTION and stay.by:
            evictions[stay.model, stay.by] += 1
    found = [
        MutualEviction((one, other), times + evictions[other, one], loading[one] + loading[other])
        for (one, other), times in evictions.items()
        if one < other and evictions[other, one]
    ]
    return tuple(sorted(found, key=lambda pair: -pair.times))


class RequestSpan(Struct, frozen=True, array_like=True):
    """When a request ran, from its arrival to its end (Unix times)."""

    model: str
    client: str
    began: float
    ended: float


class TimeRange(Struct, frozen=True):
    """A stretch of time (Unix times), cut into equal cells."""

    began: float
    ended: float
    cells: int

    @property
    def step(self) -> float:
        """Return the seconds of a cell."""
        return (self.ended - self.began) / max(1, self.cells)

    def position(self, at: float) -> float:
        """Return where a time lies, in cells from the first one."""
        return (at - self.began) / self.step


class ResidencyView(Struct, frozen=True):
    """Everything that is drawn of a range: stays, the busy share of each cell by model, waits by client.

    `queue` is how many requests waited for a load in each cell.
    """

    range: TimeRange
    timeline: ResidencyTimeline
    busy: Mapping[str, Sequence[float]]
    waits: Mapping[str, float]
    queue: Sequence[int] = ()

    def stays(self, model: str) -> list[ModelStay]:
        """Return the stays of a model in this range."""
        return [
            stay
            for stay in self.timeline.stays
            if stay.model == model
            and stay.ended >= self.range.began
            and stay.began <= self.range.ended
        ]

    @property
    def loading_seconds(self) -> float:
        """Return how long models were loading in this range."""
        return sum(
            max(
                0.0,
                min(self.range.ended, _load_end(stay)) - max(self.range.began, stay.began),
            )
            for stay in self.timeline.stays
            if stay.loading is not None or stay.ready is None
        )

    def count(self, end: ActivityKind) -> int:
        """Return how many models left in that way in this range."""
        return sum(
            stay.end is end and self.range.began <= stay.ended <= self.range.ended
            for stay in self.timeline.stays
        )

    @property
    def loads(self) -> int:
        """Return how many loads began in this range."""
        return sum(
            stay.loading is not None and self.range.began <= stay.began <= self.range.ended
            for stay in self.timeline.stays
        )


def view_residency(
    timeline: ResidencyTimeline, spans: Iterable[RequestSpan], over: TimeRange
) -> ResidencyView:
    """Return what is drawn of a range."""
    spans = list(spans)
    busy = {
        model: [min(share, 1.0) for share in cells] for model, cells in _busy(spans, over).items()
    }
    waits = [wait for wait in _waits(timeline.stays, spans) if wait.ended > over.began]
    by_client: defaultdict[str, float] = defaultdict(float)
    queue = [0] * over.cells
    for wait in waits:
        by_client[wait.client] += min(wait.ended, over.ended) - max(wait.began, over.began)
        first, last = over.position(wait.began), over.position(wait.ended)
        for cell in range(max(0, int(first)), min(over.cells, math.ceil(last))):
            queue[cell] += 1
    waited = {client: seconds for client, seconds in by_client.items() if seconds > 0}
    return ResidencyView(over, timeline, busy, waited, queue)


def _busy(spans: Iterable[RequestSpan], over: TimeRange) -> dict[str, list[float]]:
    found: defaultdict[str, list[float]] = defaultdict(lambda: [0.0] * over.cells)
    for span in spans:
        first, last = over.position(span.began), over.position(span.ended)
        shares = found[span.model]
        for cell in range(max(0, int(first)), min(over.cells, int(last) + 1)):
            shares[cell] += max(0.0, min(last, cell + 1) - max(first, cell))
    return found


_SHORTEST_WAIT = 1.0


def _waits(stays: Iterable[ModelStay], spans: Iterable[RequestSpan]) -> Iterator[RequestSpan]:
    """Yield when requests waited for the load of their model."""
    loads: defaultdict[str, list[ModelStay]] = defaultdict(list)
    for stay in stays:
        if stay.loading is not None:
            loads[stay.model].append(stay)
    for span in spans:
        for stay in loads[span.model]:
            began, ended = max(span.began, stay.began), min(_load_end(stay), span.ended)
            if ended - began >= _SHORTEST_WAIT:
                yield replace(span, began=began, ended=ended)


def _load_end(stay: ModelStay) -> float:
    return stay.ended if stay.ready is None else stay.ready
