"""What requests did while models came and went: how busy each model was, and who waited for loads."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

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
    """Everything that is drawn of a range: stays, the busy share of each cell by model, waits by client."""

    range: TimeRange
    timeline: ResidencyTimeline
    busy: Mapping[str, Sequence[float]]
    waits: Mapping[str, float]

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
    return ResidencyView(over, timeline, busy, _waits(timeline.stays, spans, over))


def _busy(spans: Iterable[RequestSpan], over: TimeRange) -> dict[str, list[float]]:
    found: defaultdict[str, list[float]] = defaultdict(lambda: [0.0] * over.cells)
    for span in spans:
        first, last = over.position(span.began), over.position(span.ended)
        shares = found[span.model]
        for cell in range(max(0, int(first)), min(over.cells, int(last) + 1)):
            shares[cell] += max(0.0, min(last, cell + 1) - max(first, cell))
    return found


def _waits(
    stays: Iterable[ModelStay], spans: Iterable[RequestSpan], over: TimeRange
) -> dict[str, float]:
    loads: defaultdict[str, list[ModelStay]] = defaultdict(list)
    for stay in stays:
        loads[stay.model].append(stay)
    found: defaultdict[str, float] = defaultdict(float)
    for span in spans:
        for stay in loads[span.model]:
            end = min(_load_end(stay), span.ended, over.ended)
            if (
                stay.loading is not None
                and span.began <= _load_end(stay)
                and span.ended >= stay.began
            ):
                found[span.client] += max(0.0, end - max(span.began, over.began))
    return {client: seconds for client, seconds in found.items() if seconds >= 1}


def _load_end(stay: ModelStay) -> float:
    return stay.ended if stay.ready is None else stay.ready
