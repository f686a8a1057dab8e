"""A model that became slow with its larger context: what is said of it, and what is offered."""

from aitui.domain.amounts import format_rate
from aitui.domain.memory.spill import Spill
from aitui.domain.question import Question


def spill_words(spill: Spill) -> str:
    """What happened, and what it probably means."""
    return (
        f"{format_rate(spill.rate)} tok/s with {spill.context_size:,} tokens, where it made "
        f"{format_rate(spill.usual)} with {spill.context_before:,}: "
        "some of it is probably no longer in the graphics card's memory"
    )


def question_to_go_back(spill: Spill) -> Question:
    """Whether the context size from before is to come back; what that costs is asked next."""
    return Question(
        f"{spill.model} has become slow. Change its context back to {spill.context_before:,}?",
        (spill_words(spill), "What that unloads and cuts is asked before anything is changed."),
        yes="Show the change",
        no="Leave it",
        unasked=True,
    )
