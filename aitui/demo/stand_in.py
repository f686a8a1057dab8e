"""The stand-in server: real sockets, real TLS, a made-up llama-swap behind them."""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Self

from aiohttp import web

from aitui.demo.activity import Tokens
from aitui.demo.answers import Answer, Response, Whole
from aitui.demo.call import Call
from aitui.demo.certificates import Certificates
from aitui.demo.configuration import BadConfiguration, Configuration, parse_configuration
from aitui.demo.dialect import Dialect, error
from aitui.demo.faults import Fault, Faults
from aitui.demo.go_text import duration
from aitui.demo.graphics_cards import ONE_CARD, GraphicsCard, GraphicsCards
from aitui.demo.listener import close_listener
from aitui.demo.llama_swap import LlamaSwap, Logs
from aitui.demo.log_ring import LogRing
from aitui.demo.routes import Routes
from aitui.demo.running_requests import Caller
from aitui.demo.upstream_process import State, UpstreamProcess

ANYWHERE = ("127.0.0.1", 0)
_LARGEST_BODY = 64 * 1024 * 1024
_GRACE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request as it came in. `path` is raw, with the query."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Life:
    """What lives from one reload to the next."""

    swap: LlamaSwap
    routes: Routes


@dataclass(slots=True)
class _Door:
    """The open port."""

    listener: asyncio.Server
    server: web.Server
    transports: set[asyncio.BaseTransport] = field(default_factory=set)


