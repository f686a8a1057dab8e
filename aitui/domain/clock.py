"""The two clocks that the program reads, handed in wherever time matters."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds: `monotonic` for ages and pauses, `wall` (Unix time) for what people read."""

    monotonic: Callable[[], float]
    wall: Callable[[], float]
