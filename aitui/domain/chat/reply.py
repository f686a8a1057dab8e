"""A running reply, frozen at one moment."""

from bisect import bisect_right
from collections import deque
from enum import Enum

from msgspec import Struct, field

from aitui.errors import AituiError


class ResponseStarted(Struct, frozen=True):
    """The response's headers arrived. What happened on the server before isn't known."""


class LoadQueued(Struct, frozen=True):
    """llama-swap reports that the load waits for others; `position` counts from 1."""

    position: int


class LoadProgress(Struct, frozen=True):
    """llama-swap reports that the model is loading; `words` is its last line about it."""

    model: str = ""
    words: str = ""


class PromptProgress(Struct, frozen=True):
    """How many of the prompt's tokens are read; `cached` of them cost nothing. Times in seconds."""

    total: int
    cached: int
    processed: int
    seconds: float

    @property
    def share(self) -> float:
        """Return the share of the prompt that is processed, 0 to 1."""
        return min(1.0, self.processed / self.total) if self.total > 0 else 0.0


class ReasoningDelta(Struct, frozen=True):
    """More of the reasoning; `pieces` is how many deltas of the server are in it."""

    text: str
    pieces: int = 1


class TextDelta(Struct, frozen=True):
    """More of the reply; `pieces` is how many deltas of the server are in it."""

    text: str
    pieces: int = 1


class GenerationTimings(Struct, frozen=True):
    """llama-server's own measurements by now: tokens, seconds and tokens per second.

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


class TokenUsage(Struct, frozen=True):
    """Tokens of the whole request; `cached` of the prompt's were known already."""

    prompt_tokens: int
    completion_tokens: int
    cached: int | None = None


class GenerationFinished(Struct, frozen=True):
    """The model stopped: "stop", "length", "tool_calls" or another word of its server."""

    reason: str


class ToolCalled(Struct, frozen=True):
    """The model called a tool of its template, although aitui offers none."""

    name: str


class StreamError(Struct, frozen=True):
    """An error object in the stream; the token counts are those of an exceeded context.

    `loading` is set if llama-swap sent it, about a load.
    """

    words: str
    kind: str = ""
    code: int | None = None
    prompt_tokens: int | None = None
    context_size: int | None = None
    loading: bool = False


Delta = (
    ResponseStarted | LoadQueued | LoadProgress | PromptProgress | ReasoningDelta | TextDelta
    | ToolCalled | GenerationTimings | TokenUsage | GenerationFinished | StreamError
)  # fmt: skip


_BLOCK = 4096


class GrowingText:
    """A text that grows in constant time; an earlier view of it doesn't change."""

    def __init__(self, text: str = "") -> None:
        self._blocks: list[str] = []
        self._starts: list[int] = []
        self._length = 0
        self.append(text)

    def append(self, piece: str) -> None:
        """Add to the end."""
        if not piece:
            return
        if self._blocks and len(self._blocks[-1]) < _BLOCK:
            self._blocks[-1] += piece
        else:
            self._blocks.append(piece)
            self._starts.append(self._length)
        self._length += len(piece)

    def __len__(self) -> int:
        return self._length

    def view(self) -> "TextSnapshot":
        """Return the text as it is now."""
        return TextSnapshot(self, self._length)

    def between(self, start: int, end: int) -> str:
        """Return the characters from `start` up to `end`."""
        if start >= end:
            return ""
        first = bisect_right(self._starts, start) - 1
        last = bisect_right(self._starts, end - 1)
        joined = "".join(self._blocks[first:last])
        offset = self._starts[first]
        return joined[start - offset : end - offset]


class TextSnapshot(Struct, frozen=True):
    """The first `length` characters of a growing text."""

    source: GrowingText = field(default_factory=GrowingText)
    length: int = 0

    def __str__(self) -> str:
        return self.source.between(0, self.length)

    def __len__(self) -> int:
        return self.length

    def since(self, start: int) -> str:
        """Return what came after the first `start` characters: all that a reader has to add."""
        return self.source.between(start, self.length)


RATE_WINDOW = 2.0
POINT = 0.5
POINTS_KEPT = 60
_SAMPLE = 0.05


class TokenRates(Struct, frozen=True):
    """One reading: seconds, and tokens per second; None if nothing can be said yet.

    `last_token` is when one came last, in monotonic seconds.
    """

    tokens: int = 0
    first_token: float | None = None
    per_second: float | None = None
    series: tuple[float, ...] = ()
    last_token: float | None = None


