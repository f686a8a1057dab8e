"""The state of a server as text for people and as JSON for scripts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aitui.domain.models import Model, RunState, seconds_until_unload
from aitui.domain.units import count_of, format_seconds, format_tokens

if TYPE_CHECKING:
    from aitui.domain.snapshot import Clock, Server, Snapshot
    from aitui.errors import AituiError


def status_report(server: "Server", snapshot: "Snapshot", clock: "Clock") -> dict[str, object]:
    """Collect what `status --json` prints.

    `ttl` is in seconds, 0 for no idle timeout. `ready_since` (Unix time), `loading_progress` (0 to
    1) and `loading_message` are null if the server doesn't report them.
    """
    now, wall = clock.monotonic(), clock.wall()
    latency = snapshot.connection.latency
    return {
        "server": {
            "url": server.url,
            "identity": server.identity,
            "version": snapshot.version,
            "latency_ms": None if latency is None else round(latency * 1000, 1),
            "read_only": server.read_only,
        },
        "models": [
            {
                "id": model.id,
                "name": model.name,
                "description": model.description,
                "kind": model.kind,
                "state": model.state,
                "ready_since": None if (up := model.uptime(now)) is None else round(wall - up),
                "loading_progress": model.progress,
                "loading_message": model.progress_note or None,
                "aliases": model.aliases,
                "context_size": model.context.tokens,
                "context_source": model.context.source.name.lower(),
                "ttl": model.ttl,
                "reasoning": model.reasoning,
                "unlisted": model.unlisted,
                "command": model.command,
            }
            for model in snapshot.models
        ],
    }


def status_as_text(label: str, snapshot: "Snapshot", now: float) -> str:
    """Format the status as a table: loaded models first, else in the server's order.

    `now` is in monotonic seconds.
    """
    models = sorted(snapshot.models, key=lambda model: not model.resident)
    rows = [("MODEL", "STATE", "CTX", "TTL")]
    rows += [
        (model.id, _state(model, now), format_tokens(model.context.tokens), _ttl(model, now))
        for model in models
    ]
    head = f"{label}: {len(snapshot.resident)} of {len(models)} models running"
    if snapshot.version:
        head += f", llama-swap {snapshot.version}"
    if not models:
        return f"{head}\nThe server lists no models: add some to its config.yaml."
    return "\n".join((head, *_align_columns(rows)))


def _state(model: Model, now: float) -> str:
    if not model.loadable:
        return model.kind.value
    uptime = model.uptime(now)
    if uptime is not None:
        return f"ready {format_seconds(uptime)}"
    return "-" if model.state is RunState.STOPPED else f"{model.state.value}{_share(model)}"


def _share(model: Model) -> str:
    """Format how far a load is, if that is reported."""
    return "" if model.progress is None else f" {model.progress * 100:.0f} %"


def _ttl(model: Model, now: float) -> str:
    left = seconds_until_unload(model, now)
    # One request can't show when the model was last used: at most the whole TTL is left.
    return "-" if left is None else f"<= {format_seconds(left)}"


def _align_columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


_GLYPHS = {RunState.READY: "●", RunState.STARTING: "◐", RunState.STOPPING: "◌"}


def status_line(label: str, snapshot: "Snapshot") -> str:
    """Format the status as one line: the server, its latency, its models, its requests."""
    parts = [f"{label} ●"]
    latency = snapshot.connection.latency
    if latency is not None:
        parts[0] += f" {latency * 1000:.0f} ms"
    parts += [_format_model(model) for model in snapshot.resident] or ["no model loaded"]
    if snapshot.requests.total:
        parts.append(count_of(snapshot.requests.total, "request"))
    return " · ".join(parts)


def error_line(label: str, error: "AituiError") -> str:
    """Format the line of a server that didn't answer."""
    return f"{label} ✘ {error.what}"


def _format_model(model: Model) -> str:
    state = "" if model.state is RunState.READY else f" {model.state.value}{_share(model)}"
    return f"{_GLYPHS.get(model.state, '?')} {model.id}{state}"
