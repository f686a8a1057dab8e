"""Before and after a chat: with which model, at whose cost, and why it failed."""

import asyncio
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from aitui.commands.find import model_named
from aitui.commands.load import question_before_load
from aitui.commands.session import Ask, Session
from aitui.domain.conversation import Conversation
from aitui.domain.eviction import victims
from aitui.domain.model import Kind, Model, RunState
from aitui.domain.nearest import nearest
from aitui.domain.question import Question
from aitui.domain.sampling import Sampling
from aitui.domain.snapshot import Snapshot
from aitui.errors import AituiError, HistoryError, LoadFailed, NoSuchModel, Refused
from aitui.monitor.log_tail import why_it_failed
from aitui.store.history import History

if TYPE_CHECKING:
    from aitui.swap.chat import ChatClient


def new_id() -> str:
    """An id for a turn or a conversation."""
    return uuid.uuid4().hex


def model_to_chat_with(wanted: str, snapshot: Snapshot) -> Model:
    """The model of that id or alias, or without one the loaded model.

    Raises NoSuchModel, and AituiError where not exactly one is loaded.
    """
    if wanted:
        return model_named(wanted, snapshot)
    loaded = snapshot.ready or tuple(
        model for model in snapshot.models if model.state is RunState.STARTING
    )
    if len(loaded) == 1:
        return loaded[0]
    if not loaded:
        raise AituiError(
            "No model is loaded",
            why="without -m the chat is with the loaded one",
            remedy="name one with -m ID: aitui status lists them",
        )
    raise AituiError(
        f"{len(loaded)} models are loaded",
        why=", ".join(model.id for model in loaded),
        remedy="name one of them with -m ID",
    )


def question_before_chat(model_id: str, snapshot: Snapshot) -> Question:
    """What a chat with that model will cost whom; not needed where it evicts nothing."""
    model = snapshot.model(model_id) or Model(model_id)
    question = question_before_load(model_id, snapshot)
    ready = model.state is RunState.READY
    return replace(
        question,
        title=f"Chat with {model_id}?",
        yes="Send" if ready else "Load and send",
        needed=question.needed and (ready or loads(model, snapshot)),
    )


def loads(model: Model, snapshot: Snapshot) -> bool:
    """Whether a chat with it makes this server load something."""
    if model.resident or model.kind is Kind.PEER:
        return False
    return not any(ready.id in model.targets for ready in snapshot.ready)


async def may_chat(session: Session, model_id: str, ask: Ask) -> bool:
    """Ask where a chat evicts something. Raises Refused where nothing may be loaded here."""
    model = session.snapshot.model(model_id) or Model(model_id)
    if loads(model, session.snapshot):
        session.refuse_if_read_only(f"chatting with {model_id}, which isn't loaded,")
    if not question_before_chat(model_id, session.snapshot).needed:
        return True
    return await ask(lambda snapshot: question_before_chat(model_id, snapshot))


def refuse_to_evict(session: Session, model: Model) -> None:
    """For callers that can't ask. Raises Refused where a chat would evict something."""
    snapshot = session.snapshot
    if not loads(model, snapshot):
        return
    evicted = [victim.model.id for victim in victims(model, snapshot)]
    if evicted:
        raise Refused(
            f"{model.id} isn't loaded, and loading it would evict {', '.join(evicted)}",
            why="others may be using it",
            remedy="give --evict to do it all the same, or chat with the loaded model without -m",
        )


async def begin_conversation(
    session: Session, model_id: str, history: History | None
) -> Conversation:
    """An empty conversation, with what was last set for that model."""
    now = session.clock.wall()
    system, sampling = "", Sampling()
    if history is not None:
        try:
            system, sampling = await history.settings(session.server.identity, model_id)
        except HistoryError:
            # The same trouble is told when the first turn is to be written.
            system, sampling = "", Sampling()
    return Conversation(
        new_id(),
        server=session.server.identity,
        model=model_id,
        system=system,
        sampling=sampling,
        created=now,
        changed=now,
    )


async def explained(session: Session, model_id: str, error: AituiError) -> AituiError:
    """The same error with what the server's list and log know about it."""
    if isinstance(error, LoadFailed):
        reason = await why_it_failed(session.client, model_id, error.why)
        return LoadFailed(
            f"{model_id} didn't come up",
            why=reason.words or error.why or error.what,
            remedy="its log tells more",
            log=reason.evidence,
            evicted=error.evicted,
        )
    if isinstance(error, NoSuchModel):
        near = nearest(model_id, [model.id for model in session.snapshot.models])
        return NoSuchModel(
            error.what,
            status=error.status,
            words=error.words,
            why=f"nearest: {', '.join(near)}" if near else error.why,
            remedy=error.remedy,
        )
    return error


async def import_chat_client() -> "type[ChatClient]":
    """The class of chat clients: importing it imports httpx, so that happens in a thread."""
    return await asyncio.to_thread(_import)


def _import() -> "type[ChatClient]":
    from aitui.swap.chat import ChatClient

    return ChatClient
