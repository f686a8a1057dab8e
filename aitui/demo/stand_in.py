"""The stand-in server: a fake llama-swap behind real sockets and real TLS."""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Self

from aiohttp import web
from msgspec import Struct

from aitui.demo.activity import CLIENT_LEFT, TokenCounts
from aitui.demo.answers import CompleteResponse, Response, ResponseContent
from aitui.demo.call import IncomingRequest
from aitui.demo.captures import RequestExchange
from aitui.demo.certificates import Certificates
from aitui.demo.configuration import BadConfiguration, Configuration, parse_configuration
from aitui.demo.dialect import Dialect, error
from aitui.demo.go_text import duration
from aitui.demo.graphics_cards import ONE_CARD, GraphicsCard, GraphicsCards
from aitui.demo.llama_swap import LlamaSwap, ServerLogs
from aitui.demo.log_ring import ServerLog
from aitui.demo.routes import Routes
from aitui.demo.running_requests import Caller
from aitui.demo.upstream_process import ProcessState, UpstreamProcess

ANYWHERE = ("127.0.0.1", 0)
_LARGEST_BODY = 64 * 1024 * 1024
_GRACE_SECONDS = 0.1
_UNLOGGED_PATHS = ("/wol-health", "/api/performance", "/metrics")
_ACCEPT_TURNS = 3
"""Turns of the event loop until a connection that was accepted in one has its protocol."""


class _Runtime(Struct, frozen=True):
    """What a reload replaces."""

    swap: LlamaSwap
    routes: Routes


class _Listener(Struct, frozen=True):
    """The open port, and the HTTP server behind it."""

    tcp: asyncio.Server
    http: web.Server


async def close_listener(listener: asyncio.Server) -> None:
    """Close a listener as its own `close()` does, but keep connections that were just accepted."""
    # asyncio forgets the sockets accepted in the turn in which a server closes:
    # https://github.com/python/cpython/issues/109564
    loop = asyncio.get_running_loop()
    for listening in listener.sockets:
        loop.remove_reader(listening.fileno())
    try:
        for _ in range(_ACCEPT_TURNS):
            await asyncio.sleep(0)
    finally:
        listener.close()


