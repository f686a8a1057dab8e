"""Parse the bytes of a chat's stream, split anywhere, into deltas.

Bytes become events, events chunks, chunks deltas: sanitized, and split into answer, reasoning, and
llama-swap's loading lines. Consecutive deltas of one kind are joined.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from aitui.domain.chat.reply import (
    Delta,
    GenerationFinished,
    GenerationTimings,
    PromptProgress,
    ReasoningDelta,
    StreamError,
    TextDelta,
    TokenUsage,
    ToolCalled,
)
from aitui.domain.chat.stream_filters import LoadingLineFilter, ThinkTagFilter
from aitui.domain.sanitize import StreamSanitizer, sanitize_line
from aitui.errors import AituiError, BadResponse, without_frames
from aitui.llamaswap.stream import SseEvent, SseParser

LARGEST_LINE = 8 * 1024 * 1024
LONGEST_REPLY = 16 * 1024 * 1024

_SLICE = 64 * 1024
_LONGEST_REASON = 60
_LONGEST_QUOTE = 100
# llama-server sent errors in a field of this name until September 2025 (ggml-org/llama.cpp#16104).
_ERROR_FIELD = b"error:"
_LONGEST_WORDS = 300
_LARGEST_COUNT = 2**53


class ChunkDelta(msgspec.Struct, gc=False):
    """The delta of a choice; vLLM and others call `reasoning_content` `reasoning`."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: Any = None


class ChunkChoice(msgspec.Struct, gc=False):
    """One of several replies; aitui requests one. `message` is that of a complete reply."""

    index: int = 0
    delta: ChunkDelta | None = None
    message: ChunkDelta | None = None
    finish_reason: str | None = None


class ChunkTimings(msgspec.Struct, gc=False):
    """llama-server's figures; milliseconds."""

    cache_n: float = 0
    prompt_n: float = 0
    prompt_ms: float = 0
    prompt_per_second: float | None = 0
    predicted_n: float = 0
    predicted_ms: float = 0
    predicted_per_second: float | None = 0
    draft_n: float | None = None
    draft_n_accepted: float | None = None


class ChunkProgress(msgspec.Struct, gc=False):
    """llama-server's `prompt_progress`; milliseconds."""

    total: float = 0
    cache: float = 0
    processed: float = 0
    time_ms: float = 0


class CachedTokens(msgspec.Struct, gc=False):
    """`prompt_tokens_details`."""

    cached_tokens: float | None = None


class ChunkUsage(msgspec.Struct, gc=False):
    """Token counts of the request."""

    prompt_tokens: float = 0
    completion_tokens: float | None = None
    prompt_tokens_details: CachedTokens | None = None


class ChatChunk(msgspec.Struct):
    """One event of a chat, or a complete reply. Of `id` and `model` only their presence matters.

    An error comes as `error`, or flat: `object` is "error" then, with the words in `message` (vLLM).
    """

    choices: list[ChunkChoice] | None = None
    id: str | None = None
    model: str | None = None
    timings: ChunkTimings | None = None
    prompt_progress: ChunkProgress | None = None
    usage: ChunkUsage | None = None
    error: Any = None
    src: Any = None
    object: Any = None
    message: Any = None
    type: Any = None
    code: Any = None


_CHUNK = msgspec.json.Decoder(ChatChunk)
_T = TypeVar("_T", bound=msgspec.Struct)


