"""Tasks that end before whoever began them goes on."""

import asyncio
from typing import Any

from aitui.swap.closing import to_the_end


async def end(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel tasks and wait until they have ended, also where the caller is cancelled meanwhile.

    One that is left behind may be closing its connection when the loop stops, and never end it.
    """
    for task in tasks:
        task.cancel()
    await to_the_end(_ended(*tasks))


async def _ended(*tasks: "asyncio.Task[Any]") -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
