"""Sockets for httpx that close with their client, whatever httpcore forgets.

httpcore leaks the socket of a TLS handshake that is cancelled, of a connection that is finished
after its pool was closed, and of one that refuses its options. A task that is cancelled while it
closes several connections, as after a restart of the server, leaves the rest of them open. So
closing a socket here never awaits: an awaiting close can itself be cancelled.
"""

import asyncio
import socket
import ssl
import sys
from collections.abc import Coroutine, Iterable
from typing import Any

import httpcore
import httpx
from msgspec import Struct

# anyio has imported it by now if it is installed; httpcore looks for it at each request and lock,
# some forty times before the first table, and searches the whole path in vain: 0.1 ms each.
sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]

TRANSLATABLE_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError)
"""What is raised by a request that fails on its way, for `translate_error`."""

_IDLE_SECONDS = 30
_INTERVAL_SECONDS = 10
_PROBES = 3

# A server refuses a client certificate in the first round trip after the handshake; what breaks
# later broke for another reason, such as a load that took minutes.
_REFUSAL_SECONDS = 5.0


class ClosingBackend(httpcore.AsyncNetworkBackend):
    """httpcore's own backend, with a record of what it has opened.

    `is_closed` is set once it refuses to open connections.
    """

    def __init__(self) -> None:
        self._backend = httpcore.AnyIOBackend()
        self._open: set[_TrackedStream] = set()
        self.is_closed = False

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect. Raises httpcore's exceptions."""
        stream = self.track(await self._backend.connect_tcp(host, port, timeout, local_address))
        try:
            for option in socket_options or ():
                stream.get_extra_info("socket").setsockopt(*option)
        except OSError as error:
            # As macOS answers for a connection that the other side has just reset.
            await stream.aclose()
            raise httpcore.ConnectError(str(error)) from error
        return stream

    async def sleep(self, seconds: float) -> None:
        """Sleep."""
        await self._backend.sleep(seconds)

    def track(self, stream: httpcore.AsyncNetworkStream) -> httpcore.AsyncNetworkStream:
        """Record a stream to be closed with this backend. Raises ConnectError if it is closed."""
        kept = _TrackedStream(self, stream)
        self._open.add(kept)
        if self.is_closed:
            self.close(kept)
            raise httpcore.ConnectError("closed while it was being connected")
        return kept

    def close(self, stream: "_TrackedStream") -> None:
        """Close a stream."""
        if stream in self._open:
            self._open.discard(stream)
            _run_to_completion(stream.wrapped.aclose())

    def untrack(self, stream: "_TrackedStream") -> None:
        """Forget a stream that another one wraps from now on."""
        self._open.discard(stream)

    def close_all(self) -> None:
        """Close all streams now, and those that are still connecting when they are done."""
        self.is_closed = True
        for stream in list(self._open):
            self.close(stream)


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
            # A stream is ended by closing its connection; over HTTP/2 others would share that.
            http2=False,
            proxy=proxy,
            trust_env=False,
            limits=limits,
            socket_options=socket_options,
        )
        self._backend = ClosingBackend()
        # httpx has no parameter for httpcore's network_backend.
        self._pool._network_backend = self._backend  # noqa: SLF001

    def close_connections(self) -> None:
        """Close every connection at once; requests over them fail."""
        self._backend.close_all()

    async def aclose(self) -> None:
        """Close every connection and the pool."""
        self.close_connections()
        await super().aclose()
        await asyncio.sleep(0)  # asyncio closes the sockets themselves one turn later


class _TrackedStream(httpcore.AsyncNetworkStream):
    def __init__(self, owner: ClosingBackend, wrapped: httpcore.AsyncNetworkStream) -> None:
        self._owner = owner
        self.wrapped = wrapped
        # A stream of tokens makes thousands of these calls a second: no layer of ours between.
        self.read = wrapped.read  # type: ignore[method-assign]
        self.write = wrapped.write  # type: ignore[method-assign]
        self.get_extra_info = wrapped.get_extra_info  # type: ignore[method-assign]

    async def aclose(self) -> None:
        self._owner.close(self)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        # httpcore leaks the socket of a handshake that is cancelled: whatever ends it closes it here.
        try:
            secured = await self.wrapped.start_tls(ssl_context, server_hostname, timeout)
        except BaseException as error:
            self._owner.close(self)
            if self._owner.is_closed and isinstance(error, Exception):
                # httpx doesn't translate anyio's own error for a socket that was closed here.
                raise httpcore.ConnectError("closed during the handshake") from error
            raise
        self._owner.untrack(self)
        return self._owner.track(secured)


def _run_to_completion(closing: Coroutine[Any, Any, None]) -> None:
    """Run a close without the loop: anyio only yields there, and never waits for I/O."""
    try:
        while closing.send(None) is None:
            pass
    except StopIteration:
        return
    finally:
        closing.close()


def _socket_options() -> list[tuple[int, int, int]]:
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (
        ("TCP_KEEPIDLE", _IDLE_SECONDS),
        ("TCP_KEEPINTVL", _INTERVAL_SECONDS),
        ("TCP_KEEPCNT", _PROBES),
    ):
        option = getattr(socket, name, None)  # macOS calls the first TCP_KEEPALIVE
        if option is not None:
            options.append((socket.IPPROTO_TCP, option, value))
    return options


KEEPALIVE = _socket_options()


class RequestTrace(Struct):
    """The progress of a request, filled in by httpx's trace; `handshake_at` is the loop's time."""

    handshake_at: float | None = None
    headers: bool = False

    async def __call__(self, event: str, info: object) -> None:  # noqa: ARG002 - httpx calls it so
        """Record an event of the trace extension."""
        if event == "connection.start_tls.complete":
            self.handshake_at = asyncio.get_running_loop().time()
        elif event.endswith("receive_response_headers.complete"):
            self.headers = True

    @property
    def is_just_after_handshake(self) -> bool:
        """Whether TLS was set up a moment ago and no response has come yet."""
        if self.handshake_at is None or self.headers:
            return False
        return asyncio.get_running_loop().time() - self.handshake_at < _REFUSAL_SECONDS
