"""Work and closing that come to their end, whatever becomes of their caller."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from aitui.host.base import shield
from aitui.llamaswap.transport import shield_cleanup

ToItsEnd = Callable[[Coroutine[Any, Any, None]], Coroutine[Any, Any, None]]

both = pytest.mark.parametrize("to_its_end", [shield, shield_cleanup])


@both
@pytest.mark.parametrize("turns", range(3))
def test_the_end_of_the_loop_waits_for_what_has_just_been_begun(
    to_its_end: ToItsEnd, turns: int
) -> None:
    done = asyncio.Event()

    async def work() -> None:
        done.set()

    async def leave() -> "asyncio.Task[None]":
        task = asyncio.create_task(to_its_end(work()))
        for _ in range(turns):
            await asyncio.sleep(0)
        return task

    task = asyncio.run(leave())
    assert done.is_set()
    assert task.done()


@both
async def test_a_caller_that_is_cancelled_hears_of_that_when_the_work_has_ended(
    to_its_end: ToItsEnd,
) -> None:
    going_on, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await going_on.wait()
        ended.set()
        raise OSError

    task = asyncio.create_task(to_its_end(work()))
    for _ in range(3):
        await asyncio.sleep(0)
        task.cancel()
    going_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


@both
async def test_what_goes_wrong_is_told(to_its_end: ToItsEnd) -> None:
    async def work() -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await to_its_end(work())
