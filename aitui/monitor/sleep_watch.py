"""Notices that the machine has slept: the wall clock jumped and the monotonic one did not."""

import asyncio
from collections.abc import AsyncIterator

from aitui.domain.clock import Clock

CHECK_SECONDS = 1.0
SUSPEND_THRESHOLD = 5.0


async def detect_suspends(clock: Clock) -> AsyncIterator[float]:
    """The seconds of each jump of the wall clock, as soon as it is noticed; negative for back.

    Somebody who sets the clock looks the same, and starting afresh does no harm then.
    """
    offset = clock.wall() - clock.monotonic()
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        now = clock.wall() - clock.monotonic()
        jumped, offset = now - offset, now
        if abs(jumped) >= SUSPEND_THRESHOLD:
            yield jumped
