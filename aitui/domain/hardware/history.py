"""Samples of the last hour, for plots."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aitui.domain.hardware.sample import Gpu, HardwareSample

HISTORY_SECONDS = 3600.0
MOST_SAMPLES = 4000

Figure = Callable[[HardwareSample], float | None]


@dataclass(frozen=True, slots=True)
class SampleHistory:
    """Samples of one source, the oldest first, no older than an hour before the last."""

    samples: tuple[HardwareSample, ...] = ()

    def with_samples(self, new: Iterable[HardwareSample]) -> "SampleHistory":
        """The same with those that are newer than its last one."""
        last = self.samples[-1].at if self.samples else float("-inf")
        added = sorted((one for one in new if one.at > last), key=lambda one: one.at)
        if not added:
            return self
        start = added[-1].at - HISTORY_SECONDS
        kept = [one for one in (*self.samples, *added) if one.at >= start]
        return SampleHistory(tuple(kept[-MOST_SAMPLES:]))

    def series(
        self, figure: Figure, seconds: float, columns: int, now: float
    ) -> tuple[float | None, ...]:
        """A figure over the last so many seconds: the mean of each column, None where nothing is.

        A sample holds until the next one comes, but no longer than a minute: what is sampled
        rarely has no gaps, and what wasn't sampled is not made up.
        """
        if columns < 1 or seconds <= 0:
            return ()
        width = seconds / columns
        start = now - seconds
        sums, counts = [0.0] * columns, [0] * columns
        held: list[float | None] = [None] * columns
        for index, one in enumerate(self.samples):
            value = figure(one)
            if value is None or one.at < start - _HOLD_SECONDS or one.at > now:
                continue
            column = min(columns - 1, int((one.at - start) // width))
            if column >= 0:
                sums[column] += value
                counts[column] += 1
            following = self.samples[index + 1].at if index + 1 < len(self.samples) else now
            until = min(following, one.at + _HOLD_SECONDS, now)
            for later in range(max(0, column + 1), min(columns, int((until - start) // width) + 1)):
                held[later] = value
        return tuple(
            total / count if count else before
            for total, count, before in zip(sums, counts, held, strict=True)
        )


_HOLD_SECONDS = 60.0


def gpu_metric(key: str, figure: Callable[[Gpu], float | None]) -> Figure:
    """A figure of one card; None while it isn't there."""

    def pick(sample: HardwareSample) -> float | None:
        return next((figure(gpu) for gpu in sample.gpus if gpu.key == key), None)

    return pick
