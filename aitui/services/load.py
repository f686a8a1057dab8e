"""Loads of a model: confirmed if they evict, done when `/running` agrees, explained if they fail."""

import asyncio
import contextlib
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from aitui.aio import background_task
from aitui.domain.client_requests import describe_users, describe_waiting_clients
from aitui.domain.confirmation import Ask, Confirmation
from aitui.domain.eviction import EvictionVictim, guess_reason, predict_victims
from aitui.domain.memory.forecast import FitVerdict, describe_fit
from aitui.domain.models import LoadFailure, Model, ModelKind, RunState, find_model
from aitui.domain.release import REMOVES_QUEUED_SINCE
from aitui.domain.snapshot import ConnectionPhase, Snapshot
from aitui.domain.suggest import nearest
from aitui.domain.units import format_seconds
from aitui.domain.unload_costs import ModelCost, unload_outcome
from aitui.errors import (
    Action,
    ActionRefused,
    AituiError,
    CertificateFileError,
    ConnectionLost,
    LoadFailed,
    NoSuchModel,
    ProxyError,
    ServerError,
    TimedOut,
    TlsRefused,
    TooManyRequests,
    Unreachable,
)
from aitui.services.session import Session

TTL_FROM_READY_SINCE = 256
"""Older servers count the TTL from the last request that the model answered. After a load that its
client left early there is none, so the model may go as soon as it is ready."""


def open_loads(snapshot: Snapshot) -> tuple[Model, ...]:
    """Return the models that aitui loads and that are not ready yet."""
    return tuple(
        model
        for model in snapshot.models
        if model.requested is not None and model.state is not RunState.READY
    )


def outcome_without_waiting(model: Model, snapshot: Snapshot) -> str:
    """Describe what the server does with a model that aitui no longer waits for."""
    if stays_queued(model, snapshot):
        return f"llama-swap {_keeps(snapshot)} it queued, and {queued_outcome(model, snapshot)}"
    if snapshot.release.has(TTL_FROM_READY_SINCE):
        return "llama-swap keeps loading it" if model.resident else "llama-swap may not load it"
    if model.resident:
        return "llama-swap may unload it as soon as it is ready"
    return "llama-swap may not load it, or may unload it as soon as it is ready"


def queued_outcome(model: Model, snapshot: Snapshot) -> str:
    """Describe the fate of a request in the queue of a server that loads for clients that left."""
    victims = predict_victims(model, snapshot)
    sure = "" if all(victim.certain for victim in victims) else "≈ "
    evicts = ", ".join(victim.model.id for victim in victims)
    return f"will load it later{f' and evict {sure}{evicts}' if evicts else ''}"


def stays_queued(model: Model, snapshot: Snapshot) -> bool:
    """Return whether the server may load a model after others, although its request is closed."""
    waits = model.loadable and not model.resident and bool(snapshot.resident)
    return waits and not snapshot.release.has(REMOVES_QUEUED_SINCE)


def describe_queued(model: Model, snapshot: Snapshot) -> str:
    """Describe a request that is still queued although aitui stopped waiting."""
    still = "still" if _keeps(snapshot) == "keeps" else "perhaps still"
    return f"{still} queued at the server, which {queued_outcome(model, snapshot)}"


def _keeps(snapshot: Snapshot) -> str:
    """Return "keeps" for older servers, which keep it for sure, "may keep" for unnumbered builds."""
    return "may keep" if snapshot.release.has(REMOVES_QUEUED_SINCE) is None else "keeps"


def quit_confirmation(snapshot: Snapshot, *, answering: bool) -> Confirmation:
    """Confirm to quit, with the loads and the reply that it cuts; `answering` while a reply streams."""
    facts = _open_load_lines(snapshot, "aitui quits now")
    if answering:
        facts = (*facts, "A reply is still running. The text received so far is kept.")
    return _leave_confirmation("Quit aitui?", "Quit", facts)


def leave_confirmation(label: str, snapshot: Snapshot) -> Confirmation:
    """Confirm to leave a server, with the loads that it cuts."""
    facts = _open_load_lines(snapshot, "aitui leaves this server now")
    return _leave_confirmation(f"Leave {label}?", "Leave", facts)


