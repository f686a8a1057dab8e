"""Sockets for httpx that close with their client, whatever httpcore forgets.

httpcore closes a socket when the handshake over it fails, and forgets it when the task is
cancelled meanwhile. It forgets one whose pool is closed before it is connected, and one that does
not take its options. And a task that is cancelled while it closes several connections, as after a
restart of the server, leaves the rest of them open: so closing one here never waits.
"""

import asyncio
import ssl
from collections.abc import Iterable

import httpcore
import httpx


class ClosingBackend(httpcore.AsyncNetworkBackend):
    """httpcore's own backend, which knows what it has opened."""

    def __init__(self) -> None:
        self._backend = httpcore.AnyIOBackend()
        self._open: set[_Stream] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether it opens nothing any more."""
        return self._closed

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection; httpcore's exceptions."""
        stream = self.keep(await self._backend.connect_tcp(host, port, timeout, local_address))
        try:
            for option in socket_options or ():
                stream.get_extra_info("socket").setsockopt(*option)
        except OSError as error:
            # As macOS answers for a connection that the other side has just reset.
            await stream.aclose()
            raise httpcore.ConnectError(str(error)) from error
        return stream

    async def sleep(self, seconds: float) -> None:
        """A pause, in seconds."""
        await self._backend.sleep(seconds)

    def keep(self, stream: httpcore.AsyncNetworkStream) -> httpcore.AsyncNetworkStream:
        """The stream, closed with this at the latest. Raises ConnectError where that has been."""
        kept = _Stream(self, stream)
        self._open.add(kept)
        if self._closed:
            self.close(kept)
            raise httpcore.ConnectError("closed while it was being connected")
        return kept

    def close(self, stream: "_Stream") -> None:
        """Begin to close one."""
        if stream in self._open:
            self._open.discard(stream)
            closing = asyncio.ensure_future(stream.wrapped.aclose())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def let_go(self, stream: "_Stream") -> None:
        """Leave one to what is built upon it."""
        self._open.discard(stream)

    async def aclose(self) -> None:
        """Close all there is, and what is still being connected as soon as it is."""
        self._closed = True
        for stream in list(self._open):
            self.close(stream)
        if self._closing:
            await asyncio.wait(self._closing)


class ClosingTransport(httpx.AsyncHTTPTransport):
    """httpx's own transport over a backend that is closed with it."""

    def __init__(
        self,
        context: ssl.SSLContext,
        proxy: str | None,
        limits: httpx.Limits,
        socket_options: Iterable[httpcore.SOCKET_OPTION],
    ) -> None:
        super().__init__(
            verify=context,
            http2=False,
            proxy=proxy,
            trust_env=False,
            limits=limits,
            socket_options=socket_options,
        )
        self._backend = ClosingBackend()
        # httpx has no parameter for what httpcore calls network_backend.
        self._pool._network_backend = self._backend  # noqa: SLF001

    async def aclose(self) -> None:
        """Close every connection."""
        await self._backend.aclose()
        await super().aclose()


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, owner: ClosingBackend, wrapped: httpcore.AsyncNetworkStream) -> None:
        self._owner = owner
        self.wrapped = wrapped

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self.wrapped.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self.wrapped.write(buffer, timeout)

    async def aclose(self) -> None:
        self._owner.close(self)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            secured = await self.wrapped.start_tls(ssl_context, server_hostname, timeout)
        except BaseException as error:
            self._owner.close(self)
            if self._owner.closed and isinstance(error, Exception):
                # anyio's own error for a socket that is closed here is none that httpx knows.
                raise httpcore.ConnectError("closed during the handshake") from error
            raise
        self._owner.let_go(self)
        return self._owner.keep(secured)

    def get_extra_info(self, info: str) -> object:
        return self.wrapped.get_extra_info(info)
