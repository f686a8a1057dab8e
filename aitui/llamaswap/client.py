"""What aitui asks a llama-swap server.

Importing this module imports httpx, which costs a third of what Textual does: callers import it
when they first connect, after the first frame.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import msgspec

from aitui.domain.sanitize import sanitize_line
from aitui.errors import AituiError, BadResponse
from aitui.llamaswap.errors import Response, is_model_response, load_error, response_error
from aitui.llamaswap.http import LARGEST_RESPONSE, ClientPool, HttpClient, Request, ResponseStream
from aitui.llamaswap.schemas import (
    ServerVersion,
    looks_like_html,
    parse_activity_page,
    parse_models,
    parse_running,
    parse_version,
)
from aitui.llamaswap.tls import ClientCertificate
from aitui.llamaswap.urls import fill_path, path_segment

if TYPE_CHECKING:
    from aitui.domain.events import Event
    from aitui.domain.hardware.info import HostInfo
    from aitui.domain.hardware.sample import HardwareSample
    from aitui.domain.logs import LineBatch
    from aitui.domain.models import FinishedRequest, ListedModel, RunningModel
    from aitui.domain.server import Server

_LIST_SECONDS = 30.0
_SHORT_SECONDS = 15.0
_HEADERS_SECONDS = 30.0
_DECODE_IN_THREAD = 64 * 1024
_SMALL = 64 * 1024
_ACTIVITY_ROWS = 100

_T = TypeVar("_T")


class LlamaSwapClient:
    """One llama-swap server. Opening does no I/O: the first request connects."""

    def __init__(self, server: "Server", monotonic: Callable[[], float] = time.monotonic) -> None:
        self._server = server
        self._monotonic = monotonic
        self._connections = ClientPool(server, monotonic)
        self._exchange = HttpClient(server, self._connections)
        self._certificate = ClientCertificate(server)
        self._latency: float | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes every connection; what is still under way ends with ConnectionLost."""
        await self._connections.aclose()

    async def drop_connections(self) -> None:
        """Lets new requests begin with fresh connections: the machine has slept, say."""
        await self._connections.replace_pool()

    @property
    def latency(self) -> float | None:
        """Seconds from asking to the whole answer of the last `/running`, None before it."""
        return self._latency

    async def certificate_expiry(self) -> float | None:
        """Until when our client certificate is valid (Unix time), None where that isn't known."""
        return await self._certificate.expiry()

    async def key_warnings(self) -> tuple[str, ...]:
        """What is unsafe about our own key, in words for the user."""
        return await self._certificate.warnings()

    async def models(self) -> tuple["ListedModel", ...]:
        """The models that the server lists.

        Raises Unreachable, TlsRefused, ServerError, BadAnswer.
        """
        answer = await self._get(self._server.endpoints.models, _LIST_SECONDS)
        return await _decode_response(parse_models, answer)

    async def running(self) -> tuple["RunningModel", ...]:
        """The models that have a process, in the order of the server.

        Raises Unreachable, TlsRefused, ServerError, BadAnswer.
        """
        began = self._monotonic()
        answer = await self._get(self._server.endpoints.running, _SHORT_SECONDS)
        self._latency = self._monotonic() - began
        return await _decode_response(parse_running, answer)

    async def version(self) -> ServerVersion:
        """The build of the server.

        Raises Unreachable, TlsRefused, ServerError, BadAnswer.
        """
        answer = await self._get("/api/version", _SHORT_SECONDS, largest=_SMALL)
        return parse_version(answer.body, answer.endpoint)

    async def health(self) -> None:
        """Returns where llama-swap itself is up.

        Raises Unreachable, TlsRefused, ServerError, BadAnswer.
        """
        answer = await self._get("/health", _SHORT_SECONDS, largest=_SMALL)
        _refuse_web_page(answer)

    async def activity(self, from_id: int) -> tuple["FinishedRequest", ...]:
        """The requests that ended, from that row on, the newest first; servers from v236 on.

        Raises NotSupported, Unreachable, TlsRefused, ServerError, BadAnswer.
        """
        path = f"/api/metrics/activity?min_id={from_id}&limit={_ACTIVITY_ROWS}&sort=id&order=desc"
        answer = await self._get(path, _SHORT_SECONDS)
        try:
            return parse_activity_page(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadResponse(
                f"{answer.endpoint} answered with something else than a page of activity",
                why=sanitize_line(str(error), 200),
            ) from error

    async def performance(self, after: float | None = None) -> tuple["HardwareSample", ...]:
        """What the server measured of its machine, later than at that Unix time, the oldest first.

        Raises NotSupported where it doesn't measure, Unreachable, TlsRefused, ServerError,
        BadAnswer.
        """
        from aitui.llamaswap.hardware import (
            LARGEST_SAMPLES,
            monitor_disabled_error,
            parse_samples,
            performance_path,
        )

        path = performance_path(after)
        answer = await self._get(
            path, _SHORT_SECONDS, LARGEST_SAMPLES, known=monitor_disabled_error
        )
        return await asyncio.to_thread(parse_samples, answer.body, answer.endpoint, after)

    async def host_info(self) -> "HostInfo":
        """What the server found its machine to be when it was started; servers from v247 on.

        Raises NotSupported, Unreachable, TlsRefused, ServerError, BadAnswer.
        """
        from aitui.llamaswap.hardware import detection_error, parse_hardware

        answer = await self._get("/api/hardware", _SHORT_SECONDS, known=detection_error)
        return parse_hardware(answer.body, answer.endpoint)

    async def context_sizes(self, model_id: str) -> frozenset[int]:
        """The context sizes that a model may run with; ask once, right after it was loaded.

        Asking starts a stopped model. Raises NoSuchModel, Unreachable, TlsRefused, ServerError,
        BadAnswer.
        """
        from aitui.llamaswap.model_info import parse_context_sizes, properties_path

        answer = await self._get(properties_path(model_id), _SHORT_SECONDS)
        return parse_context_sizes(answer)

    async def cancel_request(self, request_id: str) -> None:
        """Cancels a running request of any client; one that has ended by now is fine as well.

        Raises NotSupported on servers before v235, Unreachable, TlsRefused, ServerError.
        """
        path = f"/api/inflight/{path_segment(request_id)}/cancel"
        answer = await self._exchange.request(Request("POST", path, _SHORT_SECONDS))
        if not answer.is_success and b"inflight request not found" not in answer.body:
            raise response_error(self._server, answer)

    async def load(self, model_id: str, limit: float | None = None) -> None:
        """Loads a model and returns when it is ready, after seconds or minutes.

        `limit` is in seconds from now on, the time in the server's queue included; None waits for
        as long as it takes. Giving up does not stop the load: it goes on at the server.
        Raises LoadFailed, NoSuchModel, TimedOut, Unreachable, TlsRefused, ServerError.
        """
        path = fill_path(self._server.endpoints.upstream_health, model_id)
        question = Request("GET", path, limit)
        answer = await self._exchange.request_long(question)
        if not answer.is_success and not is_model_response(answer):
            raise load_error(self._server, answer, model_id)

    async def unload(self, model_id: str) -> None:
        """Unloads a model; most servers answer when its process has stopped.

        Raises NoSuchModel, Unreachable, TlsRefused, ServerError, BadAnswer.
        """
        path = fill_path(self._server.endpoints.unload, model_id)
        await self._post(path, model_id)

    async def unload_all(self) -> None:
        """Unloads every model.

        Raises Unreachable, TlsRefused, ServerError, BadAnswer.
        """
        await self._post(self._server.endpoints.unload_all)

    @asynccontextmanager
    async def events(self) -> AsyncIterator[AsyncIterator["Event"]]:
        """The server's events from now on, over a connection of its own, until it ends the stream.

        Read fast: the server drops events of a slow reader and says nothing. There is no
        heartbeat. Restart and reload of the server end the stream cleanly.
        Raises Unreachable, TlsRefused, ServerError, BadAnswer, also while reading.
        """
        from aitui.llamaswap.events import read_events

        limit = min(_HEADERS_SECONDS, self._server.timeout)
        question = Request("GET", "/api/events", limit, accept="text/event-stream")
        async with self._exchange.stream(question) as stream:
            await self._check(stream)
            async with (
                aclosing(stream.chunks()) as chunks,
                aclosing(read_events(chunks, self._monotonic)) as events,
            ):
                yield events

    @asynccontextmanager
    async def log(
        self, name: str = "", *, history: bool = True
    ) -> AsyncIterator[AsyncIterator[str]]:
        """A log as it grows, in pieces not aligned to lines, until the server ends the stream.

        `name` is "proxy", "upstream", a model's id, or "" for both. Servers before v218 send the
        headers only with the first piece, so opening waits for as long as the log is silent.
        Raises NoSuchModel, Unreachable, TlsRefused, ServerError, BadAnswer, also while reading.
        """
        from aitui.llamaswap.logs import read_text

        async with (
            self._log_chunks(name, history=history) as chunks,
            aclosing(read_text(chunks)) as pieces,
        ):
            yield pieces

    @asynccontextmanager
    async def log_lines(self, name: str = "") -> AsyncIterator[AsyncIterator["LineBatch"]]:
        """The same log with its history, in whole lines with their colours.

        Raises NoSuchModel, Unreachable, TlsRefused, ServerError, BadAnswer, also while reading.
        """
        from aitui.llamaswap.logs import read_lines

        async with (
            self._log_chunks(name, history=True) as chunks,
            aclosing(read_lines(chunks)) as lines,
        ):
            yield lines

    @asynccontextmanager
    async def _log_chunks(self, name: str, *, history: bool) -> AsyncIterator[AsyncIterator[bytes]]:
        path = f"/logs/stream/{path_segment(name)}" if name else "/logs/stream"
        query = "" if history else "?no-history"
        question = Request("GET", path + query, None, accept="text/plain")
        async with self._exchange.stream(question) as stream:
            await self._check(stream, name)
            async with aclosing(stream.chunks()) as chunks:
                yield chunks

    async def _check(self, stream: ResponseStream, name: str = "") -> None:
        if not stream.is_success:
            raise response_error(self._server, await stream.read(), name)
        if stream.content_type == "text/html":
            _refuse_web_page(await stream.read())

    async def _get(
        self,
        path: str,
        limit: float,
        largest: int = LARGEST_RESPONSE,
        known: Callable[[Response], AituiError | None] = lambda _: None,
    ) -> Response:
        """`known` words a refusal that only this path has."""
        question = Request("GET", path, min(limit, self._server.timeout), max_bytes=largest)
        answer = await self._exchange.request(question)
        if not answer.is_success:
            raise known(answer) or response_error(self._server, answer)
        return answer

    async def _post(self, path: str, model_id: str = "") -> None:
        question = Request("POST", path, self._server.timeout, max_bytes=_SMALL)
        answer = await self._exchange.request_long(question)
        if not answer.is_success:
            raise response_error(self._server, answer, model_id)
        _refuse_web_page(answer)


async def _decode_response(decode: Callable[[bytes, str], _T], answer: Response) -> _T:
    if len(answer.body) > _DECODE_IN_THREAD:
        return await asyncio.to_thread(decode, answer.body, answer.endpoint)
    return decode(answer.body, answer.endpoint)


def _refuse_web_page(answer: Response) -> None:
    if looks_like_html(answer.body):
        raise BadResponse(
            f"{answer.endpoint} answered with a web page",
            remedy="check that the URL is that of a llama-swap server",
        )
