"""What the table says of a model, cell by cell."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from aitui.domain.models import Model, ModelKind, RunState, seconds_until_unload
from aitui.domain.units import format_countdown, format_rate, format_tokens

EMPTY_CELL = "–"

GLYPHS = {
    RunState.STOPPED: "○",
    RunState.STARTING: "◐",
    RunState.READY: "●",
    RunState.STOPPING: "◑",
    RunState.UNKNOWN: "?",
}
REMOTE_GLYPH = "◇"
WAITING_GLYPH = "◔"
FAILED_GLYPH = "✘"


@dataclass(frozen=True, slots=True)
class ClockReading:
    """Now, on both clocks: monotonic seconds for ages, Unix time for what people read."""

    monotonic: float
    wall: float


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of the table.

    `width` is in cells, 0 takes what is left; `from_width` is the narrowest table that shows it.
    One that `falls` has its greatest figure first.
    """

    key: str
    title: str
    width: int
    min_width: int
    text: Callable[[Model, ClockReading], str]
    sort_key: Callable[[Model, ClockReading], tuple[object, ...]]
    align_right: bool = False
    descending: bool = False


def glyph(model: Model) -> str:
    """One character for the state, so that colour is never the only sign."""
    if not model.loadable:
        return REMOTE_GLYPH
    if model.resident:
        return GLYPHS[model.state]
    if model.requested is not None:
        return WAITING_GLYPH
    return FAILED_GLYPH if model.failed is not None else GLYPHS[model.state]


def state_style(model: Model) -> str:
    """The style of the glyph and the state: ready, transit, failed or quiet."""
    if model.state is RunState.READY:
        return "ready"
    if model.in_transit or model.requested is not None:
        return "transit"
    return "failed" if model.failed is not None else "quiet"


def state_text(model: Model, moment: ClockReading) -> str:
    """The state in words, with seconds so far and expected ones where it is about to change."""
    if not model.loadable:
        return model.kind.value
    if model.state is RunState.STOPPED:
        return _not_running_text(model, moment)
    texts = {
        RunState.READY: f"ready · {model.requests} req" if model.requests else "ready",
        RunState.STARTING: f"loading {load_progress(model, moment)}",
        RunState.STOPPING: f"stopping {max(0.0, moment.monotonic - model.since):.0f} s",
    }
    return texts.get(model.state, "unknown state")


def _not_running_text(model: Model, moment: ClockReading) -> str:
    if model.requested is not None:
        return f"waits {max(0.0, moment.monotonic - model.requested):.0f} s"
    if model.evicted is not None and model.failed is None:
        return f"evicted {clock_time(model.evicted.at)}"
    if model.failed is not None:
        return f"failed {clock_time(model.failed.at)}"
    return EMPTY_CELL


def load_progress(model: Model, moment: ClockReading) -> str:
    """Seconds so far of a load, and of how many: `18/≈29 s`."""
    elapsed = f"{max(0.0, moment.monotonic - model.since):.0f}"
    if model.expected_load is None:
        return f"{elapsed} s"
    return f"{elapsed}/≈{model.expected_load:.0f} s"


def clock_time(at: float) -> str:
    """Hours and minutes of a Unix time, in the local zone."""
    return datetime.fromtimestamp(at).astimezone().strftime("%H:%M")


def context_text(model: Model, _moment: ClockReading) -> str:
    """Format the context size; `?` marks one that was not reported."""
    if model.kind is not ModelKind.MODEL:
        return EMPTY_CELL
    mark = "?" if model.context.source.name == "FALLBACK" else ""
    return format_tokens(model.context.tokens) + mark


def ttl_text(model: Model, moment: ClockReading) -> str:
    """The time until it unloads by itself, `≈` since that is inferred."""
    left = seconds_until_unload(model, moment.monotonic)
    return EMPTY_CELL if left is None else f"≈ {format_countdown(left)}"


def memory_text(model: Model, _moment: ClockReading) -> str:
    """What it takes, or would: `≈` where that is calculated."""
    return EMPTY_CELL if model.memory is None else model.memory.label


def _memory_sort_key(model: Model, _moment: ClockReading) -> tuple[object, ...]:
    return (0 if model.memory is None else -model.memory.needed,)


