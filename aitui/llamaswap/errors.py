"""Turn an error response into the exception that says what happened and what to do.

The shapes of an error: `{"src":"llama-swap","error":{"message",…}}` today,
`{"src":"llama-swap","error":"text"}` from v218 on, plain text or `{"error":"text"}` on v217,
`{"error":{"code","message","type"}}` without `src` from the model itself, and nothing or HTML from
a reverse proxy.
"""

import http
from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

import msgspec
from msgspec import Struct

from aitui.domain.sanitize import sanitize_line
from aitui.domain.server import Server
from aitui.errors import (
    AituiError,
    BadResponse,
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
    """The program that wrote the body of an error."""

    LLAMA_SWAP = auto()
    MODEL = auto()
    UNKNOWN = auto()
    NONE = auto()


class Response(Struct, frozen=True):
    """A complete response; `endpoint` is method and path, header names are in lower case."""

    endpoint: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300


class ErrorText(Struct, frozen=True):
    """The text of an error, sanitized and shortened, and the program it came from."""

    text: str
    source: ErrorSource


class _Error(msgspec.Struct):
    src: str | None = None
    error: Any = None


_ERROR = msgspec.json.Decoder(_Error)


def parse_error(response: Response) -> ErrorText:
    """Parse an error in any of the dialects."""
    body = response.body
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


def response_error(server: Server, response: Response, model: str = "") -> AituiError:
    """Return the exception for an error response; `model` is the id in the request."""
    words = parse_error(response)
    status = response.status
    if _is_unknown_model(status, words, model):
        return NoSuchModel(
            f"The server knows no model “{sanitize_line(model, _LONGEST_TEXT)}”",
            status=status,
            why=words.text,
            remedy="refresh the list of models",
        )
    if status in {401, 403}:
        return Unauthorized(
            f"{authority_of(server)} wants an API key"
            if server.api_key is None
            else f"{authority_of(server)} doesn't accept the API key",
            status=status,
            why=words.text,
            remedy="set the server's api_key",
        )
    if status == 429:
        # A number: no server in question sends it as a date.
        pause = response.headers.get("retry-after", "")
        is_number = pause.isascii() and pause.isdecimal() and len(pause) < 8 and float(pause) > 0
        return TooManyRequests(
            f"{authority_of(server)} has too many requests under way",
            status=status,
            why="globalConcurrencyLimit or the model's concurrencyLimit is reached"
            if words.text == "Too many requests"
            else words.text,
            remedy=f"try again in {float(pause):g} s" if is_number else "try again in a moment",
        )
    if status in _GATEWAY and _is_proxy(status, words):
        return proxy_error(server, response)
    if 300 <= status < 400 or status in {404, 405, 410, 421, 501}:
        return _not_supported(server, response, words)
    return ServerError(
        f"{response.endpoint} was answered with {_format_status(status)}",
        status=status,
        why=words.text or f"{authority_of(server)} gave no reason",
        remedy="use https:// in the URL"
        if "HTTP request to an HTTPS server" in words.text
        else "read the server's log",
    )


def web_page_error(response: Response) -> BadResponse:
    """Return the exception for a web page in the place of an answer."""
    return BadResponse(
        f"{response.endpoint} answered with a web page",
        remedy="check that the URL is that of a llama-swap server",
    )


def load_error(server: Server, response: Response, model: str) -> AituiError:
    """Return the exception for a load that failed."""
    words = parse_error(response)
    if response.status >= 500 and words.text and not _is_proxy(response.status, words):
        return LoadFailed(
            f"{sanitize_line(model, _LONGEST_TEXT)} did not load",
            why=words.text,
            remedy="read the model's log",
        )
    return response_error(server, response, model)


def is_model_response(response: Response) -> bool:
    """Whether an error comes from the model: its process runs, only the path is unknown."""
    return 400 <= response.status < 500 and parse_error(response).source is ErrorSource.MODEL


def proxy_error(server: Server, response: Response) -> ProxyError:
    """Return the exception for a reverse proxy that answers instead of llama-swap."""
    words = parse_error(response)
    return ProxyError(
        f"The proxy at {authority_of(server)} answers {_format_status(response.status)}, "
        "llama-swap behind it does not answer",
        status=response.status,
        why=words.text,
        remedy=f"check and restart {server.service_unit}" if server.service_unit else "",
    )


def _is_unknown_model(status: int, words: ErrorText, model: str) -> bool:
    if not model or status not in {400, 404} or words.source is ErrorSource.MODEL:
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


def _not_supported(server: Server, response: Response, words: ErrorText) -> NotSupported:
    status = response.status
    where = authority_of(server)
    remedy = "check the URL and the version of llama-swap"
    if 300 <= status < 400:
        target = _sanitize(response.headers.get("location", "")) or "nowhere"
        what = f"{where} redirects {response.endpoint} to {target}"
        why, remedy = "aitui follows no redirect", "set the URL that it redirects to"
    elif status == 421:
        what = f"{where} doesn't serve the name {host_of(server)} over this certificate"
        why, remedy = words.text, "use the host name that the proxy is set up for"
    else:
        what = f"{where} has no {response.endpoint}"
        why = words.text or f"it answered {_format_status(status)}"
    return NotSupported(what, status=status, why=why, remedy=remedy)


def _format_status(status: int) -> str:
    return f"{status} {_status_phrase(status)}".rstrip()


def _status_phrase(status: int) -> str:
    if status == 499:
        return "Client Closed Request"  # nginx's number: whoever asked left before the answer
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""


def _sanitize(text: str) -> str:
    return sanitize_line(text.strip(), _LONGEST_TEXT)
