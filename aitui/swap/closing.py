"""Closing that nobody can interrupt."""

import asyncio
import inspect
from collections.abc import Coroutine
from typing import Any


async def shield_cleanup(closing: Coroutine[Any, Any, None]) -> None:
    """Awaits a closing to its end even when cancelled meanwhile, then lets the cancel through."""
    task = asyncio.ensure_future(_await(closing))
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
        if task.done() and inspect.getcoroutinestate(closing) == inspect.CORO_CREATED:
            # The end of the loop cancels every task, and this one had not begun.
            task = asyncio.ensure_future(_await(closing))
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # the cancellation is what the caller hears of
        raise cancelled
    task.result()


async def _await(closing: Coroutine[Any, Any, None]) -> None:
    await closing
