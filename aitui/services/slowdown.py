"""A model that became slow with its larger context: what is said of it, and what is offered."""

from aitui.domain.confirmation import Confirmation
from aitui.domain.memory.forecast import OffloadSlowdown
from aitui.domain.units import format_rate


def slowdown_text(spill: OffloadSlowdown) -> str:
    """What happened, and what it probably means."""
    return (
        f"{format_rate(spill.rate)} tok/s with {spill.context_size:,} tokens, where it made "
        f"{format_rate(spill.usual)} with {spill.context_before:,}: "
        "some of it is probably no longer in the graphics card's memory"
    )


def revert_context_confirmation(spill: OffloadSlowdown) -> Confirmation:
    """Whether the context size from before is to come back; what that costs is asked next."""
    return Confirmation(
        f"{spill.model} has become slow. Change its context back to {spill.context_before:,}?",
        (slowdown_text(spill), "What that unloads and cuts is asked before anything is changed."),
        yes="Show the change",
        no="Leave it",
        unprompted=True,
    )
