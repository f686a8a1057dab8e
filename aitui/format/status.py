"""The state of a server as text for people and as JSON for scripts."""

import re
from typing import TYPE_CHECKING

from aitui.domain.models import (
    ContextSource,
    Model,
    RunState,
    seconds_until_unload,
    state_counts,
)
from aitui.domain.units import (
    count_of,
    format_countdown,
    format_rate,
    format_seconds,
)
from aitui.format.styled import Cell, Column, Line, Span, table

if TYPE_CHECKING:
    from aitui.domain.snapshot import Clock, Server, Snapshot
    from aitui.errors import AituiError


def status_report(server: "Server", snapshot: "Snapshot", clock: "Clock") -> dict[str, object]:
    """Collect what `status --json` prints.

    `ttl` is in seconds, 0 for no idle timeout. `ready_since` (Unix time), `loading_progress` (0 to
    1) and `loading_message` are null if the server doesn't report them; `memory_bytes` is what the
    model was measured to take at this context size, `rate` the tokens per second of its last request.
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
                "memory_bytes": None if model.memory is None else model.memory.gpu,
                "rate": model.rate,
                "requests": model.requests,
                "ttl": model.ttl,
                "reasoning": model.reasoning,
                "unlisted": model.unlisted,
                "command": model.command,
            }
            for model in snapshot.models
        ],
    }


_COLUMNS = (
    Column(""),
    Column("MODEL"),
    Column("STATE"),
    Column("CTX", right=True, need=5),
    Column("GB", right=True, need=4),
    Column("TOK/S", right=True, need=2),
    Column("REQUESTS", right=True, need=3),
    Column("TTL", right=True, need=1),
)
_ID = 1


def status_as_lines(label: str, snapshot: "Snapshot", now: float, width: int | None) -> list[Line]:
    """Lay out the status as a table of `width` cells: loaded models first, else in the server's order.

    `now` is in monotonic seconds; without a `width` no id is shortened. An assumed context size is
    marked with `?`, memory that was measured in an earlier load with `≈`.
    """
    models = sorted(snapshot.models, key=lambda model: not model.resident)
    head = [Span(label, "title"), Span(f": {_count_models(snapshot)}")]
    if snapshot.version:
        head.append(Span(f", llama-swap {snapshot.version_name}", "muted"))
    if not models:
        return [head, [Span("The server lists no models: add some to its config.yaml.", "warning")]]
    rows = [_row(model, now) for model in models]
    lines = [head, *table(_COLUMNS, rows, width, _ID)]
    if any(model.context.source is ContextSource.FALLBACK and model.loadable for model in models):
        lines.append([Span("? assumed: the server doesn't report this context size", "muted")])
    return lines


def status_as_markdown(snapshot: "Snapshot", now: float) -> str:
    """Lay out the same table for a transcript, without the columns that are too wide for it there."""
    models = sorted(snapshot.models, key=lambda model: not model.resident)
    rows = []
    for model in models:
        _, name, state, size, memory, *_ = (escape_markdown(cell.text) for cell in _row(model, now))
        if model.resident:
            name = f"**{name}**"
            # As short as in the table of view 1, so that the longest ids leave it room.
            state = "ready" if model.state is RunState.READY else state.removeprefix("loading ")
        elif model.failed is not None:
            state = "failed"
        rows.append(f"| {name} | {state} | {size} | {memory} |")
    head = ("| Model | State | Ctx | GB |", "|---|---|--:|--:|") if rows else ()
    return "\n".join((_count_models(snapshot), "", *head, *rows))


def escape_markdown(text: str) -> str:
    """Return Markdown that shows a text as it is."""
    return re.sub(r"([\\`*_\[\]<>|~#!&])", r"\\\1", text)


def _count_models(snapshot: "Snapshot") -> str:
    states = ", ".join(state_counts(snapshot.models)) or "none loaded"
    return f"{states} of {count_of(max(snapshot.total_models, len(snapshot.models)), 'model')}"


def _row(model: Model, now: float) -> tuple[Cell, ...]:
    sign, style = _SIGNS.get(model.state, ("○", "")) if model.loadable else ("◇", "muted")
    quiet = "" if model.resident else "muted"
    memory = "–" if model.memory is None else model.memory.figure
    return (
        Cell(sign, style),
        Cell(model.id, "strong" if model.resident else ""),
        Cell(_state(model, now), style),
        Cell(model.context.label if model.loadable else "–", quiet),
        Cell(memory, quiet),
        Cell("–" if model.rate is None else format_rate(model.rate), quiet),
        Cell(str(model.requests) if model.requests else "–", quiet),
        Cell(_ttl(model, now), quiet),
    )


def _state(model: Model, now: float) -> str:
    if not model.loadable:
        return model.kind.value
    uptime = model.uptime(now)
    if uptime is not None:
        return f"ready {format_seconds(uptime)}"
    if model.state is RunState.STOPPED:
        return "–"
    return _transit(model)


def _transit(model: Model) -> str:
    words = {RunState.STARTING: "loading", RunState.STOPPING: "unloading"}
    share = "" if model.progress is None else f" {model.progress * 100:.0f} %"
    return f"{words.get(model.state, model.state.value)}{share}"


def _ttl(model: Model, now: float) -> str:
    left = seconds_until_unload(model, now)
    # One request can't show when the model was last used: at most the whole TTL is left.
    return "–" if left is None else f"≤ {format_countdown(left)}"


_SIGNS = {
    RunState.READY: ("●", "ready"),
    RunState.STARTING: ("◐", "transit"),
    RunState.STOPPING: ("◌", "transit"),
    RunState.UNKNOWN: ("?", "warning"),
}


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
    state = "" if model.state is RunState.READY else f" {_transit(model)}"
    return f"{_SIGNS.get(model.state, ('?', ''))[0]} {model.id}{state}"
