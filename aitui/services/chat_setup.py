"""Prepare a chat: find the model, ask, create the conversation, and diagnose errors."""

import asyncio
import shlex
import uuid
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

from msgspec.structs import replace

from aitui.domain.chat.conversation import Conversation, SamplingParameters
from aitui.domain.chat.reply import Reply, ReplyPhase
from aitui.domain.config.sizes import format_context_size, next_size
from aitui.domain.confirmation import Ask, Confirmation
from aitui.domain.eviction import predict_victims
from aitui.domain.models import Model, ModelKind, RunState
from aitui.domain.snapshot import Snapshot
from aitui.domain.suggest import nearest
from aitui.errors import (
    Action,
    ActionRefused,
    AituiError,
    ContextExceeded,
    HistoryError,
    LoadFailed,
    NoSuchModel,
    ProxyError,
    ReplyInterrupted,
    ServerError,
)
from aitui.services.load import (
    describe_queued,
    load_confirmation,
    resolve_model,
    stays_queued,
)
from aitui.services.session import Session
from aitui.store.history import ConversationHistory

if TYPE_CHECKING:
    from aitui.llamaswap.chat import ChatClient


def new_id() -> str:
    """Create an id for a turn or a conversation."""
    return uuid.uuid4().hex


def resolve_chat_model(wanted: str, snapshot: Snapshot) -> Model:
    """Find the model of that id or alias, or the loaded model if none is named.

    Raises NoSuchModel, and AituiError if not exactly one is loaded.
    """
    if wanted:
        return resolve_model(wanted, snapshot)
    loaded = snapshot.ready or tuple(
        model for model in snapshot.models if model.state is RunState.STARTING
    )
    if len(loaded) == 1:
        return loaded[0]
    if not loaded:
        raise AituiError(
            "No model is loaded",
            why="without -m, aitui uses the loaded model",
            remedy="choose a model with -m ID",
            action=Action.REFRESH,
        )
    raise AituiError(
        f"{len(loaded)} models are loaded",
        why=", ".join(model.id for model in loaded),
        remedy="choose one of them with -m ID",
    )


def chat_confirmation(model_id: str, snapshot: Snapshot) -> Confirmation:
    """Confirm a chat, with what it evicts; not needed if it evicts nothing."""
    model = snapshot.model(model_id) or Model(model_id)
    confirmation = load_confirmation(model_id, snapshot)
    ready = model.state is RunState.READY
    return replace(
        confirmation,
        title=f"Chat with {model_id}?",
        yes="Send" if ready else "Load and send",
        needed=confirmation.needed and (ready or would_load(model, snapshot)),
    )


def would_load(model: Model, snapshot: Snapshot) -> bool:
    """Return whether a chat with it makes this server load something."""
    if model.resident or model.kind is ModelKind.PEER:
        return False
    return not any(ready.id in model.targets for ready in snapshot.ready)


async def confirm_chat(session: Session, model_id: str, ask: Ask) -> bool:
    """Ask if a chat evicts something; raises ActionRefused if nothing may be loaded."""
    model = session.snapshot.model(model_id) or Model(model_id)
    if would_load(model, session.snapshot):
        session.server.refuse_if_read_only(f"chatting with {model_id}, which isn't loaded,")
    if not chat_confirmation(model_id, session.snapshot).needed:
        return True
    return await ask(lambda snapshot: chat_confirmation(model_id, snapshot))


def refuse_to_evict(session: Session, model: Model) -> None:
    """Raise ActionRefused if a chat would evict something, for callers that can't ask."""
    snapshot = session.snapshot
    if not would_load(model, snapshot):
        return
    evicted = [victim.model.id for victim in predict_victims(model, snapshot)]
    if evicted:
        raise ActionRefused(
            f"{model.id} isn't loaded, and loading it would evict {', '.join(evicted)}",
            why="other clients may be using it",
            remedy="pass --evict to allow it, or leave out -m to use the loaded model",
        )


