"""Tasks that live as long as their owner, and not a moment longer."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class BackgroundTasks:
    """Owns tasks; closing it cancels them, waits for them and raises what went wrong in them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failures: list[Exception] = []

    def start(self, work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """Run work beside the caller."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._handle_done)
        return task

    async def close(self) -> None:
        """Cancel what still runs, wait for its clean-up, and report failures nobody awaited."""
        while self._tasks:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        failures, self._failures = self._failures, []
        if failures:
            raise ExceptionGroup("background tasks of the stand-in failed", failures)

    def _handle_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        failure = task.exception()
        if isinstance(failure, Exception):
            self._failures.append(failure)