class RateMeter:
    """Counts tokens as they come. All times are monotonic seconds of the caller's clock.

    With the server's own timings the rate is that of the generation, whatever the network does to
    the rate of arrival.
    """

    def __init__(self, asked: float) -> None:
        self.tokens = 0
        self._asked = asked
        self._first: float | None = None
        self._arrived = asked
        self._timed = False
        self._overall: float | None = None
        self._samples: deque[tuple[float, int]] = deque()
        self._series: deque[float] = deque(maxlen=POINTS_KEPT)
        self._point_at = asked
        self._point_tokens = 0

    def count_tokens(self, now: float, pieces: int) -> None:
        """Count tokens that have just arrived."""
        if pieces <= 0:
            return
        if self._first is None:
            self._first = self._point_at = now
        self._arrived = now
        if not self._timed:
            self.tokens += pieces
            self._sample(now, self.tokens)
        self._complete_points(now)

    def apply_timings(self, now: float, timings: GenerationTimings) -> None:
        """Take over the server's own timings."""
        if timings.tokens <= 0 or (timings.tokens < self.tokens and self._timed):
            return
        if not self._timed:
            self._timed = True
            self._samples.clear()
        self.tokens = timings.tokens
        self._overall = timings.rate or None
        self._sample(timings.seconds, timings.tokens)
        self._complete_points(now)

    def read(self, now: float) -> TokenRates:
        """Return the reading at this moment."""
        self._complete_points(now)
        return TokenRates(
            tokens=self.tokens,
            first_token=None if self._first is None else self._first - self._asked,
            per_second=self._per_second(now),
            series=tuple(self._series),
            last_token=None if self._first is None else self._arrived,
        )

    def _sample(self, at: float, tokens: int) -> None:
        samples = self._samples
        # Two samples at least: the oldest must stay one, and of a burst the newest counts.
        if len(samples) > 1 and at - samples[-2][0] < _SAMPLE:
            samples[-1] = (at, tokens)
        else:
            samples.append((at, tokens))
        while len(samples) > 2 and at - samples[1][0] >= RATE_WINDOW:
            samples.popleft()

    def _per_second(self, now: float) -> float | None:
        if len(self._samples) < 2:
            return self._overall
        if now - self._arrived > RATE_WINDOW:
            return 0.0
        (began, before), (ended, after) = self._samples[0], self._samples[-1]
        return (after - before) / (ended - began) if ended > began else self._overall

    def _complete_points(self, now: float) -> None:
        if self._first is None or now - self._point_at < POINT:
            return
        passed = int((now - self._point_at) / POINT)
        rate = (self.tokens - self._point_tokens) / (passed * POINT)
        self._series.extend([rate] * min(passed, POINTS_KEPT))
        self._point_at += passed * POINT
        self._point_tokens = self.tokens


class ReplyPhase(Enum):
    """The phases of a reply."""

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

    @property
    def is_generating(self) -> bool:
        """Whether tokens come, of the reasoning or of the text."""
        return self in {ReplyPhase.THINKING, ReplyPhase.STREAMING}


class Reply(Struct, frozen=True):
    """Everything that can be shown of a reply. Times are monotonic seconds.

    `phase_since` is when the present phase began. `position` in the server's queue counts from 1, 0
    if there is none. `words` is the server's last line about the load. `thought` is the duration of
    the reasoning. `error` says why the reply was cut or failed; of a failed one nothing came, and
    `prompt` may go back into the input. `reasoning` and `text` include what came before if a reply
    is continued. `tools` are the names of those that the model called.
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
    tools: tuple[str, ...] = ()
    error: AituiError | None = None
    prompt: str = ""

    @property
    def empty_text(self) -> str:
        """Return the reason why a finished reply has no text; "" if it has text."""
        if self.phase is not ReplyPhase.DONE or str(self.text).strip() or self.finish == "length":
            return ""
        if self.tools:
            noun = "tool" if len(self.tools) == 1 else "tools"
            return f"the model called the {noun} {', '.join(self.tools)} instead of answering"
        return "the reply is empty"

    @property
    def context_used(self) -> int | None:
        """Tokens of the slot's context in use by now, None if the server didn't report any."""
        if self.usage is not None:
            return self.usage.prompt_tokens + self.usage.completion_tokens
        if self.timings is not None and self.timings.prompt_tokens + self.timings.cached:
            return self.timings.cached + self.timings.prompt_tokens + self.timings.tokens
        if self.progress is not None:
            return self.progress.processed + self.rates.tokens
        return None
