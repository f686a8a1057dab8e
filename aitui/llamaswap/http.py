"""HTTP to one server: a request and its bounded response, a stream, and the pool of clients.

httpx 0.28 leaves pool slots stuck for ever after two `cancel()` in a row, or cancels under
contention (PoolTimeout). So each long request and stream has a client of its own that is closed
with it, short requests share a pool, and a stuck pool is replaced.
"""

import asyncio
import ssl
import time
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import cast
from urllib.parse import quote, urlsplit

import httpx
from msgspec import Struct
from msgspec.structs import replace

from aitui.aio import shield
from aitui.domain.sanitize import HIDDEN, LEAST_SECRET, sanitize_line
from aitui.domain.server import Server
from aitui.errors import (
    AituiError,
    BadResponse,
    ConnectionLost,
    SettingsError,
    TimedOut,
    TlsRefused,
    Unreachable,
)
from aitui.llamaswap.response import Response
from aitui.llamaswap.tls import FileFingerprint, fingerprint, tls_context
from aitui.llamaswap.transport import (
    KEEPALIVE,
    TRANSLATABLE_ERRORS,
    ClosingTransport,
    RequestTrace,
)
from aitui.llamaswap.urls import authority_of, environment_proxy, host_of, is_https, user_agent

CONNECT_SECONDS = 10.0
SLOTS = 8
LARGEST_RESPONSE = 32 * 1024 * 1024
LARGEST_ERROR = 256 * 1024

_POOL_SECONDS = 1.0
_CHECK_FILES_INTERVAL = 5.0
_KEEP_IDLE_SECONDS = 60.0


def path_segment(identifier: str) -> str:
    """Quote an id as one segment of a path."""
    # HTTP clients drop the segments `.` and `..`, which would lead to another endpoint.
    quoted = quote(identifier.encode("utf-8", "replace"), safe="")
    return quoted.replace(".", "%2E") if not quoted.strip(".") else quoted


def fill_path(template: str, identifier: str) -> str:
    """Fill a model's id into the path of an endpoint."""
    return template.replace("<id>", path_segment(identifier))


class Request(Struct, frozen=True):
    """One request. `path` is appended to the server's URL, `limit` is in seconds or None.

    `body` is JSON, empty if there is none.
    """

    method: str
    path: str
    limit: float | None
    accept: str = "application/json"
    max_bytes: int = LARGEST_RESPONSE
    body: bytes = b""

    @property
    def headers(self) -> dict[str, str]:
        """The headers of this one request."""
        typed = {"Content-Type": "application/json"} if self.body else {}
        return {"Accept": self.accept, **typed}

    @property
    def endpoint(self) -> str:
        """Method and path without the query, as messages name the request."""
        return f"{self.method} {self.path.partition('?')[0]}"


