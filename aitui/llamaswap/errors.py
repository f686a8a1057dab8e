"""From a status of failure to the exception that says what happened and what to do.

The shapes of an error: `{"src":"llama-swap","error":{"message",…}}` today,
`{"src":"llama-swap","error":"text"}` from v218 on, plain text or `{"error":"text"}` on v217,
`{"error":{"code","message","type"}}` without `src` from the model itself, and nothing or HTML from
a reverse proxy.
"""

import http
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import msgspec

from aitui.domain.sanitize import sanitize_line
from aitui.domain.server import Server
from aitui.errors import (
    AituiError,
    LoadFailed,
    NoSuchModel,
    NotSupported,
    ProxyError,
    ServerError,
    TooManyRequests,
    Unauthorized,
)
from aitui.llamaswap.schemas import looks_like_html
from aitui.llamaswap.urls import authority_of, host_of

_LONGEST_TEXT = 300
_GATEWAY = {502, 503, 504}
_PROXY_PHRASES = ("upstream connect error", "no healthy upstream", "no available server")
_UNKNOWN_MODEL_PHRASES = (
    "model not found",
    "no router for requested model",
    "could not find",
    "invalid logger",
)


class ErrorSource(Enum):
    """Who wrote the body of an error."""

    LLAMA_SWAP = auto()
    MODEL = auto()
    UNKNOWN = auto()
    NONE = auto()


@dataclass(frozen=True, slots=True)
class Response:
    """A complete answer; `endpoint` is method and path, header names are in lower case."""

    endpoint: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is one of success."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class ErrorText:
    """What was said, cleaned and shortened, and by whom."""

    text: str
    source: ErrorSource


class _Error(msgspec.Struct):
    src: str | None = None
    error: Any = None


_ERROR = msgspec.json.Decoder(_Error)


def parse_error(answer: Response) -> ErrorText:
    """The error's words in any of the dialects."""
    body = answer.body
    if looks_like_html(body):
        return ErrorText("", ErrorSource.NONE)
    try:
        parsed = _ERROR.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = _sanitize(body.decode("utf-8", "replace"))
        if text.startswith("llama-swap: "):
            return ErrorText(text, ErrorSource.LLAMA_SWAP)
        return ErrorText(text, ErrorSource.UNKNOWN) if text else ErrorText("", ErrorSource.NONE)
    if isinstance(parsed.error, dict):
        text = _sanitize(str(parsed.error.get("message") or ""))
        return ErrorText(text, ErrorSource.LLAMA_SWAP if parsed.src else ErrorSource.MODEL)
    if isinstance(parsed.error, str):
        return ErrorText(_sanitize(parsed.error), ErrorSource.LLAMA_SWAP)
    return ErrorText(_sanitize(body.decode("utf-8", "replace")), ErrorSource.UNKNOWN)


def response_error(server: Server, answer: Response, model: str = "") -> AituiError:
    """The exception for an answer without success; `model` is the id that was asked about."""
    words = parse_error(answer)
    status = answer.status
    if _is_unknown_model(status, words, model):
        return NoSuchModel(
            f"The server knows no model “{sanitize_line(model, _LONGEST_TEXT)}”",
            status=status,
            words=words.text,
            why=words.text,
            remedy="refresh the list of models",
        )
    if status in {401, 403}:
        return Unauthorized(
            f"{authority_of(server)} wants an API key"
            if server.api_key is None
            else f"{authority_of(server)} doesn't accept the API key",
            status=status,
            words=words.text,
            why=words.text,
            remedy="set the server's api_key",
        )
    if status == 429:
        return _too_many_requests(server, answer, words)
    if status in _GATEWAY and _is_proxy(status, words):
        return proxy_error(server, answer)
    if 300 <= status < 400 or status in {404, 405, 410, 421, 501}:
        return _not_supported(server, answer, words)
    return ServerError(
        f"{answer.endpoint} was answered with {_format_status(status)}",
        status=status,
        words=words.text,
        why=words.text or f"{authority_of(server)} gave no reason",
        remedy=_remedy(words.text),
    )


def load_error(server: Server, answer: Response, model: str) -> AituiError:
    """The exception for a load that ended without success."""
    words = parse_error(answer)
    if answer.status >= 500 and words.text and not _is_proxy(answer.status, words):
        return LoadFailed(
            f"{sanitize_line(model, _LONGEST_TEXT)} did not load",
            why=words.text,
            remedy="read the model's log",
        )
    return response_error(server, answer, model)


def is_model_response(answer: Response) -> bool:
    """Whether a failure is the model's own answer: its process runs, only its path is unknown."""
    return 400 <= answer.status < 500 and parse_error(answer).source is ErrorSource.MODEL


def proxy_error(server: Server, answer: Response) -> ProxyError:
    """A reverse proxy that answers in the place of llama-swap."""
    words = parse_error(answer)
    return ProxyError(
        f"The proxy at {authority_of(server)} answers {_format_status(answer.status)}, "
        "llama-swap behind it does not answer",
        status=answer.status,
        words=words.text,
        why=words.text,
        remedy=f"check and restart {server.service_unit}" if server.service_unit else "",
    )


def _is_unknown_model(status: int, words: ErrorText, model: str) -> bool:
    if not model or status not in {400, 404}:
        return False
    if words.source is ErrorSource.MODEL:
        return False
    text = words.text.lower()
    return any(phrase in text for phrase in _UNKNOWN_MODEL_PHRASES)


def _is_proxy(status: int, words: ErrorText) -> bool:
    if words.source is ErrorSource.NONE:
        return True
    if words.source is not ErrorSource.UNKNOWN:
        return False
    text = words.text.lower()
    return _status_phrase(status).lower() == text or text.startswith(_PROXY_PHRASES)


def _not_supported(server: Server, answer: Response, words: ErrorText) -> NotSupported:
    status = answer.status
    where = authority_of(server)
    remedy = "check the URL and the version of llama-swap"
    if 300 <= status < 400:
        target = _sanitize(answer.headers.get("location", "")) or "nowhere"
        what = f"{where} redirects {answer.endpoint} to {target}"
        why, remedy = "aitui follows no redirect", "set the URL that it redirects to"
    elif status == 421:
        what = f"{where} doesn't serve the name {host_of(server)} over this certificate"
        why, remedy = words.text, "use the host name that the proxy is set up for"
    else:
        what = f"{where} has no {answer.endpoint}"
        why = words.text or f"it answered {_format_status(status)}"
    return NotSupported(what, status=status, words=words.text, why=why, remedy=remedy)


def _too_many_requests(server: Server, answer: Response, words: ErrorText) -> TooManyRequests:
    seconds = _retry_seconds(answer.headers.get("retry-after", ""))
    pause = f"in {seconds:g} s" if seconds else "in a moment"
    return TooManyRequests(
        f"{authority_of(server)} has too many requests under way",
        words=words.text,
        why=words.text,
        remedy=f"try again {pause}",
        retry_after=seconds,
    )


def _retry_seconds(text: str) -> float | None:
    """`Retry-After` as a number; its form as a date is used by nobody here."""
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 8 else None


def _remedy(words: str) -> str:
    if "HTTP request to an HTTPS server" in words:
        return "use https:// in the URL"
    return "read the server's log"


def _format_status(status: int) -> str:
    return f"{status} {_status_phrase(status)}".rstrip()


def _status_phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""


def _sanitize(text: str) -> str:
    return sanitize_line(text.strip(), _LONGEST_TEXT)
