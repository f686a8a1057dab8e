"""An answer under way, frozen at one moment."""

from dataclasses import dataclass, field
from enum import Enum

from aitui.domain.deltas import GenerationTimings, PromptProgress, TokenUsage
from aitui.domain.growing_text import TextSnapshot
from aitui.domain.rates import TokenRates
from aitui.errors import AituiError


class ReplyPhase(Enum):
    """What an answer is at."""

    QUEUED = "queued"
    LOADING = "loading"
    PREFILL = "prefill"
    THINKING = "thinking"
    STREAMING = "streaming"
    STOPPED = "stopped"
    CUT = "cut"
    FAILED = "failed"
    DONE = "done"

    @property
    def is_final(self) -> bool:
        """Whether nothing more comes."""
        return self in {ReplyPhase.STOPPED, ReplyPhase.CUT, ReplyPhase.FAILED, ReplyPhase.DONE}


@dataclass(frozen=True, slots=True)
class Reply:
    """Everything that can be shown of it. Times are monotonic seconds, `thought` is a duration.

    `phase_since` is when the present phase began. `position` in the server's queue counts from 1,
    0 where it tells none. `words` is the server's last line about the load. `error` says why it
    was cut or failed; of a failed one nothing came, and `prompt` may go back into the input.
    `reasoning` and `text` hold what came before too where an answer is continued.
    """

    turn_id: str
    model: str
    asked: float
    phase: ReplyPhase = ReplyPhase.QUEUED
    phase_since: float = 0.0
    ended_at: float | None = None
    text: TextSnapshot = field(default_factory=TextSnapshot)
    reasoning: TextSnapshot = field(default_factory=TextSnapshot)
    position: int = 0
    words: str = ""
    progress: PromptProgress | None = None
    rates: TokenRates = field(default_factory=TokenRates)
    thought: float | None = None
    timings: GenerationTimings | None = None
    usage: TokenUsage | None = None
    finish: str = ""
    error: AituiError | None = None
    prompt: str = ""

    @property
    def context_used(self) -> int | None:
        """Tokens of the slot's context in use by now, None where the server didn't say."""
        if self.usage is not None:
            return self.usage.prompt_tokens + self.usage.completion_tokens
        if self.timings is not None and self.timings.prompt_tokens + self.timings.cached:
            return self.timings.cached + self.timings.prompt_tokens + self.timings.tokens
        if self.progress is not None:
            return self.progress.processed + self.rates.tokens
        return None
