"""What the stream of an answer says, as values. All text in them is harmless."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ResponseStarted:
    """The server answers: its headers are there. What it waited for before isn't told."""


@dataclass(frozen=True, slots=True)
class LoadQueued:
    """llama-swap's word that the load waits for others; `position` counts from 1."""

    position: int


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """llama-swap's word that the model comes up; `words` is its last line about it."""

    model: str = ""
    words: str = ""


@dataclass(frozen=True, slots=True)
class PromptProgress:
    """How many of the prompt's tokens are read; `cached` of them cost nothing. Seconds."""

    total: int
    cached: int
    processed: int
    seconds: float

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return min(1.0, self.processed / self.total) if self.total > 0 else 0.0


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """More of the reasoning; `pieces` is how many deltas of the server are in it."""

    text: str
    pieces: int = 1


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More of the answer; `pieces` is how many deltas of the server are in it."""

    text: str
    pieces: int = 1


@dataclass(frozen=True, slots=True)
class GenerationTimings:
    """llama-server's own measurements so far: tokens, seconds and tokens a second.

    `prompt_tokens` were read, `cached` more didn't have to be. `drafted` and `accepted` are None
    without speculative decoding.
    """

    cached: int = 0
    prompt_tokens: int = 0
    prompt_seconds: float = 0.0
    prompt_rate: float = 0.0
    tokens: int = 0
    seconds: float = 0.0
    rate: float = 0.0
    drafted: int | None = None
    accepted: int | None = None


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens of the whole request; `cached` of the prompt's were known already."""

    prompt_tokens: int
    completion_tokens: int
    cached: int | None = None


@dataclass(frozen=True, slots=True)
class GenerationFinished:
    """The model has ended: "stop", "length", "tool_calls" or another word of its server."""

    reason: str


@dataclass(frozen=True, slots=True)
class StreamError:
    """An error object in the stream; the token counts are those of a context exceeded.

    `loading` says that it is llama-swap's own, and about a load.
    """

    words: str
    kind: str = ""
    code: int | None = None
    prompt_tokens: int | None = None
    context_size: int | None = None
    loading: bool = False


Delta = (
    ResponseStarted
    | LoadQueued
    | LoadProgress
    | PromptProgress
    | ReasoningDelta
    | TextDelta
    | GenerationTimings
    | TokenUsage
    | GenerationFinished
    | StreamError
)
