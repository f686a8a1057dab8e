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

from aitui.domain.clean import clean_line
from aitui.domain.server import Server
from aitui.errors import (
    AituiError,
    LoadFailed,
    NoSuchModel,
    NotAuthorised,
    NotSupported,
    ProxyError,
    ServerError,
    TooManyRequests,
)
from aitui.swap.addresses import authority_of, host_of
from aitui.swap.wire import looks_like_html

_LONGEST_WORDS = 300
_GATEWAY = {502, 503, 504}
_PROXY_PHRASES = ("upstream connect error", "no healthy upstream", "no available server")
_UNKNOWN_MODEL_PHRASES = (
    "model not found",
    "no router for requested model",
    "could not find",
    "invalid logger",
)


class Speaker(Enum):
    """Who wrote the body of an error."""

    LLAMA_SWAP = auto()
    MODEL = auto()
    SOMEBODY = auto()
    NOBODY = auto()


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer; `endpoint` is method and path, header names are in lower case."""

    endpoint: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def succeeded(self) -> bool:
        """Whether the status is one of success."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Words:
    """What was said, cleaned and shortened, and by whom."""

    text: str
    speaker: Speaker


class _Error(msgspec.Struct):
    src: str | None = None
    error: Any = None


_ERROR = msgspec.json.Decoder(_Error)


def words_of(answer: Answer) -> Words:
    """The error's words in any of the dialects."""
    body = answer.body
    if looks_like_html(body):
        return Words("", Speaker.NOBODY)
    try:
        parsed = _ERROR.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = _clean(body.decode("utf-8", "replace"))
        if text.startswith("llama-swap: "):
            return Words(text, Speaker.LLAMA_SWAP)
        return Words(text, Speaker.SOMEBODY) if text else Words("", Speaker.NOBODY)
    if isinstance(parsed.error, dict):
        text = _clean(str(parsed.error.get("message") or ""))
        return Words(text, Speaker.LLAMA_SWAP if parsed.src else Speaker.MODEL)
    if isinstance(parsed.error, str):
        return Words(_clean(parsed.error), Speaker.LLAMA_SWAP)
    return Words(_clean(body.decode("utf-8", "replace")), Speaker.SOMEBODY)


def refusal(server: Server, answer: Answer, model: str = "") -> AituiError:
    """The exception for an answer without success; `model` is the id that was asked about."""
    words = words_of(answer)
    status = answer.status
    if _is_unknown_model(status, words, model):
        return NoSuchModel(
            f"The server knows no model “{clean_line(model, _LONGEST_WORDS)}”",
            status=status,
            words=words.text,
            why=words.text,
            remedy="refresh the list of models",
        )
    if status in {401, 403}:
        return NotAuthorised(
            f"{authority_of(server)} wants an API key"
            if server.api_key is None
            else f"{authority_of(server)} doesn't accept the API key",
            status=status,
            words=words.text,
            why=words.text,
            remedy="set the server's api_key",
        )
    if status == 429:
        return _too_many(server, answer, words)
    if status in _GATEWAY and _is_proxy(status, words):
        return proxy_error(server, answer)
    if 300 <= status < 400 or status in {404, 405, 410, 421, 501}:
        return _not_supported(server, answer, words)
    return ServerError(
        f"{answer.endpoint} was answered with {_status(status)}",
        status=status,
        words=words.text,
        why=words.text or f"{authority_of(server)} gave no reason",
        remedy=_remedy(words.text),
    )


def load_refusal(server: Server, answer: Answer, model: str) -> AituiError:
    """The exception for a load that ended without success."""
    words = words_of(answer)
    if answer.status >= 500 and words.text and not _is_proxy(answer.status, words):
        return LoadFailed(
            f"{clean_line(model, _LONGEST_WORDS)} did not load",
            why=words.text,
            remedy="read the model's log",
        )
    return refusal(server, answer, model)


def answered_by_model(answer: Answer) -> bool:
    """Whether a failure is the model's own answer: its process runs, only its path is unknown."""
    return 400 <= answer.status < 500 and words_of(answer).speaker is Speaker.MODEL


def proxy_error(server: Server, answer: Answer) -> ProxyError:
    """A reverse proxy that answers in the place of llama-swap."""
    words = words_of(answer)
    return ProxyError(
        f"The proxy at {authority_of(server)} answers {_status(answer.status)}, "
        "llama-swap behind it does not answer",
        status=answer.status,
        words=words.text,
        why=words.text,
        remedy=f"check and restart {server.service_unit}" if server.service_unit else "",
    )


def _is_unknown_model(status: int, words: Words, model: str) -> bool:
    if not model or status not in {400, 404}:
        return False
    if words.speaker is Speaker.MODEL:
        return False
    text = words.text.lower()
    return any(phrase in text for phrase in _UNKNOWN_MODEL_PHRASES)


def _is_proxy(status: int, words: Words) -> bool:
    if words.speaker is Speaker.NOBODY:
        return True
    if words.speaker is not Speaker.SOMEBODY:
        return False
    text = words.text.lower()
    return _phrase(status).lower() == text or text.startswith(_PROXY_PHRASES)


def _not_supported(server: Server, answer: Answer, words: Words) -> NotSupported:
    status = answer.status
    where = authority_of(server)
    remedy = "check the URL and the version of llama-swap"
    if 300 <= status < 400:
        target = _clean(answer.headers.get("location", "")) or "nowhere"
        what = f"{where} redirects {answer.endpoint} to {target}"
        why, remedy = "aitui follows no redirect", "set the URL that it redirects to"
    elif status == 421:
        what = f"{where} doesn't serve the name {host_of(server)} over this certificate"
        why, remedy = words.text, "use the host name that the proxy is set up for"
    else:
        what = f"{where} has no {answer.endpoint}"
        why = words.text or f"it answered {_status(status)}"
    return NotSupported(what, status=status, words=words.text, why=why, remedy=remedy)


def _too_many(server: Server, answer: Answer, words: Words) -> TooManyRequests:
    seconds = _seconds(answer.headers.get("retry-after", ""))
    pause = f"in {seconds:g} s" if seconds else "in a moment"
    return TooManyRequests(
        f"{authority_of(server)} has too many requests under way",
        words=words.text,
        why=words.text,
        remedy=f"try again {pause}",
        retry_after=seconds,
    )


def _seconds(text: str) -> float | None:
    """`Retry-After` as a number; its form as a date is used by nobody here."""
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 8 else None


def _remedy(words: str) -> str:
    if "HTTP request to an HTTPS server" in words:
        return "use https:// in the URL"
    return "read the server's log"


def _status(status: int) -> str:
    return f"{status} {_phrase(status)}".rstrip()


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""


def _clean(text: str) -> str:
    return clean_line(text.strip(), _LONGEST_WORDS)
