"""One request and its whole answer, bounded in time and size; or a stream of chunks."""

import asyncio
import ssl
import time
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import cast
from urllib.request import getproxies, proxy_bypass

import httpx

from aitui.aio import shield
from aitui.domain.sanitize import sanitize_line
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
from aitui.llamaswap.connection_errors import TRANSLATABLE_ERRORS, RequestTrace, translate_error
from aitui.llamaswap.errors import Response
from aitui.llamaswap.tls import FileFingerprint, fingerprint, tls_context
from aitui.llamaswap.transport import KEEPALIVE, ClosingTransport
from aitui.llamaswap.urls import authority_of, host_of, is_loopback, user_agent

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


LARGEST_RESPONSE = 32 * 1024 * 1024
LARGEST_ERROR = 256 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. `path` comes after the server's URL, `limit` is in seconds or None.

    `body` is JSON, empty where there is none.
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
        """How messages name it."""
        return f"{self.method} {self.path}"


class HttpClient:
    """Asks one server: everything that can go wrong comes out as an AituiError."""

    def __init__(self, server: Server, connections: ClientPool) -> None:
        self._server = server
        self._connections = connections

    async def request(self, question: Request) -> Response:
        """Asks over the pool. A pool that has become stuck is replaced, once.

        Raises Unreachable, TlsRefused, BadAnswer.
        """
        async with self._limit_time(question):
            try:
                return await self._send_pooled(question)
            except httpx.PoolTimeout:
                await self._connections.replace_pool()
            try:
                return await self._send_pooled(question)
            except httpx.PoolTimeout as error:
                raise await translate_error(self._server, error, RequestTrace()) from error

    async def request_long(self, question: Request) -> Response:
        """Asks over a connection of its own: the answer may take minutes.

        Raises Unreachable, TlsRefused, BadAnswer.
        """
        async with self._limit_time(question), self._connections.open_single() as client:
            return await self._send(client, question)

    @asynccontextmanager
    async def stream(self, question: Request) -> AsyncIterator["ResponseStream"]:
        """Asks over a connection of its own and yields once the headers are there.

        `limit` is that of the headers; the body may take for ever.
        Raises Unreachable, TlsRefused, BadAnswer.
        """
        progress = RequestTrace()
        async with self._connections.open_single() as client, AsyncExitStack() as stack:
            async with self._limit_time(question):
                try:
                    response = await stack.enter_async_context(
                        client.stream(
                            question.method,
                            self._url(question),
                            headers=question.headers,
                            content=question.body or None,
                            extensions={"trace": progress},
                        )
                    )
                except TRANSLATABLE_ERRORS as error:
                    raise await self.translate_error(error, progress) from error
            self._record_success(response)
            yield ResponseStream(self, question, response, progress)

    async def translate_error(self, error: Exception, progress: RequestTrace) -> AituiError:
        """The exception to raise for one of `TROUBLES`."""
        if self._connections.is_closed:
            return ConnectionLost(f"The connection to {authority_of(self._server)} was closed")
        explanation = await translate_error(
            self._server, error, progress, accepted=self._connections.is_certificate_accepted
        )
        if isinstance(explanation, TlsRefused):
            self._connections.recheck_files()
        return explanation

    async def _send_pooled(self, question: Request) -> Response:
        async with self._connections.use_pool() as client:
            return await self._send(client, question)

    async def _send(self, client: httpx.AsyncClient, question: Request) -> Response:
        progress = RequestTrace()
        try:
            async with client.stream(
                question.method,
                self._url(question),
                headers=question.headers,
                content=question.body or None,
                extensions={"trace": progress},
            ) as response:
                self._record_success(response)
                return await _read_response(question, response)
        except httpx.PoolTimeout:
            raise
        except TRANSLATABLE_ERRORS as error:
            raise await self.translate_error(error, progress) from error

    def _record_success(self, response: httpx.Response) -> None:
        if response.is_success:
            self._connections.mark_accepted()

    def _url(self, question: Request) -> str:
        return self._server.url + question.path

    @asynccontextmanager
    async def _limit_time(self, question: Request) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(question.limit):
                yield
        except TimeoutError as error:
            raise TimedOut(
                f"{authority_of(self._server)} did not finish {question.endpoint}",
                why=f"the time limit is {question.limit:g} s",
            ) from error


class ResponseStream:
    """An answer that goes on: its head, and its body chunk by chunk."""

    def __init__(
        self,
        exchange: HttpClient,
        question: Request,
        response: httpx.Response,
        progress: RequestTrace,
    ) -> None:
        self._exchange = exchange
        self._request = question
        self._response = response
        self._progress = progress

    @property
    def is_success(self) -> bool:
        """Whether the status is one of success."""
        return self._response.is_success

    @property
    def content_type(self) -> str:
        """The media type, in lower case and without parameters."""
        content_type = str(self._response.headers.get("content-type", ""))
        return content_type.partition(";")[0].strip().lower()

    async def read(self) -> Response:
        """The rest of the body as an answer: what a refused stream has to say.

        Raises Unreachable, BadAnswer.
        """
        try:
            return await _read_response(self._request, self._response)
        except TRANSLATABLE_ERRORS as error:
            raise await self._exchange.translate_error(error, self._progress) from error

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it arrives; a clean end ends the iterator.

        Raises ConnectionLost, BadAnswer.
        """
        _check_encoding(self._request, self._response)
        try:
            async with aclosing(_iter_raw(self._response)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except TRANSLATABLE_ERRORS as error:
            raise await self._exchange.translate_error(error, self._progress) from error


def _iter_raw(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """The body as it came, as the generator that it is: one that can be closed."""
    return cast("AsyncGenerator[bytes, None]", response.aiter_raw())


async def _read_response(question: Request, response: httpx.Response) -> Response:
    _check_encoding(question, response)
    largest = question.max_bytes if response.is_success else LARGEST_ERROR
    body = bytearray()
    async with aclosing(_iter_raw(response)) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > largest:
                break
    if len(body) > largest:
        if response.is_success:
            raise BadResponse(
                f"{question.endpoint} answers with more than {largest / 2**20:g} MiB",
                why="no llama-swap server says that much",
                remedy="check that the URL is that of a llama-swap server",
            )
        del body[largest:]
    return Response(
        question.endpoint,
        response.status_code,
        {name.lower(): value for name, value in response.headers.items()},
        bytes(body),
    )


def _check_encoding(question: Request, response: httpx.Response) -> None:
    """Refuses a compressed body: aitui asks for none, and a small one can unpack to gigabytes."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        raise BadResponse(
            f"{question.endpoint} answers with a compressed body",
            why="it was asked for an uncompressed one",
            remedy="check the proxy in front of llama-swap",
        )
