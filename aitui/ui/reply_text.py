"""Texts about a reply: while it streams, and in its footer."""

from aitui.domain.chat.conversation import Turn, TurnState
from aitui.domain.chat.reply import RATE_WINDOW, Reply, ReplyPhase
from aitui.domain.models import Model
from aitui.domain.snapshot import ConnectionPhase, Snapshot
from aitui.domain.units import format_seconds, format_tokens
from aitui.errors import AituiError, ContextExceeded
from aitui.format.chat import reply_figures
from aitui.ui.keymap import CHAT_PANE, PROMPT

INCOMPLETE_HINT = "/continue resumes it, /retry asks again"


def phase_text(answer: Reply, model: Model | None, now: float) -> str:
    """Return the phase of a reply with its seconds so far, and the expected ones if known."""
    elapsed = f"{max(0.0, now - answer.phase_since):.0f}"
    match answer.phase:
        case ReplyPhase.QUEUED:
            place = f", position {answer.position}" if answer.position else ""
            return f"queued at the server{place}, {elapsed} s"
        case ReplyPhase.LOADING:
            return _load_text(model, elapsed)
        case ReplyPhase.PREFILL:
            share = "" if answer.progress is None else f" {answer.progress.share * 100:.0f} %"
            return f"reading the prompt{share}, {elapsed} s"
        case ReplyPhase.THINKING:
            return f"reasoning, {elapsed} s"
        case ReplyPhase.STREAMING:
            return "generating"
        case _:
            return str(answer.phase.value)


def _load_text(model: Model | None, elapsed: str) -> str:
    if model is not None and model.progress is not None:
        return f"the model is loading {model.progress * 100:.0f} %, {elapsed} s"
    if model is not None and model.expected_load is not None:
        return f"loading, usually {format_seconds(model.expected_load)}, {elapsed} s so far"
    return f"the model is loading, {elapsed} s"


def silence_text(answer: Reply, snapshot: Snapshot, now: float) -> str:
    """Return what a stalled reply waits for; "" while it streams."""
    last = answer.rates.last_token if answer.phase.is_generating else None
    silent = now - (answer.phase_since if last is None else last)
    if answer.phase.is_final or silent <= RATE_WINDOW:
        return ""
    if snapshot.restart_by is not None:
        left = snapshot.restart_by - now
        return "waiting, the server restarts" + (f" within {left:.0f} s" if left > 0 else "")
    if last is None:
        return ""
    lost = snapshot.connection.phase is ConnectionPhase.LOST
    return f"waiting{', connection lost' if lost else ''}, {silent:.0f} s without a token"


def footer_items(turn: Turn, place: str = "") -> tuple[str, ...]:
    """The items below a reply that has ended, the most needed first.

    `place` is which of several replies it is.
    """
    return tuple(part for part in (_end_reason(turn), place, *reply_figures(turn)) if part)


def _end_reason(turn: Turn) -> str:
    if turn.state is TurnState.STOPPED:
        return "stopped"
    if turn.state in {TurnState.CUT, TurnState.RUNNING}:
        # The commands below say what helps: the error's own remedy would say it twice.
        trouble = turn.trouble.removesuffix(" — continue it, or retry")
        return f"✘ cut: {trouble or 'aitui ended before it did'} ({INCOMPLETE_HINT})"
    if turn.finish == "length":
        return f"token limit reached ({INCOMPLETE_HINT})"
    return turn.trouble


def completion_notice(answer: Reply) -> str:
    """Return the notification for a reply that ended out of sight, empty if the user stopped it."""
    match answer.phase:
        case ReplyPhase.DONE:
            return f"{answer.model} has replied"
        case ReplyPhase.CUT:
            return f"The reply of {answer.model} was cut off"
        case ReplyPhase.FAILED:
            return f"{answer.model} has not replied"
        case _:
            return ""


def failure_text(error: AituiError, size: int) -> str:
    """Return why no reply came, and remedies; `size` is the context that is offered, 0 for none."""
    if not isinstance(error, ContextExceeded):
        return error.why
    ways = ["/delete removes turns", "/clear starts a new conversation"]
    if size:
        ways.insert(0, f"{CHAT_PANE.sign('app.grow_context')} makes it {format_tokens(size)}")
    clear = PROMPT.sign("clear")
    return (
        f"{error.why or error.what}: {', '.join(ways)}. "
        f"{clear} clears the prompt for a command and restores it."
    )
