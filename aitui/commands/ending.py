"""Tasks that end before whoever began them goes on."""

import asyncio
from typing import Any

from aitui.swap.closing import shield_cleanup


async def cancel_and_wait(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel tasks and wait until they have ended, also where the caller is cancelled meanwhile.

    One that is left behind may be closing its connection when the loop stops, and never end it.
    """
    for task in tasks:
        task.cancel()
    await shield_cleanup(_gather(*tasks))


async def _gather(*tasks: "asyncio.Task[Any]") -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
