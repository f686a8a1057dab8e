"""Work that has to come to its end, whatever becomes of its caller."""

import asyncio
import inspect
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


async def shield(work: Coroutine[Any, Any, _T]) -> _T:
    """Await to the end, however often the caller is cancelled; the cancellation comes after it."""
    doing = asyncio.ensure_future(_await(work))
    cancelled: asyncio.CancelledError | None = None
    while not doing.done():
        try:
            await asyncio.wait({doing})
        except asyncio.CancelledError as error:
            cancelled = error
        if doing.done() and inspect.getcoroutinestate(work) == inspect.CORO_CREATED:
            # The end of the loop cancels every task, and this one had not begun.
            doing = asyncio.ensure_future(_await(work))
    if cancelled is not None:
        if not doing.cancelled():
            doing.exception()  # the cancellation is what the caller hears of
        raise cancelled
    return doing.result()


async def _await(work: Coroutine[Any, Any, _T]) -> _T:
    return await work
