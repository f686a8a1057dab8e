"""Load a model: asks before it evicts, ends when `/running` agrees, says why when it fails."""

from collections.abc import Callable
from dataclasses import dataclass

from aitui.commands.coming_up import ModelNotReady, wait_until_ready
from aitui.commands.find import no_such_model_error, resolve_loadable_model
from aitui.commands.session import Ask, Session
from aitui.domain.amounts import format_seconds
from aitui.domain.clients import describe_users, describe_waiting_clients
from aitui.domain.eviction import EvictionVictim, guess_reason, predict_victims
from aitui.domain.memory.fit import FitVerdict
from aitui.domain.memory.fit_words import describe_fit
from aitui.domain.model import LoadFailure, Model, RunState
from aitui.domain.question import Confirmation
from aitui.domain.snapshot import Snapshot
from aitui.errors import LoadFailed, NoSuchModel
from aitui.monitor.log_tail import diagnose_load_failure


@dataclass(frozen=True, slots=True)
class LoadResult:
    """A load that ended well; `seconds` is 0 where the model was ready already."""

    model_id: str
    seconds: float


async def load_model(
    session: Session, wanted: str, ask: Ask, at_limit: Callable[[], None] | None = None
) -> LoadResult | None:
    """Load the model of that id or alias.

    The request stays open until the load has ended, also beyond the time limit where `at_limit` is
    given: it is called then. None where the answer to the question was no, or where the load was
    aborted from here. Raises LoadFailed with the reason and the models that were evicted in vain,
    NotUp at the time limit, NoSuchModel, Refused, Unreachable.
    """
    model = resolve_loadable_model(wanted, session.snapshot)
    session.refuse_if_read_only(f"loading {model.id}")
    if model.state is RunState.READY:
        return LoadResult(model.id, 0.0)
    if load_confirmation(model.id, session.snapshot).needed and not await ask(
        lambda snapshot: load_confirmation(model.id, snapshot)
    ):
        return None
    return await _load_and_report(session, model, at_limit)


def load_confirmation(model_id: str, snapshot: Snapshot) -> Confirmation:
    """What loading that model will cost whom, as of that snapshot."""
    model = snapshot.model(model_id) or Model(model_id)
    evicted = predict_victims(model, snapshot)
    facts: list[str] = []
    for victim in evicted:
        facts += (_describe_victim(victim), *describe_users(victim.model, snapshot))
    facts += describe_waiting_clients(snapshot)
    if any(not victim.certain for victim in evicted):
        facts.append(guess_reason(snapshot))
    if model.state is RunState.READY:
        # By its groups a request for it may evict others, though nothing is loaded.
        return Confirmation(f"Load {model_id}?", tuple(facts), yes="Load", needed=bool(evicted))
    if model.expected_load is not None:
        facts.append(f"Loading took {format_seconds(model.expected_load)} the last times.")
    goes = [victim.model.id for victim in evicted]
    fit = snapshot.hardware.fit(model_id, model.context.tokens, goes)
    needed = bool(evicted) or fit.verdict is FitVerdict.NO
    facts += describe_fit(fit)
    return Confirmation(f"Load {model_id}?", tuple(facts), yes="Load", needed=needed)


def _describe_victim(victim: EvictionVictim) -> str:
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


async def _load_and_report(
    session: Session, model: Model, at_limit: Callable[[], None] | None
) -> LoadResult | None:
    monitor = session.monitor
    began = session.clock.monotonic()
    ready_before = {other.id for other in session.snapshot.ready}
    failed: LoadFailure | None = None
    await monitor.begin_load(model.id)
    try:
        if await wait_until_ready(session, model.id, at_limit):
            return LoadResult(model.id, session.clock.monotonic() - began)
    except ModelNotReady:
        raise
    except NoSuchModel as error:
        # It went from the config since it was listed: what is there now?
        raise no_such_model_error(model.id, await monitor.fetch()) from error
    except LoadFailed as error:
        failed = await _diagnose_failure(session, model.id, error)
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
        await monitor.end_load(model.id, failed)


async def _diagnose_failure(session: Session, model_id: str, error: LoadFailed) -> LoadFailure:
    reason = await diagnose_load_failure(session.client, model_id, error.why)
    words = reason.words or error.why or error.what
    return LoadFailure(session.clock.wall(), words, reason.failure_lines)
