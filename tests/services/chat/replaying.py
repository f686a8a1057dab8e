"""A server that answers a chat with exactly these bytes, and remembers what it was asked."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from aitui.domain.chat.conversation import ChatRequest
from aitui.domain.snapshot import Server
from aitui.errors import AituiError
from aitui.llamaswap.chat import ChatClient
from services.chat.recorded_streams import Said

REQUEST = ChatRequest("m", ({"role": "user", "content": "hi"},))


def event(**value: Any) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


def says(text: str, **more: Any) -> bytes:
    return event(id="x", model="m", choices=[{"index": 0, "delta": {"content": text}}], **more)


def ends(reason: str = "stop") -> bytes:
    finish = event(id="x", choices=[{"index": 0, "delta": {}, "finish_reason": reason}])
    return finish + b"data: [DONE]\n\n"


Respond = Callable[["Replaying", web.StreamResponse], Awaitable[None]]


@dataclass
class Replaying:
    """What was asked so far, and whether the last client has hung up."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def server(self) -> Server:
        return Server(url=self.url, identity="replaying", timeout=5.0)


@asynccontextmanager
async def replaying(respond: Callable[[Replaying, web.Request], Any]) -> AsyncIterator[Replaying]:
    """Serve `POST /v1/chat/completions` by that function."""
    there = Replaying()

    async def handle(request: web.Request) -> web.StreamResponse:
        there.bodies.append(await request.json())
        try:
            response: web.StreamResponse = await respond(there, request)
        except asyncio.CancelledError:
            there.hung_up.set()
            raise
        return response

    app = web.Application()
    app.router.add_post("/v1/chat/completions", handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    there.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield there
    finally:
        await runner.cleanup()


@asynccontextmanager
async def streaming(request: web.Request) -> AsyncIterator[web.StreamResponse]:
    """An event stream, begun."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    yield response


def stream_of(*pieces: bytes) -> Callable[[Replaying, web.Request], Awaitable[web.StreamResponse]]:
    """Answers with a stream of these pieces and ends it."""

    async def respond(_: Replaying, request: web.Request) -> web.StreamResponse:
        async with streaming(request) as response:
            for piece in pieces:
                await response.write(piece)
        return response

    return respond


def refuses(
    status: int, body: object, **headers: str
) -> Callable[[Replaying, web.Request], Awaitable[web.StreamResponse]]:
    """Answers with an error."""
    text = body if isinstance(body, str) else json.dumps(body)
    kind = "text/plain" if isinstance(body, str) else "application/json"

    async def respond(_: Replaying, __: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, text=text, content_type=kind, headers=named)

    return respond


async def heard(server: Server, request: ChatRequest = REQUEST) -> tuple[Said, AituiError | None]:
    """What a chat said, and what it raised in the end."""
    async with ChatClient(server) as client:
        return await heard_by(client, request)


async def heard_by(
    client: ChatClient, request: ChatRequest = REQUEST
) -> tuple[Said, AituiError | None]:
    """The same by a client that stays."""
    result = Said()
    try:
        async with client.stream(request) as batches:
            async for batch in batches:
                result.add(delta for delta in batch if type(delta).__name__ != "ResponseStarted")
    except AituiError as error:
        return result, error
    return result, None
