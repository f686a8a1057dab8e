"""From the bytes of a chat's stream to what they say, cut anywhere.

Bytes become events, events chunks, chunks deltas: harmless, reasoning told from answer, llama-swap's
loading lines told from reasoning. Deltas of one kind that come together leave as one.
"""

from aitui.domain.clean_stream import CleanStream
from aitui.domain.deltas import (
    Delta,
    Finished,
    PromptProgress,
    ReasoningDelta,
    StreamError,
    TextDelta,
    Timings,
)
from aitui.domain.loading_lines import LoadingLines
from aitui.domain.think_tags import ThinkTags
from aitui.errors import AituiError, BadAnswer
from aitui.swap.chat_chunks import (
    Chunk,
    ChunkDelta,
    chunks_in,
    error_of,
    progress_of,
    timings_of,
    usage_of,
)
from aitui.swap.sse import SseEvent, SseParser

LARGEST_LINE = 8 * 1024 * 1024
LONGEST_ANSWER = 16 * 1024 * 1024

_SLICE = 64 * 1024
_LONGEST_REASON = 60


class ChatStream:
    """One answer. `done` is set by its proper end, `error` by what ended it otherwise.

    `tokens` counts the deltas, `characters` the text and reasoning that came so far. Nothing is
    read after an end.
    """

    def __init__(
        self, *, largest_line: int = LARGEST_LINE, longest_answer: int = LONGEST_ANSWER
    ) -> None:
        self.done = False
        self.error: StreamError | AituiError | None = None
        self.tokens = 0
        self.characters = 0
        self._longest = longest_answer
        self._events = SseParser(largest_line)
        self._loading = LoadingLines()
        self._clean_loading = CleanStream()
        self._clean_text = CleanStream()
        self._clean_reasoning = CleanStream()
        self._tags = ThinkTags()
        self._out: list[Delta] = []
        self._run: list[str] = []
        self._run_is_text = False
        self._uncounted = 0
        self._timings: Timings | None = None
        self._progress: PromptProgress | None = None

    def feed(self, data: bytes) -> list[Delta]:
        """What these bytes complete."""
        for start in range(0, len(data), _SLICE):
            if self._ended:
                break
            try:
                # In slices: the parser forgets what it found beside a line that is too large.
                events = self._events.feed(data[start : start + _SLICE])
            except BadAnswer as error:
                self.error = error
                break
            self._read(events)
        return self._told()

    def finish(self) -> list[Delta]:
        """What the end of the body completes."""
        if not self._ended:
            self._read(self._events.finish())
        self._end_run()
        self._let_go()
        reasoning, text = self._tags.finish()
        self._say(reasoning, text, 0)
        return self._told()

    def whole(self, body: bytes) -> list[Delta]:
        """What an answer says that came at once, to somebody who asked for a stream."""
        self._data(body)
        self.done = self.error is None
        return [*self._told(), *self.finish()]

    @property
    def _ended(self) -> bool:
        return self.done or self.error is not None

    def _read(self, events: list[SseEvent]) -> None:
        for event in events:
            if self._ended:
                return
            if event.data == b"[DONE]":
                self.done = True
            elif not event.bare or event.data.lstrip().startswith(b"{"):
                self._data(event.data)

    def _data(self, data: bytes) -> None:
        try:
            chunks = chunks_in(data)
        except ValueError as error:
            self.error = BadAnswer(
                "The stream holds something that can't be a part of an answer", why=str(error)
            )
            return
        for chunk in chunks:
            self._chunk(chunk)
            if self._ended:
                return

    def _chunk(self, chunk: Chunk) -> None:
        if chunk.error is not None:
            self.error = error_of(
                chunk.error, from_llama_swap=chunk.src is not None and not self.characters
            )
            return
        if chunk.prompt_progress is not None:
            self._progress = progress_of(chunk.prompt_progress)
        for choice in chunk.choices or ():
            if choice.index:
                continue
            delta = choice.delta or choice.message
            if delta is not None:
                self._delta(delta, nameless=chunk.id is None and chunk.model is None)
            if choice.finish_reason:
                self._end_run()
                self._out.append(Finished(choice.finish_reason[:_LONGEST_REASON]))
        if chunk.timings is not None:
            self._timings = timings_of(chunk.timings)
        if chunk.usage is not None:
            self._out.append(usage_of(chunk.usage))

    def _delta(self, delta: ChunkDelta, *, nameless: bool) -> None:
        reasoning = delta.reasoning_content or delta.reasoning
        if reasoning:
            if nameless and self._loading.claims(reasoning):
                self._load(reasoning)
            else:
                self._grow(reasoning, is_text=False)
        if delta.content:
            self._grow(delta.content, is_text=True)
        if self.characters > self._longest:
            self.error = BadAnswer(
                f"The answer is longer than {self._longest >> 20} Mi characters",
                why="no model's context holds that much",
            )

    def _load(self, piece: str) -> None:
        for told in self._loading.feed(self._clean_loading.feed(piece)):
            if isinstance(told, StreamError):
                self.error = told
                return
            self._out.append(told)

    def _grow(self, piece: str, *, is_text: bool) -> None:
        if self._run_is_text is not is_text:
            self._end_run()
            self._let_go()
            self._run_is_text = is_text
        self._run.append(piece)
        self.tokens += 1
        self.characters += len(piece)

    def _end_run(self) -> None:
        if not self._run:
            return
        run, pieces = "".join(self._run), len(self._run)
        self._run.clear()
        if self._run_is_text:
            self._say_text(self._clean_text.feed(run), pieces)
        else:
            self._say(self._clean_reasoning.feed(run), "", pieces)

    def _let_go(self) -> None:
        """Nothing of this kind comes next: what was held back is all there is."""
        if self._run_is_text:
            self._say_text(self._clean_text.finish(), 0)
        else:
            self._say(self._clean_reasoning.finish(), "", 0)

    def _say_text(self, text: str, pieces: int) -> None:
        reasoning, text = self._tags.feed(text)
        self._say(reasoning, text, pieces)

    def _say(self, reasoning: str, text: str, pieces: int) -> None:
        """The pieces are counted with the last of what they became, or later where that is held."""
        self._uncounted += pieces
        if not reasoning and not text:
            return
        pieces, self._uncounted = self._uncounted, 0
        if reasoning:
            self._out.append(ReasoningDelta(reasoning, 0 if text else pieces))
        if text:
            self._out.append(TextDelta(text, pieces))

    def _told(self) -> list[Delta]:
        self._end_run()
        out, self._out = self._out, []
        if self._progress is not None:
            out.insert(0, self._progress)
            self._progress = None
        if self._timings is not None:
            out.append(self._timings)
            self._timings = None
        return out
