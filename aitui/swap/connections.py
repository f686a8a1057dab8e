"""The HTTP clients of one server: one pool for short requests, one client for each long one.

httpx leaves slots of a pool occupied for ever when a task is cancelled twice in a row, and
`aclose()` stops half-way when it is cancelled itself. So long requests get a client of their own
that is closed with them, closing runs to its end whoever is cancelled, and a pool that has no
slot although few requests run is replaced.

A proxy from the environment is used as other programs use it (`HTTPS_PROXY`, `ALL_PROXY`,
`NO_PROXY`), except for a server on this machine: no proxy can reach our loopback address.
"""

import asyncio
import ssl
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.request import getproxies, proxy_bypass

import httpx

from aitui.domain.clean import sanitize_line
from aitui.domain.server import Server
from aitui.errors import ConnectionLost, SettingsError, Unreachable
from aitui.swap.addresses import authority_of, host_of, is_loopback
from aitui.swap.closing import shield_cleanup
from aitui.swap.keepalive import KEEPALIVE
from aitui.swap.network import ClosingTransport
from aitui.swap.tls import FileFingerprint, fingerprint, tls_context
from aitui.swap.user_agent import user_agent

CONNECT_SECONDS = 10.0
SLOTS = 8

_POOL_SECONDS = 1.0
_CHECK_FILES_INTERVAL = 5.0
_KEEP_IDLE_SECONDS = 60.0


@dataclass(slots=True, eq=False)
class _PooledClient:
    client: httpx.AsyncClient
    users: int = 0
    retired: bool = False


class ClientPool:
    """Hands out httpx clients with one TLS context, renewed when a certificate file changes."""

    def __init__(self, server: Server, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._server = server
        self._monotonic = monotonic
        self._context: ssl.SSLContext | None = None
        self._built_from: FileFingerprint | None = None
        self._accepted_fingerprint: FileFingerprint | None = None
        self._checked_at: float | None = None
        self._renewing = asyncio.Lock()
        self._slots = asyncio.Semaphore(SLOTS)
        self._pool: _PooledClient | None = None
        self._open: dict[httpx.AsyncClient, ClosingTransport] = {}
        self._is_closed = False

    @asynccontextmanager
    async def use_pool(self) -> AsyncIterator[httpx.AsyncClient]:
        """The client for short requests. Waits for a slot as long as the caller lets it.

        Raises CertificateFileError, Unreachable.
        """
        async with self._slots:
            context = await self._current_context()
            if self._pool is None:
                self._pool = _PooledClient(self._new_client(context, SLOTS))
            pool = self._pool
            pool.users += 1
            try:
                yield pool.client
            finally:
                pool.users -= 1
                if pool.retired and not pool.users:
                    await self._close(pool.client)

    @asynccontextmanager
    async def open_single(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client for one long request, closed with it.

        Raises CertificateFileError, Unreachable.
        """
        client = self._new_client(await self._current_context(), 1)
        try:
            yield client
        finally:
            await self._close(client)

    async def replace_pool(self) -> None:
        """Lets new requests begin with fresh connections; those under way end on the old ones."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        pool.retired = True
        if not pool.users:
            await self._close(pool.client)

    @property
    def is_closed(self) -> bool:
        """Whether this side has closed them."""
        return self._is_closed

    @property
    def is_certificate_accepted(self) -> bool:
        """Whether the server has answered before, with the certificate files as they are."""
        return (
            self._accepted_fingerprint is not None
            and self._accepted_fingerprint == self._built_from
        )

    def mark_accepted(self) -> None:
        """The server has answered: it takes what was presented to it."""
        self._accepted_fingerprint = self._built_from

    def recheck_files(self) -> None:
        """Looks at the certificate files before the next connection: TLS has just failed."""
        self._checked_at = None

    async def aclose(self) -> None:
        """Closes every connection; requests under way end with ConnectionLost."""
        self._is_closed = True
        self._pool = None
        for transport in self._open.values():
            transport.close_connections()
        await shield_cleanup(self._close_all())

    async def _close_all(self) -> None:
        while self._open:
            client, _ = self._open.popitem()
            await client.aclose()

    async def _close(self, client: httpx.AsyncClient) -> None:
        transport = self._open.pop(client, None)
        if transport is not None:
            transport.close_connections()
            await shield_cleanup(client.aclose())

    async def _current_context(self) -> ssl.SSLContext | None:
        async with self._renewing:
            now = self._monotonic()
            if self._checked_at is None or now - self._checked_at >= _CHECK_FILES_INTERVAL:
                found = await fingerprint(self._server)
                if found != self._built_from:
                    self._built_from = None
                    self._context = await tls_context(self._server)
                    self._built_from = found
                    await self.replace_pool()
                self._checked_at = now
            return self._context

    def _new_client(self, context: ssl.SSLContext | None, connections: int) -> httpx.AsyncClient:
        if self._is_closed:
            raise ConnectionLost(f"The connections to {authority_of(self._server)} are closed")
        transport = _build_transport(self._server, context, connections)
        client = httpx.AsyncClient(
            transport=transport,
            headers=_build_headers(self._server),
            timeout=httpx.Timeout(None, connect=CONNECT_SECONDS, pool=_POOL_SECONDS),
            follow_redirects=False,
            trust_env=False,
        )
        self._open[client] = transport
        return client


def _build_transport(
    server: Server, context: ssl.SSLContext | None, connections: int
) -> ClosingTransport:
    try:
        return ClosingTransport(
            # httpx wants a context for http as well; an empty one trusts nobody, at no cost.
            context or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            environment_proxy(server),
            httpx.Limits(max_connections=connections, keepalive_expiry=_KEEP_IDLE_SECONDS),
            KEEPALIVE,
        )
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        raise Unreachable(
            "The proxy of the environment can't be used",
            why=sanitize_line(str(error), 200),
            remedy=f"set NO_PROXY={host_of(server)}",
        ) from error


def _build_headers(server: Server) -> dict[str, str]:
    headers = {"User-Agent": user_agent(), "Accept-Encoding": "identity"}
    key = server.api_key
    if key is not None and not (key.isascii() and key.isprintable()):
        raise SettingsError("The api_key holds characters that no HTTP header can carry")
    if server.basic_auth is not None:
        # The header is taken then, by the proxy most likely; llama-swap reads this one as well.
        if key is not None:
            headers["x-api-key"] = key
        user_and_password = ":".join(server.basic_auth).encode()
        headers["Authorization"] = f"Basic {b64encode(user_and_password).decode()}"
    elif key is not None:
        headers["Authorization"] = f"Bearer {key}"
    return headers


def environment_proxy(server: Server) -> str | None:
    """The proxy through which this server is asked, with its password; None where directly."""
    host = host_of(server)
    if is_loopback(server) or proxy_bypass(host):
        return None
    proxies = getproxies()
    found = proxies.get(server.url.partition(":")[0]) or proxies.get("all")
    return found if not found or "://" in found else f"http://{found}"
