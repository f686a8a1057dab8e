"""How fast an answer comes: tokens a second over a short window, and their history."""

from collections import deque
from dataclasses import dataclass

from aitui.domain.deltas import GenerationTimings

RATE_WINDOW = 2.0
POINT = 0.5
POINTS_KEPT = 60
_SAMPLE = 0.05


@dataclass(frozen=True, slots=True)
class TokenRates:
    """One reading. Seconds and tokens a second; None where nothing can be said yet."""

    tokens: int = 0
    first_token: float | None = None
    per_second: float | None = None
    series: tuple[float, ...] = ()


class RateMeter:
    """Counts tokens as they come. All times are monotonic seconds of the caller's clock.

    With the server's own timings the rate is the one at which it wrote, whatever the network did
    to the pace of arrival.
    """

    __slots__ = (
        "_arrived",
        "_asked",
        "_first",
        "_overall",
        "_point_at",
        "_point_tokens",
        "_samples",
        "_series",
        "_timed",
        "tokens",
    )

    def __init__(self, asked: float) -> None:
        self.tokens = 0
        self._asked = asked
        self._first: float | None = None
        self._arrived = asked
        self._timed = False
        self._overall: float | None = None
        self._samples: deque[tuple[float, int]] = deque()
        self._series: deque[float] = deque(maxlen=POINTS_KEPT)
        self._point_at = asked
        self._point_tokens = 0

    def count_tokens(self, now: float, pieces: int) -> None:
        """So many tokens have just come."""
        if pieces <= 0:
            return
        if self._first is None:
            self._first = self._point_at = now
        self._arrived = now
        if not self._timed:
            self.tokens += pieces
            self._sample(now, self.tokens)
        self._complete_points(now)

    def apply_timings(self, now: float, timings: GenerationTimings) -> None:
        """The server has just said how far it is."""
        if timings.tokens <= 0 or (timings.tokens < self.tokens and self._timed):
            return
        if not self._timed:
            self._timed = True
            self._samples.clear()
        self.tokens = timings.tokens
        self._overall = timings.rate or None
        self._sample(timings.seconds, timings.tokens)
        self._complete_points(now)

    def read(self, now: float) -> TokenRates:
        """The reading at this moment."""
        self._complete_points(now)
        return TokenRates(
            tokens=self.tokens,
            first_token=None if self._first is None else self._first - self._asked,
            per_second=self._per_second(now),
            series=tuple(self._series),
        )

    def _sample(self, at: float, tokens: int) -> None:
        samples = self._samples
        # Two samples at least: the oldest must stay one, and of a burst the newest counts.
        if len(samples) > 1 and at - samples[-2][0] < _SAMPLE:
            samples[-1] = (at, tokens)
        else:
            samples.append((at, tokens))
        while len(samples) > 2 and at - samples[1][0] >= RATE_WINDOW:
            samples.popleft()

    def _per_second(self, now: float) -> float | None:
        if len(self._samples) < 2:
            return self._overall
        if now - self._arrived > RATE_WINDOW:
            return 0.0
        (began, before), (ended, after) = self._samples[0], self._samples[-1]
        return (after - before) / (ended - began) if ended > began else self._overall

    def _complete_points(self, now: float) -> None:
        """Complete the points of the series that are due."""
        if self._first is None or now - self._point_at < POINT:
            return
        passed = int((now - self._point_at) / POINT)
        rate = (self.tokens - self._point_tokens) / (passed * POINT)
        self._series.extend([rate] * min(passed, POINTS_KEPT))
        self._point_at += passed * POINT
        self._point_tokens = self.tokens
