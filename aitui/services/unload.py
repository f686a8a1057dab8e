"""Unloads of one model or all: confirmed if others use them, done when `/running` agrees."""

from aitui.domain.client_requests import describe_users
from aitui.domain.clients import client_name
from aitui.domain.confirmation import Ask, Confirmation
from aitui.domain.eviction import request_count
from aitui.domain.models import ActiveRequest, Model, RunState
from aitui.domain.snapshot import Snapshot
from aitui.domain.units import count_of, format_seconds
from aitui.domain.unload_costs import describe_free_memory, describe_other_uses, unload_costs
from aitui.errors import TimedOut, UnloadFailed
from aitui.services.load import resolve_loadable_model, stays_queued
from aitui.services.session import Session

UNLOAD_CONFIRMED_WITHIN = 60.0


async def unload_model(
    session: Session, wanted: str, ask: Ask, *, dequeue: bool = False
) -> tuple[str, ...]:
    """Unload the model of that id or alias; while it loads, abort the load.

    A load that this aitui left in the queue of an older server is removed from there, with `dequeue`
    also one of another client. Returns the ids that are gone: none if the user declined, or if it didn't run. Raises
    NoSuchModel, ActionRefused, UnloadFailed, Unreachable.
    """
    model = resolve_loadable_model(wanted, session.snapshot)
    session.server.refuse_if_read_only(f"unloading {model.id}")
    if not model.resident and model.requested is None:
        if stays_queued(model, session.snapshot) and (dequeue or model.queued is not None):
            await session.client.unload(model.id)
            await session.monitor.end_load(model.id)
        return ()
    if unload_confirmation(model.id, session.snapshot).needed and not await ask(
        lambda snapshot: unload_confirmation(model.id, snapshot)
    ):
        return ()
    await session.monitor.expect_unload(model.id)
    await session.client.unload(model.id)
    await _wait_until_unloaded(session, {model.id})
    return (model.id,)


async def unload_all_models(session: Session, ask: Ask) -> tuple[str, ...]:
    """Unload every model, after a confirmation; return the ids that are gone."""
    session.server.refuse_if_read_only("unloading all models")
    gone = {model.id for model in session.snapshot.resident}
    if not gone or not await ask(unload_all_confirmation):
        return ()
    gone |= {model.id for model in session.snapshot.resident}
    await session.monitor.expect_unload(*gone)
    await session.client.unload_all()
    await _wait_until_unloaded(session, gone)
    return tuple(sorted(gone))


def unload_confirmation(model_id: str, snapshot: Snapshot) -> Confirmation:
    """Confirm an unload, with the requests that it cuts."""
    model = snapshot.model(model_id) or Model(model_id)
    requests = request_count(model, snapshot) if model.state is RunState.READY else 0
    if requests is None:
        facts: tuple[str, ...] = (
            f"{snapshot.requests.total} requests are running on this server."
            if snapshot.requests.total
            else "This server does not report requests.",
            "Any that use this model will be cut off.",
        )
        # Without an event stream requests are unknown, and every unload would ask.
        needed = bool(snapshot.requests.total)
    else:
        facts = (_describe_cut(requests), *describe_users(model, snapshot))
        needed = requests > 0
    return Confirmation(f"Unload {model_id}?", facts, yes="Unload", needed=needed)


def unload_all_confirmation(snapshot: Snapshot) -> Confirmation:
    """Confirm to unload everything, with the requests that it cuts."""
    resident = snapshot.resident
    facts, costs = list(describe_other_uses(snapshot)), unload_costs(snapshot)
    if snapshot.requests.total is None:
        facts.append("This server does not report requests; any that are running will be cut off.")
    elif not snapshot.requests.total or not (facts or any(cost.costs for cost in costs)):
        facts.append(_describe_cut(snapshot.requests.total))
    facts += describe_free_memory(snapshot)
    what = "the only model" if len(resident) == 1 else f"all {len(resident)} models"
    title = f"Unload {what}?"
    return Confirmation(title, tuple(facts), yes="Unload all", costs=costs)


def _describe_cut(requests: int) -> str:
    if requests == 0:
        return "No active requests."
    return f"{count_of(requests, 'running request')} will be cut off."


async def _wait_until_unloaded(session: Session, model_ids: set[str]) -> None:
    await session.monitor.poll_now()
    try:
        await session.monitor.wait_until(
            lambda snapshot: (
                not any(model.resident for model in snapshot.models if model.id in model_ids)
            ),
            UNLOAD_CONFIRMED_WITHIN,
        )
    except TimedOut as error:
        still = [model.id for model in session.snapshot.resident if model.id in model_ids]
        raise UnloadFailed(
            f"{', '.join(still)} is still running",
            why=f"the server said OK, but still lists it {UNLOAD_CONFIRMED_WITHIN:.0f} s later",
            remedy="another client may have loaded it again; check who is using it",
        ) from error


CANCEL_CONFIRMED_WITHIN = 15.0


async def cancel_request(session: Session, request: ActiveRequest, ask: Ask) -> bool:
    """Cancel that request; False if the user declined, or if it had ended by then.

    Raises ActionRefused, NotSupported on servers before v235, Unreachable.
    """
    session.server.refuse_if_read_only("canceling a request")

    def build(snapshot: Snapshot) -> Confirmation:
        return cancel_confirmation(request, snapshot, session.clock.monotonic())

    if not await ask(build) or not _is_running(request, session.snapshot):
        return False
    await session.client.cancel_request(request.id)
    await session.monitor.wait_until(
        lambda snapshot: not _is_running(request, snapshot), CANCEL_CONFIRMED_WITHIN
    )
    return True


def cancel_confirmation(request: ActiveRequest, snapshot: Snapshot, now: float) -> Confirmation:
    """Confirm to cancel a request, with its client."""
    if not _is_running(request, snapshot):
        return Confirmation("Cancel this request?", ("It has already ended.",), yes="Cancel it")
    # Its age grows while the user reads: rounded to ten seconds, it doesn't disarm the dialog.
    age = max(0.0, now - request.started) // 10 * 10
    facts = (
        f"{client_name(request)} at {request.model or 'no model'}",
        f"{request.path}, running for at least {format_seconds(age)}",
        "Its reply is cut off at once.",
        "The client reports its address and program itself.",
    )
    return Confirmation("Cancel this request?", facts, yes="Cancel it", no="Let it run")


def _is_running(request: ActiveRequest, snapshot: Snapshot) -> bool:
    return any(other.id == request.id for other in snapshot.requests.running or ())
