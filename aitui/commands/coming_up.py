"""Waits for a model to come up: told by the long answer, and by `/running` where that breaks."""

import asyncio
from collections.abc import Callable
from functools import partial

from aitui.commands.ending import cancel_and_wait
from aitui.commands.leaving import UNLOADED_WHEN_READY
from aitui.commands.session import Session
from aitui.domain.model import RunState
from aitui.domain.snapshot import ConnectionPhase, Snapshot
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

STATE_CONFIRMED_WITHIN = 30.0


class ModelNotReady(LoadFailed):
    """The model isn't up although its load didn't fail: no log tells why."""


async def wait_until_ready(
    session: Session, model_id: str, at_limit: Callable[[], None] | None = None
) -> bool:
    """Have a model loaded; True once `/running` has it ready, False where aitui unloads it.

    The time limit counts from when the server begins, not while it waits in the server's queue. It
    ends the wait with NotUp, or calls `at_limit` where one is given.
    Raises LoadFailed, NoSuchModel, Unreachable, TlsRefused, ServerError.
    """
    monitor = session.monitor
    coming = asyncio.create_task(
        _load_within_limit(session, model_id, at_limit), name=f"load {model_id}"
    )
    aborted = asyncio.create_task(
        monitor.wait_until(lambda _: monitor.was_unload_requested(model_id), limit=None),
        name=f"abort {model_id}",
    )
    try:
        await asyncio.wait({coming, aborted}, return_when=asyncio.FIRST_COMPLETED)
        if monitor.was_unload_requested(model_id):
            # Hanging up takes a load that has not begun out of the server's queue.
            return False
        await coming
        return True
    finally:
        await cancel_and_wait(coming, aborted)


async def _load_within_limit(
    session: Session, model_id: str, at_limit: Callable[[], None] | None
) -> None:
    limit = session.server.timeout
    begun = asyncio.Event()
    try:
        async with asyncio.timeout(None) as running_out:
            now = asyncio.get_running_loop().time
            end_wait = at_limit or (lambda: running_out.reschedule(now()))
            counting = asyncio.create_task(
                _start_timeout_when_loading(session, model_id, begun, end_wait)
            )
            try:
                await _request_and_watch(session, model_id, begun)
            finally:
                await cancel_and_wait(counting)
    except TimeoutError:
        raise ModelNotReady(
            f"{model_id} is not up after {limit:.0f} s",
            why=f"that is the limit set for a load; {UNLOADED_WHEN_READY}",
            remedy="raise AI_SERVER_TIMEOUT_MS, or look at its log",
        ) from None


async def _start_timeout_when_loading(
    session: Session, model_id: str, begun: asyncio.Event, at_limit: Callable[[], None]
) -> None:
    await session.monitor.wait_until(
        lambda snapshot: _model_state(model_id, snapshot) in {RunState.STARTING, RunState.READY},
        None,
    )
    begun.set()
    await asyncio.sleep(session.server.timeout)
    at_limit()


async def _request_and_watch(session: Session, model_id: str, begun: asyncio.Event) -> None:
    trouble = await _request_load(session, model_id)
    snapshot = await session.monitor.poll_now()
    while True:
        state = _model_state(model_id, snapshot)
        if state is RunState.READY:
            return
        lost = _is_lost(snapshot)
        if trouble is not None and lost:
            # The latest error is the nearest to the truth.
            raise snapshot.connection.error or trouble
        if state is RunState.STOPPED and not lost:
            raise _absent_model_error(model_id, trouble, begun=begun.is_set())
        # A proxy's patience, or a connection, may end long before the load does.
        snapshot = await session.monitor.wait_until(
            partial(_has_changed, model_id, state, lost),
            STATE_CONFIRMED_WITHIN if trouble is None else None,
        )


async def _request_load(session: Session, model_id: str) -> AituiError | None:
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


def _absent_model_error(model_id: str, trouble: AituiError | None, *, begun: bool) -> AituiError:
    """What to raise for a model that `/running` doesn't list after the wait for it has ended."""
    if trouble is None:
        return ModelNotReady(
            f"{model_id} came up and is gone again",
            why="another client unloaded it, or loaded another one",
            remedy="look who is using the server",
        )
    if begun and not isinstance(trouble, LoadFailed):
        return LoadFailed(f"{model_id} didn't come up", why=trouble.what)
    return trouble


def _has_changed(model_id: str, state: RunState, lost: bool, later: Snapshot) -> bool:  # noqa: FBT001
    return _model_state(model_id, later) is not state or _is_lost(later) is not lost


def _is_lost(snapshot: Snapshot) -> bool:
    return snapshot.connection.phase is not ConnectionPhase.LIVE


def _model_state(model_id: str, snapshot: Snapshot) -> RunState:
    model = snapshot.model(model_id)
    return RunState.STOPPED if model is None else model.state