def parse_chunks(data: bytes) -> list[ChatChunk]:
    """Parse the chunks in an event's data, of which some servers glue several together."""
    try:
        return [_CHUNK.decode(data)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = data.decode("utf-8", "replace")
        try:
            return [_build_chunk(value) for value in _iter_json_values(text)]
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error


def _iter_json_values(text: str) -> Iterator[Any]:
    """Yield the JSON values of a text, with or without `data:` between them."""
    decoder = json.JSONDecoder()
    rest = text.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        yield value
        rest = rest[end:].lstrip().removeprefix("data:").lstrip()
        if rest == "[DONE]":
            return


def _build_chunk(value: object) -> ChatChunk:
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004 - one kind of error for the caller
    chunk = _convert_fitting({**value, "choices": None}, ChatChunk)
    choices = value.get("choices")
    if isinstance(choices, list):
        chunk.choices = [_build_choice(choice) for choice in choices if isinstance(choice, dict)]
    return chunk


def _build_choice(value: dict[str, Any]) -> ChunkChoice:
    choice = _convert_fitting({**value, "delta": None, "message": None}, ChunkChoice)
    choice.delta, choice.message = _build_delta(value, "delta"), _build_delta(value, "message")
    return choice


def _build_delta(choice: dict[str, Any], name: str) -> ChunkDelta | None:
    value = choice.get(name)
    if not isinstance(value, dict):
        return None
    content = value.get("content")
    if isinstance(content, list):  # some servers send its parts
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        value = {**value, "content": "".join(text for text in texts if isinstance(text, str))}
    return _convert_fitting(value, ChunkDelta)


def _convert_fitting(value: dict[str, Any], kind: type[_T]) -> _T:
    """Convert the fields that have the right type; the others keep their defaults."""
    found = {}
    for field in msgspec.structs.fields(kind):
        with suppress(msgspec.ValidationError, RecursionError):
            found[field.name] = msgspec.convert(value.get(field.name, field.default), field.type)
    return kind(**found)


def _tool_names(calls: object) -> Iterator[str]:
    """Yield the names in a delta's `tool_calls`: the first delta of each call has one."""
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        if name and isinstance(name, str):
            yield sanitize_line(name, _LONGEST_REASON)


def build_timings(found: ChunkTimings) -> GenerationTimings:
    """Convert the server's measurements to seconds."""
    return GenerationTimings(
        cached=_count(found.cache_n),
        prompt_tokens=_count(found.prompt_n),
        prompt_seconds=_amount(found.prompt_ms) / 1000,
        prompt_rate=_amount(found.prompt_per_second),
        tokens=_count(found.predicted_n),
        seconds=_amount(found.predicted_ms) / 1000,
        rate=_amount(found.predicted_per_second),
        drafted=None if found.draft_n is None else _count(found.draft_n),
        accepted=None if found.draft_n_accepted is None else _count(found.draft_n_accepted),
    )


def build_progress(found: ChunkProgress) -> PromptProgress:
    """Convert the progress of the prompt."""
    return PromptProgress(
        _count(found.total),
        _count(found.cache),
        _count(found.processed),
        _amount(found.time_ms) / 1000,
    )


def build_usage(found: ChunkUsage) -> TokenUsage:
    """Convert the token counts."""
    details = found.prompt_tokens_details
    cached = None if details is None else details.cached_tokens
    return TokenUsage(
        _count(found.prompt_tokens),
        _count(found.completion_tokens or 0),
        None if cached is None else _count(cached),
    )


def build_stream_error(error: object, *, from_llama_swap: bool) -> StreamError:
    """Convert an error object in any of the dialects."""
    if not isinstance(error, dict):
        return StreamError(_format_reason(error), loading=from_llama_swap)
    code = error.get("code")
    kind = error.get("type")
    return StreamError(
        words=_format_reason(error.get("message") or kind or "the server gave no reason"),
        kind=kind if isinstance(kind, str) else "",
        code=code if isinstance(code, int) else None,
        prompt_tokens=_token_count(error.get("n_prompt_tokens")),
        context_size=_token_count(error.get("n_ctx")),
        loading=from_llama_swap,
    )


def _format_reason(value: object) -> str:
    return sanitize_line(str(value).strip(), _LONGEST_WORDS)


def _token_count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _count(value) or None


def _count(value: float) -> int:
    return int(value) if 0 < value < _LARGEST_COUNT else 0


def _amount(value: float | None) -> float:
    return value if value is not None and 0 < value < _LARGEST_COUNT else 0.0


class ChatStreamParser:
    """The parser of one reply. `done` is set by its regular end, `error` by any other.

    `tokens` counts the deltas, `characters` the text and reasoning received. Nothing is read after
    an end.
    """

    def __init__(
        self, *, largest_line: int = LARGEST_LINE, longest_answer: int = LONGEST_REPLY
    ) -> None:
        self.done = False
        self.reads_prompt = False
        """Whether the model says that it is processing the prompt."""
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
        """Return the deltas that these bytes complete."""
        for start in range(0, len(data), _SLICE):
            if self._is_finished:
                break
            try:
                # In slices: the parser drops the events it found in the same chunk as an oversized line.
                events = self._events.feed(data[start : start + _SLICE])
            except BadResponse as error:
                self.error = without_frames(error)
                break
            self._feed_events(events)
        return self._take_deltas()

    def finish(self) -> list[Delta]:
        """Return the deltas that the end of the body completes."""
        if not self._is_finished:
            self._feed_events(self._events.finish())
        self._end_run()
        self._flush()
        reasoning, text = self._think_tags.finish()
        self._emit(reasoning, text, 0)
        return self._take_deltas()

    def feed_whole(self, body: bytes) -> list[Delta]:
        """Return the deltas of a reply that came complete although a stream was requested."""
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
            elif event.event == "error":
                self._feed_data(event.data, is_error=True)
            elif event.bare and event.data.startswith(_ERROR_FIELD):
                self._feed_data(event.data.removeprefix(_ERROR_FIELD), is_error=True)
            elif not event.bare or event.data.lstrip().startswith(b"{"):
                self._feed_data(event.data)

    def _feed_data(self, data: bytes, *, is_error: bool = False) -> None:
        try:
            chunks = parse_chunks(data)
        except ValueError:
            words = data.decode("utf-8", "replace")
            self.error = (
                build_stream_error(words, from_llama_swap=False)
                if is_error
                else BadResponse(
                    "The stream contains something that is not part of a reply",
                    why=f"it begins with “{sanitize_line(words, _LONGEST_QUOTE)}”",
                )
            )
            return
        for chunk in chunks:
            if is_error and chunk.error is None:
                chunk.object = "error"
            self._feed_chunk(chunk)
            if self._is_finished:
                return

    def _feed_chunk(self, chunk: ChatChunk) -> None:
        if chunk.error is not None:
            self.error = build_stream_error(
                chunk.error, from_llama_swap=chunk.src is not None and not self.characters
            )
            return
        if chunk.object == "error":
            flat = {"message": chunk.message, "type": chunk.type, "code": chunk.code}
            self.error = build_stream_error(flat, from_llama_swap=False)
            return
        if chunk.prompt_progress is not None:
            self._progress = build_progress(chunk.prompt_progress)
            self.reads_prompt = self._progress.processed < self._progress.total
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
        if delta.tool_calls:
            self._out += map(ToolCalled, _tool_names(delta.tool_calls))
        if self.characters > self._longest:
            self.error = BadResponse(
                f"The reply is longer than {self._longest >> 20} Mi characters",
                why="no model has a context that large",
            )

    def _feed_loading(self, piece: str) -> None:
        for delta in self._loading.feed(self._loading_sanitizer.feed(piece)):
            if isinstance(delta, StreamError):
                self.error = delta
                return
            self._out.append(delta)

    def _append(self, piece: str, *, is_text: bool) -> None:
        self.reads_prompt = False
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
        """Emit what was held back: the next delta is of another kind."""
        if self._run_is_text:
            self._emit_text(self._text_sanitizer.finish(), 0)
        else:
            self._emit(self._reasoning_sanitizer.finish(), "", 0)

    def _emit_text(self, text: str, pieces: int) -> None:
        reasoning = ""
        if not self._think_tags.is_answering:
            reasoning, text = self._think_tags.feed(text)
        self._emit(reasoning, text, pieces)

    def _emit(self, reasoning: str, text: str, pieces: int) -> None:
        """Emit deltas; the last one carries the count of the pieces, also of earlier ones held back."""
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
