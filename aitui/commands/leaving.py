"""What is lost where aitui hangs up on a load that it has asked for."""

from aitui.domain.model import Model, RunState
from aitui.domain.question import Question
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


def what_becomes_of(model: Model) -> str:
    """What the server may do with a model that nobody waits for any more."""
    return UNLOADED_WHEN_READY if model.resident else NEVER_LOADED


def question_before_quitting(snapshot: Snapshot, *, answering: bool) -> Question:
    """What quitting cuts: `answering` is set while a chat is being answered."""
    facts = _facts(snapshot, "aitui quits now")
    if answering:
        facts = (*facts, "An answer is under way. What came of it is kept.")
    facts = facts or ("Nothing is loading any more.",)
    return Question("Quit aitui?", facts, yes="Quit", no="Stay")


def question_before_leaving(label: str, snapshot: Snapshot) -> Question:
    """What going to another server cuts at the server of that label."""
    facts = _facts(snapshot, "aitui leaves this server now")
    facts = facts or ("Nothing is loading any more.",)
    return Question(f"Leave {label}?", facts, yes="Leave", no="Stay")


def _facts(snapshot: Snapshot, condition: str) -> tuple[str, ...]:
    return tuple(
        f"{model.id} {'is still loading' if model.resident else 'is not loading yet'}. "
        f"{what_becomes_of(model)} if {condition}."
        for model in open_loads(snapshot)
    )