async def begin_conversation(
    session: Session, model_id: str, history: ConversationHistory | None
) -> Conversation:
    """Create an empty conversation, with the settings stored for that model."""
    now = session.clock.wall()
    system, sampling = "", SamplingParameters()
    if history is not None:
        with suppress(HistoryError):  # it is reported when the first turn is stored
            system, sampling = await history.settings(session.server.identity, model_id)
    return Conversation(
        new_id(),
        server=session.server.identity,
        model=model_id,
        system=system,
        sampling=sampling,
        created=now,
        changed=now,
    )


async def diagnose_error(session: Session, model_id: str, error: AituiError) -> AituiError:
    """Return the error with what the server's list and log know about it; itself if that is nothing."""
    if isinstance(error, LoadFailed):
        model = (await session.monitor.poll_now()).model(model_id)
        if model is not None and model.state is RunState.READY:
            # A 5xx in words that only a failed load had so far, from a model that runs.
            return AituiError(
                f"{model_id} did not reply", why=error.why or error.what, remedy=error.remedy
            )
        from aitui.services.failures import diagnose_load_failure

        reason = await diagnose_load_failure(session.client, model_id, error.why)
        return LoadFailed(
            f"{model_id} could not be loaded",
            why=reason.words or error.why or error.what,
            remedy="read the model's log",
            log=reason.failure_lines,
            evicted=error.evicted,
        )
    if isinstance(error, ProxyError | ReplyInterrupted):
        from aitui.services.failures import diagnose_crash

        crash = await diagnose_crash(session.client, model_id)
        if crash.words and isinstance(error, ReplyInterrupted):
            return ReplyInterrupted(
                error.what,
                tokens=error.tokens,
                characters=error.characters,
                why=f"{model_id} crashed: {crash.words}",
                remedy=error.remedy,
            )
        if crash.words:
            return ServerError(
                f"{model_id} crashed", status=502, why=crash.words, remedy="read the model's log"
            )
    if isinstance(error, NoSuchModel):
        near = nearest(model_id, [model.id for model in session.snapshot.models])
        return NoSuchModel(
            error.what,
            status=error.status,
            why=f"nearest: {', '.join(near)}" if near else error.why,
            remedy=error.remedy,
            action=error.action,
        )
    return error


def needed_context(error: AituiError) -> int:
    """Return the context size that a refused prompt needs, 0 if that isn't known."""
    if isinstance(error, ContextExceeded) and error.prompt_tokens and error.context_size:
        return next_size(error.context_size, error.prompt_tokens)
    return 0


def with_larger_context(error: AituiError, model_id: str) -> AituiError:
    """Return an error for a prompt that doesn't fit with the command that makes it fit."""
    size = needed_context(error)
    if not isinstance(error, ContextExceeded) or not size:
        return error
    return ContextExceeded(
        error.what,
        status=error.status,
        prompt_tokens=error.prompt_tokens,
        context_size=error.context_size,
        why=error.why,
        remedy=f"aitui ctx {shlex.quote(model_id)} {format_context_size(size)}",
    )


async def explain_stop(session: Session, reply: Reply) -> str:
    """Return what the server still does for a reply that was stopped before anything came.

    A model that it goes on to load is shown as queued from then on.
    """
    model = session.snapshot.model(reply.model)
    stopped = reply.phase is ReplyPhase.STOPPED and not reply.text and not reply.reasoning
    if not stopped or model is None or not stays_queued(model, session.snapshot):
        return ""
    if model.requested is None:
        await session.monitor.end_load(model.id, queued=True)
    return f"{model.id} is {describe_queued(model, session.snapshot)}"


async def import_chat_client() -> "type[ChatClient]":
    """Import the class of chat clients in a thread, since that imports httpx."""
    await asyncio.to_thread(import_module, "aitui.llamaswap.chat")
    from aitui.llamaswap.chat import ChatClient

    return ChatClient
