"""From the bytes of a chat's stream to what they say, cut anywhere.

Bytes become events, events chunks, chunks deltas: harmless, reasoning told from answer, llama-swap's
loading lines told from reasoning. Deltas of one kind that come together leave as one.
"""

from aitui.domain.clean_stream import StreamSanitizer
from aitui.domain.deltas import (
    Delta,
    GenerationFinished,
    GenerationTimings,
    PromptProgress,
    ReasoningDelta,
    StreamError,
    TextDelta,
)
from aitui.domain.loading_lines import LoadingLineFilter
from aitui.domain.think_tags import ThinkTagFilter
from aitui.errors import AituiError, BadResponse
from aitui.swap.chat_chunks import (
    ChatChunk,
    ChunkDelta,
    build_progress,
    build_stream_error,
    build_timings,
    build_usage,
    parse_chunks,
)
from aitui.swap.sse import SseEvent, SseParser

LARGEST_LINE = 8 * 1024 * 1024
LONGEST_REPLY = 16 * 1024 * 1024

_SLICE = 64 * 1024
_LONGEST_REASON = 60


class ChatStreamParser:
    """One answer. `done` is set by its proper end, `error` by what ended it otherwise.

    `tokens` counts the deltas, `characters` the text and reasoning that came so far. Nothing is
    read after an end.
    """

    def __init__(
        self, *, largest_line: int = LARGEST_LINE, longest_answer: int = LONGEST_REPLY
    ) -> None:
        self.done = False
        self.error: StreamError | AituiError | None = None
        self.tokens = 0
        self.characters = 0
        self._longest = longest_answer
        self._events = SseParser(largest_line)
        self._loading = LoadingLineFilter()
        self._loading_sanitizer = StreamSanitizer()
        self._text_sanitizer = StreamSanitizer()
        self._reasoning_sanitizer = StreamSanitizer()
        self._think_tags = ThinkTagFilter()
        self._out: list[Delta] = []
        self._run: list[str] = []
        self._run_is_text = False
        self._uncounted = 0
        self._timings: GenerationTimings | None = None
        self._progress: PromptProgress | None = None

    def feed(self, data: bytes) -> list[Delta]:
        """What these bytes complete."""
        for start in range(0, len(data), _SLICE):
            if self._is_finished:
                break
            try:
                # In slices: the parser forgets what it found beside a line that is too large.
                events = self._events.feed(data[start : start + _SLICE])
            except BadResponse as error:
                self.error = error
                break
            self._feed_events(events)
        return self._take_deltas()

    def finish(self) -> list[Delta]:
        """What the end of the body completes."""
        if not self._is_finished:
            self._feed_events(self._events.finish())
        self._end_run()
        self._flush()
        reasoning, text = self._think_tags.finish()
        self._emit(reasoning, text, 0)
        return self._take_deltas()

    def feed_whole(self, body: bytes) -> list[Delta]:
        """What an answer says that came at once, to somebody who asked for a stream."""
        self._feed_data(body)
        self.done = self.error is None
        return [*self._take_deltas(), *self.finish()]

    @property
    def _is_finished(self) -> bool:
        return self.done or self.error is not None

    def _feed_events(self, events: list[SseEvent]) -> None:
        for event in events:
            if self._is_finished:
                return
            if event.data == b"[DONE]":
                self.done = True
            elif not event.bare or event.data.lstrip().startswith(b"{"):
                self._feed_data(event.data)

    def _feed_data(self, data: bytes) -> None:
        try:
            chunks = parse_chunks(data)
        except ValueError as error:
            self.error = BadResponse(
                "The stream holds something that can't be a part of an answer", why=str(error)
            )
            return
        for chunk in chunks:
            self._feed_chunk(chunk)
            if self._is_finished:
                return

    def _feed_chunk(self, chunk: ChatChunk) -> None:
        if chunk.error is not None:
            self.error = build_stream_error(
                chunk.error, from_llama_swap=chunk.src is not None and not self.characters
            )
            return
        if chunk.prompt_progress is not None:
            self._progress = build_progress(chunk.prompt_progress)
        for choice in chunk.choices or ():
            if choice.index:
                continue
            delta = choice.delta or choice.message
            if delta is not None:
                self._feed_delta(delta, nameless=chunk.id is None and chunk.model is None)
            if choice.finish_reason:
                self._end_run()
                self._out.append(GenerationFinished(choice.finish_reason[:_LONGEST_REASON]))
        if chunk.timings is not None:
            self._timings = build_timings(chunk.timings)
        if chunk.usage is not None:
            self._out.append(build_usage(chunk.usage))

    def _feed_delta(self, delta: ChunkDelta, *, nameless: bool) -> None:
        reasoning = delta.reasoning_content or delta.reasoning
        if reasoning:
            if nameless and self._loading.claims(reasoning):
                self._feed_loading(reasoning)
            else:
                self._append(reasoning, is_text=False)
        if delta.content:
            self._append(delta.content, is_text=True)
        if self.characters > self._longest:
            self.error = BadResponse(
                f"The answer is longer than {self._longest >> 20} Mi characters",
                why="no model's context holds that much",
            )

    def _feed_loading(self, piece: str) -> None:
        for told in self._loading.feed(self._loading_sanitizer.feed(piece)):
            if isinstance(told, StreamError):
                self.error = told
                return
            self._out.append(told)

    def _append(self, piece: str, *, is_text: bool) -> None:
        if self._run_is_text is not is_text:
            self._end_run()
            self._flush()
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
            self._emit_text(self._text_sanitizer.feed(run), pieces)
        else:
            self._emit(self._reasoning_sanitizer.feed(run), "", pieces)

    def _flush(self) -> None:
        """Nothing of this kind comes next: what was held back is all there is."""
        if self._run_is_text:
            self._emit_text(self._text_sanitizer.finish(), 0)
        else:
            self._emit(self._reasoning_sanitizer.finish(), "", 0)

    def _emit_text(self, text: str, pieces: int) -> None:
        reasoning, text = self._think_tags.feed(text)
        self._emit(reasoning, text, pieces)

    def _emit(self, reasoning: str, text: str, pieces: int) -> None:
        """The pieces are counted with the last of what they became, or later where that is held."""
        self._uncounted += pieces
        if not reasoning and not text:
            return
        pieces, self._uncounted = self._uncounted, 0
        if reasoning:
            self._out.append(ReasoningDelta(reasoning, 0 if text else pieces))
        if text:
            self._out.append(TextDelta(text, pieces))

    def _take_deltas(self) -> list[Delta]:
        self._end_run()
        out, self._out = self._out, []
        if self._progress is not None:
            out.insert(0, self._progress)
            self._progress = None
        if self._timings is not None:
            out.append(self._timings)
            self._timings = None
        return out
