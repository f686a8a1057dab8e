"""One turn of a conversation: what was asked, or what was answered."""

from dataclasses import dataclass, field
from enum import Enum

from aitui.domain.attachments import ImageAttachment
from aitui.domain.deltas import GenerationTimings, TokenUsage
from aitui.domain.sampling import SamplingParameters


class Role(Enum):
    """Who speaks. The system prompt belongs to the conversation, not to a turn."""

    USER = "user"
    ASSISTANT = "assistant"


class TurnState(Enum):
    """How far a turn is. `RUNNING` on disk, with nobody who writes it, was cut by a crash."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Turn:
    """A node of the tree: its parent is the turn before it, "" for the first.

    `began` and `ended` are Unix time. `thought` is the seconds of reasoning. `trouble` says in
    words why an answer was cut.
    """

    id: str
    parent: str
    role: Role
    text: str = ""
    reasoning: str = ""
    state: TurnState = TurnState.DONE
    finish: str = ""
    trouble: str = ""
    model: str = ""
    began: float = 0.0
    ended: float | None = None
    first_token: float | None = None
    thought: float | None = None
    usage: TokenUsage | None = None
    timings: GenerationTimings | None = None
    sampling: SamplingParameters = field(default_factory=SamplingParameters)
    attachments: tuple[ImageAttachment, ...] = ()

    @property
    def is_incomplete(self) -> bool:
        """Whether there is more to come that didn't: it may be continued."""
        return self.role is Role.ASSISTANT and (
            self.state is not TurnState.DONE or self.finish == "length"
        )
