"""The routes from path and method to endpoint, by build."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct

from aitui.demo.answers import CompleteResponse, Response, ResponseContent
from aitui.demo.call import IncomingRequest
from aitui.demo.dialect import method_not_allowed, path_not_found
from aitui.demo.event_endpoints import EventEndpoints
from aitui.demo.inference_endpoints import InferenceEndpoints
from aitui.demo.llama_swap import LlamaSwap
from aitui.demo.status_endpoints import StatusEndpoints

Endpoint = Callable[[IncomingRequest], Awaitable[Response]]

_ANY = "*"
_OPEN_PATHS = frozenset({"/", "/ui", "/ui/", "/health", "/wol-health"})
_CORS = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE, OPTIONS",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Max-Age": "86400",
}


class Route(Struct, frozen=True):
    """A path, or all paths below it when it ends with `*`."""

    method: str
    path: str
    endpoint: Endpoint

    def matches(self, path: str) -> bool:
        """Whether the route is for the path."""
        if self.path.endswith("*"):
            return path.startswith(self.path[:-1])
        return path == self.path


class Routes:
    """The endpoints of one llama-swap."""

    def __init__(self, swap: LlamaSwap) -> None:
        self._swap = swap
        status, events = StatusEndpoints(swap), EventEndpoints(swap)
        inference = InferenceEndpoints(swap)
        self._routes = [
            Route("GET", "/", status.root),
            Route("GET", "/ui", status.ui),
            Route("GET", "/ui/*", status.ui_page),
            Route("GET", "/health", status.health),
            Route("GET", "/wol-health", status.health),
            Route("GET", "/running", status.running),
            Route("GET", "/v1/models", status.models),
            Route("GET", "/unload", status.unload_by_get),
            Route("POST", "/api/models/unload", status.unload_all),
            Route("POST", "/api/models/unload/*", status.unload_one),
            Route("GET", "/api/version", status.version),
            Route("GET", "/api/performance", status.performance),
            Route("GET", "/api/captures/*", status.capture),
            Route("GET", "/metrics", status.prometheus),
            Route("GET", "/api/events", events.events),
            Route("GET", "/logs", events.logs),
            Route("GET", "/logs/stream", events.log_stream),
            Route("GET", "/logs/stream/*", events.log_stream),
            Route("GET", "/upstream", inference.upstream_root),
            Route(_ANY, "/upstream/*", inference.upstream),
            *(
                Route("POST", f"/{version}/{name}", inference.openai)
                for version in ("v1", "v")
                for name in ("chat/completions", "completions", "embeddings", "rerank")
            ),
        ]
        if swap.traits.activity_endpoints:
            self._routes += [
                Route("GET", "/models", status.models),
                Route("GET", "/props", inference.props),
                Route("GET", "/api/metrics/activity", status.activity),
                Route("GET", "/api/metrics/stats", status.activity_stats),
                Route("GET", "/api/hardware", status.hardware),
                Route("GET", "/api/profiles", status.profiles),
                Route("PUT", "/api/profiles/active", status.choose_profile),
                Route("POST", "/api/inflight/*", status.cancel),
            ]
            if swap.traits.mcp:
                self._routes += [
                    Route("GET", "/api/tailcat", status.tailcat),
                    Route("POST", "/api/mcp", status.mcp),
                ]
            if swap.traits.separate_logs:
                self._routes.append(Route("GET", "/api/events/logs", events.log_events))
        else:
            self._routes.append(Route("GET", "/api/metrics", status.metrics))

    async def respond(self, call: IncomingRequest) -> Response:
        """Answer an authorized request."""
        if call.method == "OPTIONS":
            return CompleteResponse(
                ResponseContent(204, b"", "", {**_CORS, **_allowed_headers(call)})
            )
        fitting = [route for route in self._routes if route.matches(call.path)]
        for route in fitting:
            if route.method == _ANY or route.method in self._route_methods(call.method):
                return await route.endpoint(call)
        traits = self._swap.traits
        if not fitting:
            return CompleteResponse(path_not_found(traits))
        allowed = "GET, HEAD" if fitting[0].method == "GET" else fitting[0].method
        return CompleteResponse(method_not_allowed(traits, allowed))

    def needs_key(self, call: IncomingRequest) -> bool:
        """Whether the path needs an API key, if there are any."""
        return call.path not in _OPEN_PATHS

    def _route_methods(self, method: str) -> tuple[str, ...]:
        if method == "HEAD" and self._swap.traits.knows_methods:
            return ("HEAD", "GET")
        return (method,)


def _allowed_headers(call: IncomingRequest) -> dict[str, str]:
    wanted = call.headers.get("Access-Control-Request-Headers", "")
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    return {"Access-Control-Allow-Headers": ", ".join(names)} if names else {}
