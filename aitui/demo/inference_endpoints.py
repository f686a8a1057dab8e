"""The endpoints of the models: `/v1/…` by name in the body, `/upstream/ID/…` by name in the path."""

from __future__ import annotations

import asyncio
import json
import time
from urllib.parse import urlsplit

from aitui.aio import cancel_and_wait
from aitui.demo import loading_text
from aitui.demo.activity import CLIENT_LEFT, NO_TOKENS
from aitui.demo.answers import (
    EVENT_STREAM,
    TEXT_UTF8,
    ChunkedResponse,
    CompleteResponse,
    Response,
    ResponseContent,
    redirect,
)
from aitui.demo.call import IncomingRequest
from aitui.demo.captures import RequestExchange
from aitui.demo.chat import ChatExchange, RequestOutcome
from aitui.demo.dialect import error, failure_reason, failure_text, json_error, load_error
from aitui.demo.llama_server import plain_response
from aitui.demo.llama_swap import LlamaSwap
from aitui.demo.load_failed import LoadFailureCause, UpstreamLoadFailed
from aitui.demo.running_requests import InflightRequest
from aitui.demo.upstream_process import ProcessState, UpstreamProcess

_LOADING_HEADERS = {
    "Cache-Control": "no-cache",
    "Connection": "keep-alive",
    "Content-Type": EVENT_STREAM,
}
_NO_SNIFFING = {"X-Content-Type-Options": "nosniff"}
_STATIC_FILES = (".js", ".css", ".ico", ".png", ".svg", ".map", ".woff2")
_LOADING_TEXT_INTERVAL = 1.0


