"""Which keys work now, for the last line: the most needed first."""

from aitui.domain.models import Model, RunState
from aitui.domain.snapshot import ConnectionPhase, Snapshot
from aitui.ui.keymap import APP, CHAT_PANE, MODELS, PROMPT, TRANSCRIPT, Hint


def model_keys(
    model: Model | None, snapshot: Snapshot, *, read_only: bool, running: int, host: bool = False
) -> list[Hint]:
    """Those of the table. `running` is how many models are resident, `host` whether one is set."""
    live = snapshot.connection.phase is ConnectionPhase.LIVE
    writable = live and not read_only
    own = model is not None and model.loadable
    waits = model is not None and model.requested is not None
    idle = model is None or not (model.resident or waits)
    hints = [
        (MODELS.hint("load"), writable and own and idle),
        (
            MODELS.hint("unload", "abort" if _is_loading(model) else ""),
            writable and own and not idle,
        ),
        (MODELS.hint("chat"), live and model is not None),
        (MODELS.hint("app.change_context"), writable and own and host),
        (APP.hint("refresh_server"), not live),
        (APP.hint("doctor"), not live),
        (MODELS.hint("log"), own),
        (MODELS.hint("app.unload_all"), writable and running > 0),
        (MODELS.hint("filter"), bool(snapshot.models)),
        (APP.hint("restart_service"), host and not read_only),
        (APP.hint("hardware"), live),
        (APP.hint("config"), host),
        (MODELS.hint("sort"), bool(snapshot.models)),
        (MODELS.hint("copy_id"), model is not None),
        (APP.hint("switch_server"), True),
        (APP.hint("quit"), True),
        (APP.hint("help"), True),
    ]
    return [hint for hint, works in hints if works]


def chat_keys(*, writing: bool, answering: bool) -> list[Hint]:
    """Those of the prompt, or of the transcript above it."""
    stop = [APP.hint("interrupt")] if answering else []
    if writing:
        of_prompt = ("send", "newline", "edit", "complete", "leave")
        return [*stop, *(PROMPT.hint(action) for action in of_prompt)]
    of_transcript = ("block(1)", "copy('block')", "reasoning", "follow")
    return [
        *stop,
        CHAT_PANE.hint("write", runs="screen.write_prompt"),
        *(TRANSCRIPT.hint(action) for action in of_transcript),
        CHAT_PANE.hint("close", runs="screen.close_chat"),
        APP.hint("help"),
    ]


def filter_keys() -> list[Hint]:
    """Those of the filter line, where letters are letters."""
    return [MODELS.hint("keep_filter"), MODELS.hint("back")]


def _is_loading(model: Model | None) -> bool:
    return model is not None and (
        model.state is RunState.STARTING or (model.requested is not None and not model.resident)
    )
