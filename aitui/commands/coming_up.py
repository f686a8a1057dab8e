"""Waits for a model to come up: told by the long answer, and by `/running` where that breaks."""

import asyncio
from collections.abc import Callable
from functools import partial

from aitui.commands.ending import end
from aitui.commands.leaving import UNLOADED_WHEN_READY
from aitui.commands.session import Session
from aitui.domain.model import RunState
from aitui.domain.snapshot import LinkPhase, Snapshot
from aitui.errors import (
    AituiError,
    CertificateFileError,
    ConnectionLost,
    LoadFailed,
    ServerError,
    TlsRefused,
    TooManyRequests,
    Unreachable,
)

AGREES_WITHIN = 30.0


class NotUp(LoadFailed):
    """The model isn't up although its load didn't fail: no log tells why."""


async def come_up(
    session: Session, model_id: str, at_limit: Callable[[], None] | None = None
) -> bool:
    """Have a model loaded; True once `/running` has it ready, False where aitui unloads it.

    The time limit counts from when the server begins, not while it waits in the server's queue. It
    ends the wait with NotUp, or calls `at_limit` where one is given.
    Raises LoadFailed, NoSuchModel, Unreachable, TlsRefused, ServerError.
    """
    monitor = session.monitor
    coming = asyncio.create_task(
        _come_up_in_time(session, model_id, at_limit), name=f"load {model_id}"
    )
    aborted = asyncio.create_task(
        monitor.wait_until(lambda _: monitor.was_ended_on_purpose(model_id), limit=None),
        name=f"abort {model_id}",
    )
    try:
        await asyncio.wait({coming, aborted}, return_when=asyncio.FIRST_COMPLETED)
        if monitor.was_ended_on_purpose(model_id):
            # Hanging up takes a load that has not begun out of the server's queue.
            return False
        await coming
        return True
    finally:
        await end(coming, aborted)


async def _come_up_in_time(
    session: Session, model_id: str, at_limit: Callable[[], None] | None
) -> None:
    limit = session.server.timeout
    begun = asyncio.Event()
    try:
        async with asyncio.timeout(None) as running_out:
            now = asyncio.get_running_loop().time
            end_wait = at_limit or (lambda: running_out.reschedule(now()))
            counting = asyncio.create_task(
                _count_from_the_start(session, model_id, begun, end_wait)
            )
            try:
                await _ask_and_watch(session, model_id, begun)
            finally:
                await end(counting)
    except TimeoutError:
        raise NotUp(
            f"{model_id} is not up after {limit:.0f} s",
            why=f"that is the limit set for a load; {UNLOADED_WHEN_READY}",
            remedy="raise AI_SERVER_TIMEOUT_MS, or look at its log",
        ) from None


async def _count_from_the_start(
    session: Session, model_id: str, begun: asyncio.Event, at_limit: Callable[[], None]
) -> None:
    await session.monitor.wait_until(
        lambda snapshot: _state(model_id, snapshot) in {RunState.STARTING, RunState.READY}, None
    )
    begun.set()
    await asyncio.sleep(session.server.timeout)
    at_limit()


async def _ask_and_watch(session: Session, model_id: str, begun: asyncio.Event) -> None:
    trouble = await _trouble_with_asking(session, model_id)
    snapshot = await session.monitor.look()
    while True:
        state = _state(model_id, snapshot)
        if state is RunState.READY:
            return
        lost = _is_lost(snapshot)
        if trouble is not None and lost:
            # The latest error is the nearest to the truth.
            raise snapshot.link.error or trouble
        if state is RunState.STOPPED and not lost:
            raise _gone(model_id, trouble, begun=begun.is_set())
        # A proxy's patience, or a connection, may end long before the load does.
        snapshot = await session.monitor.wait_until(
            partial(_differs, model_id, state, lost), AGREES_WITHIN if trouble is None else None
        )


async def _trouble_with_asking(session: Session, model_id: str) -> AituiError | None:
    """What ended the long wait before its time; raises what has nothing to do with waiting."""
    try:
        await session.client.load(model_id)
    except (CertificateFileError, TooManyRequests):
        raise
    except TlsRefused as error:
        # A connection that breaks before any answer looks like that; `/running` will tell.
        lost = ConnectionLost("The connection broke while the model was waited for")
        lost.__cause__ = error
        return lost
    except (LoadFailed, Unreachable) as error:
        return error
    except ServerError as error:
        if error.status < 500:
            raise
        return error
    return None


def _gone(model_id: str, trouble: AituiError | None, *, begun: bool) -> AituiError:
    """What to raise for a model that `/running` doesn't list after the wait for it has ended."""
    if trouble is None:
        return NotUp(
            f"{model_id} came up and is gone again",
            why="another client unloaded it, or loaded another one",
            remedy="look who is using the server",
        )
    if begun and not isinstance(trouble, LoadFailed):
        return LoadFailed(f"{model_id} didn't come up", why=trouble.what)
    return trouble


def _differs(model_id: str, state: RunState, lost: bool, later: Snapshot) -> bool:  # noqa: FBT001
    return _state(model_id, later) is not state or _is_lost(later) is not lost


def _is_lost(snapshot: Snapshot) -> bool:
    return snapshot.link.phase is not LinkPhase.LIVE


def _state(model_id: str, snapshot: Snapshot) -> RunState:
    model = snapshot.model(model_id)
    return RunState.STOPPED if model is None else model.state