class InferenceEndpoints:
    """Forwards requests to models, loading them first."""

    def __init__(self, swap: LlamaSwap) -> None:
        self._swap = swap

    async def openai(self, call: IncomingRequest) -> Response:
        """`POST /v1/chat/completions` and its siblings."""
        traits, limit = self._swap.traits, self._swap.configuration.concurrency_limit
        if traits.checks_bodies and (wrong := _body_error(call)):
            return CompleteResponse(error(traits, 400, wrong, call.accept))
        if traits.mcp and limit and self._swap.running.count >= limit:
            return CompleteResponse(self._too_many_error())
        takes_any = traits.checks_bodies or not traits.needs_json_content_type
        name = call.model_name() if call.is_json or takes_any else ""
        if not name or self._is_disabled(name):
            return CompleteResponse(self._no_model_error(call))
        model = self._swap.find_model(name) or name
        began = time.monotonic()
        with self._swap.running.track(call.caller(model)) as running:
            outcome: RequestOutcome | None = None
            process = self._process(name)
            try:
                outcome = await self._serve(call, process, running, name)
                return outcome.response
            finally:
                selector = name if self._swap.is_selector(name) else ""
                self._record(
                    call, model, outcome, began, routed=process is not None, selector=selector
                )

    async def props(self, call: IncomingRequest) -> Response:
        """`GET /props?model=ID`: the newest build asks the model for it."""
        name = call.query.get("model", "")
        model_id = self._swap.find_model(name)
        if model_id is None:
            return CompleteResponse(self._no_model_error(call))
        process = self._swap.processes[model_id]
        return (await self._claim_and_forward(call, process, None, name, "/props")).response

    async def upstream_root(self, _call: IncomingRequest) -> Response:
        """`GET /upstream` leads to the user interface."""
        return CompleteResponse(redirect(302, "/ui/models", "Found"))

    async def upstream(self, call: IncomingRequest) -> Response:
        """Anything under `/upstream/ID/`."""
        traits = self._swap.traits
        name, rest = self._split_model_path(call.path.removeprefix("/upstream/"))
        process = self._process(name) if name else None
        if process is None or (self._is_peer(name) and not traits.peers_under_upstream):
            return CompleteResponse(error(traits, 404, "model not found", call.accept))
        if not rest:
            return CompleteResponse(redirect(301, f"/upstream/{name}/", "Moved Permanently"))
        if self._is_ignored_path(process, rest):
            text = f"model {process.id} is not loaded; path matches upstream.ignorePaths"
            return CompleteResponse(error(traits, 409, text, call.accept))
        if traits.counts_upstream_requests:
            with self._swap.running.track(call.caller(process.id)) as running:
                return (await self._claim_and_forward(call, process, running, name, rest)).response
        return (await self._claim_and_forward(call, process, None, name, rest)).response

    async def _serve(
        self,
        call: IncomingRequest,
        process: UpstreamProcess | None,
        running: InflightRequest,
        name: str,
    ) -> RequestOutcome:
        traits = self._swap.traits
        if process is None:
            text = "no router for requested model"
            if traits.plain_errors:
                text = f"could not find suitable inference handler for {name}"
            return RequestOutcome(
                CompleteResponse(error(traits, traits.unknown_model_status, text, call.accept))
            )
        if len(process.claims) >= process.configuration.concurrency_limit:
            return RequestOutcome(CompleteResponse(self._too_many_error()))
        path = "/v1" + call.path.removeprefix("/v1").removeprefix("/v")
        wants_text = process.configuration.send_loading_state and b'"stream":true' in (
            call.body.replace(b" ", b"")
        )
        if wants_text and process.state is not ProcessState.READY:
            return await self._claim_with_loading_text(call, process, running, name, path)
        return await self._claim_and_forward(call, process, running, name, path)

    async def _claim_and_forward(
        self,
        call: IncomingRequest,
        process: UpstreamProcess,
        running: InflightRequest | None,
        name: str,
        path: str,
    ) -> RequestOutcome:
        if self._is_peer(name):
            return await self._forward_to_peer(call, process, running, path)
        try:
            async with self._swap.swapping.claim(process.id) as claim:
                return await self._forward(ChatExchange(call, process, claim, name, running), path)
        except UpstreamLoadFailed as failure:
            return RequestOutcome(
                CompleteResponse(load_error(self._swap.traits, failure, call.accept))
            )

    async def _claim_with_loading_text(
        self,
        call: IncomingRequest,
        process: UpstreamProcess,
        running: InflightRequest,
        name: str,
        path: str,
    ) -> RequestOutcome:
        traits = self._swap.traits
        stream = await call.begin(ChunkedResponse(_LOADING_HEADERS))
        began = time.monotonic()
        for data in loading_text.loading_start(traits, process.id):
            await stream.send(data)
        talk = self._swap.background.start(
            self._send_loading_text(stream, process), name="loading text"
        )
        try:
            async with self._swap.swapping.claim(process.id) as claim:
                await cancel_and_wait(talk)
                for data in loading_text.loading_end(traits, time.monotonic() - began):
                    await stream.send(data)
                exchange = ChatExchange(call, process, claim, name, running, stream)
                return await self._forward(exchange, path)
        except UpstreamLoadFailed as failure:
            await cancel_and_wait(talk)
            answer = load_error(traits, failure)
            if traits.frames_failure:
                answer = json_error(traits, 500, failure_reason(failure))
            if traits.glues_failure and failure.cause is LoadFailureCause.NO_BINARY:
                pieces = loading_text.early_failure(answer.body)
            else:
                for data in loading_text.loading_end(traits, time.monotonic() - began):
                    await stream.send(data)
                text = failure_text(traits, failure)
                pieces = loading_text.load_failure(traits, text, answer.body)
            for data in pieces:
                await stream.send(data)
            return RequestOutcome(stream)
        finally:
            talk.cancel()

    async def _send_loading_text(self, stream: ChunkedResponse, process: UpstreamProcess) -> None:
        """Send a dot every second while the model loads."""
        try:
            await asyncio.sleep(0)
            position = self._swap.swapping.queue_position(process.id)
            for data in loading_text.queue_position(self._swap.traits, position):
                await stream.send(data)
            while True:
                await asyncio.sleep(_LOADING_TEXT_INTERVAL)
                await stream.send(loading_text.progress_dot())
        except ConnectionError:
            return  # the request itself notices that its client has gone

    async def _forward_to_peer(
        self,
        call: IncomingRequest,
        process: UpstreamProcess,
        running: InflightRequest | None,
        path: str,
    ) -> RequestOutcome:
        traits = self._swap.traits
        address = urlsplit(process.configuration.proxy)
        if address.hostname is not None and address.hostname.endswith(".invalid"):
            text = f"peer proxy error: dial tcp {address.netloc}: connect: connection refused"
            if traits.nested_errors:
                return RequestOutcome(CompleteResponse(json_error(traits, 502, text)))
            return RequestOutcome(
                CompleteResponse(
                    ResponseContent(502, f"{text}\n".encode(), TEXT_UTF8, _NO_SNIFFING)
                )
            )
        claim = process.claim()
        try:
            return await self._forward(
                ChatExchange(call, process, claim, process.id, running), path
            )
        finally:
            process.release(claim)

    async def _forward(self, exchange: ChatExchange, path: str) -> RequestOutcome:
        call, running = exchange.call, exchange.running
        if running is not None:
            running.claim = exchange.claim
            if running.cancelled:
                return RequestOutcome(CompleteResponse(ResponseContent(502, b"", "")))
        exchange.process.log.log_request(call.method, path)
        if call.method == "POST" and path.endswith("/chat/completions"):
            return await exchange.chat()
        return RequestOutcome(
            CompleteResponse(plain_response(exchange.process, call.method, path, call.body))
        )

    def _process(self, name: str) -> UpstreamProcess | None:
        model_id = self._swap.find_model(name)
        if model_id is not None:
            return self._swap.processes[model_id]
        return self._swap.peer_process(name)

    def _is_peer(self, name: str) -> bool:
        return self._swap.find_model(name) is None

    def _is_disabled(self, name: str) -> bool:
        profile = self._swap.active_profile
        return profile is not None and profile.pins.get(name) == ""

    def _is_ignored_path(self, process: UpstreamProcess, path: str) -> bool:
        return (
            self._swap.traits.ignores_static_paths
            and process.state is not ProcessState.READY
            and path.endswith(_STATIC_FILES)
        )

    def _split_model_path(self, path: str) -> tuple[str, str]:
        """Split the model's id, which may contain slashes, from the path after it."""
        parts = path.split("/")
        for count in range(1, len(parts) + 1):
            name = "/".join(parts[:count])
            if self._process(name) is not None:
                rest = parts[count:]
                return name, "/" + "/".join(rest) if rest else ""
        return "", ""

    def _no_model_error(self, call: IncomingRequest) -> ResponseContent:
        traits = self._swap.traits
        if traits.plain_errors:
            return error(traits, 400, "missing or invalid 'model' key", call.accept)
        return error(traits, 404, "no model id could be identified", call.accept)

    def _too_many_error(self) -> ResponseContent:
        traits = self._swap.traits
        if not traits.nested_errors:
            return ResponseContent(429, b"Too many requests\n", TEXT_UTF8, _NO_SNIFFING)
        answer = json_error(traits, 429, "Too many requests")
        return ResponseContent(
            answer.status, answer.body, answer.content_type, {"Retry-After": "1"}
        )

    def _record(
        self,
        call: IncomingRequest,
        model: str,
        outcome: RequestOutcome | None,
        began: float,
        *,
        routed: bool,
        selector: str,
    ) -> None:
        response = outcome.response if outcome else None
        sent = response or next(iter(call.streams), None)
        status, reason = (200 if response is None else response.status), ""
        if self._swap.traits.records_clients and response is None and not call.streams:
            status, reason = CLIENT_LEFT, "client disconnected before response"
        elif status != 200:
            reason = f"status {status}"
        content_type = response.headers.get("Content-Type", "") if response is not None else ""
        self._swap.activity.record(
            model=model,
            path=call.path,
            content_type=content_type,
            status=status,
            tokens=outcome.tokens if outcome else NO_TOKENS,
            seconds=time.monotonic() - began,
            error=reason,
            routed=routed,
            selector=selector,
            client=call.remote_ip,
            exchange=RequestExchange(
                call.path,
                dict(call.headers),
                call.body,
                {} if sent is None else dict(sent.headers),
                b"" if sent is None else sent.sent_body,
            ),
        )


def _body_error(call: IncomingRequest) -> str:
    """Return what is wrong with a body that isn't declared as JSON, in the server's words."""
    kind = call.headers.get("Content-Type", "")
    if call.is_json:
        return ""
    body = call.body.lstrip()
    if not body:
        return "request body is empty"
    if not body.startswith((b"{", b"[")):
        return f"no model id could be identified: request body is not JSON (Content-Type: {kind})"
    try:
        json.loads(body)
    except ValueError:
        return f"request body is not valid JSON (Content-Type: {kind})"
    return ""
