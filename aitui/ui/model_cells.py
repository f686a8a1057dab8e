"""What the table says of a model, cell by cell."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from aitui.domain.amounts import format_countdown, format_rate, format_tokens
from aitui.domain.idle import seconds_until_unload
from aitui.domain.model import Kind, Model, RunState

NOTHING = "–"

GLYPHS = {
    RunState.STOPPED: "○",
    RunState.STARTING: "◐",
    RunState.READY: "●",
    RunState.STOPPING: "◑",
    RunState.UNKNOWN: "?",
}
ELSEWHERE = "◇"
WAITING = "◔"
FAILED = "✘"


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, on both clocks: monotonic seconds for ages, Unix time for what people read."""

    monotonic: float
    wall: float


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table.

    `width` is in cells, 0 takes what is left; `from_width` is the narrowest table that shows it.
    One that `falls` has its greatest figure first.
    """

    key: str
    title: str
    width: int
    from_width: int
    text: Callable[[Model, Moment], str]
    order: Callable[[Model, Moment], tuple[object, ...]]
    right: bool = False
    falls: bool = False


def glyph(model: Model) -> str:
    """One character for the state, so that colour is never the only sign."""
    if not model.loadable:
        return ELSEWHERE
    if model.resident:
        return GLYPHS[model.state]
    if model.requested is not None:
        return WAITING
    return FAILED if model.failed is not None else GLYPHS[model.state]


def mood(model: Model) -> str:
    """The style of the glyph and the state: ready, transit, failed or quiet."""
    if model.state is RunState.READY:
        return "ready"
    if model.in_transit or model.requested is not None:
        return "transit"
    return "failed" if model.failed is not None else "quiet"


def state_text(model: Model, moment: Moment) -> str:
    """The state in words, with seconds so far and expected ones where it is about to change."""
    if not model.loadable:
        return model.kind.value
    if model.state is RunState.STOPPED:
        return _stopped_text(model, moment)
    texts = {
        RunState.READY: f"ready · {model.requests} req" if model.requests else "ready",
        RunState.STARTING: f"loading {load_progress(model, moment)}",
        RunState.STOPPING: f"stopping {max(0.0, moment.monotonic - model.since):.0f} s",
    }
    return texts.get(model.state, "unknown state")


def _stopped_text(model: Model, moment: Moment) -> str:
    if model.requested is not None:
        return f"waits {max(0.0, moment.monotonic - model.requested):.0f} s"
    if model.evicted is not None and model.failed is None:
        return f"evicted {clock_time(model.evicted.at)}"
    if model.failed is not None:
        return f"failed {clock_time(model.failed.at)}"
    return NOTHING


def load_progress(model: Model, moment: Moment) -> str:
    """Seconds so far of a load, and of how many: `18/≈29 s`."""
    so_far = f"{max(0.0, moment.monotonic - model.since):.0f}"
    if model.expected_load is None:
        return f"{so_far} s"
    return f"{so_far}/≈{model.expected_load:.0f} s"


def clock_time(at: float) -> str:
    """Hours and minutes of a Unix time, in the local zone."""
    return datetime.fromtimestamp(at).astimezone().strftime("%H:%M")


def context_text(model: Model, _moment: Moment) -> str:
    """The context size; one that nobody told is marked as a guess by `?`."""
    if model.kind is not Kind.MODEL:
        return NOTHING
    mark = "?" if model.context.source.name == "FALLBACK" else ""
    return format_tokens(model.context.tokens) + mark


def ttl_text(model: Model, moment: Moment) -> str:
    """The time until it unloads by itself, `≈` since that is inferred."""
    left = seconds_until_unload(model, moment.monotonic)
    return NOTHING if left is None else f"≈ {format_countdown(left)}"


def memory_text(model: Model, _moment: Moment) -> str:
    """What it takes, or would: `≈` where that is calculated."""
    return NOTHING if model.memory is None else model.memory.words


def _by_memory(model: Model, _moment: Moment) -> tuple[object, ...]:
    return (0 if model.memory is None else -model.memory.needed,)


def rate_text(model: Model, _moment: Moment) -> str:
    """Tokens a second of the last request that ended there."""
    return NOTHING if model.rate is None else format_rate(model.rate)


def note_text(model: Model, _moment: Moment) -> str:
    """The server's own words for the model, or what else its id stands for."""
    if model.kind is Kind.PEER:
        return f"at {model.peer}"
    if model.targets:
        return "→ " + ", ".join(model.targets)
    name = model.name if model.name != model.id else ""
    words = " — ".join(part for part in (name, model.description) if part)
    if words:
        return words
    if model.aliases:
        return "alias " + ", ".join(model.aliases)
    return "not listed by the server" if model.unlisted else ""


_STATE_ORDER = ("ready", "transit", "failed", "quiet")


def _by_state(model: Model, _moment: Moment) -> tuple[object, ...]:
    return (_STATE_ORDER.index(mood(model)), not model.loadable)


def _by_ttl(model: Model, moment: Moment) -> tuple[object, ...]:
    left = seconds_until_unload(model, moment.monotonic)
    return (left is None, left or 0.0)


COLUMNS = (
    Column("id", "Model", 0, 0, lambda m, _: m.id, lambda m, _: (m.id.casefold(),)),
    Column("state", "State", 17, 0, state_text, _by_state),
    Column(
        "context",
        "Ctx",
        6,
        0,
        context_text,
        lambda m, _: (-m.context.tokens,),
        right=True,
        falls=True,
    ),
    Column("memory", "Mem", 7, 52, memory_text, _by_memory, right=True, falls=True),
    Column(
        "rate", "tok/s", 6, 84, rate_text, lambda m, _: (-(m.rate or 0.0),), right=True, falls=True
    ),
    Column("ttl", "TTL", 8, 66, ttl_text, _by_ttl, right=True),
    Column("note", "Note", 34, 110, note_text, lambda m, t: (note_text(m, t).casefold(),)),
)
