"""Which keys work now, for the last line: the most needed first."""

from aitui.domain.models import Model, RunState
from aitui.domain.snapshot import ConnectionPhase, Snapshot

Hint = tuple[str, str, str]
"""Key, words and action."""


def model_keys(
    model: Model | None, snapshot: Snapshot, *, read_only: bool, running: int, host: bool = False
) -> list[Hint]:
    """Those of the table. `running` is how many models are resident, `host` whether one is set."""
    live = snapshot.connection.phase is ConnectionPhase.LIVE
    writable = live and not read_only
    own = model is not None and model.loadable
    waits = model is not None and model.requested is not None
    idle = model is None or not (model.resident or waits)
    unload = "abort" if _is_loading(model) else "unload"
    hints = [
        ("l", "load", "load", writable and own and idle),
        ("u", unload, "unload", writable and own and not idle),
        ("⏎", "chat", "chat", live and model is not None),
        ("c", "ctx", "app.change_context", writable and own and host),
        ("F5", "retry now", "app.refresh_server", not live),
        ("D", "doctor", "app.doctor", not live),
        ("L", "log", "log", own),
        ("U", "unload all", "unload_all", writable and running > 0),
        ("/", "filter", "filter", bool(snapshot.models)),
        ("R", "restart", "app.restart_service", host and not read_only),
        ("4", "hardware", "app.hardware", live),
        ("5", "config", "app.config", host),
        ("s", "sort", "sort", bool(snapshot.models)),
        ("y", "copy id", "copy_id", model is not None),
        ("S", "server", "app.switch_server", True),
        ("q", "quit", "app.quit", True),
        ("?", "keys", "app.help", True),
    ]
    return [(key, words, action) for key, words, action, works in hints if works]


def chat_keys(*, writing: bool, answering: bool) -> list[Hint]:
    """Those of the prompt, or of the transcript above it."""
    stop = [("^c", "stop", "app.interrupt")] if answering else []
    if writing:
        return [
            *stop,
            ("⏎", "send", "focused.send"),
            ("^j", "new line", "focused.newline"),
            ("^e", "editor", "focused.edit"),
            ("Tab", "complete", "focused.complete"),
            ("Esc", "read", "focused.leave"),
        ]
    return [
        *stop,
        ("i", "write", "screen.write_prompt"),
        ("J", "next block", "focused.block(1)"),
        ("y", "copy block", "focused.copy('block')"),
        ("t", "reasoning", "focused.reasoning"),
        ("End", "follow", "focused.follow"),
        ("Esc", "models", "screen.close_chat"),
        ("?", "keys", "app.help"),
    ]


def filter_keys() -> list[Hint]:
    """Those of the filter line, where letters are letters."""
    return [("⏎", "keep the filter", "keep_filter"), ("Esc", "show all", "back")]


def _is_loading(model: Model | None) -> bool:
    return model is not None and (
        model.state is RunState.STARTING or (model.requested is not None and not model.resident)
    )
