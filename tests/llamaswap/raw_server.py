"""A server that answers exactly what a test wants, down to the byte and the pause."""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self

from aitui.demo.stand_in import close_listener


@dataclass(frozen=True)
class RawRequest:
    """A request as it came: the target is the raw one, header names are in lower case."""

    method: str
    target: str
    headers: dict[str, str]


Respond = Callable[[RawRequest, asyncio.StreamWriter], Awaitable[None]]


def answer(
    body: bytes | str, status: int = 200, content_type: str = "application/json", **headers: str
) -> bytes:
    """A whole answer; an underscore in a header's name stands for a hyphen."""
    content = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(content)}"]
    if content_type:
        lines.append(f"Content-Type: {content_type}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


def head(content_type: str = "application/json", status: int = 200) -> bytes:
    """The head of an answer that lasts until the connection is closed."""
    return f"HTTP/1.1 {status} OK\r\nContent-Type: {content_type}\r\n\r\n".encode()


def always(content: bytes) -> Respond:
    """Answers every request with the same bytes."""

    async def respond(_: RawRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(content)

    return respond


def json_answer(value: object) -> Respond:
    """Answers every request with a value as JSON."""
    return always(answer(json.dumps(value)))


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Returns when a condition of the other side holds, which nothing here announces."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def hang(_: RawRequest, writer: asyncio.StreamWriter) -> None:
    """Answers nothing."""
    del writer
    await asyncio.Event().wait()


@dataclass
class RawServer:
    """Listens on a free port of the loopback while the context is open."""

    respond: Respond
    context: ssl.SSLContext | None = None
    requests: list[RawRequest] = field(default_factory=list)
    connections: int = 0
    greeting: bytes = b""
    _server: asyncio.Server | None = None
    _tasks: dict[asyncio.Task[None], asyncio.StreamReader] = field(default_factory=dict)

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        scheme = "https" if self.context is not None else "http"
        return f"{scheme}://localhost:{self.port}"

    async def until_all_hung_up(self) -> None:
        """Returns when every client has closed its socket."""
        await until(lambda: all(_has_ended(reader) for reader in self._tasks.values()))
        await self.hang_up()

    async def hang_up(self) -> None:
        """Break every connection, as a server that is restarted does."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self.context)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        await close_listener(self._server)
        await self.hang_up()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks[task] = reader

        def ended(_: asyncio.Task[None]) -> None:
            # A task that is cancelled before it began has no chance to do that itself.
            del self._tasks[task]
            writer.transport.abort()

        task.add_done_callback(ended)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(self.greeting)
            while True:
                text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = text.strip().split("\r\n")
                method, target, _ = first.split(" ", 2)
                pairs = (line.partition(": ") for line in lines)
                headers = {name.lower(): value for name, _, value in pairs}
                request = RawRequest(method, target, headers)
                self.requests.append(request)
                await self.respond(request, writer)
                await writer.drain()
                if writer.is_closing():
                    return
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            return


def _has_ended(reader: asyncio.StreamReader) -> bool:
    """Whether the client hung up; with something unread, its socket is reset instead of closed."""
    return reader.at_eof() or reader.exception() is not None
