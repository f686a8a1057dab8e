"""Load a model: asks before it evicts, ends when `/running` agrees, says why when it fails."""

from collections.abc import Callable
from dataclasses import dataclass

from aitui.commands.coming_up import NotUp, come_up
from aitui.commands.find import loadable_model_named, no_such_model
from aitui.commands.session import Ask, Session
from aitui.domain.amounts import format_seconds
from aitui.domain.clients import those_who_wait, users_of
from aitui.domain.eviction import Victim, victims, why_a_guess
from aitui.domain.memory.fit import Verdict
from aitui.domain.memory.fit_words import fit_facts
from aitui.domain.model import FailedLoad, Model, RunState
from aitui.domain.question import Question
from aitui.domain.snapshot import Snapshot
from aitui.errors import LoadFailed, NoSuchModel
from aitui.monitor.log_tail import why_it_failed


@dataclass(frozen=True, slots=True)
class Loaded:
    """A load that ended well; `seconds` is 0 where the model was ready already."""

    model_id: str
    seconds: float


async def load(
    session: Session, wanted: str, ask: Ask, at_limit: Callable[[], None] | None = None
) -> Loaded | None:
    """Load the model of that id or alias.

    The request stays open until the load has ended, also beyond the time limit where `at_limit` is
    given: it is called then. None where the answer to the question was no, or where the load was
    aborted from here. Raises LoadFailed with the reason and the models that were evicted in vain,
    NotUp at the time limit, NoSuchModel, Refused, Unreachable.
    """
    model = loadable_model_named(wanted, session.snapshot)
    session.refuse_if_read_only(f"loading {model.id}")
    if model.state is RunState.READY:
        return Loaded(model.id, 0.0)
    if question_before_load(model.id, session.snapshot).needed and not await ask(
        lambda snapshot: question_before_load(model.id, snapshot)
    ):
        return None
    return await _load(session, model, at_limit)


def question_before_load(model_id: str, snapshot: Snapshot) -> Question:
    """What loading that model will cost whom, as of that snapshot."""
    model = snapshot.model(model_id) or Model(model_id)
    evicted = victims(model, snapshot)
    facts: list[str] = []
    for victim in evicted:
        facts += (_sentence(victim), *users_of(victim.model, snapshot))
    facts += those_who_wait(snapshot)
    if any(not victim.certain for victim in evicted):
        facts.append(why_a_guess(snapshot))
    if model.state is RunState.READY:
        # By its groups a request for it may evict others, though nothing is loaded.
        return Question(f"Load {model_id}?", tuple(facts), yes="Load", needed=bool(evicted))
    if model.expected_load is not None:
        facts.append(f"Loading took {format_seconds(model.expected_load)} the last times.")
    goes = [victim.model.id for victim in evicted]
    fit = snapshot.hardware.fit(model_id, model.context.tokens, goes)
    needed = bool(evicted) or fit.verdict is Verdict.NO
    facts += fit_facts(fit)
    return Question(f"Load {model_id}?", tuple(facts), yes="Load", needed=needed)


def _sentence(victim: Victim) -> str:
    mark = "" if victim.certain else "≈ "
    if victim.requests is None:
        use = "whether it is in use is not told by this server"
    elif victim.requests == 0:
        use = "idle"
    else:
        use = (
            "1 request runs there, and the load waits for it"
            if victim.requests == 1
            else f"{victim.requests} requests run there, and the load waits for them"
        )
    return f"{mark}evicts {victim.model.id}: {use}"


async def _load(
    session: Session, model: Model, at_limit: Callable[[], None] | None
) -> Loaded | None:
    monitor = session.monitor
    began = session.clock.monotonic()
    ready_before = {other.id for other in session.snapshot.ready}
    failed: FailedLoad | None = None
    await monitor.load_requested(model.id)
    try:
        if await come_up(session, model.id, at_limit):
            return Loaded(model.id, session.clock.monotonic() - began)
    except NotUp:
        raise
    except NoSuchModel as error:
        # It went from the config since it was listed: what is there now?
        raise no_such_model(model.id, await monitor.fetch()) from error
    except LoadFailed as error:
        failed = await _explained(session, model.id, error)
        ready_now = {other.id for other in session.snapshot.ready}
        raise LoadFailed(
            f"{model.id} didn't come up",
            why=failed.reason,
            remedy="its log tells more",
            log=failed.log,
            evicted=tuple(sorted(ready_before - ready_now - {model.id})),
        ) from error
    else:
        return None
    finally:
        await monitor.load_settled(model.id, failed)


async def _explained(session: Session, model_id: str, error: LoadFailed) -> FailedLoad:
    reason = await why_it_failed(session.client, model_id, error.why)
    words = reason.words or error.why or error.what
    return FailedLoad(session.clock.wall(), words, reason.evidence)
