"""Checks of a server layer by layer: name, port, TLS, single responses.

All of them raise Unreachable, those over TLS also TlsRefused.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Self, TypeVar

import httpx
from msgspec import Struct
from msgspec.structs import replace

from aitui.domain.sanitize import sanitize_line
from aitui.domain.server import Server
from aitui.errors import TimedOut
from aitui.llamaswap.certificates import format_name
from aitui.llamaswap.connection_errors import translate_error
from aitui.llamaswap.errors import response_error
from aitui.llamaswap.http import HttpClient, Request
from aitui.llamaswap.response import Response
from aitui.llamaswap.tls import fetch_unverified_chain, tls_context
from aitui.llamaswap.transport import TRANSLATABLE_ERRORS, RequestTrace
from aitui.llamaswap.urls import authority_of, environment_proxy, host_of, proxy_authority

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

CONNECT_SECONDS = 10.0
RESPONSE_SECONDS = 15.0

_SMALL = 4 * 1024 * 1024
_T = TypeVar("_T")


class ServerCertificate(Struct, frozen=True):
    """A server's certificate; names are those of subjectAltName."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime


class TlsHandshake(Struct, frozen=True):
    """A handshake with verified chain and host name."""

    protocol: str
    certificate: ServerCertificate


async def resolve_addresses(server: Server) -> tuple[str, ...]:
    """Look up the addresses of the server's host name, in the order in which they are tried."""
    loop = asyncio.get_running_loop()
    lookup = loop.getaddrinfo(host_of(server), server.port, type=socket.SOCK_STREAM)
    found = await _run_within_limit(server, lookup)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


async def connect_address(server: Server) -> str:
    """Return the address that accepts a TCP connection to the server's port."""
    async with _connect(server, None) as writer:
        return str(writer.get_extra_info("peername")[0])


async def handshake(server: Server, *, present: bool = True) -> TlsHandshake:
    """Do the handshake of every request; without our certificate unless `present`.

    A server that refuses our certificate does so here under TLS 1.2, and later under TLS 1.3.
    """
    if not present:
        server = replace(server, client_cert=None, client_key=None)
    async with _connect(server, await tls_context(server)) as writer:
        return TlsHandshake(
            writer.get_extra_info("ssl_object").version(), await _read_server_certificate(writer)
        )


async def fetch_unverified_certificate(server: Server) -> ServerCertificate:
    """Fetch the server's certificate unverified, to explain why it isn't trusted.

    Neither our certificate nor a request is sent over this connection.
    """
    chain = await _run_within_limit(server, fetch_unverified_chain(server))
    return await asyncio.to_thread(_parse_certificate, chain[0])


def proxy_address(server: Server) -> str:
    """Return host and port of the environment's proxy for a server, "" for none."""
    proxy = environment_proxy(server)
    return proxy_authority(proxy) if proxy else ""


class ServerProbe:
    """Single requests to a server over one pool."""

    def __init__(self, server: Server, monotonic: Callable[[], float]) -> None:
        self._server = server
        self._monotonic = monotonic
        self._http = HttpClient(server)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.connections.aclose()

    async def ask(self, path: str) -> tuple[Response, float]:
        """Send a GET; return the response, whatever its status, and the seconds that it took."""
        limit = min(RESPONSE_SECONDS, self._server.timeout)
        began = self._monotonic()
        response = await self._http.request(Request("GET", path, limit, max_bytes=_SMALL))
        return response, self._monotonic() - began

    def check(self, response: Response) -> None:
        """Raise ServerError for an error response."""
        if not response.is_success:
            raise response_error(self._server, response)


@asynccontextmanager
async def _connect(
    server: Server, context: ssl.SSLContext | None
) -> AsyncIterator[asyncio.StreamWriter]:
    host = host_of(server)
    name = host if context is not None else None
    _, writer = await _run_within_limit(
        server, asyncio.open_connection(host, server.port, ssl=context, server_hostname=name)
    )
    try:
        yield writer
    finally:
        # Aborted: a clean close would raise a refusal that is on its way.
        writer.transport.abort()


async def _run_within_limit(server: Server, work: Awaitable[_T]) -> _T:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            return await work
    except TimeoutError as error:
        raise TimedOut(
            f"{authority_of(server)} does not answer",
            why=f"no response within {CONNECT_SECONDS:g} s",
            remedy="check the network, VPN and firewall",
        ) from error
    except TRANSLATABLE_ERRORS as error:
        connecting = httpx.ConnectError(str(error))
        connecting.__cause__ = error
        raise await translate_error(server, connecting, RequestTrace()) from error


async def _read_server_certificate(writer: asyncio.StreamWriter) -> ServerCertificate:
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return await asyncio.to_thread(_parse_certificate, der)


def _parse_certificate(der: bytes) -> ServerCertificate:
    from cryptography.x509 import load_der_x509_certificate

    certificate = load_der_x509_certificate(der)
    return ServerCertificate(
        subject=format_name(certificate.subject),
        issuer=format_name(certificate.issuer),
        names=_alternative_names(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def _alternative_names(certificate: "Certificate") -> tuple[str, ...]:
    from cryptography.x509 import DNSName, ExtensionNotFound, IPAddress, SubjectAlternativeName

    try:
        found = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    except (ExtensionNotFound, ValueError):
        return ()
    names = [str(name.value) for name in found if isinstance(name, DNSName | IPAddress)]
    return tuple(sanitize_line(name, 100) for name in names[:20])
