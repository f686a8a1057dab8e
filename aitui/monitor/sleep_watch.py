"""Notices that the machine has slept: the wall clock jumped and the monotonic one did not."""

import asyncio
from collections.abc import AsyncIterator

from aitui.domain.clock import Clock

EVERY = 1.0
SLEPT = 5.0


async def sleeps(clock: Clock) -> AsyncIterator[float]:
    """The seconds of each jump of the wall clock, as soon as it is noticed; negative for back.

    Somebody who sets the clock looks the same, and starting afresh does no harm then.
    """
    offset = clock.wall() - clock.monotonic()
    while True:
        await asyncio.sleep(EVERY)
        now = clock.wall() - clock.monotonic()
        jumped, offset = now - offset, now
        if abs(jumped) >= SLEPT:
            yield jumped
