"""Closing that nobody can interrupt."""

import asyncio
from collections.abc import Coroutine


async def to_the_end(closing: Coroutine[None, None, None]) -> None:
    """Awaits a closing to its end even when cancelled meanwhile, then lets the cancel through."""
    task = asyncio.ensure_future(closing)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()