def _leave_confirmation(title: str, yes: str, facts: tuple[str, ...]) -> Confirmation:
    return Confirmation(title, facts or ("No model is loading anymore.",), yes=yes, no="Stay")


def _open_load_lines(snapshot: Snapshot, condition: str) -> tuple[str, ...]:
    return tuple(
        f"{model.id} {'is still loading' if model.resident else 'is not loading yet'}. "
        f"{outcome_without_waiting(model, snapshot)} if {condition}."
        for model in open_loads(snapshot)
    )


STATE_CONFIRMED_WITHIN = 30.0


class ModelNotReady(LoadFailed):
    """The model isn't up although its load didn't fail: no log says why."""


async def wait_until_ready(
    session: Session, model_id: str, at_limit: Callable[[], None] | None = None
) -> bool:
    """Load a model; True once `/running` has it ready, False if aitui unloads it meanwhile.

    The time limit counts from when the server begins, not while the load waits in its queue. At the
    limit `at_limit` is called, or ModelNotReady raised if there is none.
    Raises LoadFailed, NoSuchModel, Unreachable, TlsRefused, ServerError.
    """
    monitor = session.monitor
    loading = _load_within_limit(session, model_id, at_limit)
    aborting = monitor.wait_until(lambda _: monitor.was_unload_requested(model_id), limit=None)
    async with (
        background_task(loading, f"load {model_id}") as coming,
        background_task(aborting, f"abort {model_id}") as aborted,
    ):
        # It is on the screen by the time that the request is sent.
        await monitor.begin_load(model_id)
        await asyncio.wait({coming, aborted}, return_when=asyncio.FIRST_COMPLETED)
        if monitor.was_unload_requested(model_id):
            # The unloading removes a load that has not begun from the server's queue.
            return False
        await coming
        return True


async def _load_within_limit(
    session: Session, model_id: str, at_limit: Callable[[], None] | None
) -> None:
    limit = session.server.timeout
    begun = asyncio.Event()
    try:
        async with asyncio.timeout(None) as running_out:
            now = asyncio.get_running_loop().time
            end_wait = at_limit or (lambda: running_out.reschedule(now()))
            counting = _start_timeout_when_loading(session, model_id, begun, end_wait)
            async with background_task(counting, f"time the load of {model_id}"):
                await _request_and_watch(session, model_id, begun)
    except TimeoutError:
        raise ModelNotReady(
            f"{model_id} is not ready after {limit:.0f} s",
            why="that is the time limit for a load without progress; "
            + outcome_without_waiting(Model(model_id, state=RunState.STARTING), session.snapshot),
            remedy="raise AI_SERVER_TIMEOUT_MS, or read the model's log",
        ) from None


async def _start_timeout_when_loading(
    session: Session, model_id: str, begun: asyncio.Event, at_limit: Callable[[], None]
) -> None:
    await session.monitor.wait_until(
        lambda snapshot: _model_state(model_id, snapshot) in {RunState.STARTING, RunState.READY},
        None,
    )
    begun.set()
    with contextlib.suppress(TimedOut):
        while True:
            seen = _progress(model_id, session.snapshot)
            await session.monitor.wait_until(
                lambda later: _progress(model_id, later) != seen,  # noqa: B023
                session.server.timeout,
            )
    at_limit()


def _progress(model_id: str, snapshot: Snapshot) -> float | None:
    """Return the reported progress; as for the server, a new message alone is none."""
    model = snapshot.model(model_id)
    return None if model is None else model.progress


async def _request_and_watch(session: Session, model_id: str, begun: asyncio.Event) -> None:
    trouble = await _request_load(session, model_id)
    snapshot = await session.monitor.poll_now()
    while True:
        state = _model_state(model_id, snapshot)
        if state is RunState.READY:
            return
        lost = _is_lost(snapshot)
        if trouble is not None and lost:
            # The latest error says most.
            raise snapshot.connection.error or trouble
        if state is RunState.STOPPED and not lost:
            raise _absent_model_error(model_id, trouble, begun=begun.is_set())
        # A proxy's time limit, or the connection, may end long before the load does.
        snapshot = await session.monitor.wait_until(
            lambda now: (_model_state(model_id, now), _is_lost(now)) != (state, lost),  # noqa: B023
            STATE_CONFIRMED_WITHIN if trouble is None else None,
        )