class StandIn:
    """A llama-swap in the caller's own event loop."""

    def __init__(
        self,
        config_text: str,
        dialect: Dialect = Dialect.V218,
        certificates: Certificates | None = None,
        *,
        require_client_certificate: bool = True,
        listen: tuple[str, int] = ANYWHERE,
        say: Callable[[str], None] | None = None,
        cards: tuple[GraphicsCard, ...] = ONE_CARD,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`listen` is host and port, 0 for any free one; `say` gets what it would print.

        `cards` are the graphics cards of its machine, `wall` is its clock (Unix time).
        """
        self.wall = wall
        self.cards = GraphicsCards(cards)
        self.dialect = dialect
        self._configuration = parse_configuration(config_text)
        self._certificates = certificates
        self._require_client_certificate = require_client_certificate
        self._on_output = say
        self._logs = ServerLogs()
        self._runtime: _Runtime | None = None
        self._listener: _Listener | None = None
        self._busy: set[asyncio.Transport | None] = set()
        self._draining = False
        self._host, self._port = listen

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """The server's URL, without a trailing slash."""
        scheme = "http" if self._certificates is None else "https"
        return f"{scheme}://{self._host}:{self._port}"

    @property
    def configuration(self) -> Configuration:
        """The configuration of the start or of the last reload."""
        return self._configuration

    @property
    def swap(self) -> LlamaSwap | None:
        """The llama-swap of the last start or reload; None while the server is stopped."""
        return None if self._runtime is None else self._runtime.swap

    @property
    def processes(self) -> tuple[UpstreamProcess, ...]:
        """The process of every model, running or not; none while the server is stopped."""
        return () if self._runtime is None else tuple(self._runtime.swap.processes.values())

    def running(self) -> dict[str, str]:
        """Return the state of every model that is not stopped, by id."""
        return {
            process.id: process.state.value
            for process in self.processes
            if process.state is not ProcessState.STOPPED
        }

    async def start(self, config_text: str | None = None) -> None:
        """Open the port, the same one as before, with a new llama-swap behind it.

        Raises BadConfiguration, and opens nothing, for an invalid text.
        """
        assert self._listener is None, "the stand-in is running already"
        if config_text is not None:
            self._configuration = parse_configuration(config_text)
        context = None
        if self._certificates is not None:
            context = self._certificates.server_context(
                require_client_certificate=self._require_client_certificate
            )
        server = web.Server(
            self._handle,
            request_factory=_make_request,
            handler_cancellation=True,
            access_log=None,
        )
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(server, self._host, self._port, ssl=context)
        self._port = listener.sockets[0].getsockname()[1]
        self._listener = _Listener(listener, server)
        self._draining = False
        self._logs = ServerLogs(main=ServerLog(also=self._on_output))
        self._start_swap()
        self._write_log(f"[INFO] llama-swap listening on {self.url}")

    async def stop(self) -> None:
        """End streams, cut chats, close connections and stop listening."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        await close_listener(listener.tcp)
        try:
            await self._stop_swap()
        finally:
            connections = listener.http.connections
            transports = [connection.transport for connection in connections]
            await listener.http.shutdown(_GRACE_SECONDS)
            for transport in transports:
                if transport is not None:
                    transport.abort()
            await listener.tcp.wait_closed()
            await asyncio.sleep(0)

    async def drain(self) -> None:
        """Act on SIGTERM: refuse new connections, end streams, let running chats finish."""
        listener, runtime = self._listener, self._runtime
        if listener is not None and runtime is not None:
            self._write_log("[INFO] received signal terminated, shutting down")
            await close_listener(listener.tcp)
            # As Go's http.Server.Shutdown does with idle connections, and with others as they end.
            self._draining = True
            for connection in listener.http.connections:
                if connection.transport not in self._busy and connection.transport is not None:
                    connection.transport.close()
            runtime.swap.end_streams()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.dialect.traits.drain_seconds):
                    await runtime.swap.wait_until_idle()
        await self.stop()

    async def reload(self, config_text: str | None = None, *, watched: bool = False) -> None:
        """Act on SIGHUP, or on a changed file if `watched`. Keep everything for an invalid text."""
        if not watched:
            self._write_log("[INFO] received SIGHUP, reloading config")
        self._write_log("[INFO] reloading configuration")
        if config_text is not None:
            try:
                self._configuration = parse_configuration(config_text)
            except BadConfiguration as failure:
                self._write_log(f"[WARN] failed to reload config: {failure}")
                return
        await self._stop_swap()
        self._start_swap()
        self._write_log("[INFO] configuration reloaded")

    def write_log(self, text: str) -> None:
        """Write text to the proxy's log."""
        self._active_runtime.swap.proxy_log.write(text)

    def advance(self, seconds: float) -> None:
        """Let so much time pass at once: loads go on, idle models come to their end."""
        self._active_runtime.swap.change.advance(seconds)

    @asynccontextmanager
    async def busy(
        self,
        model_id: str,
        *,
        remote_ip: str = "192.168.2.20",
        user_agent: str = "OpenWebUI/0.6",
    ) -> AsyncIterator[None]:
        """Hold another client's chat with a model, loaded first if necessary."""
        swap = self._active_runtime.swap
        headers = {
            "Accept": "*/*",
            "Content-Type": "application/json",
            "User-Agent": user_agent,
        }
        caller = Caller("POST", "/v1/chat/completions", model_id, headers, remote_ip)
        rate = swap.processes[model_id].flags.tokens_per_second
        began = time.monotonic()
        async with swap.hold(caller) as running:
            running.record_headers({"Content-Type": "text/event-stream", "Server": "llama.cpp"})
            try:
                yield
            finally:
                seconds = time.monotonic() - began
                swap.activity.record(
                    model=model_id,
                    path=caller.path,
                    content_type="text/event-stream",
                    status=200,
                    tokens=TokenCounts(0, 100, int(seconds * rate), 900.0, rate),
                    seconds=seconds,
                    client=remote_ip,
                    exchange=RequestExchange(caller.path, headers),
                )

    @property
    def _active_runtime(self) -> _Runtime:
        assert self._runtime is not None, "the stand-in is not running"
        return self._runtime

    def _start_swap(self) -> None:
        swap = LlamaSwap(
            self._configuration, self.dialect.traits, self._logs, self.cards, self.wall
        )
        self._runtime = _Runtime(swap, Routes(swap))
        swap.open()

    async def _stop_swap(self) -> None:
        runtime, self._runtime = self._runtime, None
        if runtime is not None:
            await runtime.swap.close()

    def _write_log(self, line: str) -> None:
        if self._runtime is not None:
            self._runtime.swap.proxy_log.write(f"{line}\n")

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        began = time.monotonic()
        call = await IncomingRequest.receive(request)
        transport = request.transport
        self._busy.add(transport)
        response: Response | None = None
        try:
            response = await self.respond(call)
            if self._draining:
                response.force_close()
            return response
        finally:
            self._busy.discard(transport)
            self._log_request(call, response, time.monotonic() - began)

    def _log_request(self, call: IncomingRequest, response: Response | None, took: float) -> None:
        traits = self.dialect.traits
        if traits.separate_logs and call.path.startswith(_UNLOGGED_PATHS):
            return
        sent = response or next(iter(call.streams), None)
        left_early = traits.records_clients and sent is None
        status = sent.status if sent else CLIENT_LEFT if left_early else 200
        if self._runtime is not None:
            self._runtime.swap.request_log.write(
                f"[INFO] Request {call.remote_ip} "
                f'"{call.method} {call.path} HTTP/1.1" {status} {sent.bytes_sent if sent else 0} '
                f'"{call.headers.get("User-Agent", "")}" {duration(took)}\n'
            )

    async def respond(self, call: IncomingRequest) -> Response:
        """Answer a request."""
        runtime = self._runtime
        if runtime is None:
            return CompleteResponse(ResponseContent(503, b"", ""))
        if not self._is_authorized(runtime, call):
            return CompleteResponse(self._auth_error(call))
        response = await runtime.routes.respond(call)
        if "Origin" in call.headers and not response.prepared:
            response.headers["Access-Control-Allow-Origin"] = call.headers["Origin"]
        return response

    def _is_authorized(self, runtime: _Runtime, call: IncomingRequest) -> bool:
        keys = runtime.swap.configuration.api_keys
        return not keys or not runtime.routes.needs_key(call) or _api_key(call) in keys

    def _auth_error(self, call: IncomingRequest) -> ResponseContent:
        text = "unauthorized: invalid or missing API key"
        answer = error(self.dialect.traits, 401, text, call.accept)
        demand = {"WWW-Authenticate": 'Basic realm="llama-swap"'}
        return ResponseContent(401, answer.body, answer.content_type, demand)


def _api_key(call: IncomingRequest) -> str:
    """Return the API key of a request: bearer token, basic password, or x-api-key."""
    scheme, _, value = call.headers.get("Authorization", "").partition(" ")
    if scheme == "Bearer":
        return value
    if scheme == "Basic":
        try:
            return base64.b64decode(value).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return call.headers.get("x-api-key", "")


def _make_request(
    message: object, payload: object, protocol: object, writer: object, task: object
) -> web.BaseRequest:
    return web.BaseRequest(
        message,  # type: ignore[arg-type]
        payload,  # type: ignore[arg-type]
        protocol,  # type: ignore[arg-type]
        writer,  # type: ignore[arg-type]
        task,  # type: ignore[arg-type]
        asyncio.get_running_loop(),
        client_max_size=_LARGEST_BODY,
    )
