"""A proxy on loopback that passes requests on to the stand-in, and breaks those it is told to.

It speaks in bytes: no HTTP library would send what these faults send.
"""

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

_LARGEST_HEAD = 1 << 16
_PIECE = 1 << 16


@dataclass(frozen=True)
class Exchange:
    """One request, and the connection on which it waits for its answer."""

    head: bytes
    body: bytes
    port: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def line(self) -> str:
        """Method and path."""
        return b" ".join(self.head.split(b" ", 2)[:2]).decode("latin-1")

    async def send(self, data: bytes) -> None:
        """Send bytes to the client. Raises ConnectionError once it is gone."""
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """End the connection as a crash does: with RST instead of FIN."""
        found = self.writer.get_extra_info("socket")
        if found is not None:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def until_left(self) -> None:
        """Say nothing more until the client has gone."""
        while await self.reader.read(_PIECE):
            pass

    @asynccontextmanager
    async def ask(self) -> AsyncIterator[tuple[bytes, asyncio.StreamReader]]:
        """Ask the stand-in; yield the head of its answer, and the rest to be read."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            line, _, headers = self.head.partition(b"\r\n")
            lines = [
                one for one in headers.split(b"\r\n") if not one.lower().startswith(b"connection:")
            ]
            writer.write(b"\r\n".join([line, b"Connection: close", *lines]) + self.body)
            yield await reader.readuntil(b"\r\n\r\n"), reader
        finally:
            writer.close()

    async def answer(self) -> tuple[bytes, bytes]:
        """Ask the stand-in and read its whole answer: the head, and the body without chunks."""
        async with self.ask() as (head, reader):
            body = await reader.read()
        return (head, _unchunk(body)) if b"chunked" in head.lower() else (head, body)

    async def pass_on(self, edit: Callable[[bytes], bytes] | None = None) -> None:
        """Give the client the stand-in's answer as it comes, each event of a stream through `edit`."""
        async with self.ask() as (head, reader):
            chunked = edit is not None and b"chunked" in head.lower()
            await self.send(_without_length(head) if edit else head)
            left = asyncio.create_task(self.until_left())
            try:
                while data := await _read_unless(left, reader, chunked=chunked):
                    await self.send(edit(data) if edit else data)
            finally:
                left.cancel()


async def _read_unless(
    left: "asyncio.Task[None]", reader: asyncio.StreamReader, *, chunked: bool
) -> bytes:
    reading = asyncio.create_task(_read_chunk(reader) if chunked else reader.read(_PIECE))
    try:
        await asyncio.wait({left, reading}, return_when=asyncio.FIRST_COMPLETED)
        return b"" if left.done() else await reading
    finally:
        reading.cancel()


async def _read_chunk(reader: asyncio.StreamReader) -> bytes:
    size = int(await reader.readline() or b"0", 16)
    return (await reader.readexactly(size + 2))[:size]


def _without_length(head: bytes) -> bytes:
    ends = (b"content-length:", b"transfer-encoding:")
    return b"\r\n".join(one for one in head.split(b"\r\n") if not one.lower().startswith(ends))


Fault = Callable[[Exchange], Awaitable[None]]


class Gateway:
    """Listens on a port of its own; `tls` is what it presents, None for plain HTTP."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._port = port
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._faulty: set[asyncio.Task[None]] = set()
        self._pattern: re.Pattern[str] | None = None
        self._fault: Fault | None = None
        self.port = 0
        self.broken = 0
        """How many requests met the fault."""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'https' if self._tls else 'http'}://localhost:{self.port}"

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.refuse()

    async def listen(self, tls: ssl.SSLContext | None = None) -> None:
        """Accept connections, on the same port as before; with other TLS settings if given."""
        self._tls = tls or self._tls
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, ssl=self._tls, limit=_LARGEST_HEAD
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.drop()

    async def drop(self, pattern: str = "") -> None:
        """Close every connection, or those of requests that match."""
        await _cancel({task for task, line in self._tasks.items() if re.match(pattern, line)})

    def break_requests(self, pattern: str, fault: Fault) -> None:
        """Answer requests whose method and path match with a fault from now on."""
        self._pattern, self._fault, self.broken = re.compile(pattern), fault, 0

    async def heal(self) -> None:
        """Pass everything on again, and end the connections that the fault still holds."""
        self._pattern = self._fault = None
        await _cancel(self._faulty)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = ""
        try:
            await self._respond(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError, ssl.SSLError):
            pass  # the client has gone, which many of these faults provoke
        except asyncio.CancelledError:
            pass  # dropped; asyncio logs a connection whose task ends cancelled
        finally:
            del self._tasks[task]
            self._faulty.discard(task)
            writer.close()

    async def _respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        body = await reader.readexactly(int(found[1])) if found else b""
        exchange = Exchange(head, body, self._port, reader, writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = exchange.line
        if self._fault is not None and self._pattern and self._pattern.match(exchange.line):
            self.broken += 1
            self._faulty.add(task)
            await self._fault(exchange)
        else:
            await exchange.pass_on()


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    for task in list(tasks):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _unchunk(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        whole, body = whole + rest[:length], rest[length + 2 :]
        if not length:
            break
    return whole