async def _request_load(session: Session, model_id: str) -> AituiError | None:
    """Request the load; return the error that ended the wait early, raise any other."""
    try:
        await session.client.load(model_id)
    except (CertificateFileError, TooManyRequests):
        raise
    except TlsRefused as error:
        # A connection that breaks before any response looks like that; `/running` decides.
        lost = ConnectionLost("The connection was lost while waiting for the model")
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
    """Return the error for a model that `/running` doesn't list after the wait for it."""
    if trouble is None and not begun:
        return ModelNotReady(
            f"{model_id} is not loaded",
            why="the load was answered with OK, but the server does not list the model as running",
            remedy="check that the URL leads to llama-swap, and that no proxy answers in its place",
        )
    if trouble is None:
        return ModelNotReady(
            f"{model_id} became ready and was then unloaded",
            why="another client unloaded it, or loaded another model",
            remedy="check who is using the server",
        )
    if begun and not isinstance(trouble, LoadFailed):
        failed = LoadFailed(f"{model_id} could not be loaded", why=trouble.what)
        # What cut the request may be an outage, which says nothing of the load.
        failed.__cause__ = trouble
        return failed
    return trouble


def _is_lost(snapshot: Snapshot) -> bool:
    return snapshot.connection.phase is not ConnectionPhase.LIVE


def _model_state(model_id: str, snapshot: Snapshot) -> RunState:
    model = snapshot.model(model_id)
    return RunState.STOPPED if model is None else model.state


def resolve_model(wanted: str, snapshot: Snapshot) -> Model:
    """Find the model of that id or alias; raises NoSuchModel with the nearest ids."""
    model = find_model(wanted, snapshot.models)
    if model is None:
        raise no_such_model_error(wanted, snapshot)
    return model


def no_such_model_error(wanted: str, snapshot: Snapshot) -> NoSuchModel:
    """Return the error for an id that the server doesn't know, even if the snapshot lists it."""
    near = nearest(wanted, [model.id for model in snapshot.models if model.id != wanted])
    return NoSuchModel(
        f"no model “{wanted}” on this server",
        status=404,
        why=f"nearest: {', '.join(near)}" if near else "the server lists no similar name",
        remedy="refresh the list if it was just added",
        action=Action.REFRESH,
    )


def resolve_loadable_model(wanted: str, snapshot: Snapshot) -> Model:
    """Find a model; raises ActionRefused for one that this server lists and doesn't run itself."""
    model = resolve_model(wanted, snapshot)
    refuse_if_elsewhere(model, "be loaded or unloaded", "load")
    return model


def refuse_if_elsewhere(model: Model, change: str, verb: str) -> None:
    """Raise ActionRefused for a model that this server lists and doesn't run itself.

    `change` and `verb` say what it can't do, and what can be done with its targets.
    """
    if model.kind is ModelKind.PEER:
        raise ActionRefused(
            f"{model.id} can't {change} here",
            why=f"it runs on the peer {model.peer or 'named in its id'}",
            remedy="connect to that server",
        )
    if model.unread:
        raise ActionRefused(
            f"{model.id} can't {change} yet",
            why="it is in config.yaml, and the server hasn't read that file yet",
            remedy="reload it",
            action=Action.RELOAD_CONFIG,
        )
    if not model.loadable:
        targets = ", ".join(model.targets)
        raise ActionRefused(
            f"{model.id} is a {model.kind.value}, not a model",
            why=f"it chooses among {targets}" if targets else "it has no process of its own",
            remedy=f"{verb} one of its targets",
        )


class LoadResult(Struct, frozen=True):
    """A load that succeeded; `seconds` is 0 if the model was ready already."""

    model_id: str
    seconds: float


async def load_model(
    session: Session, wanted: str, ask: Ask, at_limit: Callable[[], None] | None = None
) -> LoadResult | None:
    """Load the model of that id or alias; None if the user declined or aborted the load.

    The request stays open until the load has ended. At the time limit `at_limit` is called, or
    ModelNotReady raised if there is none. Raises LoadFailed with the reason and the models that were
    evicted in vain, NoSuchModel, ActionRefused, Unreachable.
    """
    snapshot = session.monitor.snapshot
    model = resolve_loadable_model(wanted, snapshot)
    session.server.refuse_if_read_only(f"loading {model.id}")
    if model.state is RunState.READY:
        return LoadResult(model.id, 0.0)
    # Nothing has to go, and of its memory nothing is known: there is nothing to confirm.
    has_risk = model.id in snapshot.hardware.models or any(m.resident for m in snapshot.models)
    if has_risk and (
        load_confirmation(model.id, snapshot).needed
        and not await ask(lambda snapshot: load_confirmation(model.id, snapshot))
    ):
        return None
    return await _load_and_report(session, model, at_limit)


