"""Translate exceptions of httpx, TLS and the network into errors that a user understands.

Under TLS 1.3 a server refuses a client certificate after the handshake, so the first read or write
fails: with a raw `ssl.SSLError` and an alert from Caddy, an empty `httpx.ReadError` from others, a
broken pipe for a large body. Our own files are checked first; what is left is "not accepted", for
certain after an alert, else maybe.
"""

import asyncio
import re
import socket
import ssl
from typing import TYPE_CHECKING

import httpx

from aitui.domain.sanitize import sanitize_line
from aitui.errors import AituiError, ConnectionLost, TimedOut, TlsRefused, Unreachable, chain_of
from aitui.llamaswap.certificates import (
    client_certificate_error,
    find_file_error,
    hangup_error,
    missing_issuer,
)
from aitui.llamaswap.tls import fetch_unverified_chain
from aitui.llamaswap.transport import RequestTrace
from aitui.llamaswap.urls import (
    authority_of,
    environment_proxy,
    host_of,
    is_https,
    proxy_authority,
)
from aitui.paths import format_path

if TYPE_CHECKING:
    from aitui.domain.server import Server

_BROKEN_ERRORS = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError, OSError)
_EXPIRED, _NOT_YET_VALID = 10, 9
_CHAIN_SECONDS = 5.0
_SELF_SIGNED = {18, 19}
# 7 is a signature that fails: an authority of the same name has another key.
_UNKNOWN_ISSUER = {2, 7, 20, 21, 27}
_WRONG_NAME = {62, 64}
_CLIENT_CERTIFICATE_ALERTS = (
    *("BAD_CERTIFICATE", "CERTIFICATE_REQUIRED", "CERTIFICATE_EXPIRED", "CERTIFICATE_REVOKED"),
    *("CERTIFICATE_UNKNOWN", "UNSUPPORTED_CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED"),
    *("HANDSHAKE_FAILURE", "DECRYPT_ERROR"),
)
_NAME_ALERTS = ("UNRECOGNIZED_NAME", "INTERNAL_ERROR")
_NO_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"}