@asynccontextmanager
async def ended_by(cut: asyncio.Event, end: Callable[[], None]) -> AsyncIterator[None]:
    """Call `end` as soon as the event comes, if it comes within the block."""

    async def wait() -> None:
        await cut.wait()
        end()

    waiting = asyncio.create_task(wait())
    try:
        yield
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


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
    ) -> None:
        """`listen` is where, port 0 for any that is free; `say` gets what it would print.

        `cards` are the graphics cards of its machine.
        """
        self.cards = GraphicsCards(cards)
        self.requests: list[ReceivedRequest] = []
        self.dialect = dialect
        self._configuration = parse_configuration(config_text)
        self._certificates = certificates
        self._require_client_certificate = require_client_certificate
        self._faults = Faults()
        self._say = say
        self._logs = Logs()
        self._life: _Life | None = None
        self._door: _Door | None = None
        self._host, self._port = listen

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """Where the server is, without a trailing slash."""
        scheme = "http" if self._certificates is None else "https"
        return f"{scheme}://{self._host}:{self._port}"

    @property
    def configuration(self) -> Configuration:
        """What it was started with, or read at its last reload."""
        return self._configuration

    @property
    def processes(self) -> tuple[UpstreamProcess, ...]:
        """The process of every model, running or not; none while the server is down."""
        return () if self._life is None else tuple(self._life.swap.processes.values())

    def running(self) -> dict[str, str]:
        """The state of every model that is not stopped, by id."""
        return {
            process.id: process.state.value
            for process in self.processes
            if process.state is not State.STOPPED
        }

    async def start(self, config_text: str | None = None) -> None:
        """Open the port, the same one as before, with a fresh llama-swap behind it.

        Raises BadConfiguration, and opens nothing, for a text that is none.
        """
        assert self._door is None, "the stand-in is running already"
        if config_text is not None:
            self._configuration = parse_configuration(config_text)
        context = None
        if self._certificates is not None:
            context = self._certificates.server_context(
                require_client_certificate=self._require_client_certificate
            )
        server = web.Server(
            self._handle,
            request_factory=_request,
            handler_cancellation=True,
            access_log=None,
        )
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(server, self._host, self._port, ssl=context)
        self._port = listener.sockets[0].getsockname()[1]
        self._door = _Door(listener, server)
        self._logs = Logs(main=LogRing(also=self._say))
        self._begin_life()
        self._write_log(f"[INFO] llama-swap listening on {self.url}")

    async def stop(self) -> None:
        """Go away: streams end, chats are cut, connections close, nothing listens any more."""
        door, self._door = self._door, None
        if door is None:
            return
        await close_listener(door.listener)
        try:
            await self._end_life()
        finally:
            connections = door.server.connections
            transports = [connection.transport for connection in connections]
            await door.server.shutdown(_GRACE_SECONDS)
            for transport in transports:
                if transport is not None:
                    transport.abort()
            await door.listener.wait_closed()
            await asyncio.sleep(0)

    async def drain(self, seconds: float) -> None:
        """Do what SIGTERM does: refuse new connections, end streams, let running chats end."""
        door, life = self._door, self._life
        if door is not None and life is not None:
            self._write_log("[INFO] received signal terminated, shutting down")
            await close_listener(door.listener)
            life.swap.end_streams()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await life.swap.until_idle()
        await self.stop()

    async def reload(self, config_text: str | None = None, *, watched: bool = False) -> None:
        """Do what SIGHUP does, or `watched`, what a changed file does.

        A text that is no configuration leaves everything as it is.
        """
        if not watched:
            self._write_log("[INFO] received SIGHUP, reloading config")
        self._write_log("[INFO] reloading configuration")
        if config_text is not None:
            try:
                self._configuration = parse_configuration(config_text)
            except BadConfiguration as failure:
                self._write_log(f"[WARN] failed to reload config: {failure}")
                return
        await self._end_life()
        self._begin_life()
        self._write_log("[INFO] configuration reloaded")

    def fault(self, prefix: str, fault: Fault, times: int | None = None) -> None:
        """Misbehave for the next `times` requests whose path begins so, or for all of them."""
        self._faults.order(prefix, fault, times)

    def clear_faults(self) -> None:
        """Behave again."""
        self._faults.clear()

    def write_log(self, text: str, *, source: str = "proxy") -> None:
        """Put text into a log as it is: `proxy`, `upstream`, or a model's id."""
        swap = self._living.swap
        if source == "proxy":
            swap.proxy_log.write(text)
        elif source == "upstream":
            swap.upstream_log.write(text)
        else:
            swap.processes[source].ring.write(text)

    def publish(self, kind: str, data: object) -> None:
        """Send all listeners of `/api/events` an event of any type."""
        self._living.swap.publish(kind, data)

    @asynccontextmanager
    async def busy(
        self,
        model_id: str,
        *,
        remote_ip: str = "192.168.2.20",
        user_agent: str = "OpenWebUI/0.6",
    ) -> AsyncIterator[None]:
        """Hold a chat of another client at a model, which is loaded first where needed."""
        swap = self._living.swap
        headers = {
            "Accept": "*/*",
            "Content-Type": "application/json",
            "User-Agent": user_agent,
        }
        caller = Caller("POST", "/v1/chat/completions", model_id, headers, remote_ip)
        process = swap.processes[model_id]
        began = time.monotonic()
        with ExitStack() as counted:
            running = counted.enter_context(swap.running.run(caller))
            async with swap.swapping.claim(model_id) as claim, ended_by(claim.cut, counted.close):
                running.claim = claim
                await process.take_slot(claim)
                running.answers({"Content-Type": "text/event-stream", "Server": "llama.cpp"})
                try:
                    yield
                finally:
                    process.give_slot()
                    seconds = time.monotonic() - began
                    written = int(seconds * process.flags.tokens_per_second)
                    swap.activity.record(
                        model=model_id,
                        path=caller.path,
                        content_type="text/event-stream",
                        status=200,
                        tokens=Tokens(0, 100, written, 900.0, process.flags.tokens_per_second),
                        seconds=seconds,
                    )

    @property
    def _living(self) -> _Life:
        assert self._life is not None, "the stand-in is not running"
        return self._life

    def _begin_life(self) -> None:
        swap = LlamaSwap(self._configuration, self.dialect.habits, self._logs, self.cards)
        self._life = _Life(swap, Routes(swap))
        swap.open()

    async def _end_life(self) -> None:
        life, self._life = self._life, None
        if life is not None:
            await life.swap.close()

    def _write_log(self, line: str) -> None:
        if self._life is not None:
            self._life.swap.proxy_log.write(f"{line}\n")

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        began = time.monotonic()
        call = await Call.receive(request)
        self.requests.append(
            ReceivedRequest(call.method, request.raw_path, dict(call.headers), call.body)
        )
        response: Response | None = None
        try:
            response = await self._respond(call)
            return response
        finally:
            status = response.status if response else 200
            size = response.bytes_sent if response else 0
            self._write_log(
                f"[INFO] Request {call.remote_ip} "
                f'"{call.method} {call.path} HTTP/1.1" {status} {size} '
                f'"{call.headers.get("User-Agent", "")}" {duration(time.monotonic() - began)}'
            )

    async def _respond(self, call: Call) -> Response:
        fault = self._faults.next_for(call.request.raw_path)
        if fault is not None:
            return await fault.answer(call)
        life = self._life
        if life is None:
            return Whole(Answer(503, b"", ""))
        if not self._may_enter(life, call):
            return Whole(self._unauthorized(call))
        response = await life.routes.answer(call)
        if "Origin" in call.headers and not response.prepared:
            response.headers["Access-Control-Allow-Origin"] = call.headers["Origin"]
        return response

    def _may_enter(self, life: _Life, call: Call) -> bool:
        keys = life.swap.configuration.api_keys
        return not keys or not life.routes.needs_key(call) or _key_of(call) in keys

    def _unauthorized(self, call: Call) -> Answer:
        text = "unauthorized: invalid or missing API key"
        answer = error(self.dialect.habits, 401, text, call.accept)
        demand = {"WWW-Authenticate": 'Basic realm="llama-swap"'}
        return Answer(401, answer.body, answer.content_type, demand)


def _key_of(call: Call) -> str:
    """The API key of a request: bearer token, password of basic authentication, or x-api-key."""
    scheme, _, value = call.headers.get("Authorization", "").partition(" ")
    if scheme == "Bearer":
        return value
    if scheme == "Basic":
        try:
            return base64.b64decode(value).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return call.headers.get("x-api-key", "")


def _request(
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
