"""The pane with everything known of the model under the cursor, and the same in one line."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec import Struct
from rich.cells import cell_len
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from aitui.domain.memory.footprint import Footprint
from aitui.domain.models import FinishedRequest, Model, ModelKind, RunState, seconds_until_unload
from aitui.domain.units import count_of, format_gb, format_rate, format_tokens
from aitui.format.fit import shorten_id, truncate, truncate_words
from aitui.ui.keymap import APP, MODELS
from aitui.ui.text import wrap_text
from aitui.ui.theme import theme_style
from aitui.ui.widgets.model_table import (
    EMPTY_CELL,
    RowFacts,
    clock_time,
    glyph,
    note_text,
    state_style,
    state_text,
)

_UNLOAD, _ZOOM = MODELS.sign("unload"), APP.sign("zoom")
LABEL_WIDTH = 9
_ROWS_FOR_ABOUT = 7
"""Rows that the description leaves to the command, which says more."""
GAUGE_CELLS = 12
"""The least of a gauge that says anything."""
CONTEXT_WARNING, CONTEXT_LIMIT = 0.80, 0.95

Piece = tuple[str, str | Style]
"""A text, and its style or the words for it that `theme_style` takes."""
DetailRow = tuple[Piece, ...]


class DetailFacts(Struct, frozen=True):
    """What the pane shows besides the model itself; None for what isn't known.

    `color` finds a color of the theme, and for `m1/cache` a shade of one; `hue` is
    the name of the model's color. `queue_text` says what becomes of a request for the model that was
    given up in the queue. `last` is its newest request that has ended; `trained` is in tokens.
    """

    row: RowFacts
    color: Callable[[str], Color]
    hue: str = "other"
    colorless: bool = False
    queue_text: str = ""
    last: FinishedRequest | None = None
    trained: int | None = None

    def context_used(self, model: Model) -> int | None:
        """Return the tokens in the context after the last request, None if it is empty or unknown."""
        last, since = self.last, model.uptime(self.row.monotonic)
        if last is None or last.prompt is None or since is None or last.at is None:
            return None
        return last.prompt + (last.tokens or 0) if last.at >= self.row.wall - since else None


def format_duration(seconds: float) -> str:
    """Format a time in its largest unit, rounded down: "18 s", "12 min", "3 h", "5 days"."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    return f"{whole // 3600} h" if whole < 48 * 3600 else f"{whole // 86400} days"


def detail_rows(model: Model, facts: DetailFacts, width: int, height: int) -> tuple[DetailRow, ...]:
    """The rows in that width, the most urgent first; the command fills those that are left.

    Only what is known has a row.
    """
    rows = [*_state_rows(model, facts, width), *_capability_rows(model, width)]
    numbers = [
        *_labelled("slots", _slots_pieces(model, facts.row, width - LABEL_WIDTH), width),
        *_labelled("speed", _speed_pieces(model, facts), width),
        *_context_rows(model, facts, width),
        *_memory_rows(model, facts, width),
    ]
    if numbers:
        rows += [(), *numbers]
    rows += _labelled("aliases", ((", ".join(model.aliases), "foreground"),), width)
    if height - len(rows) >= _ROWS_FOR_ABOUT:
        rows += _labelled("about", ((note_text(model, facts.row), "foreground"),), width)
    command = _command_rows(model.command, width, height - len(rows))
    rows += command or _labelled("address", ((model.proxy, "muted"),), width)
    return tuple(rows)


def summary_row(model: Model, facts: DetailFacts, width: int) -> DetailRow:
    """The most important of it in one line: whole items, the least needed go first."""
    if model.failed is not None and not model.resident:
        return ((truncate_words(model.failed.reason, width), "error"),)
    items: list[tuple[int, DetailRow]] = []
    rows, used = _state_rows(model, facts, 1000), facts.context_used(model)
    if model.state is not RunState.READY:
        items += [(9 - number, row) for number, row in enumerate(rows[:2])]
    items += [
        (4, _load_pieces(model)),
        (7, _speed_pieces(model, facts)),
        (8, (("context ", "muted"), *_gauge(used, model, facts, 20)) if used else ()),
        (6, _split_pieces(model.memory) if model.resident else ()),
        (3, _unload_pieces(model, facts.row)),
        (2, ((", ".join(model.aliases), "muted"),)),
    ]
    kept = [item for item in items if any(text for text, _ in item[1])]

    def taken() -> int:
        return sum(_row_width(row) for _, row in kept) + 3 * (len(kept) - 1)

    while len(kept) > 1 and taken() > width:
        kept.remove(min(kept, key=lambda item: item[0]))
    pieces: list[Piece] = []
    for _, row in kept:
        pieces += [("   ", "")] * bool(pieces) + list(row)
    return _cut(tuple(pieces), width)


def slots_words(model: Model) -> str:
    """How many requests a model serves, and of how many that is: "1 of 2 slots in use"."""
    if model.state is not RunState.READY or model.requests is None:
        return ""
    if slots := model.command_line.parallel_slots:
        used, waiting = min(model.requests, slots), max(0, model.requests - slots)
        return f"{used} of {count_of(slots, 'slot')} in use" + (
            f", {waiting} waiting" if waiting else ""
        )
    return f"{count_of(model.requests, 'request')} running" if model.requests else "idle"


def _slots_pieces(model: Model, facts: RowFacts, room: int) -> DetailRow:
    words = slots_words(model).replace(" slots", "").replace(" slot", "")
    if not words:
        return ()
    users = facts.users.get(model.id, "")
    if users and not model.requests and cell_len(f"{words} · {users}") > room:
        # Without how long ago that was, it would read as if they used it now.
        users = f"last {users.rpartition(', ')[0]}"
        if cell_len(f"{words} · {users}") > room:
            users = users.partition(" · ")[0]
    return ((words, "transit" if model.requests else "muted"), (f" · {users}" if users else "", ""))


def _state_rows(model: Model, facts: DetailFacts, width: int) -> list[DetailRow]:
    style, sign = state_style(model), glyph(model, facts.row)
    first, *others = filter(None, _state_words(model, facts.row, facts.queue_text))
    rows: list[DetailRow] = [((f"{sign} ", style), *_state_word(first, style))]
    more = [*((text, "muted") for text in others), *_unload_pieces(model, facts.row)]
    for text, color in more:
        if _row_width(rows[-1]) + cell_len(text) + 3 > width:
            rows += [((line, color),) for line in wrap_text(text, width)]
        else:
            rows[-1] += ((f" · {text}", color),)
    if model.failed is not None and not model.resident:
        rows += [((line, "error"),) for line in wrap_text(model.failed.reason, width)]
        for log in model.failed.log:
            rows += [((line, "muted"),) for line in wrap_text(log, width)]
    if not model.resident:
        for text in (_eviction_text(model), _idle_unload_text(model), _client_unload_text(model)):
            rows += [((line, "transit"),) for line in wrap_text(text, width) if line]
    return rows


def _state_words(model: Model, facts: RowFacts, queue_text: str) -> list[str]:
    match model.state:
        case _ if not model.loadable:
            where = f"the peer {model.peer}" if model.peer else ", ".join(model.targets)
            served = f"served by {where}" if where else ""
            return [state_text(model, facts), note_text(model, facts) if model.unread else served]
        case RunState.STARTING:
            percent = "" if model.progress is None else f" {model.progress * 100:.0f} %"
            aborts = f"{_UNLOAD} aborts" if model.requested is not None else ""
            return [f"loading{percent}", _elapsed_text(model, facts), model.progress_note, aborts]
        case RunState.READY:
            up = model.uptime(facts.monotonic)
            return ["ready" if up is None else f"ready {format_duration(up)}"]
        case RunState.STOPPED if model.requested is not None:
            waited = format_duration(facts.monotonic - model.requested)
            return [
                f"waits for {waited}",
                "the server has not started loading it",
                f"{_UNLOAD} aborts",
            ]
        case _:
            # Such as a state that this version of aitui doesn't know.
            text = state_text(model, facts)
            idle = text == EMPTY_CELL or not (model.failed or model.is_awaited or model.resident)
            if queue_text:
                return [text, queue_text, f"{_UNLOAD} removes it"]
            return ["not loaded" if idle else text]


def _elapsed_text(model: Model, facts: RowFacts) -> str:
    if not model.dated:
        return ""
    elapsed = format_duration(facts.monotonic - model.since)
    if model.expected_load is None:
        return f"{elapsed} so far"
    return f"{elapsed} of about {format_duration(model.expected_load)}"


def _state_word(text: str, style: str) -> DetailRow:
    word, _, rest = text.partition(" ")
    if style == "ready" and rest:
        return ((f"{word} ", style), (rest, "foreground"))
    return ((text, style),)


def _unload_pieces(model: Model, facts: RowFacts) -> DetailRow:
    if model.state is not RunState.READY:
        return ()
    if model.ttl <= 0:
        return (("no idle timeout", "muted"),)
    left = seconds_until_unload(model, facts.monotonic)
    if left is None:
        return ((f"idle timeout {format_duration(model.ttl)}", "muted"),)
    return ((f"unloads in {format_duration(left)}", "muted"),)


def _eviction_text(model: Model) -> str:
    evicted = model.evicted
    if evicted is None:
        return ""
    requester = f" for {evicted.requester}" if evicted.requester else ""
    return f"evicted {clock_time(evicted.at)}{requester} by {evicted.by}"


def _client_unload_text(model: Model) -> str:
    gone = model.unloaded
    if gone is None:
        return ""
    client = f" ({gone.client})" if gone.client else ""
    return f"unloaded {clock_time(gone.at)} by another client{client}"


def _idle_unload_text(model: Model) -> str:
    gone = model.timed_out
    if gone is None:
        return ""
    timeout = format_duration(gone.ttl)
    if gone.unused:
        return (
            f"unloaded {clock_time(gone.at)}, as soon as it was ready: the client that requested it "
            f"was gone, and this llama-swap counts the idle timeout ({timeout}) from the last request"
        )
    return f"unloaded {clock_time(gone.at)} after {timeout} without a request"


def _capability_rows(model: Model, width: int) -> list[DetailRow]:
    words = ["reasoning"] if model.reasoning else []
    if model.command:  # the reader of commands takes 14 ms to import: not for what doesn't run
        line = model.command_line
        known = (
            ("images", line.can_see_images),
            ("tools", line.has(("--jinja",))),
            ("embeddings", line.is_embedding_model),
            ("reranking", line.is_reranker),
        )
        words += [word for word, is_known in known if is_known]
    words += ["not in the server's list"] if model.unlisted else []
    return [((truncate(" · ".join(words), width), "muted"),)] if words else []


def _speed_pieces(model: Model, facts: DetailFacts) -> DetailRow:
    if model.rate is None:
        return ()
    pieces: DetailRow = ((format_rate(model.rate), "bold foreground"), (" tok/s", "foreground"))
    if facts.last is not None and facts.last.prompt_rate:
        pieces += ((" · prompt ", "muted"), (f"{facts.last.prompt_rate:,.0f}", "foreground"))
    return pieces


def _context_rows(model: Model, facts: DetailFacts, width: int) -> list[DetailRow]:
    if model.kind is not ModelKind.MODEL:
        return []
    pieces: DetailRow = ((format_tokens(model.context.tokens), "bold foreground"),)
    source = model.context.source.value.partition(" (")[0]
    if facts.trained is not None:
        pieces += ((f" · trained for {format_tokens(facts.trained)}", "muted"),)
    elif not model.resident or not model.context.known_tokens:
        pieces += ((f" · {source}", "muted"),)
    rows = _labelled("context", pieces, width)
    if used := facts.context_used(model):
        rows.append(((" " * LABEL_WIDTH, ""), *_gauge(used, model, facts, width - LABEL_WIDTH)))
    return rows


def _gauge(used: int, model: Model, facts: DetailFacts, width: int) -> DetailRow:
    """A thin bar with the tokens and the percentage that are used; near the limit it changes color."""
    part = min(1.0, used / max(1, model.context.tokens))
    color = "error" if part >= CONTEXT_LIMIT else "warning" if part >= CONTEXT_WARNING else "ready"
    words = ((f" {format_tokens(used)}", f"bold {color}"), (f" {part * 100:.0f} %", color))
    from aitui.ui.plots import Band, gauge

    cells = max(GAUGE_CELLS, width - _row_width(words))
    bands = [Band(part, facts.color(color))]
    return (*_pieces(gauge(bands, 1.0, cells, facts.color("faint"))), *words)


def _pieces(strip: Strip) -> DetailRow:
    return tuple((segment.text, segment.style or "") for segment in strip)


def _memory_rows(model: Model, facts: DetailFacts, width: int) -> list[DetailRow]:
    memory = model.memory
    takes = _load_time(model)
    if memory is None:
        unknown = "unknown until it is loaded" if model.loadable and not model.resident else ""
        words = " · ".join(filter(None, (unknown, takes)))
        return _labelled("memory", ((words, "muted"),), width)
    amount = memory.figure
    rows = _labelled(
        "memory",
        (
            (amount, "bold foreground" if model.resident else "foreground"),
            (" GB", "foreground"),
            (f" · {takes}" if takes else "", "muted"),
        ),
        width,
    )
    parts = [(name, size) for name, size in _memory_parts(memory) if size]
    if len(parts) > 1:
        rows.append(((" " * LABEL_WIDTH, ""), *_split_bar(parts, facts, width - LABEL_WIDTH)))
        rows.append(_split_legend(parts, facts, width))
    return rows


_SHADES = {"weights": "", "KV": "/cache", "compute": "/compute"}


def _memory_parts(memory: Footprint) -> tuple[tuple[str, int | None], ...]:
    return ("weights", memory.weights), ("KV", memory.cache), ("compute", memory.compute)


def _split_bar(parts: Sequence[tuple[str, int]], facts: DetailFacts, width: int) -> DetailRow:
    from aitui.ui.plots import Band, bar

    bands = [Band(size, facts.color(f"{facts.hue}{_SHADES[name]}")) for name, size in parts]
    free = Band(0, facts.color("faint"))
    total = sum(size for _, size in parts)
    return _pieces(bar(bands, total, width, free=free, colorless=facts.colorless))


def _split_legend(parts: Sequence[tuple[str, int]], facts: DetailFacts, width: int) -> DetailRow:
    pieces: list[Piece] = []
    for name, size in parts:
        gib = format_gb(size)
        mark = Style(color=facts.color(f"{facts.hue}{_SHADES[name]}"))
        entry: list[Piece] = [("▪", mark), (f" {name} ", "muted"), (gib, "foreground")]
        if _row_width((*pieces, *entry)) + 1 > width:
            break
        pieces += [(" ", "")] * bool(pieces) + entry
    return tuple(pieces)


def _load_pieces(model: Model) -> DetailRow:
    """Return the cost of a load, for a model that isn't loaded."""
    if model.resident or not model.loadable:
        return ()
    amount = "" if model.memory is None else model.memory.label
    return ((" · ".join(filter(None, (amount, _load_time(model)))), "foreground"),)


def _load_time(model: Model) -> str:
    if model.expected_load is None:
        return ""
    return f"loads in about {format_duration(max(1.0, model.expected_load))}"


def _split_pieces(memory: Footprint | None) -> DetailRow:
    """Weights and cache in words: `weights 34.4 + KV 6.4 GB`."""
    if memory is None or not memory.weights or not memory.cache:
        return ()
    sizes = [format_gb(size) for size in (memory.weights, memory.cache)]
    return (
        ("weights ", "muted"),
        (sizes[0], "foreground"),
        (" + KV ", "muted"),
        (sizes[1], "foreground"),
        (" GB", "muted"),
    )


def _labelled(label: str, pieces: DetailRow, width: int) -> list[DetailRow]:
    """A row with its label; a single long text goes on below its own beginning."""
    pieces = tuple(piece for piece in pieces if piece[0])
    if not pieces:
        return []
    room = max(8, width - LABEL_WIDTH)
    rows: list[DetailRow] = []
    if len(pieces) == 1:
        rows = [((line, pieces[0][1]),) for line in wrap_text(pieces[0][0], room)]
    else:
        rows = [_cut(pieces, room)]
    labels = [label, *[""] * (len(rows) - 1)]
    return [
        ((text.ljust(LABEL_WIDTH), "muted"), *row) for text, row in zip(labels, rows, strict=True)
    ]


def _cut(pieces: DetailRow, room: int) -> DetailRow:
    kept: list[Piece] = []
    for text, style in pieces:
        kept.append((truncate_words(text, room), style))
        room -= cell_len(kept[-1][0])
    return tuple(piece for piece in kept if piece[0])


def _command_rows(command: str, width: int, height: int) -> list[DetailRow]:
    """The program, and its flags with their values line by line; what has no room is counted."""
    if not command:
        return []
    from aitui.domain.llama_server import split_words

    words = [word.text for word in split_words(command)]
    if not words:
        return []
    program = next((word for word in words if "llama" in word.rsplit("/", 1)[-1]), words[0])
    # llama-swap chooses the port.
    flags = [
        flag
        for flag in _flags(words[words.index(program) + 1 :])
        if not flag.startswith(("--port ", "--port="))
    ]
    rows = _labelled("command", ((program.rsplit("/", 1)[-1], "muted"),), width)
    lines: list[list[str]] = []
    for flag in flags:
        text = _fit_flag(flag, width - 2)
        if lines and sum(map(cell_len, lines[-1])) + len(lines[-1]) + cell_len(text) <= width - 2:
            lines[-1].append(text)
        else:
            lines.append([text])
    room = max(1, height - len(rows))
    hidden = len(flags)
    for number, line in enumerate(lines, 1):
        hidden -= len(line)
        text = " ".join(line)
        if number == room and hidden:
            # The last row says how many are missing, so it may have to do without some more.
            while (
                line
                and cell_len(" ".join(line)) + len(f"  {_ZOOM} {hidden} more flags") > width - 2
            ):
                line.pop()
                hidden += 1
            text = " ".join(line)
            gap = "  " if line else ""
            count = f" {hidden} more flag{'s' if hidden > 1 else ''}"
            rows.append(((f"  {text}{gap}", "muted"), (_ZOOM, "bold accent"), (count, "muted")))
            break
        rows.append(((f"  {text}", "muted"),))
    return rows


def _flags(words: Iterable[str]) -> Iterator[str]:
    """Return each flag with its values."""
    flag = ""
    for word in words:
        if word.startswith("-") and not word[1:2].isdigit():
            if flag:
                yield flag
            flag = word
        else:
            flag = f"{flag} {word}" if flag else word
    if flag:
        yield flag


def _fit_flag(flag: str, width: int) -> str:
    """A flag that is too long without the folders of its path, then without the middle of its value."""
    if cell_len(flag) <= width:
        return flag
    name, blank, value = flag.partition(" ")
    if "/" in value:
        value = "…/" + value.rsplit("/", 1)[-1]
    room = width - cell_len(name) - 1
    return f"{name}{blank}{shorten_id(value, room)}" if room > 8 else truncate(flag, width)


def _row_width(row: Iterable[Piece]) -> int:
    return sum(cell_len(text) for text, _ in row)


class ModelDetail(ScrollView, can_focus=True):
    """A pane of rows; only those that changed are drawn again."""

    rows: reactive[tuple[DetailRow, ...]] = reactive((), init=False, repaint=False)
    stale: reactive[bool] = reactive(False, init=False)

    class Resized(Message):
        """The room for rows changed."""

    def on_resize(self) -> None:
        self.post_message(self.Resized())

    def watch_rows(self, before: tuple[DetailRow, ...], after: tuple[DetailRow, ...]) -> None:
        """Repaint the rows that differ."""
        if len(before) != len(after):
            self.virtual_size = Size(self.scrollable_content_region.width, len(after))
            self.refresh()
            return
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            if old != new:
                self.refresh_lines(index, 1)

    @property
    def room(self) -> Size:
        """The cells that the rows have."""
        return self.scrollable_content_region.size

    def render_line(self, y: int) -> Strip:
        width, index = self.size.width, y + self.scroll_offset.y
        row = self.rows[index] if index < len(self.rows) else ()
        segments = [Segment(text, self._style(style)) for text, style in row]
        return Strip(segments).adjust_cell_length(width, self.visual_style.rich_style)

    def _style(self, style: str | Style) -> Style:
        if self.stale:
            return self.visual_style.rich_style + theme_style(self.app, "muted")
        if isinstance(style, str):
            style = theme_style(self.app, style) if style else Style.null()
        return self.visual_style.rich_style + style