async def translate_error(
    server: "Server",
    error: Exception,
    trace: RequestTrace,
    *,
    accepted: bool = False,
    answered: bool = False,
) -> AituiError:
    """Return the exception to raise for a request that failed with a `TRANSLATABLE_ERRORS`.

    `accepted` says that the server accepted the client certificate before: a connection that breaks
    without an alert then broke for another reason. `answered` says that it has answered before.
    Certificate files are read in a thread.
    """
    for cause in chain_of(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            chain = await _fetch_chain(server) if cause.verify_code in _UNKNOWN_ISSUER else []
            return await asyncio.to_thread(_verification_error, server, cause, chain)
        if isinstance(cause, ssl.SSLError):
            return await asyncio.to_thread(_tls_error, server, cause)
    refusal = is_https(server) and trace.is_just_after_handshake and not accepted
    if refusal and isinstance(error, _BROKEN_ERRORS):
        return await asyncio.to_thread(hangup_error, server)
    if isinstance(error, httpx.TimeoutException):
        return _timeout_error(server, error)
    if isinstance(error, httpx.ConnectError):
        return await asyncio.to_thread(_connect_error, server, error)
    return _other_error(server, error, speaks_http=answered or trace.headers)


async def _fetch_chain(server: "Server") -> list[bytes]:
    """Fetch the server's chain; none if it can't be seen, or only by going around a proxy."""
    if environment_proxy(server):
        return []
    try:
        async with asyncio.timeout(_CHAIN_SECONDS):
            return await fetch_unverified_chain(server)
    except OSError:  # TimeoutError and ssl.SSLError are some
        return []


def _timeout_error(server: "Server", error: httpx.TimeoutException) -> TimedOut:
    where = authority_of(server)
    if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
        proxy = environment_proxy(server)
        return TimedOut(
            f"{_name_proxy(proxy) if proxy else where} does not answer",
            why="no connection within the time limit",
            remedy=_without_proxy(server) if proxy else "check the network, VPN and firewall",
        )
    return TimedOut(f"{where} stopped responding", why="no response within the time limit")


def _other_error(server: "Server", error: Exception, *, speaks_http: bool) -> AituiError:
    where = authority_of(server)
    if isinstance(error, httpx.ProxyError):
        return Unreachable(
            f"The proxy set in the environment does not connect to {where}",
            why=_error_text(error),
            remedy=_without_proxy(server),
        )
    if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
        return Unreachable(
            f"{sanitize_line(server.url)} can't be used as a URL",
            why=_error_text(error),
            remedy="write it as https://host:port",
        )
    hint = "" if is_https(server) or speaks_http else "check whether it requires https://"
    return ConnectionLost(f"The connection to {where} broke", why=_break_text(error), remedy=hint)


def _name_proxy(proxy: str) -> str:
    return f"The proxy {proxy_authority(proxy)} set in the environment"


def _without_proxy(server: "Server") -> str:
    return f"set NO_PROXY={host_of(server)}"


_BREAKS = (
    (r"disconnected without sending", "it was closed before an answer came"),
    (r"received (\d+) bytes, expected (\d+)", "the answer ended after {0} of {1} bytes"),
    (r"without sending complete message", "the answer ended in the middle"),
    (r"buffer too long", "the headers of the answer are too long"),
)
"""What httpx 0.28 and h11 0.16 say of a connection that breaks, and what it means."""


def _break_text(error: Exception) -> str:
    """Say how a connection broke, in words that name no library."""
    words = str(error)
    for pattern, text in _BREAKS:
        if found := re.search(pattern, words):
            return text.format(*(f"{int(number):,}" for number in found.groups()))
    if isinstance(error, httpx.RemoteProtocolError):
        return "the answer is not HTTP"
    if any(isinstance(cause, ConnectionResetError) for cause in chain_of(error)):
        return "the other side reset it"
    return _error_text(error)


def _connect_error(server: "Server", error: httpx.ConnectError) -> AituiError:
    where = authority_of(server)
    proxy = environment_proxy(server)
    for cause in chain_of(error):
        if proxy and isinstance(cause, OSError) and cause.strerror:
            # Without a proxy nothing is connected, and not even the server's name is looked up.
            return Unreachable(
                f"{_name_proxy(proxy)} can't be reached",
                why=sanitize_line(cause.strerror),
                remedy=_without_proxy(server),
            )
        if isinstance(cause, socket.gaierror):
            return Unreachable(
                f"The name {host_of(server)} is not known",
                why=sanitize_line(cause.strerror or ""),
                remedy="check the URL, DNS and VPN",
            )
        if isinstance(cause, ConnectionRefusedError):
            return Unreachable(
                f"{where} refuses connections",
                why="nothing listens on that port",
                remedy="check the port, and whether the server runs",
            )
        if isinstance(cause, OSError) and cause.strerror:
            return Unreachable(
                f"{where} can't be reached",
                why=sanitize_line(cause.strerror),
                remedy="check the network and VPN",
            )
    if is_https(server):  # a network error has a number: this one is of the handshake
        return _handshake_error(server, _error_text(error))
    return Unreachable(f"{where} can't be reached", why=_error_text(error))


def _verification_error(
    server: "Server", error: ssl.SSLCertVerificationError, chain: list[bytes]
) -> TlsRefused:
    """Return why the server's certificate isn't trusted; our own faulty files come first."""
    own = find_file_error(server)
    if own is not None:
        return own
    where, code = authority_of(server), error.verify_code
    trust = str(server.ca) if server.ca is not None else "the system's trust store"
    words = sanitize_line(error.verify_message or error.reason or "")
    if code in _WRONG_NAME:
        what = f"The certificate of {where} is for another name"
        remedy = "use a host name listed in the certificate (subjectAltName)"
    elif code == _EXPIRED:
        what = f"The certificate of {where} has expired"
        remedy = "renew it on the server"
    elif code == _NOT_YET_VALID:
        what = f"The certificate of {where} is not valid yet"
        remedy = "check the clocks of both machines: timedatectl"
    elif code in _SELF_SIGNED | _UNKNOWN_ISSUER:
        what = (
            f"The certificate of {where} was not issued by an authority in {sanitize_line(trust)}"
        )
        remedy = "set ca to the root certificate of the server"
        if issuer := missing_issuer(server, chain):
            words = (
                f"its issuer {issuer} is neither sent by the server nor in {sanitize_line(trust)}"
            )
            append = f", or append it to {format_path(server.ca)}" if server.ca is not None else ""
            remedy = (
                "if that is an intermediate, have the server send it (nginx: the whole chain in "
                f"ssl_certificate){append}; else {remedy}"
            )
    else:
        what = f"The certificate of {where} can't be verified"
        remedy = f"inspect it: openssl s_client -connect {where} -showcerts"
    return TlsRefused(what, why=words, remedy=remedy)


def _tls_error(server: "Server", error: ssl.SSLError) -> TlsRefused:
    where = authority_of(server)
    reason = error.reason or ""
    words = sanitize_line(reason.replace("_", " ").lower() or str(error))
    if any(alert in reason for alert in _CLIENT_CERTIFICATE_ALERTS):
        return client_certificate_error(server, words)
    if any(alert in reason for alert in _NAME_ALERTS):
        return TlsRefused(
            f"{where} has no certificate for the name {host_of(server)}",
            why=words,
            remedy="use the host name that the server is set up for",
        )
    if reason in _NO_TLS:
        return TlsRefused(
            f"{where} does not speak TLS", why=words, remedy="use http:// in the URL, or its port"
        )
    return _handshake_error(server, words)


def _handshake_error(server: "Server", words: str) -> TlsRefused:
    """Return why a handshake broke; our own files come first: TLS 1.2 refuses them here."""
    own = find_file_error(server)
    if own is not None:
        return own
    without = "; no client certificate is set" if server.client_cert is None else ""
    return TlsRefused(
        f"{authority_of(server)} aborted the TLS handshake",
        why=words + without,
        remedy="check that the port speaks TLS, and which client certificates the server accepts",
    )


def _error_text(error: Exception) -> str:
    return sanitize_line(str(error), 200)
