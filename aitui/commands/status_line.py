"""The state of a server on one line, for a status bar."""

from aitui.domain.model import Model, RunState
from aitui.domain.snapshot import Snapshot
from aitui.errors import AituiError

_GLYPHS = {RunState.READY: "●", RunState.STARTING: "◐", RunState.STOPPING: "◌"}


def status_line(label: str, snapshot: Snapshot) -> str:
    """Which server, whether it is alive, what it runs, and for how many."""
    parts = [f"{label} ●"]
    latency = snapshot.connection.latency
    if latency is not None:
        parts[0] += f" {latency * 1000:.0f} ms"
    parts += [_format_model(model) for model in snapshot.resident] or ["no model loaded"]
    if snapshot.requests.total:
        noun = "request" if snapshot.requests.total == 1 else "requests"
        parts.append(f"{snapshot.requests.total} {noun}")
    return " · ".join(parts)


def error_line(label: str, error: AituiError) -> str:
    """The same for a server that didn't answer."""
    return f"{label} ✘ {error.what}"


def _format_model(model: Model) -> str:
    state = "" if model.state is RunState.READY else f" {model.state.value}"
    return f"{_GLYPHS.get(model.state, '?')} {model.id}{state}"
