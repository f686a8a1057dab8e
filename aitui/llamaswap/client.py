"""The client of a llama-swap server.

Importing this module imports httpx, which costs a third of what Textual does: callers import it
when they first connect, after the first frame.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar

import msgspec

from aitui.domain.release import ServerRelease
from aitui.errors import AituiError
from aitui.llamaswap.http import (
    LARGEST_RESPONSE,
    HttpClient,
    Request,
    ResponseStream,
    fill_path,
    path_segment,
)
from aitui.llamaswap.response import Response
from aitui.llamaswap.schemas import (
    ServerVersion,
    looks_like_html,
    parse_activity_page,
    parse_activity_rows,
    parse_metrics,
    parse_models,
    parse_running,
    parse_version,
)
from aitui.llamaswap.tls import ClientCertificate

if TYPE_CHECKING:
    from aitui.domain.capture import Capture
    from aitui.domain.events import Event
    from aitui.domain.hardware.info import HostInfo
    from aitui.domain.hardware.sample import HardwareSample
    from aitui.domain.logs import LineBatch
    from aitui.domain.models import FinishedRequest, ListedModel, RunningModel
    from aitui.domain.profiles import Profiles
    from aitui.domain.server import Server

_LIST_SECONDS = 30.0
_SHORT_SECONDS = 15.0
_PROBE_SECONDS = 3.0
_HEADERS_SECONDS = 30.0
_DECODE_IN_THREAD = 64 * 1024
_SMALL = 64 * 1024
_ACTIVITY_ROWS = 250
_LONGEST_PAGE = 999
_ROUTES = (
    (259, "/api/events/logs", 400),
    (253, "/api/tailcat", 200),
    (252, "/api/mcp", 405),
    (236, "/api/metrics/activity?limit=1", 200),
)
"""Since when a GET is answered with which status; it starts nothing, and opens no stream."""

_T = TypeVar("_T")


class LlamaSwapClient:
    """One llama-swap server. Opening does no I/O: the first request connects.

    Every request raises Unreachable, TlsRefused, ServerError or BadResponse, a stream also while it
    is read; the methods name what is more special than these.
    """

    def __init__(self, server: "Server", monotonic: Callable[[], float] = time.monotonic) -> None:
        self._server = server
        self._monotonic = monotonic
        self._http = HttpClient(server, monotonic)
        self._certificate = ClientCertificate(server)
        self.latency: float | None = None
        """Seconds that the last `/running` took, None before the first one."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection; running requests end with ConnectionLost."""
        await self._http.connections.aclose()

    async def drop_connections(self) -> None:
        """Give new requests fresh connections, after a suspend for example."""
        await self._http.connections.replace_pool()

    async def certificate_expiry(self) -> float | None:
        """Return the expiry of our client certificate (Unix time), None if unknown."""
        return await self._certificate.expiry()

    async def key_warnings(self) -> tuple[str, ...]:
        """Return what is unsafe about our own key, in words for the user."""
        return await self._certificate.warnings()

    async def models(self) -> tuple["ListedModel", ...]:
        """Fetch the models that the server lists."""
        response = await self._get(self._server.endpoints.models, _LIST_SECONDS)
        return await _decode_response(parse_models, response)

    async def running(self) -> tuple["RunningModel", ...]:
        """Fetch the models that have a process, in the server's order."""
        began = self._monotonic()
        response = await self._get(self._server.endpoints.running, _SHORT_SECONDS)
        self.latency = self._monotonic() - began
        return await _decode_response(parse_running, response)

    async def version(self) -> ServerVersion:
        """Fetch the build of the server."""
        response = await self._get("/api/version", _SHORT_SECONDS, largest=_SMALL)
        return parse_version(response.body, response.endpoint)

    async def release(self, version: str) -> ServerRelease:
        """Find out how old a server of that version is, by routes that newer ones have."""
        end: int | None = None
        for since, path, status in _ROUTES:
            found = ServerRelease(end=end).narrow(version)
            if end is not None and found.has(since) is False:
                return found  # its number agrees with what was found
            limit = min(_PROBE_SECONDS, self._server.timeout)
            try:
                response = await self._http.request(Request("GET", path, limit, max_bytes=_SMALL))
            except AituiError:
                break  # whether the server is up is decided by /running
            if response.status == status:
                return ServerRelease(since, end).narrow(version)
            if response.status == 404:
                end = since
        return ServerRelease(end=end).narrow(version)

    async def health(self) -> None:
        """Check that llama-swap itself is up."""
        response = await self._get("/health", _SHORT_SECONDS, largest=_SMALL)
        _refuse_web_page(response)

    async def activity(self, from_id: int) -> tuple["FinishedRequest", ...]:
        """Fetch the finished requests from a row on, the newest first; NotSupported before v236."""
        path = f"/api/metrics/activity?min_id={from_id}&limit={_ACTIVITY_ROWS}&sort=id&order=desc"
        response = await self._get(path, _SHORT_SECONDS)
        return parse_activity_page(response.body, response.endpoint)

    async def activity_page(self, from_id: int) -> tuple[tuple["FinishedRequest", ...], bool]:
        """Fetch the finished requests from a row on, the oldest first, and whether there are more.

        NotSupported before v236.
        """
        path = f"/api/metrics/activity?min_id={from_id}&limit={_LONGEST_PAGE}&sort=id&order=asc"
        response = await self._get(path, _LIST_SECONDS)
        return await _decode_response(parse_activity_rows, response)

    async def metrics(self) -> tuple["FinishedRequest", ...]:
        """Fetch all finished requests that a server before v236 remembers; NotSupported later."""
        response = await self._get("/api/metrics", _LIST_SECONDS)
        return await _decode_response(parse_metrics, response)

    async def performance(self, after: float | None = None) -> tuple["HardwareSample", ...]:
        """Fetch the samples after a Unix time, the oldest first; NotSupported if it has none."""
        from aitui.llamaswap.hardware import (
            LARGEST_SAMPLES,
            monitor_disabled_error,
            parse_samples,
            performance_path,
        )

        response = await self._get(
            performance_path(after), _SHORT_SECONDS, LARGEST_SAMPLES, known=monitor_disabled_error
        )
        # A thread for a single sample costs more than the sample.
        return await _decode_response(partial(parse_samples, after=after), response)

    async def host_info(self) -> "HostInfo":
        """Fetch what the server detected of its machine at its start; NotSupported before v247."""
        from aitui.llamaswap.hardware import detection_error, parse_hardware

        response = await self._get("/api/hardware", _SHORT_SECONDS, known=detection_error)
        return parse_hardware(response.body, response.endpoint)

    async def profiles(self) -> "Profiles":
        """Fetch the profiles and which one is active; NotSupported before v241."""
        from aitui.llamaswap.profiles import parse_profiles, unsupported_error

        response = await self._get("/api/profiles", _SHORT_SECONDS, known=unsupported_error)
        return parse_profiles(response.body, response.endpoint)

    async def choose_profile(self, name: str) -> None:
        """Make a profile the active one, none if the name is empty; NotSupported before v241."""
        body = msgspec.json.encode({"name": name or None})
        limit = min(_SHORT_SECONDS, self._server.timeout)
        request = Request("PUT", "/api/profiles/active", limit, body=body)
        response = await self._http.request(request)
        if not response.is_success:
            raise self._refusal_error(response)

    async def capture(self, row_id: int) -> "Capture":
        """Fetch what the server kept of a request; NotSupported if it kept nothing."""
        from aitui.llamaswap.captures import LARGEST_CAPTURE, missing_error, parse_capture

        path = f"/api/captures/{row_id}"
        response = await self._get(path, _LIST_SECONDS, LARGEST_CAPTURE, known=missing_error)
        return await _decode_response(parse_capture, response)

    async def context_sizes(self, model_id: str) -> frozenset[int]:
        """Fetch the context sizes that a model may run with; once, right after it was loaded.

        Asking starts a stopped model. Raises NoSuchModel.
        """
        from aitui.llamaswap.model_info import parse_context_sizes, properties_path

        response = await self._get(properties_path(model_id), _SHORT_SECONDS)
        return parse_context_sizes(response)

    async def cancel_request(self, request_id: str) -> None:
        """Cancel a running request, or do nothing if it has ended; NotSupported before v235."""
        path = f"/api/inflight/{path_segment(request_id)}/cancel"
        response = await self._http.request(Request("POST", path, _SHORT_SECONDS))
        if not response.is_success and b"inflight request not found" not in response.body:
            raise self._refusal_error(response)

    async def load(self, model_id: str, limit: float | None = None) -> None:
        """Load a model and return when it is ready, after seconds or minutes.

        `limit` is in seconds, the time in the server's queue included; None means no limit. Giving
        up does not stop the load: it goes on at the server. Raises LoadFailed, NoSuchModel, TimedOut.
        """
        path = fill_path(self._server.endpoints.upstream_health, model_id)
        response = await self._http.request_long(Request("GET", path, limit))
        if response.is_success:
            return
        from aitui.llamaswap.errors import is_model_response, load_error

        if not is_model_response(response):
            raise load_error(self._server, response, model_id)

    async def unload(self, model_id: str) -> None:
        """Unload a model; most servers answer when it has stopped. Raises NoSuchModel."""
        await self._post(fill_path(self._server.endpoints.unload, model_id), model_id)

    async def unload_all(self) -> None:
        """Unload every model."""
        await self._post(self._server.endpoints.unload_all)

    @asynccontextmanager
    async def events(self) -> AsyncIterator[AsyncIterator["Event"]]:
        """Yield the server's events over a connection of its own, until it ends the stream.

        Read fast: the server silently drops events for a slow reader. There is no heartbeat. A
        restart or reload of the server ends the stream cleanly.
        """
        from aitui.llamaswap.events import read_events

        limit = min(_HEADERS_SECONDS, self._server.timeout)
        request = Request("GET", "/api/events", limit, accept="text/event-stream")
        async with self._http.stream(request) as stream:
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
        """Yield a log as it grows, in pieces not aligned to lines, until the server ends it.

        `name` is "proxy", "upstream", "http" (from v259 on), a model's id, or "" for both. Servers
        before v218 send the headers only with the first piece, so opening waits for as long as the
        log is silent. Raises NoSuchModel.
        """
        from aitui.llamaswap.logs import read_text

        async with (
            self._log_chunks(name, history=history) as chunks,
            aclosing(read_text(chunks)) as pieces,
        ):
            yield pieces

    @asynccontextmanager
    async def log_lines(self, name: str = "") -> AsyncIterator[AsyncIterator["LineBatch"]]:
        """Yield the same log with its history, in whole lines with their colors."""
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
        request = Request("GET", path + query, None, accept="text/plain")
        async with self._http.stream(request) as stream:
            await self._check(stream, name)
            async with aclosing(stream.chunks()) as chunks:
                yield chunks

    async def _check(self, stream: ResponseStream, name: str = "") -> None:
        if not stream.is_success:
            raise self._refusal_error(await stream.read(), name)
        if stream.content_type == "text/html":
            _refuse_web_page(await stream.read())

    async def _get(
        self,
        path: str,
        limit: float,
        largest: int = LARGEST_RESPONSE,
        known: Callable[[Response], AituiError | None] = lambda _: None,
    ) -> Response:
        """Send a GET; `known` explains a refusal that only this path has."""
        request = Request("GET", path, min(limit, self._server.timeout), max_bytes=largest)
        response = await self._http.request(request)
        if not response.is_success:
            raise known(response) or self._refusal_error(response)
        return response

    async def _post(self, path: str, model_id: str = "") -> None:
        request = Request("POST", path, self._server.timeout, max_bytes=_SMALL)
        response = await self._http.request_long(request)
        if not response.is_success:
            raise self._refusal_error(response, model_id)
        _refuse_web_page(response)

    def _refusal_error(self, response: Response, model_id: str = "") -> AituiError:
        # Imported with the first refusal: most servers answer all that a dashboard asks.
        from aitui.llamaswap.errors import response_error

        return response_error(self._server, response, model_id)


async def _decode_response(decode: Callable[[bytes, str], _T], response: Response) -> _T:
    if len(response.body) > _DECODE_IN_THREAD:
        return await asyncio.to_thread(decode, response.body, response.endpoint)
    return decode(response.body, response.endpoint)


def _refuse_web_page(response: Response) -> None:
    if looks_like_html(response.body):
        from aitui.llamaswap.errors import web_page_error

        raise web_page_error(response)
