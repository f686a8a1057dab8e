"""One request and its whole answer, bounded in time and size; or a stream of chunks."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import cast

import httpx

from aitui.domain.server import Server
from aitui.errors import AituiError, BadAnswer, ConnectionLost, TimedOut, TlsRefused
from aitui.swap.addresses import authority_of
from aitui.swap.answers import Answer
from aitui.swap.connection_errors import TROUBLES, Progress, explained
from aitui.swap.connections import Connections

LARGEST_ANSWER = 32 * 1024 * 1024
LARGEST_ERROR = 256 * 1024


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `path` comes after the server's URL, `limit` is in seconds or None.

    `body` is JSON, empty where there is none.
    """

    method: str
    path: str
    limit: float | None
    accept: str = "application/json"
    largest: int = LARGEST_ANSWER
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


class Exchange:
    """Asks one server: everything that can go wrong comes out as an AituiError."""

    def __init__(self, server: Server, connections: Connections) -> None:
        self._server = server
        self._connections = connections

    async def briefly(self, question: Question) -> Answer:
        """Asks over the pool. A pool that has become stuck is replaced, once.

        Raises Unreachable, TlsRefused, BadAnswer.
        """
        async with self._limited(question):
            try:
                return await self._ask_pooled(question)
            except httpx.PoolTimeout:
                await self._connections.replace_pool()
            try:
                return await self._ask_pooled(question)
            except httpx.PoolTimeout as error:
                raise await explained(self._server, error, Progress()) from error

    async def at_length(self, question: Question) -> Answer:
        """Asks over a connection of its own: the answer may take minutes.

        Raises Unreachable, TlsRefused, BadAnswer.
        """
        async with self._limited(question), self._connections.single() as client:
            return await self._ask(client, question)

    @asynccontextmanager
    async def streaming(self, question: Question) -> AsyncIterator["Stream"]:
        """Asks over a connection of its own and yields once the headers are there.

        `limit` is that of the headers; the body may take for ever.
        Raises Unreachable, TlsRefused, BadAnswer.
        """
        progress = Progress()
        async with self._connections.single() as client, AsyncExitStack() as stack:
            async with self._limited(question):
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
                except TROUBLES as error:
                    raise await self.explain(error, progress) from error
            self._note(response)
            yield Stream(self, question, response, progress)

    async def explain(self, error: Exception, progress: Progress) -> AituiError:
        """The exception to raise for one of `TROUBLES`."""
        if self._connections.closed:
            return ConnectionLost(f"The connection to {authority_of(self._server)} was closed")
        explanation = await explained(
            self._server, error, progress, accepted=self._connections.accepted
        )
        if isinstance(explanation, TlsRefused):
            self._connections.look_at_files_again()
        return explanation

    async def _ask_pooled(self, question: Question) -> Answer:
        async with self._connections.pooled() as client:
            return await self._ask(client, question)

    async def _ask(self, client: httpx.AsyncClient, question: Question) -> Answer:
        progress = Progress()
        try:
            async with client.stream(
                question.method,
                self._url(question),
                headers=question.headers,
                content=question.body or None,
                extensions={"trace": progress},
            ) as response:
                self._note(response)
                return await _read(question, response)
        except httpx.PoolTimeout:
            raise
        except TROUBLES as error:
            raise await self.explain(error, progress) from error

    def _note(self, response: httpx.Response) -> None:
        if response.is_success:
            self._connections.answered()

    def _url(self, question: Question) -> str:
        return self._server.url + question.path

    @asynccontextmanager
    async def _limited(self, question: Question) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(question.limit):
                yield
        except TimeoutError as error:
            raise TimedOut(
                f"{authority_of(self._server)} did not finish {question.endpoint}",
                why=f"the time limit is {question.limit:g} s",
            ) from error


class Stream:
    """An answer that goes on: its head, and its body chunk by chunk."""

    def __init__(
        self, exchange: Exchange, question: Question, response: httpx.Response, progress: Progress
    ) -> None:
        self._exchange = exchange
        self._question = question
        self._response = response
        self._progress = progress

    @property
    def succeeded(self) -> bool:
        """Whether the status is one of success."""
        return self._response.is_success

    @property
    def content_type(self) -> str:
        """The media type, in lower case and without parameters."""
        content_type = str(self._response.headers.get("content-type", ""))
        return content_type.partition(";")[0].strip().lower()

    async def whole(self) -> Answer:
        """The rest of the body as an answer: what a refused stream has to say.

        Raises Unreachable, BadAnswer.
        """
        try:
            return await _read(self._question, self._response)
        except TROUBLES as error:
            raise await self._exchange.explain(error, self._progress) from error

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it arrives; a clean end ends the iterator.

        Raises ConnectionLost, BadAnswer.
        """
        _check_encoding(self._question, self._response)
        try:
            async with aclosing(_raw(self._response)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except TROUBLES as error:
            raise await self._exchange.explain(error, self._progress) from error


def _raw(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """The body as it came, as the generator that it is: one that can be closed."""
    return cast("AsyncGenerator[bytes, None]", response.aiter_raw())


async def _read(question: Question, response: httpx.Response) -> Answer:
    _check_encoding(question, response)
    largest = question.largest if response.is_success else LARGEST_ERROR
    body = bytearray()
    async with aclosing(_raw(response)) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > largest:
                break
    if len(body) > largest:
        if response.is_success:
            raise BadAnswer(
                f"{question.endpoint} answers with more than {largest / 2**20:g} MiB",
                why="no llama-swap server says that much",
                remedy="check that the URL is that of a llama-swap server",
            )
        del body[largest:]
    return Answer(
        question.endpoint,
        response.status_code,
        {name.lower(): value for name, value in response.headers.items()},
        bytes(body),
    )


def _check_encoding(question: Question, response: httpx.Response) -> None:
    """Refuses a compressed body: aitui asks for none, and a small one can unpack to gigabytes."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        raise BadAnswer(
            f"{question.endpoint} answers with a compressed body",
            why="it was asked for an uncompressed one",
            remedy="check the proxy in front of llama-swap",
        )
