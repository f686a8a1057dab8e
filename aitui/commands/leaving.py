"""What is lost where aitui hangs up on a load that it has asked for."""

from aitui.domain.model import Model, RunState
from aitui.domain.question import Confirmation
from aitui.domain.snapshot import Snapshot

UNLOADED_WHEN_READY = "llama-swap may unload it as soon as it is ready"
NEVER_LOADED = "llama-swap may not load it, or unload it as soon as it is ready"
"""llama-swap before v256 counts the TTL from the last request that the model answered. A load that
nobody waits for to its end has none."""


def open_loads(snapshot: Snapshot) -> tuple[Model, ...]:
    """The models that aitui has asked for and that are not ready yet."""
    return tuple(
        model
        for model in snapshot.models
        if model.requested is not None and model.state is not RunState.READY
    )


def abandoned_load_outcome(model: Model) -> str:
    """What the server may do with a model that nobody waits for any more."""
    return UNLOADED_WHEN_READY if model.resident else NEVER_LOADED


def quit_confirmation(snapshot: Snapshot, *, answering: bool) -> Confirmation:
    """What quitting cuts: `answering` is set while a chat is being answered."""
    facts = _abandoned_load_lines(snapshot, "aitui quits now")
    if answering:
        facts = (*facts, "An answer is under way. What came of it is kept.")
    facts = facts or ("Nothing is loading any more.",)
    return Confirmation("Quit aitui?", facts, yes="Quit", no="Stay")


def leave_confirmation(label: str, snapshot: Snapshot) -> Confirmation:
    """What going to another server cuts at the server of that label."""
    facts = _abandoned_load_lines(snapshot, "aitui leaves this server now")
    facts = facts or ("Nothing is loading any more.",)
    return Confirmation(f"Leave {label}?", facts, yes="Leave", no="Stay")


def _abandoned_load_lines(snapshot: Snapshot, condition: str) -> tuple[str, ...]:
    return tuple(
        f"{model.id} {'is still loading' if model.resident else 'is not loading yet'}. "
        f"{abandoned_load_outcome(model)} if {condition}."
        for model in open_loads(snapshot)
    )
