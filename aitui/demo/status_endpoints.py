"""The short endpoints: models, states, versions, figures, unloading."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from aitui.demo import mcp, performance
from aitui.demo.activity import RecordedRow, stats
from aitui.demo.answers import (
    HTML_UTF8,
    JSON,
    TEXT_UTF8,
    CompleteResponse,
    Response,
    ResponseContent,
    go_json,
    redirect,
)
from aitui.demo.call import IncomingRequest
from aitui.demo.dialect import error, json_error, path_not_found
from aitui.demo.event_endpoints import active_profile
from aitui.demo.llama_swap import LlamaSwap
from aitui.demo.machine_facts import hardware_body

_SORT_KEYS = {
    "id": lambda row: row.id,
    "time": lambda row: row.timestamp,
    "model": lambda row: row.model,
    "src": lambda row: row.client,
    "duration": lambda row: row.duration_ms,
}
_DEFAULT_PAGE = 25
_LARGEST_PAGE = 999


class StatusEndpoints:
    """Answers about one llama-swap."""

    def __init__(self, swap: LlamaSwap) -> None:
        self._swap = swap

    async def root(self, _call: IncomingRequest) -> Response:
        """`GET /` leads to the user interface."""
        return CompleteResponse(redirect(302, "/ui", "Found"))

    async def ui(self, _call: IncomingRequest) -> Response:
        """`GET /ui` leads to its folder."""
        status, phrase = self._swap.traits.ui_redirect
        return CompleteResponse(redirect(status, "/ui/", phrase))

    async def ui_page(self, _call: IncomingRequest) -> Response:
        """`GET /ui/`: no user interface is built in."""
        return CompleteResponse(
            ResponseContent(200, b"<!doctype html><title>stub ui</title>\n", HTML_UTF8)
        )

    async def health(self, _call: IncomingRequest) -> Response:
        """`GET /health`: the server lives, whatever its models do."""
        return CompleteResponse(ResponseContent(200, b"OK", TEXT_UTF8))

    async def running(self, _call: IncomingRequest) -> Response:
        """`GET /running`."""
        traits = self._swap.traits
        text = go_json(self._swap.listing.running(), sorted_keys=traits.sorted_keys)
        return CompleteResponse(
            ResponseContent(200, f"{text}{traits.running_newline}".encode(), JSON)
        )

    async def models(self, _call: IncomingRequest) -> Response:
        """`GET /v1/models`."""
        return self._json(self._swap.listing.models(self._swap.active_profile))

    async def version(self, _call: IncomingRequest) -> Response:
        """`GET /api/version`."""
        return self._json(dict(self._swap.traits.version))

    async def unload_all(self, _call: IncomingRequest) -> Response:
        """`POST /api/models/unload`."""
        await self._swap.swapping.unload(self._swap.processes)
        return self._json({"msg": "ok"})

    async def unload_by_get(self, _call: IncomingRequest) -> Response:
        """`GET /unload`, the older way."""
        await self._swap.swapping.unload(self._swap.processes)
        return CompleteResponse(ResponseContent(200, b"OK", TEXT_UTF8))

    async def unload_one(self, call: IncomingRequest) -> Response:
        """`POST /api/models/unload/ID`; an alias will do."""
        model_id = self._swap.configuration.resolve(call.path.removeprefix("/api/models/unload/"))
        if model_id is None:
            text = "Model not found" if self._swap.traits.plain_errors else "model not found"
            return CompleteResponse(error(self._swap.traits, 404, text, call.accept))
        await self._swap.swapping.unload([model_id])
        return CompleteResponse(ResponseContent(200, b"OK", TEXT_UTF8))

    async def metrics(self, _call: IncomingRequest) -> Response:
        """`GET /api/metrics` of the older builds: every row."""
        rows = go_json(self._swap.activity.describe_all())
        return CompleteResponse(ResponseContent(200, rows.encode(), JSON))

    async def activity(self, call: IncomingRequest) -> Response:
        """`GET /api/metrics/activity`: a page of rows."""
        complaint = _page_error(call)
        if complaint:
            return CompleteResponse(error(self._swap.traits, 400, complaint, call.accept))
        rows = sorted(self._filter_rows(call), key=_SORT_KEYS[call.query.get("sort", "id")])
        if call.query.get("order", "desc") != "asc":
            rows.reverse()
        page, limit = int(call.query.get("page", 1)), int(call.query.get("limit", _DEFAULT_PAGE))
        shown = rows[(page - 1) * limit : page * limit]
        return self._json(
            {
                "data": [self._swap.activity.describe(row) for row in shown],
                "page": page,
                "limit": limit,
                "total": len(rows),
                "total_pages": -(-len(rows) // limit),
            }
        )

    async def activity_stats(self, call: IncomingRequest) -> Response:
        """`GET /api/metrics/stats`: sums and histograms."""
        return self._json(stats(self._filter_rows(call)))

    async def capture(self, call: IncomingRequest) -> Response:
        """`GET /api/captures/ID`."""
        number = call.path.removeprefix("/api/captures/")
        if not number.lstrip("-").isdecimal():
            return CompleteResponse(json_error(self._swap.traits, 400, "invalid capture ID"))
        exchange = self._swap.activity.captures.find(int(number))
        if exchange is None:
            return CompleteResponse(json_error(self._swap.traits, 404, "capture not found"))
        body = go_json(exchange.describe(int(number)))
        return CompleteResponse(ResponseContent(200, body.encode(), JSON))

    async def performance(self, call: IncomingRequest) -> Response:
        """`GET /api/performance`: a sample every few seconds, the last two at first."""
        traits = self._swap.traits
        if not self._swap.configuration.performance:
            if traits.detailed_events:
                return CompleteResponse(ResponseContent(503, b'{"enabled":false}\n', JSON))
            return CompleteResponse(json_error(traits, 503, "performance monitor not available"))
        after = call.query.get("after", "")
        try:
            since = _unix_time(after) if after else None
        except ValueError:
            text = "invalid 'after' timestamp, use RFC3339 format"
            return CompleteResponse(json_error(traits, 400, text))
        swap, processes = self._swap, self._swap.processes.values()
        now, step = swap.change.wall(), swap.configuration.performance_step
        past = [one for one in swap.past_samples if since is None or one.at > since]
        moments = performance.sample_times(past[-1].at if past else since, now, step)
        body: dict[str, Any] = {"enabled": True} if traits.detailed_events else {}
        body["gpu_stats"] = [row for one in past for row in one.gpus] + [
            row for at in moments for row in performance.gpu_samples(swap.cards, processes, at)
        ]
        body["sys_stats"] = [one.system for one in past] + [
            performance.system_sample(processes, at) for at in moments
        ]
        return self._json(body)

    async def prometheus(self, _call: IncomingRequest) -> Response:
        """`GET /metrics`."""
        if not self._swap.configuration.performance:
            return CompleteResponse(
                ResponseContent(503, b"# performance monitor not available\n", TEXT_UTF8)
            )
        sample = performance.system_sample(self._swap.processes.values(), self._swap.change.wall())
        text = performance.prometheus(sample)
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return CompleteResponse(ResponseContent(200, text.encode(), kind))

    async def hardware(self, _call: IncomingRequest) -> Response:
        """`GET /api/hardware`: the demo's machine."""
        version = self._swap.traits.version["version"]
        return self._json(hardware_body(version, self._swap.cards.cards, self._swap.change.wall()))

    async def profiles(self, _call: IncomingRequest) -> Response:
        """`GET /api/profiles`."""
        listed = [
            {
                "id": profile.id,
                "description": profile.description,
                "pins": dict(sorted(profile.pins.items())),
            }
            for profile in self._swap.configuration.profiles
        ]
        return self._json({**active_profile(self._swap), "profiles": listed})

    async def choose_profile(self, call: IncomingRequest) -> Response:
        """`PUT /api/profiles/active`; null or an empty name means none."""
        traits = self._swap.traits
        try:
            body = json.loads(call.body)
        except ValueError:
            return CompleteResponse(error(traits, 400, "invalid profile request", call.accept))
        if not isinstance(body, dict) or "name" not in body:
            return CompleteResponse(error(traits, 400, "profile name is required", call.accept))
        name = body["name"]
        if name is not None and not isinstance(name, str):
            return CompleteResponse(
                error(traits, 400, "profile name must be a string or null", call.accept)
            )
        found = [item for item in self._swap.configuration.profiles if item.id == name]
        if name and not found:
            return CompleteResponse(error(traits, 404, f'profile "{name}" not found', call.accept))
        self._swap.active_profile = found[0] if found else None
        self._swap.proxy_log.write(f'[INFO] active profile changed to "{name or ""}"\n')
        self._swap.publish("profileChanged", active_profile(self._swap))
        self._swap.publish("modelStatus", self._swap.listing.statuses())
        return self._json(active_profile(self._swap))

    async def tailcat(self, _call: IncomingRequest) -> Response:
        """`GET /api/tailcat`: no such network here."""
        return self._json({"enabled": False, "address": "", "models": []})

    async def mcp(self, call: IncomingRequest) -> Response:
        """`POST /api/mcp`: one JSON-RPC request in, one response out."""
        answer = mcp.respond(call.body, call.headers, self._swap.traits.version["version"])
        if answer is None:
            return CompleteResponse(ResponseContent(202, b"", ""))
        revision = {"Mcp-Protocol-Version": mcp.REVISION}
        return CompleteResponse(ResponseContent(200, go_json(answer).encode(), JSON, revision))

    async def cancel(self, call: IncomingRequest) -> Response:
        """`POST /api/inflight/ID/cancel`."""
        id_, _, action = call.path.removeprefix("/api/inflight/").partition("/")
        if action != "cancel":
            return CompleteResponse(path_not_found(self._swap.traits))
        request = self._swap.running.find(id_)
        if request is None:
            return CompleteResponse(
                error(self._swap.traits, 404, "inflight request not found", call.accept)
            )
        request.cancel()
        return self._json({"msg": "ok"})

    def _filter_rows(self, call: IncomingRequest) -> Iterable[RecordedRow]:
        wanted = call.request.query.getall("model", [])
        query = call.query
        return [
            row
            for row in self._swap.activity.rows
            if (not wanted or row.model in wanted)
            and row.client.startswith(query.get("src_prefix", ""))
            and int(query.get("min_id", 0)) <= row.id <= int(query.get("max_id", row.id))
            and query.get("start", "") <= row.timestamp <= query.get("end", row.timestamp)
        ]

    def _json(self, value: object) -> Response:
        traits = self._swap.traits
        text = go_json(value, sorted_keys=traits.sorted_keys)
        return CompleteResponse(
            ResponseContent(200, f"{text}{traits.running_newline}".encode(), traits.json_type)
        )


def _unix_time(text: str) -> float:
    """Read RFC 3339. Raises ValueError, also for a time without a zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no zone")
    return moment.timestamp()


def _page_error(call: IncomingRequest) -> str:
    """Return what is wrong with the parameters of a page, in the server's words."""
    limit = call.query.get("limit", str(_DEFAULT_PAGE))
    if not limit.isdecimal() or not 1 <= int(limit) <= _LARGEST_PAGE:
        return f"limit must be between 1 and {_LARGEST_PAGE}"
    if call.query.get("sort", "id") not in _SORT_KEYS:
        return "invalid sort column"
    for name in ("start", "end"):
        try:
            datetime.fromisoformat(call.query.get(name, "2026-01-01T00:00:00Z"))
        except ValueError:
            return f"invalid '{name}' timestamp, use RFC3339 format"
    return ""
