"""The differences between builds of llama-swap, all in one place."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from enum import Enum, auto

from msgspec import Struct
from msgspec.structs import replace

from aitui.demo.answers import JSON, JSON_UTF8, TEXT, TEXT_UTF8, ResponseContent, go_json
from aitui.demo.load_failed import LoadFailureCause, UpstreamLoadFailed


class UnloadBehavior(Enum):
    """How an unload treats the model."""

    PATIENT = auto()
    """Waits for a load to end and for its callers, then for the process to stop."""
    KILLS = auto()
    """Ends the process at once and fails the requests that wait for it."""
    ORDERLY = auto()
    """Aborts a load, and waits for the process to stop."""


class BuildTraits(Struct, frozen=True):
    """Every way in which the recorded builds differ."""

    version: Mapping[str, str]
    json_type: str
    running_newline: str
    sorted_keys: bool
    plain_errors: bool
    nested_errors: bool
    knows_methods: bool
    lists_only_ready: bool
    unloading: UnloadBehavior
    refuses_while_stopping: bool
    load_failure_status: int
    needs_json_content_type: bool
    unknown_model_status: int
    qualifies_peers: bool
    peers_under_upstream: bool
    detailed_events: bool
    activity_endpoints: bool
    counts_upstream_requests: bool
    first_activity_id: int
    ui_redirect: tuple[int, str]
    late_log_headers: bool
    forgets_log_on_stop: bool
    loading_in_lines: bool
    glues_failure: bool
    ignores_static_paths: bool
    load_counts_as_use: bool
    preload_line: str
    dequeues_on_hangup: bool = True
    """A request no longer waits for its turn once its client has left (v226, llama-swap#847)."""
    drain_seconds: float = 30.0
    """How long a server that is to stop waits for running requests; v217 cuts them first."""
    separate_logs: bool = False
    """Logs have an endpoint of their own, and lines about requests a log of their own (v259)."""
    reports_loads: bool = False
    """Since when a model is ready, and how far a load is that reports it (v259, v263)."""
    records_clients: bool = False
    """Activity names the client, and is 499 for one that left early (v251, v253)."""
    frames_failure: bool = False
    """A failed load ends the chat's stream with an event and `[DONE]` (v251)."""
    checks_bodies: bool = False
    """The body decides whether a request is JSON, not its Content-Type (v262)."""
    discovers_capabilities: bool = False
    """Asks each model what it can do when it is ready (v257)."""
    mcp: bool = False
    """`/api/mcp`, `/api/tailcat` and a limit for all requests (v252, v253, v256)."""


class Dialect(Enum):
    """A build of llama-swap, by what it is called in the recordings."""

    V217 = "v217"
    V218 = "v218"
    HEAD = "2026-08-head"
    V263 = "v263"

    @property
    def traits(self) -> BuildTraits:
        """How this build behaves."""
        return _HABITS[self]


_V217 = BuildTraits(
    version={"build_date": "2026-05-21T00:59:49Z", "commit": "636b53e7", "version": "217"},
    json_type=JSON_UTF8,
    running_newline="",
    sorted_keys=True,
    plain_errors=True,
    nested_errors=False,
    knows_methods=False,
    lists_only_ready=True,
    unloading=UnloadBehavior.PATIENT,
    refuses_while_stopping=True,
    load_failure_status=502,
    needs_json_content_type=False,
    unknown_model_status=400,
    qualifies_peers=False,
    peers_under_upstream=False,
    detailed_events=False,
    activity_endpoints=False,
    counts_upstream_requests=True,
    first_activity_id=0,
    ui_redirect=(301, "Moved Permanently"),
    late_log_headers=True,
    forgets_log_on_stop=True,
    loading_in_lines=True,
    glues_failure=False,
    ignores_static_paths=False,
    load_counts_as_use=True,
    preload_line="Preloading model",
    dequeues_on_hangup=False,
    drain_seconds=0.0,
)

_V218 = BuildTraits(
    version={"build_date": "2026-05-29T04:47:01Z", "commit": "02e015f", "version": "218"},
    json_type=JSON,
    running_newline="\n",
    sorted_keys=False,
    plain_errors=False,
    nested_errors=False,
    knows_methods=True,
    lists_only_ready=False,
    unloading=UnloadBehavior.KILLS,
    refuses_while_stopping=False,
    load_failure_status=500,
    needs_json_content_type=True,
    unknown_model_status=404,
    qualifies_peers=False,
    peers_under_upstream=False,
    detailed_events=False,
    activity_endpoints=False,
    counts_upstream_requests=False,
    first_activity_id=0,
    ui_redirect=(307, "Temporary Redirect"),
    late_log_headers=False,
    forgets_log_on_stop=False,
    loading_in_lines=False,
    glues_failure=True,
    ignores_static_paths=False,
    load_counts_as_use=False,
    preload_line="preloading model",
    dequeues_on_hangup=False,
)

_HEAD = BuildTraits(
    version={
        "build_date": "2026-08-22T16:29:57Z",
        "commit": "0bdb372",
        "version": "local_0bdb372",
    },
    json_type=JSON,
    running_newline="\n",
    sorted_keys=False,
    plain_errors=False,
    nested_errors=True,
    knows_methods=True,
    lists_only_ready=False,
    unloading=UnloadBehavior.ORDERLY,
    refuses_while_stopping=False,
    load_failure_status=500,
    needs_json_content_type=True,
    unknown_model_status=404,
    qualifies_peers=True,
    peers_under_upstream=True,
    detailed_events=True,
    activity_endpoints=True,
    counts_upstream_requests=False,
    first_activity_id=1,
    ui_redirect=(307, "Temporary Redirect"),
    late_log_headers=False,
    forgets_log_on_stop=False,
    loading_in_lines=False,
    glues_failure=False,
    ignores_static_paths=True,
    load_counts_as_use=False,
    preload_line="preloading model",
)

_V263 = replace(
    _HEAD,
    version={"build_date": "2026-10-09T15:20:44Z", "commit": "6b1c2f9e", "version": "v263"},
    load_counts_as_use=True,
    separate_logs=True,
    reports_loads=True,
    records_clients=True,
    frames_failure=True,
    checks_bodies=True,
    discovers_capabilities=True,
    mcp=True,
)

_HABITS = {Dialect.V217: _V217, Dialect.V218: _V218, Dialect.HEAD: _HEAD, Dialect.V263: _V263}

_KINDS = {
    400: ("invalid_request_error", "bad_request"),
    401: ("authentication_error", "unauthorized"),
    404: ("invalid_request_error", "not_found"),
    409: ("invalid_request_error", "conflict"),
    429: ("rate_limit_error", "concurrency_limit"),
    502: ("server_error", "bad_gateway"),
    503: ("server_error", "service_unavailable"),
}


def error(traits: BuildTraits, status: int, message: str, accept: str = "") -> ResponseContent:
    """One of llama-swap's own errors, in the form that the caller's Accept header asks for."""
    if traits.plain_errors:
        if accept == JSON:
            return ResponseContent(status, go_json({"error": message}).encode(), JSON_UTF8)
        return ResponseContent(status, message.encode(), TEXT_UTF8)
    if accept.startswith("text/html"):
        page = f"<html><body><h1>llama-swap</h1><p>{html.escape(message)}</p></body></html>"
        return ResponseContent(status, page.encode(), "text/html")
    if accept.startswith(TEXT):
        return ResponseContent(status, f"llama-swap: {message}".encode(), TEXT)
    return json_error(traits, status, message)


def json_error(traits: BuildTraits, status: int, message: str) -> ResponseContent:
    """An error that is JSON whatever the caller accepts."""
    if traits.plain_errors:
        return ResponseContent(status, go_json({"error": message}).encode(), JSON_UTF8)
    if not traits.nested_errors:
        body = f'{{"src":"llama-swap", "error": {go_json(message)}}}'
        return ResponseContent(status, body.encode(), JSON)
    kind, code = _KINDS.get(status, ("server_error", "internal_error"))
    detail = {"message": message, "type": kind, "param": None, "code": code}
    return ResponseContent(status, go_json({"src": "llama-swap", "error": detail}).encode(), JSON)


def load_error(
    traits: BuildTraits, failure: UpstreamLoadFailed, accept: str = ""
) -> ResponseContent:
    """Return the response to a request with a model that failed to load."""
    text = failure_text(traits, failure)
    if not traits.plain_errors:
        return error(traits, traits.load_failure_status, text, accept)
    status = 503 if failure.cause is LoadFailureCause.STOPPING else traits.load_failure_status
    return ResponseContent(status, f"{text}\n".encode(), TEXT_UTF8)


def failure_text(traits: BuildTraits, failure: UpstreamLoadFailed) -> str:
    """A failed load in the build's own words."""
    if not traits.plain_errors:
        waiter = "group: model unloaded"
        reason = waiter if failure.cause is LoadFailureCause.UNLOADED else failure_reason(failure)
        return f"unspecific error: {reason}"
    if failure.cause is LoadFailureCause.STOPPING:
        return "Process can not ProxyRequest, state is stopping"
    texts: dict[LoadFailureCause, Callable[[], str]] = {
        LoadFailureCause.NO_BINARY: lambda: (
            f"start() failed for {failure_reason(failure)[len('failed to start ') :]}"
        ),
        LoadFailureCause.TIMED_OUT: lambda: failure_reason(failure),
    }
    premature = "upstream command exited prematurely but successfully"
    return f"unable to start process: {texts.get(failure.cause, lambda: premature)()}"


def failure_reason(failure: UpstreamLoadFailed) -> str:
    """The reason as the proxy log of the newer builds has it."""
    match failure.cause:
        case LoadFailureCause.NO_BINARY:
            binary = failure.detail.split()[0]
            return (
                f"failed to start command '{failure.detail}': "
                f"fork/exec {binary}: no such file or directory"
            )
        case LoadFailureCause.TIMED_OUT:
            return f"health check timed out after {failure.detail}"
        case LoadFailureCause.UNLOADED | LoadFailureCause.STOPPING:
            return "aborted"
        case LoadFailureCause.SHUTDOWN:
            return f"[{failure.model_id}] shutdown"
        case LoadFailureCause.EXITED:
            return "upstream command exited prematurely"


def failure_log_lines(traits: BuildTraits, failure: UpstreamLoadFailed) -> tuple[str, ...]:
    """What a failed load leaves in the proxy log, without levels' brackets left out."""
    id_, reason = failure.model_id, failure_reason(failure)
    if traits.plain_errors:
        if failure.cause is not LoadFailureCause.EXITED:
            return ()
        return (
            f"[WARN] <{id_}> ExitError >> exit status 1, exit code: 1",
            f"[INFO] <{id_}> process exited but not StateStopping, current state: starting",
        )
    if traits.nested_errors:
        return (f"[WARN] group: starting {id_} failed: {reason}",)
    return (f"[WARN] group: running {id_} exited: {reason}",)


def crash_log_lines(traits: BuildTraits, model_id: str) -> tuple[str, ...]:
    """What the death of a ready model leaves in the proxy log."""
    if traits.plain_errors:
        return (
            f"[WARN] <{model_id}> ExitError >> signal: killed, exit code: -1",
            f"[INFO] <{model_id}> process exited but not StateStopping, current state: ready",
        )
    if traits.nested_errors:
        return (f"[WARN] <{model_id}> upstream process exited unexpectedly",)
    return (f"[WARN] group: running {model_id} exited: [{model_id}] upstream exited unexpectedly",)


def path_not_found(traits: BuildTraits) -> ResponseContent:
    """No such endpoint."""
    if traits.plain_errors:
        return ResponseContent(404, b"", "")
    return ResponseContent(
        404, b"404 page not found\n", TEXT_UTF8, {"X-Content-Type-Options": "nosniff"}
    )


def method_not_allowed(traits: BuildTraits, allowed: str) -> ResponseContent:
    """The endpoint is there, but not for this method."""
    if not traits.knows_methods:
        return path_not_found(traits)
    return ResponseContent(
        405,
        b"Method Not Allowed\n",
        TEXT_UTF8,
        {"Allow": allowed, "X-Content-Type-Options": "nosniff"},
    )