class HttpClient:
    """Sends requests to one server, and raises Unreachable, TlsRefused or BadResponse."""

    def __init__(self, server: Server, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._server = server
        self.connections = ClientPool(server, monotonic)

    async def request(self, request: Request) -> Response:
        """Send a request over the pool, and replace a stuck pool once."""
        async with self._limit_time(request):
            try:
                return await self._send_pooled(request)
            except httpx.PoolTimeout:
                await self.connections.replace_pool()
            try:
                return await self._send_pooled(request)
            except httpx.PoolTimeout as error:
                raise await self.translate_error(error, RequestTrace()) from error

    async def request_long(self, request: Request) -> Response:
        """Send a request that may take minutes over a connection of its own."""
        async with self._limit_time(request), self.connections.open_single() as client:
            return await self._send(client, request)

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator["ResponseStream"]:
        """Send a request over a connection of its own and yield once the headers have come.

        `limit` applies to the headers; the body may take for ever.
        """
        trace = RequestTrace()
        async with self.connections.open_single() as client, AsyncExitStack() as stack:
            async with self._limit_time(request):
                try:
                    opening = self._open(client, request, trace)
                    response = await stack.enter_async_context(opening)
                except TRANSLATABLE_ERRORS as error:
                    raise await self.translate_error(error, trace) from error
            yield ResponseStream(self, request, response, trace)

    async def translate_error(self, error: Exception, trace: RequestTrace) -> AituiError:
        """Return the exception to raise for one of `TRANSLATABLE_ERRORS`."""
        if self.connections.is_closed:
            return ConnectionLost(f"The connection to {authority_of(self._server)} was closed")
        from aitui.llamaswap.connection_errors import translate_error

        explanation = await translate_error(
            self._server,
            error,
            trace,
            accepted=self.connections.is_certificate_accepted,
            answered=self.connections.has_answered,
        )
        if isinstance(explanation, TlsRefused):
            self.connections.recheck_files()
        return explanation

    async def accept(self, response: Response) -> Response:
        """Return a response, unless it refuses our client certificate; raises TlsRefused then.

        Some proxies complete the handshake first. Errors are shown, also if they repeat our key.
        """
        is_page = response.headers.get("content-type", "")[:9] == "text/html"
        if response.is_success and not is_page:
            return response
        body, headers = response.body, response.headers
        for secret in _secrets(self._server):
            body = body.replace(secret.encode(), HIDDEN.encode())
            headers = {name: value.replace(secret, HIDDEN) for name, value in headers.items()}
        response = replace(response, body=body, headers=headers)
        if not response.may_refuse_certificate or not is_https(self._server):
            return response
        from aitui.llamaswap.errors import certificate_complaint

        words = certificate_complaint(response)
        if words is None:
            return response
        from aitui.llamaswap.certificates import client_certificate_error

        self.connections.recheck_files()
        raise await asyncio.to_thread(client_certificate_error, self._server, words)

    async def _send_pooled(self, request: Request) -> Response:
        async with self.connections.use_pool() as client:
            return await self._send(client, request)

    async def _send(self, client: httpx.AsyncClient, request: Request) -> Response:
        trace = RequestTrace()
        try:
            async with self._open(client, request, trace) as response:
                return await self.accept(await _read_response(request, response))
        except httpx.PoolTimeout:
            raise
        except TRANSLATABLE_ERRORS as error:
            raise await self.translate_error(error, trace) from error

    @asynccontextmanager
    async def _open(
        self, client: httpx.AsyncClient, request: Request, trace: RequestTrace
    ) -> AsyncIterator[httpx.Response]:
        async with client.stream(
            request.method,
            self._server.url + request.path,
            headers=request.headers,
            content=request.body or None,
            extensions={"trace": trace},
        ) as response:
            if response.is_success:
                self.connections.mark_accepted()
            yield response

    @asynccontextmanager
    async def _limit_time(self, request: Request) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(request.limit):
                yield
        except TimeoutError as error:
            raise TimedOut(
                f"{authority_of(self._server)} did not finish {request.endpoint}",
                why=f"the time limit is {request.limit:g} s",
            ) from error


class ResponseStream:
    """A response with a body that is read chunk by chunk. Raises Unreachable and BadResponse."""

    def __init__(
        self,
        http_client: HttpClient,
        request: Request,
        response: httpx.Response,
        trace: RequestTrace,
    ) -> None:
        self._http = http_client
        self._request = request
        self._response = response
        self._trace = trace

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return self._response.is_success

    @property
    def content_type(self) -> str:
        """The media type, in lower case and without parameters."""
        content_type = str(self._response.headers.get("content-type", ""))
        return content_type.partition(";")[0].strip().lower()

    async def read(self) -> Response:
        """Read the rest of the body: the error of a refused stream."""
        try:
            response = await _read_response(self._request, self._response)
        except TRANSLATABLE_ERRORS as error:
            raise await self._http.translate_error(error, self._trace) from error
        return await self._http.accept(response)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it arrives; a clean end of it ends the iterator."""
        _check_encoding(self._request, self._response)
        try:
            async with aclosing(_iter_raw(self._response)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except TRANSLATABLE_ERRORS as error:
            raise await self._http.translate_error(error, self._trace) from error


def _iter_raw(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """Return the raw body, typed as the generator that it is, so that it can be closed."""
    return cast("AsyncGenerator[bytes, None]", response.aiter_raw())


async def _read_response(request: Request, response: httpx.Response) -> Response:
    _check_encoding(request, response)
    largest = request.max_bytes if response.is_success else LARGEST_ERROR
    if response.is_success and int(response.headers.get("content-length", 0)) > largest:
        raise _too_large(request)
    body = bytearray()
    async with aclosing(_iter_raw(response)) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > largest:
                break
    if len(body) > largest:
        if response.is_success:
            raise _too_large(request)
        del body[largest:]
    return Response(
        request.endpoint,
        response.status_code,
        {name.lower(): value for name, value in response.headers.items()},
        bytes(body),
    )


def _too_large(request: Request) -> BadResponse:
    largest = request.max_bytes
    size = f"{largest >> 20} MiB" if largest >= 1 << 20 else f"{largest >> 10} KiB"
    return BadResponse(
        f"{request.endpoint} returned more than {size}",
        why="no llama-swap response is that large",
        remedy="check that the URL is that of a llama-swap server",
    )


def _secrets(server: Server) -> tuple[str, ...]:
    """Return what the requests to a server carry, and no message may repeat."""
    found = [server.api_key or ""]
    if server.basic_auth is not None:
        found += [server.basic_auth[1], _basic_credentials(server.basic_auth)]
    return tuple(secret for secret in found if len(secret) >= LEAST_SECRET)


def hide_secrets(server: Server, text: str) -> str:
    """Return text with the server's key and password replaced wherever it repeats them."""
    for secret in _secrets(server):
        text = text.replace(secret, HIDDEN)
    return text


def _basic_credentials(user_and_password: tuple[str, str]) -> str:
    return b64encode(":".join(user_and_password).encode()).decode()


def _check_encoding(request: Request, response: httpx.Response) -> None:
    """Refuse a compressed body: none was asked for, and a small one can unpack to gigabytes."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        raise BadResponse(
            f"{request.endpoint} returned a compressed body",
            why="aitui asked for an uncompressed one",
            remedy="check the proxy in front of llama-swap",
        )


class _PooledClient(Struct, eq=False):
    client: httpx.AsyncClient
    users: int = 0
    retired: bool = False


class ClientPool:
    """Hands out httpx clients with one TLS context, renewed when a certificate file changes.

    It raises CertificateFileError and Unreachable. `is_closed` is set once this side has closed the
    connections.
    """

    def __init__(self, server: Server, monotonic: Callable[[], float]) -> None:
        self._server = server
        self._monotonic = monotonic
        self._context: ssl.SSLContext | None = None
        self._built_from: FileFingerprint | None = None
        self._accepted_fingerprint: FileFingerprint | None = None
        self._checked_at: float | None = None
        self._renewing = asyncio.Lock()
        self._slots = asyncio.Semaphore(SLOTS)
        self._pool: _PooledClient | None = None
        self._settings: tuple[dict[str, str], str | None] | None = None
        """Headers and proxy, read again with a new pool: on another network there may be another."""
        self._open: dict[httpx.AsyncClient, ClosingTransport] = {}
        self.is_closed = False
        self.has_answered = False
        """Whether the server has answered a request with success."""

    @asynccontextmanager
    async def use_pool(self) -> AsyncIterator[httpx.AsyncClient]:
        """Yield the client for short requests, after waiting for a slot."""
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
        """Yield a client for one long request, and close it afterwards."""
        client = self._new_client(await self._current_context(), 1)
        try:
            yield client
        finally:
            await self._close(client)

    async def replace_pool(self) -> None:
        """Give new requests fresh connections; running ones finish on the old ones."""
        self._settings = None
        pool, self._pool = self._pool, None
        if pool is None:
            return
        pool.retired = True
        if not pool.users:
            await self._close(pool.client)

    @property
    def is_certificate_accepted(self) -> bool:
        """Whether the server has already answered with the current certificate files."""
        accepted = self._accepted_fingerprint
        return accepted is not None and accepted == self._built_from

    def mark_accepted(self) -> None:
        """Note that the server has answered, so it accepts the current certificate."""
        self.has_answered = True
        self._accepted_fingerprint = self._built_from

    def recheck_files(self) -> None:
        """Check the certificate files before the next connection: TLS has just failed."""
        self._checked_at = None

    async def aclose(self) -> None:
        """Close every connection; running requests end with ConnectionLost."""
        self.is_closed = True
        self._pool = None
        for transport in self._open.values():
            transport.close_connections()
        await shield(self._close_all())

    async def _close_all(self) -> None:
        while self._open:
            client, _ = self._open.popitem()
            await client.aclose()

    async def _close(self, client: httpx.AsyncClient) -> None:
        transport = self._open.pop(client, None)
        if transport is not None:
            transport.close_connections()
            await shield(client.aclose())

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
        if self.is_closed:
            raise ConnectionLost(f"The connections to {authority_of(self._server)} are closed")
        if self._settings is None:
            self._settings = _build_headers(self._server), environment_proxy(self._server)
        headers, proxy = self._settings
        transport = _build_transport(self._server, context, connections, proxy)
        client = httpx.AsyncClient(
            transport=transport,
            headers=headers,
            # httpx's read timeout counts between chunks: a stream may be silent for longer, so the
            # limits of requests and the watchdog of chats are our own.
            timeout=httpx.Timeout(None, connect=CONNECT_SECONDS, pool=_POOL_SECONDS),
            # httpx keeps cookies by default: this jar takes none.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            follow_redirects=False,
            trust_env=False,
        )
        self._open[client] = transport
        return client


def _build_transport(
    server: Server, context: ssl.SSLContext | None, connections: int, proxy: str | None
) -> ClosingTransport:
    try:
        # Python's sockets raise OverflowError for a port above 65,535: this raises ValueError.
        _ = proxy and urlsplit(proxy).port
        return ClosingTransport(
            # Without a context httpx loads its default trust store, which costs 28 ms; an empty one
            # trusts no certificate and costs nothing.
            context or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            proxy,
            httpx.Limits(max_connections=connections, keepalive_expiry=_KEEP_IDLE_SECONDS),
            KEEPALIVE,
        )
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        raise Unreachable(
            "The proxy set in the environment can't be used",
            why=sanitize_line(str(error), 200),
            remedy=f"set NO_PROXY={host_of(server)}",
        ) from error


def _build_headers(server: Server) -> dict[str, str]:
    headers = {"User-Agent": user_agent(), "Accept-Encoding": "identity"}
    key = server.api_key
    if key is not None and not (key.isascii() and key.isprintable()):
        raise SettingsError(
            "The api_key contains characters that are not allowed in an HTTP header"
        )
    if server.basic_auth is not None:
        # `Authorization` is used for the proxy then; llama-swap reads `x-api-key` as well.
        if key is not None:
            headers["x-api-key"] = key
        headers["Authorization"] = f"Basic {_basic_credentials(server.basic_auth)}"
    elif key is not None:
        headers["Authorization"] = f"Bearer {key}"
    return headers
