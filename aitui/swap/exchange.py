"""One request and its whole answer, bounded in time and size; or a stream of chunks."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import cast

import httpx

from aitui.domain.server import Server
from aitui.errors import AituiError, BadResponse, ConnectionLost, TimedOut, TlsRefused
from aitui.swap.addresses import authority_of
from aitui.swap.answers import Response
from aitui.swap.connection_errors import TRANSLATABLE_ERRORS, RequestTrace, translate_error
from aitui.swap.connections import ClientPool

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
