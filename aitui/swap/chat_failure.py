"""From a chat that was refused, or broke off, to the exception that says why."""

import msgspec

from aitui.domain.deltas import StreamError
from aitui.domain.server import Server
from aitui.errors import AituiError, AnswerCut, ContextExceeded, LoadFailed, ServerError
from aitui.swap.answers import Answer, Speaker, load_refusal, refusal, words_of
from aitui.swap.chat_chunks import error_of

_CONTEXT_KIND = "exceed_context_size_error"
_CONTEXT_WORDS = ("context size has been exceeded", "exceeds the available context size")
_LLAMA_CPP_FIELDS = frozenset({"timings_per_token", "return_progress"})
_USAGE_FIELDS = frozenset({"stream_options", "include_usage"})
_UNKNOWN_FIELD_WORDS = (
    *("extra inputs", "extra_forbidden", "extra fields", "unknown field", "unknown parameter"),
    *("unrecognized", "unexpected keyword", "additional properties", "unexpected field"),
)

EXTRAS = _LLAMA_CPP_FIELDS | {"stream_options"}
"""What aitui asks beyond plain OpenAI."""


def fewer_extras(answer: Answer, extras: frozenset[str]) -> frozenset[str]:
    """The extras that are left when a server refuses some; all of them where it didn't."""
    if answer.status not in {400, 422} or not extras:
        return extras
    text = answer.body.decode("utf-8", "replace").lower()
    refused: set[str] = set()
    if any(field in text for field in _LLAMA_CPP_FIELDS):
        refused |= _LLAMA_CPP_FIELDS
    if any(field in text for field in _USAGE_FIELDS):
        refused |= {"stream_options"}
    if not refused and any(words in text for words in _UNKNOWN_FIELD_WORDS):
        refused |= extras
    return extras - refused


def chat_refusal(server: Server, answer: Answer, model: str) -> AituiError:
    """The exception for a chat that was answered without success."""
    told = _error_object(answer)
    if told is not None and _is_context(told):
        return _context_exceeded(told, answer.status)
    if answer.status >= 500 and words_of(answer).speaker is not Speaker.MODEL:
        return load_refusal(server, answer, model)
    return refusal(server, answer, model)


def stream_failure(told: StreamError, model: str) -> AituiError:
    """The exception for an error object inside a stream."""
    if _is_context(told):
        return _context_exceeded(told, told.code or 500)
    if told.loading:
        return LoadFailed(f"{model} did not load", why=told.words, remedy="read the model's log")
    return ServerError(
        f"{model} broke off its answer",
        status=told.code or 500,
        words=told.words,
        why=told.words,
        remedy="read the model's log",
    )


def cut(why: str, tokens: int, characters: int) -> AnswerCut:
    """The exception for a stream that ended before the answer did."""
    noun = "token" if tokens == 1 else "tokens"
    what = f"The answer was cut after {tokens:,} {noun}" if tokens else "The answer never began"
    remedy = "continue it, or ask again" if characters else "ask again"
    return AnswerCut(what, why=why, remedy=remedy, tokens=tokens, characters=characters)


def _error_object(answer: Answer) -> StreamError | None:
    try:
        body = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    error = body.get("error") if isinstance(body, dict) else None
    return error_of(error, from_llama_swap=False) if isinstance(error, dict) else None


def _is_context(told: StreamError) -> bool:
    words = told.words.lower()
    return told.kind == _CONTEXT_KIND or any(known in words for known in _CONTEXT_WORDS)


def _context_exceeded(told: StreamError, status: int) -> ContextExceeded:
    prompt, context = told.prompt_tokens, told.context_size
    if prompt is not None and context is not None:
        what = f"The prompt has {prompt:,} tokens, the context holds {context:,}"
    else:
        what = "The context is full"
    return ContextExceeded(
        what,
        status=status,
        words=told.words,
        why=told.words,
        remedy="raise the context size, or leave out the oldest turns",
        prompt_tokens=prompt,
        context_size=context,
    )
