"""Unload one model, or all: asks where somebody is using it, ends when `/running` agrees."""

from aitui.commands.find import loadable_model_named
from aitui.commands.session import Ask, Session
from aitui.domain.clients import all_users, users_of
from aitui.domain.eviction import requests_at
from aitui.domain.model import Model, RunState
from aitui.domain.question import Question
from aitui.domain.snapshot import Snapshot
from aitui.domain.unloading import unload_words
from aitui.errors import TimedOut, UnloadFailed

AGREES_WITHIN = 60.0


async def unload(session: Session, wanted: str, ask: Ask) -> tuple[str, ...]:
    """Unload the model of that id or alias; while it loads, this aborts the load.

    Returns the ids that are gone: none where the answer was no, or where it didn't run.
    Raises NoSuchModel, Refused, UnloadFailed, Unreachable.
    """
    model = loadable_model_named(wanted, session.snapshot)
    session.refuse_if_read_only(f"unloading {model.id}")
    if not model.resident and model.requested is None:
        return ()
    if question_before_unload(model.id, session.snapshot).needed and not await ask(
        lambda snapshot: question_before_unload(model.id, snapshot)
    ):
        return ()
    await session.monitor.unload_requested(model.id)
    await session.client.unload(model.id)
    await _wait_until_gone(session, {model.id})
    return (model.id,)


async def unload_all(session: Session, ask: Ask) -> tuple[str, ...]:
    """Unload every model, after asking; returns the ids that are gone."""
    session.refuse_if_read_only("unloading all models")
    gone = {model.id for model in session.snapshot.resident}
    if not gone or not await ask(question_before_unload_all):
        return ()
    gone |= {model.id for model in session.snapshot.resident}
    await session.monitor.unload_requested(*gone)
    await session.client.unload_all()
    await _wait_until_gone(session, gone)
    return tuple(sorted(gone))


def question_before_unload(model_id: str, snapshot: Snapshot) -> Question:
    """Whose requests unloading that model will cut, as of that snapshot."""
    model = snapshot.model(model_id) or Model(model_id)
    requests = requests_at(model, snapshot) if model.state is RunState.READY else 0
    if requests is None:
        facts: tuple[str, ...] = (
            f"{snapshot.requests.total} requests run on this server."
            if snapshot.requests.total
            else "This server doesn't tell whether requests run.",
            "Those at this model will be cut.",
        )
        # Without an event stream nobody knows of requests, and every unload would ask.
        needed = bool(snapshot.requests.total)
    else:
        facts = (_cut(requests), *users_of(model, snapshot))
        needed = requests > 0
    return Question(f"Unload {model_id}?", facts, yes="Unload", needed=needed)


def question_before_unload_all(snapshot: Snapshot) -> Question:
    """What unloading everything will cost whom."""
    resident = snapshot.resident
    facts = [unload_words(model) for model in resident]
    if snapshot.requests.total is None:
        facts.append("This server doesn't tell whether requests run; they will be cut.")
    else:
        facts += (_cut(snapshot.requests.total), *all_users(snapshot))
    what = "the only model" if len(resident) == 1 else f"all {len(resident)} models"
    return Question(f"Unload {what}?", tuple(facts), yes="Unload all")


def _cut(requests: int) -> str:
    if requests == 0:
        return "No request runs there."
    return (
        "1 running request will be cut."
        if requests == 1
        else (f"{requests} running requests will be cut.")
    )


async def _wait_until_gone(session: Session, model_ids: set[str]) -> None:
    await session.monitor.look()
    try:
        await session.monitor.wait_until(
            lambda snapshot: (
                not any(model.resident for model in snapshot.models if model.id in model_ids)
            ),
            AGREES_WITHIN,
        )
    except TimedOut as error:
        still = [model.id for model in session.snapshot.resident if model.id in model_ids]
        raise UnloadFailed(
            f"{', '.join(still)} still runs",
            why=f"the server said OK, and lists it {AGREES_WITHIN:.0f} s later all the same",
            remedy="another client may have loaded it again: look who is using it",
        ) from error