def rate_text(model: Model, _moment: ClockReading) -> str:
    """Tokens a second of the last request that ended there."""
    return EMPTY_CELL if model.rate is None else format_rate(model.rate)


def note_text(model: Model, _moment: ClockReading) -> str:
    """The server's own words for the model, or what else its id stands for."""
    if model.kind is ModelKind.PEER:
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


def _state_sort_key(model: Model, _moment: ClockReading) -> tuple[object, ...]:
    return (_STATE_ORDER.index(state_style(model)), not model.loadable)


def _ttl_sort_key(model: Model, moment: ClockReading) -> tuple[object, ...]:
    left = seconds_until_unload(model, moment.monotonic)
    return (left is None, left or 0.0)


COLUMNS = (
    TableColumn("id", "Model", 0, 0, lambda m, _: m.id, lambda m, _: (m.id.casefold(),)),
    TableColumn("state", "State", 17, 0, state_text, _state_sort_key),
    TableColumn(
        "context",
        "Ctx",
        6,
        0,
        context_text,
        lambda m, _: (-m.context.tokens,),
        align_right=True,
        descending=True,
    ),
    TableColumn(
        "memory", "Mem", 7, 52, memory_text, _memory_sort_key, align_right=True, descending=True
    ),
    TableColumn(
        "rate",
        "tok/s",
        6,
        84,
        rate_text,
        lambda m, _: (-(m.rate or 0.0),),
        align_right=True,
        descending=True,
    ),
    TableColumn("ttl", "TTL", 8, 66, ttl_text, _ttl_sort_key, align_right=True),
    TableColumn("note", "Note", 34, 110, note_text, lambda m, t: (note_text(m, t).casefold(),)),
)


SORT_KEYS = ("", *(column.key for column in COLUMNS if column.key != "note"))
"""Orders that `s` walks through; the empty one is the server's own."""
DESCENDING_PREFIX = "-"
"""Before a key: the same order the other way round."""


@dataclass(frozen=True, slots=True)
class TableQuery:
    """A person's choice of rows: words that must all occur, and the column to sort by."""

    words: str = ""
    sort: str = ""

    def next_sort(self) -> str:
        """The order after this one."""
        at = SORT_KEYS.index(self.sort.removeprefix(DESCENDING_PREFIX))
        return SORT_KEYS[(at + 1) % len(SORT_KEYS)]


def sort_after_click(key: str, sort: str) -> str:
    """The order that a click on a title brings: that column's, then turned, then the server's."""
    return {key: DESCENDING_PREFIX + key, DESCENDING_PREFIX + key: ""}.get(sort, key)


def sort_mark(column: TableColumn, sort: str) -> str:
    """What the title carries: whether the column rises or falls, where it is the sorted one."""
    if column.key != sort.removeprefix(DESCENDING_PREFIX):
        return ""
    return " ▾" if column.descending != sort.startswith(DESCENDING_PREFIX) else " ▴"


def visible_rows(
    models: Sequence[Model], view: TableQuery, moment: ClockReading
) -> tuple[Model, ...]:
    """The models to show; equal ones keep the server's order."""
    shown = _filter_models(models, view.words)
    column = _find_column(view.sort.removeprefix(DESCENDING_PREFIX))
    if column is None:
        return tuple(shown)
    turned = view.sort.startswith(DESCENDING_PREFIX)
    ordered = sorted(shown, key=lambda model: column.sort_key(model, moment), reverse=turned)
    if column.align_right:
        # Where there is no figure there is nothing to compare, whichever way round.
        ordered.sort(key=lambda model: column.text(model, moment) == EMPTY_CELL)
    return tuple(ordered)


def _filter_models(models: Sequence[Model], words: str) -> Sequence[Model]:
    wanted = words.casefold().split()
    if not wanted:
        return models
    return [model for model in models if all(word in _searchable_text(model) for word in wanted)]


def _searchable_text(model: Model) -> str:
    parts = (model.id, model.name, model.description, model.peer, model.state.value, *model.aliases)
    return "\n".join(parts).casefold()


def _find_column(key: str) -> TableColumn | None:
    return next((column for column in COLUMNS if column.key == key), None)
