"""Work and closing that come to their end, whatever becomes of their caller."""

import asyncio

import pytest

from aitui.aio import cancel_and_wait, shield


@pytest.mark.parametrize("turns", range(3))
def test_the_end_of_the_loop_waits_for_what_has_just_been_begun(turns: int) -> None:
    done = asyncio.Event()

    async def work() -> None:
        done.set()

    async def leave() -> "asyncio.Task[None]":
        task = asyncio.create_task(shield(work()))
        for _ in range(turns):
            await asyncio.sleep(0)
        return task

    task = asyncio.run(leave())
    assert done.is_set()
    assert task.done()


async def test_a_caller_that_is_cancelled_hears_of_that_when_the_work_has_ended() -> None:
    going_on, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await going_on.wait()
        ended.set()
        raise OSError

    task = asyncio.create_task(shield(work()))
    for _ in range(3):
        await asyncio.sleep(0)
        task.cancel()
    going_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_what_goes_wrong_is_told() -> None:
    async def work() -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await shield(work())


async def test_a_task_is_cancelled_and_has_cleaned_up_even_if_the_caller_is_cancelled() -> None:
    may_end, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await may_end.wait()
            ended.set()

    working = asyncio.create_task(work())
    await asyncio.sleep(0)
    caller = asyncio.create_task(cancel_and_wait(working))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.sleep(0)
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended.is_set()
    assert working.cancelled()
