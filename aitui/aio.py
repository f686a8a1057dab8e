"""Helpers to shield, cancel and await asyncio tasks."""

import asyncio
import inspect
from asyncio import Task
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

_T = TypeVar("_T")


async def shield(work: Coroutine[Any, Any, _T]) -> _T:
    """Await the work to its end, however often the caller is cancelled, then raise the cancel.

    `asyncio.shield` leaves the work running in the background instead.
    """
    task = asyncio.ensure_future(_await(work))
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
        if task.done() and inspect.getcoroutinestate(work) == inspect.CORO_CREATED:
            # The end of the loop cancels every task, and this one had not begun.
            task = asyncio.ensure_future(_await(work))
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # retrieved: the caller gets the cancellation instead
        raise cancelled
    return task.result()


async def cancel_and_wait(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel tasks and wait until they have ended, even if the caller is cancelled meanwhile.

    A task that is left running may be closing its connection when the loop stops.
    """
    for task in tasks:
        task.cancel()
    await shield(_wait_for(*tasks))


async def sleep_until(event: asyncio.Event, seconds: float | None) -> None:
    """Sleep for some seconds, None for ever, or until the event is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


@asynccontextmanager
async def background_task(work: Coroutine[Any, Any, _T], name: str) -> "AsyncIterator[Task[_T]]":
    """Work in a task while the block runs, and cancel it at the end of the block."""
    task = asyncio.create_task(work, name=name)
    try:
        yield task
    finally:
        await cancel_and_wait(task)


async def _await(work: Coroutine[Any, Any, _T]) -> _T:
    return await work


async def _wait_for(*tasks: "asyncio.Task[Any]") -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
