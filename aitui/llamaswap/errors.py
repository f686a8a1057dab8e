"""Turn an error response into the exception that says what happened and what to do.

The shapes of an error: `{"src":"llama-swap","error":{"message",…}}` today,
`{"src":"llama-swap","error":"text"}` from v218 on, plain text or `{"error":"text"}` on v217,
`{"error":{"code","message","type"}}` without `src` from the model itself, and nothing or HTML from
a reverse proxy.
"""

import http
import re
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
from aitui.llamaswap.response import Response
from aitui.llamaswap.schemas import looks_like_html, page_title
from aitui.llamaswap.urls import authority_of, host_of, is_https

_LONGEST_TEXT = 300
_LONGEST_PAGE = 8192
_GATEWAY = {502, 503, 504}
_PROXY_PHRASES = ("upstream connect error", "no healthy upstream", "no available server")
# Those of nginx, which answers after the handshake (ngx_http_special_response.c), and of IIS.
_NO_CERTIFICATE_PHRASES = ("no required ssl certificate", "ssl client certificate is required")
_REFUSED_CERTIFICATE_PHRASES = ("the ssl certificate error", "client certificate is ill-formed")
# nginx, Go's net/http (Caddy, llama-swap) and Apache.
_PLAIN_HTTP_PHRASES = (
    "plain http request was sent to https port",
    "http request to an https server",
    "speaking plain http to an ssl-enabled server",
)
_AUTH_SCHEME = r'(?i)(?:^|,)\s*(Basic|Bearer|Digest|Negotiate|NTLM)\b(?:\s+realm="([^"]*)")?'
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
        # Proxies put the status in front, and often nothing behind it.
        title = page_title(body).removeprefix(str(response.status)).strip(" -–:")
        is_status = title.lower() == _status_phrase(response.status).lower()
        return ErrorText("" if is_status else title, ErrorSource.NONE)
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
            f"The server has no model “{sanitize_line(model, _LONGEST_TEXT)}”",
            status=status,
            why=words.text,
            remedy="refresh the list of models",
        )
    if status in {401, 403}:
        return _authorization_error(server, response, words)
    if status == 429:
        # A number: no server in question sends it as a date.
        pause = response.headers.get("retry-after", "")
        is_number = pause.isascii() and pause.isdecimal() and len(pause) < 8 and float(pause) > 0
        return TooManyRequests(
            f"{authority_of(server)} has too many running requests",
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
    what = f"{response.endpoint} was answered with {_format_status(status)}"
    remedy = "read the server's log"
    if _says(response, _PLAIN_HTTP_PHRASES) and is_https(server):
        remedy = "have the proxy speak https:// to the server behind it"
    elif _says(response, _PLAIN_HTTP_PHRASES):
        what = f"{authority_of(server)} speaks TLS, but the URL says http://"
        remedy = f"set url to https{sanitize_line(server.url.removeprefix('http'), 200)}"
    elif certificate_complaint(response) is not None:
        remedy = "use https:// in the URL, and set client_cert and client_key"
    return ServerError(
        what,
        status=status,
        why=words.text or f"{authority_of(server)} gave no reason",
        remedy=remedy,
    )


def certificate_complaint(response: Response) -> str | None:
    """Return what a proxy says that wants another client certificate, or one; None if it does not.

    It has completed the handshake then.
    """
    if not response.may_refuse_certificate:
        return None
    phrases = _NO_CERTIFICATE_PHRASES + _REFUSED_CERTIFICATE_PHRASES
    if response.status in {495, 496} or _says(response, phrases):
        return parse_error(response).text
    return None


def _says(response: Response, phrases: tuple[str, ...]) -> bool:
    text = response.body[:_LONGEST_PAGE].decode("utf-8", "replace").lower()
    return any(phrase in text for phrase in phrases)


def _authorization_error(server: Server, response: Response, words: ErrorText) -> Unauthorized:
    """Return the error for a 401 or 403: a key, user and password, or neither can help."""
    where, status = authority_of(server), response.status
    demand = response.headers.get("www-authenticate", "")
    schemes = {scheme.title(): realm for scheme, realm in re.findall(_AUTH_SCHEME, demand)}
    # llama-swap asks for its API key so, for the sake of browsers.
    by_key = words.source is ErrorSource.LLAMA_SWAP or schemes.get("Basic") == "llama-swap"
    why = words.text
    # Without any words a 401 is a server's rather than a proxy's, which sends a page.
    is_bare = status == 401 and not response.body.strip()
    by_key |= not schemes and (is_bare or words.source is not ErrorSource.NONE)
    if by_key or "Bearer" in schemes:
        given = server.api_key is not None
        what = f"{where} doesn't accept the API key" if given else f"{where} requires an API key"
        remedy = "set the server's api_key"
    elif "Basic" in schemes:
        given = server.basic_auth is not None
        what = f"{where} requires a user name and password (Basic)"
        if given:
            what = f"{where} doesn't accept the user name and password (Basic)"
        why = ", ".join(part for part in (why, f"for “{_sanitize(schemes['Basic'])}”") if part)
        remedy = "set the server's username and password"
    elif schemes:
        what = f"{where} requires {' or '.join(schemes)} authentication"
        known = "aitui supports Basic, API keys and client certificates"
        remedy = f"{known}; configure the proxy for one of them"
    else:
        what = f"The proxy at {where} answers {_format_status(status)}"
        remedy = "ask the proxy's administrator which requests it allows"
    return Unauthorized(what, status=status, why=why, remedy=remedy)


def web_page_error(response: Response) -> BadResponse:
    """Return the exception for a web page in the place of an answer."""
    return BadResponse(
        f"{response.endpoint} returned a web page",
        why=f"its title is “{title}”" if (title := page_title(response.body)) else "",
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
        "but llama-swap behind it does not respond",
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
        why, remedy = "aitui does not follow redirects", "use the URL that it redirects to"
    elif status == 421:
        what = f"{where} doesn't serve the name {host_of(server)} over this certificate"
        why, remedy = words.text, "use the host name that the proxy is configured for"
    else:
        what = f"{where} has no {response.endpoint}"
        why = words.text or f"it answered {_format_status(status)}"
    return NotSupported(what, status=status, why=why, remedy=remedy)


def _format_status(status: int) -> str:
    return f"{status} {_status_phrase(status)}".rstrip()


def _status_phrase(status: int) -> str:
    if status == 499:
        return "Client Closed Request"  # nginx's number: the client left before the answer
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""


def _sanitize(text: str) -> str:
    return sanitize_line(text.strip(), _LONGEST_TEXT)