def load_confirmation(model_id: str, snapshot: Snapshot) -> Confirmation:
    """Confirm a load, with the models it evicts and the requests that wait."""
    model = snapshot.model(model_id) or Model(model_id)
    evicted = predict_victims(model, snapshot)
    costs = tuple(_victim_cost(victim, snapshot) for victim in evicted)
    facts = list(describe_waiting_clients(snapshot))
    if any(not victim.certain for victim in evicted):
        facts.append(guess_reason(snapshot))
    if model.state is RunState.READY:
        # Its groups may make a request for it evict others, though nothing is loaded.
        title, needed = f"Load {model_id}?", bool(evicted)
        return Confirmation(title, tuple(facts), yes="Load", needed=needed, costs=costs)
    if model.expected_load is not None:
        facts.append(f"Loading took {format_seconds(model.expected_load)} before.")
    goes = [victim.model.id for victim in evicted]
    fit = snapshot.hardware.fit(model_id, model.context.tokens, goes)
    needed = bool(evicted) or fit.verdict is FitVerdict.NO
    facts += describe_fit(fit)
    return Confirmation(
        f"Load {model_id}?",
        tuple(facts),
        yes="Load",
        needed=needed,
        costs=costs,
        loads=model_id,
    )


def _victim_cost(victim: EvictionVictim, snapshot: Snapshot) -> ModelCost:
    model, mark = victim.model, "" if victim.certain else "≈ "
    if victim.requests is None:
        use = "this server does not report whether it is in use"
    elif victim.requests == 1:
        use = "1 request is running; the load waits for it to end"
    else:
        use = f"{victim.requests} requests are running; the load waits for them to end"
    costs = (use, *describe_users(model, snapshot)) if victim.requests != 0 else ()
    sentence = f"{mark}evicts {model.id}" + ("" if costs else ": idle")
    outcome = ("" if costs else "idle · ") + mark + unload_outcome(model)
    return ModelCost(model.id, outcome, sentence, costs)


async def _load_and_report(
    session: Session, model: Model, at_limit: Callable[[], None] | None
) -> LoadResult | None:
    monitor = session.monitor
    began = session.clock.monotonic()
    before = monitor.snapshot
    queued = False
    try:
        try:
            if await wait_until_ready(session, model.id, at_limit):
                return LoadResult(model.id, session.clock.monotonic() - began)
        except (asyncio.CancelledError, Unreachable, ProxyError):
            # Also if a proxy or an outage closed the request, the server may go on.
            queued = stays_queued(monitor.snapshot.model(model.id) or model, monitor.snapshot)
            raise
        finally:
            await monitor.end_load(model.id, queued=queued)
    except ModelNotReady:
        raise
    except NoSuchModel as error:
        # It was removed from the config since it was listed.
        raise no_such_model_error(model.id, await monitor.fetch()) from error
    except LoadFailed as error:
        from aitui.services.failures import diagnose_load_failure

        failed = LoadFailure(session.clock.wall(), error.why or error.what)
        # Its log takes seconds to read, and nothing is waited for any more.
        await monitor.record_failure(model.id, failed)
        reason = await diagnose_load_failure(session.client, model.id, error.why)
        found = replace(failed, reason=reason.words or failed.reason, log=reason.failure_lines)
        now = monitor.snapshot.model(model.id)
        if now is not None and now.failed == failed:
            await monitor.record_failure(model.id, found)
        gone = {model.id for model in before.ready} - {model.id for model in monitor.snapshot.ready}
        raise LoadFailed(
            f"{model.id} could not be loaded",
            why=found.reason,
            remedy="read the model's log",
            log=found.log,
            evicted=tuple(sorted(gone - {model.id})),
        ) from error
    return None
