"""What requests did while models came and went: how busy each model was, and who waited for loads."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from aitui.domain.activity import ActivityKind, ModelStay, ResidencyTimeline


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
