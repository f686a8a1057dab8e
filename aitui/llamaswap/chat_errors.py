"""Failures of a chat: what a server refuses, a context that is full, a reply that is cut off.

Apart from the other errors, because only a chat needs the reply's values: 18 ms to import.
"""

import msgspec

from aitui.domain.chat.reply import StreamError
from aitui.domain.server import Server
from aitui.errors import (
    AituiError,
    ContextExceeded,
    ImageRefused,
    LoadFailed,
    ProxyError,
    ReplyInterrupted,
    ServerError,
)
from aitui.llamaswap.chat_stream import build_stream_error
from aitui.llamaswap.errors import ErrorSource, load_error, parse_error, response_error
from aitui.llamaswap.response import Response
from aitui.llamaswap.urls import authority_of

_BAD_GATEWAY = 502
_CONTEXT_KIND = "exceed_context_size_error"
_CONTEXT_WORDS = ("context size has been exceeded", "exceeds the available context size")
# Those of llama-server, of vLLM, and of servers that know text alone as content.
_IMAGE_WORDS = (
    *("image input is not supported", "provide the mmproj", "failed to load image"),
    *("not a multimodal model", "image(s) may be provided", "image_url"),
)
_LLAMA_CPP_FIELDS = frozenset({"timings_per_token", "return_progress"})
_USAGE_FIELDS = frozenset({"stream_options", "include_usage"})
_UNKNOWN_FIELD_WORDS = (
    *("extra inputs", "extra_forbidden", "extra fields", "unknown field", "unknown parameter"),
    *("unrecognized", "unexpected keyword", "additional properties", "unexpected field"),
)

EXTRAS = _LLAMA_CPP_FIELDS | {"stream_options"}
"""The request fields that aitui sends beyond plain OpenAI's."""


def reduce_extras(response: Response, extras: frozenset[str]) -> frozenset[str]:
    """Return the extras without those that a response refuses."""
    if response.status not in {400, 422} or not extras:
        return extras
    text = response.body.decode("utf-8", "replace").lower()
    refused: set[str] = set()
    if any(field in text for field in _LLAMA_CPP_FIELDS):
        refused |= _LLAMA_CPP_FIELDS
    if any(field in text for field in _USAGE_FIELDS):
        refused |= {"stream_options"}
    if not refused and any(words in text for words in _UNKNOWN_FIELD_WORDS):
        refused |= extras
    return extras - refused


def chat_error(server: Server, response: Response, model: str) -> AituiError:
    """Return the exception for a chat request that failed."""
    error = _parse_error_object(response)
    if error is not None and _is_context_exceeded(error):
        return _context_exceeded_error(error, response.status, model)
    text = parse_error(response).text
    if _is_about_images(text):
        return _image_error(text, response.status, model)
    if response.status == _BAD_GATEWAY and (broken := _request_error(server, response, model)):
        return broken
    if response.status >= 500 and parse_error(response).source is not ErrorSource.MODEL:
        return load_error(server, response, model)
    return response_error(server, response, model)


def _request_error(server: Server, response: Response, model: str) -> AituiError | None:
    """Return the error for a model that was reached, and crashed or was stopped before it replied.

    Go's reverse proxy, which llama-swap is made of, then sends a 502 without a body, as Caddy does
    for a llama-swap that is down.
    """
    text = parse_error(response).text
    if not response.body.strip():
        return ProxyError(
            f"{authority_of(server)} returned 502 without a message",
            status=_BAD_GATEWAY,
            why=f"{model} crashed, the request was canceled, or llama-swap behind a proxy is down",
            remedy="read the model's log, then retry",
        )
    if "proxy error:" not in text:
        return None
    what, remedy = f"{model} ended the request before it replied", "read the model's log"
    if "peer proxy error:" in text:
        what, remedy = f"The peer that runs {model} does not respond", "check the peer"
    elif "EOF" in text:
        again = "set disableKeepAlives for the model if it happens again (llama-swap ≥ v263)"
        remedy = f"send the prompt again; {again}"
    return ServerError(what, status=_BAD_GATEWAY, why=text, remedy=remedy)


def stream_error(error: StreamError, model: str) -> AituiError:
    """Return the exception for an error object inside a stream."""
    if _is_context_exceeded(error):
        return _context_exceeded_error(error, error.code or 500, model)
    if _is_about_images(error.words):
        return _image_error(error.words, error.code or 500, model)
    if error.loading:
        return LoadFailed(f"{model} did not load", why=error.words, remedy="read the model's log")
    return ServerError(
        f"{model} ended its reply early",
        status=error.code or 500,
        why=error.words,
        remedy="read the model's log",
    )


def reply_cut_error(why: str, tokens: int, characters: int) -> ReplyInterrupted:
    """Return the exception for a stream that ended before the reply did."""
    noun = "token" if tokens == 1 else "tokens"
    what = f"The reply was cut off after {tokens:,} {noun}" if tokens else "The reply never began"
    remedy = "continue it, or retry" if characters else "retry"
    return ReplyInterrupted(what, why=why, remedy=remedy, tokens=tokens, characters=characters)


def _parse_error_object(response: Response) -> StreamError | None:
    try:
        body = msgspec.json.decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    error = body.get("error") if isinstance(body, dict) else None
    return build_stream_error(error, from_llama_swap=False) if isinstance(error, dict) else None


def _is_context_exceeded(error: StreamError) -> bool:
    words = error.words.lower()
    return error.kind == _CONTEXT_KIND or any(known in words for known in _CONTEXT_WORDS)


def _is_about_images(text: str) -> bool:
    return any(words in text.lower() for words in _IMAGE_WORDS)


def _image_error(why: str, status: int, model: str) -> ImageRefused:
    return ImageRefused(f"{model} rejected an image", status=status, why=why)


def _context_exceeded_error(error: StreamError, status: int, model: str) -> ContextExceeded:
    prompt, context = error.prompt_tokens, error.context_size
    if prompt is not None and context is not None:
        what = f"The prompt has {prompt:,} tokens, the context of {model} holds {context:,}"
    else:
        what = f"The context of {model} is full"
    return ContextExceeded(
        what,
        status=status,
        why=error.words,
        remedy="raise the context size, or delete the oldest turns",
        prompt_tokens=prompt,
        context_size=context,
    )
