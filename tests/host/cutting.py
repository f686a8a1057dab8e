"""A way to a server that breaks, or falls silent, after so many pieces."""

import asyncio
from typing import Self

from aitui.demo.stand_in import close_listener

_PIECE = 512


class CuttingForwarder:
    """Passes pieces of at most 512 bytes on, both ways, and breaks every connection when `limit`
    of them have passed altogether. What comes after that is refused as well. One that `stalls`
    keeps the connections open instead, and passes nothing.
    """

    def __init__(self, port: int, *, stalls: bool = False) -> None:
        self._port = port
        self._stalls = stalls
        self.limit: int | None = None
        self._over = asyncio.Event()
        self.passed = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def is_broken(self) -> bool:
        """Whether nothing passes any more."""
        return self.limit is not None and self.passed >= self.limit

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Break what is open."""
        assert self._server is not None
        await close_listener(self._server)
        self._over.set()
        self._break()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        if self.is_broken:
            await self._fail()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers.add(back)
        if self._over.is_set():
            self._break()
        await asyncio.gather(self._pass(reader, back), self._pass(there, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not self.is_broken and (piece := await reader.read(_PIECE)):
                self.passed += 1
                writer.write(piece)
                await writer.drain()
        except OSError:
            pass  # the other direction broke it
        if self.is_broken:
            await self._fail()
        else:
            writer.close()

    async def _fail(self) -> None:
        if self._stalls:
            await self._over.wait()
        self._break()

    def _break(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
