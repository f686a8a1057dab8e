"""The pane with everything known of the model under the cursor."""

from msgspec import Struct
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.reactive import reactive

from aitui.domain.models import Model, ModelKind, RunState, seconds_until_unload
from aitui.domain.units import format_countdown, format_rate, format_seconds
from aitui.ui.plain import PlainText
from aitui.ui.text import wrap_text
from aitui.ui.widgets.model_table import ClockReading, clock_time, load_progress

LABEL_WIDTH = 8
STYLES = {
    "ready": "$success",
    "transit": "$warning",
    "failed": "$error",
    "quiet": "$foreground 65%",
}


class DetailLine(Struct, frozen=True):
    """One line: a short label, and text of any length; `style` is one of STYLES."""

    label: str
    text: str
    style: str = "plain"


class ModelDetail(VerticalScroll):
    """A pane of facts, each with its label; long ones go on below their own beginning."""

    lines: reactive[tuple[DetailLine, ...]] = reactive((), init=False)

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._text = PlainText()
        self._shown: tuple[tuple[DetailLine, ...], int] = (), 0
        self._height = 0

    def compose(self) -> ComposeResult:
        yield self._text

    def watch_lines(self) -> None:
        width = max(20, self.scrollable_content_region.width - LABEL_WIDTH - 1)
        shown = self.lines, width if self.lines else 0
        if shown == self._shown:
            return
        self._shown = shown
        lines = [line for fact in self.lines for line in _fact_lines(fact, width)]
        # A layout is of the whole screen: once a second that was 0.4 % of a core.
        self._text.update(Content("\n").join(lines), layout=len(lines) != self._height)
        self._height = len(lines)

    on_resize = watch_lines


def _fact_lines(fact: DetailLine, width: int) -> list[Content]:
    style = STYLES.get(fact.style, "")
    lines: list[Content] = []
    for text in wrap_text(fact.text, width):
        label = "" if lines else fact.label
        lines.append(
            Content.assemble(
                (label.rjust(LABEL_WIDTH), STYLES["quiet"]), " ", (text, style) if style else text
            )
        )
    return lines


def model_facts(model: Model, moment: ClockReading, queue_text: str = "") -> tuple[DetailLine, ...]:
    """The lines, the most urgent first, since a small pane shows only the first few.

    `queue_text` says what becomes of a request for the model that was given up in the queue.
    """
    name = "" if model.name == model.id else model.name
    lines = [
        DetailLine("state", _state_text(model, moment, queue_text), _state_style(model)),
        *_failure_facts(model),
        DetailLine("evicted", _eviction_text(model), "transit"),
        DetailLine("unloaded", _idle_unload_text(model), "transit"),
        DetailLine(
            "speed", "" if model.rate is None else f"{format_rate(model.rate)} tokens/s lately"
        ),
        DetailLine("context", _context_text(model)),
        DetailLine("memory", _memory_text(model)),
        DetailLine("unloads", _unload_text(model, moment)),
        DetailLine("about", " — ".join(filter(None, (name, model.description)))),
        DetailLine("aliases", ", ".join(model.aliases)),
        DetailLine("kind", _kind_text(model)),
        DetailLine("reasoning", "yes" if model.reasoning else ""),
        DetailLine("load", _load_time_text(model)),
        DetailLine("at", model.proxy),
        DetailLine("command", model.command.strip()),
    ]
    return tuple(line for line in lines if line.text)


def context_title(model: Model) -> str:
    """The context size as the pane's title shows it, exact and with its source."""
    if model.kind is not ModelKind.MODEL:
        return ""
    return f"ctx {model.context.tokens:,} {model.context.source.value}"


