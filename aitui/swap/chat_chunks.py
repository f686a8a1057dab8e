"""The JSON of a chat's stream: one chunk, decoded fast where it is as it should be.

Format: https://platform.openai.com/docs/api-reference/chat-streaming, with llama-server's `timings`
and `prompt_progress`. A field of a wrong type is left out, and costs the chunk nothing else.
"""

import json
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from aitui.domain.clean import sanitize_line
from aitui.domain.deltas import GenerationTimings, PromptProgress, StreamError, TokenUsage

_LONGEST_WORDS = 300
_LARGEST_COUNT = 2**53


class ChunkDelta(msgspec.Struct, gc=False):
    """What one choice adds; vLLM and others call the reasoning `reasoning`."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class ChunkChoice(msgspec.Struct, gc=False):
    """One answer of several; aitui asks for one. `message` is that of a whole answer."""

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
    """One event of a chat, or a whole answer. `id` and `model` are told apart from missing only."""

    choices: list[ChunkChoice] | None = None
    id: str | None = None
    model: str | None = None
    timings: ChunkTimings | None = None
    prompt_progress: ChunkProgress | None = None
    usage: ChunkUsage | None = None
    error: Any = None
    src: Any = None


_CHUNK = msgspec.json.Decoder(ChatChunk)
_T = TypeVar("_T")


def parse_chunks(data: bytes) -> list[ChatChunk]:
    """The chunks of one event's data: one, or several glued together.

    Raises ValueError where it can't be JSON.
    """
    try:
        return [_CHUNK.decode(data)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = data.decode("utf-8", "replace")
        try:
            return [_build_chunk(value) for value in _iter_json_values(text)]
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error


def _iter_json_values(text: str) -> Iterator[Any]:
    """The JSON values of a text, with or without `data:` between them."""
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
        raise ValueError("it is no JSON object")  # noqa: TRY004 - one kind of error for the caller
    choices = value.get("choices")
    return ChatChunk(
        choices=[_build_choice(choice) for choice in choices if isinstance(choice, dict)]
        if isinstance(choices, list)
        else None,
        id=_text(value.get("id")),
        model=_text(value.get("model")),
        timings=_part(value.get("timings"), ChunkTimings),
        prompt_progress=_part(value.get("prompt_progress"), ChunkProgress),
        usage=_part(value.get("usage"), ChunkUsage),
        error=value.get("error"),
        src=value.get("src"),
    )


def _build_choice(value: dict[str, Any]) -> ChunkChoice:
    index = value.get("index")
    return ChunkChoice(
        index=index if isinstance(index, int) else 0,
        delta=_build_delta(value.get("delta")),
        message=_build_delta(value.get("message")),
        finish_reason=_text(value.get("finish_reason")),
    )


def _build_delta(value: object) -> ChunkDelta | None:
    if not isinstance(value, dict):
        return None
    return ChunkDelta(
        _content(value.get("content")),
        _text(value.get("reasoning_content")),
        _text(value.get("reasoning")),
    )


def _content(value: object) -> str | None:
    """Text, or the parts of it that some servers send as a list."""
    if isinstance(value, list):
        texts = [part.get("text") for part in value if isinstance(part, dict)]
        return "".join(text for text in texts if isinstance(text, str))
    return _text(value)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _part(value: object, kind: type[_T]) -> _T | None:
    try:
        return None if value is None else msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError):
        return None


def build_timings(found: ChunkTimings) -> GenerationTimings:
    """The server's measurements, in seconds."""
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
    """How far the prompt is read."""
    return PromptProgress(
        _count(found.total),
        _count(found.cache),
        _count(found.processed),
        _amount(found.time_ms) / 1000,
    )


def build_usage(found: ChunkUsage) -> TokenUsage:
    """The token counts."""
    details = found.prompt_tokens_details
    cached = None if details is None else details.cached_tokens
    return TokenUsage(
        _count(found.prompt_tokens),
        _count(found.completion_tokens or 0),
        None if cached is None else _count(cached),
    )


def build_stream_error(error: object, *, from_llama_swap: bool) -> StreamError:
    """An error object in any of the dialects."""
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
