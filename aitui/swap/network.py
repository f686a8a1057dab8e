"""Sockets for httpx that are closed when the TLS handshake is cancelled.

httpcore closes the socket when a handshake fails and forgets it when the task is cancelled: an
endpoint that accepts and stays silent would cost a file descriptor a try.
"""

import ssl
from collections.abc import Iterable

import httpcore

from aitui.swap.closing import to_the_end


class ClosingBackend(httpcore.AsyncNetworkBackend):
    """httpcore's own backend, its plain streams wrapped."""

    def __init__(self) -> None:
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection; httpcore's exceptions."""
        return _PlainStream(
            await self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
        )

    async def sleep(self, seconds: float) -> None:
        """A pause, in seconds."""
        await self._backend.sleep(seconds)


class _PlainStream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            return await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            await to_the_end(self._stream.aclose())
            raise

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)