def _state_text(model: Model, moment: ClockReading, queue_text: str) -> str:
    age = format_seconds(max(0.0, moment.monotonic - model.since))
    match model.state:
        case RunState.STARTING:
            hint = " · u aborts" if model.requested is not None else ""
            spent = f" after {age}" if model.progress is not None and model.dated else ""
            note = f" · {model.progress_note}" if model.progress_note else ""
            return f"loading {load_progress(model, moment)}{spent}{note}{hint}"
        case RunState.READY:
            in_use = f", {model.requests} in use" if model.requests else ", idle"
            usage = "" if model.requests is None else in_use
            uptime = model.uptime(moment.monotonic)
            return f"ready{'' if uptime is None else f' for {_steady_text(uptime)}'}{usage}"
        case RunState.STOPPING:
            return f"stopping for {age}"
        case RunState.UNKNOWN:
            return "a state that this version of aitui doesn't know"
        case RunState.STOPPED:
            return _not_running_text(model, moment, queue_text)


def _not_running_text(model: Model, moment: ClockReading, queue_text: str) -> str:
    if model.requested is not None:
        waited = format_seconds(max(0.0, moment.monotonic - model.requested))
        return f"asked for {waited} ago; the server hasn't begun yet · u aborts"
    if queue_text:
        return f"{queue_text} · u removes it"
    if not model.loadable:
        return ""
    return "" if model.failed is not None else "not loaded"


def _failure_facts(model: Model) -> list[DetailLine]:
    failed = model.failed
    if failed is None:
        return []
    label = "crashed" if failed.crashed else "failed"
    head = DetailLine(label, f"{clock_time(failed.at)} — {failed.reason}", "failed")
    return [head, *(DetailLine("log", line, "quiet") for line in failed.log)]


def _eviction_text(model: Model) -> str:
    evicted = model.evicted
    if evicted is None:
        return ""
    requester = f" for {evicted.requester}" if evicted.requester else ""
    return f"{clock_time(evicted.at)}{requester}, by {evicted.by}"


def _idle_unload_text(model: Model) -> str:
    gone = model.timed_out
    if gone is None:
        return ""
    timeout = format_seconds(gone.ttl)
    if gone.unused:
        return (
            f"{clock_time(gone.at)}, as soon as it was ready: the client that had asked for it was "
            f"gone, and this llama-swap counts the idle timeout ({timeout}) from the last request"
        )
    return f"{clock_time(gone.at)}, after {timeout} without a request"


def _memory_text(model: Model) -> str:
    if model.memory is None:
        return ""
    # With msgspec, for its reports: 12 ms, which the first frame doesn't need.
    from aitui.format.hardware import footprint_text

    return footprint_text(model.memory)


def _context_text(model: Model) -> str:
    if model.kind is not ModelKind.MODEL:
        return ""
    return f"{model.context.tokens:,} tokens, {model.context.source.value}"


def _steady_text(seconds: float) -> str:
    """Format a time in whole minutes from one on: seconds would draw the pane again each second."""
    return format_countdown(seconds) if 60 <= seconds < 3600 else format_seconds(seconds)


def _unload_text(model: Model, moment: ClockReading) -> str:
    if model.state is not RunState.READY:
        return ""
    left = seconds_until_unload(model, moment.monotonic)
    if left is not None:
        return f"in ≈ {_steady_text(left)}, after {format_seconds(model.ttl)} without a request"
    if model.ttl <= 0:
        return "never: no idle timeout"
    return f"{format_seconds(model.ttl)} after the last request"


def _kind_text(model: Model) -> str:
    if model.kind is ModelKind.PEER:
        return f"runs at the peer {model.peer}; nothing can be loaded or unloaded from here"
    if model.kind is not ModelKind.MODEL:
        return f"a {model.kind.value} that chooses among {', '.join(model.targets) or 'models'}"
    return "left out of the server's list" if model.unlisted else ""


def _load_time_text(model: Model) -> str:
    if not model.loadable or model.resident:
        return ""
    if model.expected_load is None:
        return "not timed yet"
    return f"takes about {format_seconds(model.expected_load)}"


def _state_style(model: Model) -> str:
    if model.state is RunState.READY:
        return "ready"
    return "transit" if model.in_transit or model.is_awaited else "plain"
