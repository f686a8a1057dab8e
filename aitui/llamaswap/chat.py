"""Streamed chats with the models of one llama-swap server.

Importing this module imports httpx: callers import it when they first chat.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any, Self

import msgspec
from msgspec.structs import replace

from aitui.domain.chat.conversation import ChatRequest
from aitui.domain.chat.reply import Delta, ResponseStarted, StreamError
from aitui.domain.server import Server
from aitui.errors import AituiError, BadResponse, Unreachable
from aitui.llamaswap.chat_errors import (
    EXTRAS,
    chat_error,
    reduce_extras,
    reply_cut_error,
    stream_error,
)
from aitui.llamaswap.chat_stream import ChatStreamParser
from aitui.llamaswap.errors import web_page_error
from aitui.llamaswap.http import HttpClient, Request, ResponseStream, hide_secrets
from aitui.llamaswap.stream import PacedReader

_PATH = "/v1/chat/completions"

Batch = tuple[Delta, ...]
"""The deltas that came together; never empty."""


class ChatClient:
    """Chats with one server, each over a connection of its own. Opening does no I/O."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._http = HttpClient(server)
        self._extras: dict[str, frozenset[str]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection; running replies end as interrupted."""
        await self._http.connections.aclose()

    @asynccontextmanager
    async def stream(self, request: ChatRequest) -> AsyncIterator[AsyncIterator[Batch]]:
        """Yield the reply to a request as it comes. Leaving the block closes the connection.

        Entering waits for the server's queue and a load. The iterator yields everything that came
        before it raises. Raises NoSuchModel, ContextExceeded, LoadFailed, ReplyInterrupted,
        Unauthorized, TooManyRequests, Unreachable, TlsRefused, ServerError, BadResponse.
        """
        async with AsyncExitStack() as stack:
            stream = await self._open(request, stack)
            async with aclosing(self._read_reply(request.model, stream)) as batches:
                yield batches

    async def _open(self, request: ChatRequest, stack: AsyncExitStack) -> ResponseStream:
        extras = self._extras.get(request.model, EXTRAS)
        stream = await self._post(request, extras, stack)
        if stream.is_success:
            return stream
        response = await stream.read()
        fewer = reduce_extras(response, extras)
        if fewer != extras:
            await stack.aclose()
            stream = await self._post(request, fewer, stack)
            if stream.is_success:
                self._extras[request.model] = fewer
                return stream
            response = await stream.read()
        raise chat_error(self._server, response, request.model)

    async def _post(
        self, request: ChatRequest, extras: frozenset[str], stack: AsyncExitStack
    ) -> ResponseStream:
        body = request_body(request, extras)
        http_request = Request("POST", _PATH, None, accept="text/event-stream", body=body)
        return await stack.enter_async_context(self._http.stream(http_request))

    async def _read_reply(self, model: str, stream: ResponseStream) -> AsyncGenerator[Batch, None]:
        yield (ResponseStarted(),)
        parser = ChatStreamParser()
        error: AituiError | None = None
        if stream.content_type in {"application/json", "text/html"}:
            batch, error = await self._read_whole(parser, stream)
            if batch:
                yield batch
        else:
            async with aclosing(stream.chunks()) as chunks, PacedReader(chunks) as reader:
                has_begun = False
                while not parser.done and parser.error is None:
                    # A batch of a long prompt may take longer than any limit: it is on screen.
                    counts = has_begun and not parser.reads_prompt
                    data, error = await self._read_within_limit(reader, silence_counts=counts)
                    has_begun = True
                    batch = tuple(parser.feed(data) if data else parser.finish())
                    if batch:
                        yield batch
                    if not data:
                        break
        batch = tuple(parser.finish())
        if batch:
            yield batch
        if parser.error is not None:
            if isinstance(parser.error, StreamError):
                words = hide_secrets(self._server, parser.error.words)
                raise stream_error(replace(parser.error, words=words), model)
            parser.error.why = hide_secrets(self._server, parser.error.why)
            raise parser.error
        if not parser.done:
            raise _cut_error(parser, error) from error

    async def _read_within_limit(
        self, reader: PacedReader, *, silence_counts: bool
    ) -> tuple[bytes, AituiError | None]:
        limit = self._server.timeout
        try:
            return await reader.take(limit if silence_counts else None), None
        except TimeoutError:
            return b"", Unreachable(f"the server was silent for {limit:g} s")
        except AituiError as error:
            return b"", error

    async def _read_whole(
        self, parser: ChatStreamParser, stream: ResponseStream
    ) -> tuple[Batch, AituiError | None]:
        """Read the reply of a server that doesn't stream."""
        try:
            response = await stream.read()
        except Unreachable as error:
            return (), error
        if stream.content_type == "text/html":
            raise web_page_error(response)
        return tuple(parser.feed_whole(response.body)), None


def request_body(request: ChatRequest, extras: frozenset[str]) -> bytes:
    """Encode a request. Lone surrogates, which JSON can't carry, become `?`."""
    body: dict[str, Any] = {
        **request.sampling.as_object(),
        "model": request.model,
        "messages": request.messages,
        "stream": True,
    }
    if "stream_options" in extras:
        body["stream_options"] = {"include_usage": True}
    body.update(dict.fromkeys(sorted(extras - {"stream_options"}), True))
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError:
        return msgspec.json.encode(_replace_surrogates(body))


def _replace_surrogates(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_replace_surrogates(key): _replace_surrogates(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_replace_surrogates(item) for item in value]
    return value


def _cut_error(parser: ChatStreamParser, error: AituiError | None) -> AituiError:
    if error is not None and (not parser.characters or isinstance(error, BadResponse)):
        return error
    if error is not None:
        why = " — ".join(part for part in (error.what, error.why) if part)
    else:
        why = "the stream ended early: the model crashed or was unloaded, or its server restarted"
    return reply_cut_error(why, parser.tokens, parser.characters)
