"""The requests of all clients: those under way, those that wait for a model, those that have ended."""

from bisect import bisect
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.reactive import reactive, var
from textual.scroll_view import ScrollView
from textual.strip import Strip

from aitui.domain.client_requests import ClientRequest
from aitui.domain.clients import client_name
from aitui.domain.models import FinishedRequest
from aitui.domain.snapshot import Clock, Snapshot
from aitui.domain.units import count_of, format_elapsed, format_rate, format_tokens
from aitui.format.fit import shorten_id, truncate
from aitui.format.requests import has_failed, status_words
from aitui.ui.drawn_lines import DrawnLines
from aitui.ui.keymap import REQUESTS
from aitui.ui.motions import motion_rows
from aitui.ui.plain import render_centered
from aitui.ui.theme import theme_style

WIDE_FROM = 112
"""Cells from which every figure has a column of its own."""
_TITLED_FROM = 5
_LONGEST_CLIENT, _SHORTEST_NAMES = 24, 30
_LONGEST_MODEL, _SHORTEST_STATUS = 44, 20
_MEASURED = 100


class ActivityColumns(Struct, frozen=True):
    """The cells of each column, with no blank between them; 0 of one that is left out."""

    time: int = 5
    client: int = 18
    model: int = 25
    cached: int = 0
    prompt: int = 5
    reply: int = 5
    rate: int = 4
    took: int = 5
    status: int = 0

    @property
    def figures(self) -> int:
        """The cells of the figures that a status replaces."""
        return self.prompt + bool(self.prompt) + self.reply + self.rate

    def titles(self) -> list[tuple[str, int]]:
        """Return the titles with their cells, negative for one that is at the right."""
        found = [("TIME", self.time + 1), ("CLIENT", self.client + 1), ("MODEL", self.model + 1)]
        if self.status:
            names = ("CACHED", "PROMPT", "REPLY", "TOK/S", "TOOK")
            cells = (self.cached, self.prompt, self.reply, self.rate, self.took)
            found += [(name, -width) for name, width in zip(names, cells, strict=True)]
            return [*found, ("", 2), ("STATUS", self.status)]
        tokens = self.figures - self.rate
        if self.rate:
            found += [("TOKENS", tokens - 1), ("TOK/S", -self.rate - 1)]
        elif tokens:
            found.append(("TOKENS", tokens))
        return [*found, ("TOOK", -self.took)]


def fit_activity(width: int, client: int, model: int) -> ActivityColumns:
    """Return the columns for a pane of that many cells; the other two are those of the longest names."""
    client = max(6, min(client, _LONGEST_CLIENT))
    if width >= WIDE_FROM:
        model = min(model, _LONGEST_MODEL)
        wide = ActivityColumns(8, client, model, 7, 7, 6, 6, 8)
        taken = 3 + 9 + client + 1 + model + 1 + 34 + 2 + 1
        status = width - taken
        if status < _SHORTEST_STATUS:
            wide = ActivityColumns(
                8, client, max(20, model - _SHORTEST_STATUS + status), 7, 7, 6, 6, 8
            )
            status = width - taken + model - wide.model
        return _with_status(wide, max(10, status))
    for figures in ((5, 5, 4), (5, 5, 0), (0, 0, 0)):
        fixed = 3 + 6 + sum(figures) + bool(figures[0]) + 5 + 1
        room = width - fixed - 2
        if room >= _SHORTEST_NAMES or not any(figures):
            break
    names = max(2, room)
    shown = min(client, max(names - model, names * 3 // 7))
    return ActivityColumns(5, shown, names - shown, 0, *figures)


def _with_status(columns: ActivityColumns, status: int) -> ActivityColumns:
    cells = (columns.time, columns.client, columns.model, columns.cached, columns.prompt)
    return ActivityColumns(*cells, columns.reply, columns.rate, columns.took, status)


class RequestRow(Struct, frozen=True):
    """What a line shows; figures that are None aren't known. `words` get fewer and fewer.

    `about` is the sign of figures that are estimated.
    """

    sign: tuple[str, str]
    at: float
    client: str
    model: str
    took: float | None = None
    prompt: int | None = None
    cached: int | None = None
    reply: int | None = None
    rate: float | None = None
    words: tuple[str, ...] = ()
    color: str = ""
    live: bool = False
    about: str = ""


class ActivityPane(ScrollView, can_focus=True, inherit_bindings=False):
    """One line a request; the cursor stays with its request."""

    BINDINGS = REQUESTS.bindings()

    uses: var[tuple[ClientRequest, ...]] = var((), init=False)
    finished: var[tuple[FinishedRequest, ...]] = var((), init=False)
    note: var[str] = var("", init=False)
    """A note about running requests that aren't listed."""
    is_known: reactive[bool] = reactive(False)
    """Whether the server answers: else nothing is known of its requests."""

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes="frame")
        self._clock = clock
        self._cursor_index = 0
        self._ended: list[FinishedRequest] = []
        self._lines = DrawnLines(self, self._draw)
        self._styles: dict[str, Style] = {}
        self._names = 0, 0
        self._fitted: tuple[int, tuple[int, int]] | None = None
        self._columns = ActivityColumns()
        self._day_end = 0.0
        self.snapshot = Snapshot()
        """The snapshot in which the failures of models are looked up."""
        self.today = 0
        """The number of requests since midnight, as far as known."""

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self._forget_styles())

    @property
    def selected_use(self) -> ClientRequest | None:
        """The request under the cursor, if it is under way."""
        return self.uses[self._cursor_index] if self._cursor_index < len(self.uses) else None

    def tick(self) -> None:
        """Let ages go on between two snapshots."""
        if self._day_end and self._clock.wall() >= self._day_end:
            self._count_today()
        if self.uses:
            self._draw()

    def watch_uses(
        self, before: tuple[ClientRequest, ...], after: tuple[ClientRequest, ...]
    ) -> None:
        """Keep the cursor with its request."""
        self._follow([use.request.id for use in before], [use.request.id for use in after])

    def watch_finished(self) -> None:
        chosen = self._chosen_row()
        self._ended = sorted(self.finished, key=_began, reverse=True)
        if chosen is not None and self.has_focus and chosen in self._ended:
            self._cursor_index = self._first_ended + self._ended.index(chosen)
        self._count_today()
        self._fit()

    def watch_note(self) -> None:
        self._fit()

    def watch_has_focus(self, focused: bool) -> None:  # noqa: FBT001
        if not focused:
            self._cursor_index = 0
            self.scroll_to(y=0, animate=False)
        self._draw()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._draw()

    def on_resize(self) -> None:
        self._fit()

    def render_line(self, y: int) -> Strip:
        if not self._count:
            words = "No active requests" if self.is_known else ""
            return render_centered(words, y, self.size, self.visual_style.rich_style)
        return self._lines.strip(y, self.size.width)

    def on_click(self, event: events.Click) -> None:
        row = event.y - self._head + self.scroll_offset.y
        if 0 <= row < self._count:
            self._move_cursor(row)

    def action_move(self, amount: float, unit: str = "rows") -> None:
        self._move_cursor(self._cursor_index + motion_rows(self, amount, unit))

    def _move_cursor(self, index: int) -> None:
        self._cursor_index = max(0, min(index, self._count - 1))
        self.scroll_to_region(
            Region(0, self._cursor_index, 1, 1 + self._head), animate=False, force=True
        )
        self._draw()

    @property
    def _head(self) -> int:
        return int(self.size.height >= _TITLED_FROM)

    @property
    def _first_ended(self) -> int:
        return len(self.uses) + bool(self.note)

    @property
    def _count(self) -> int:
        return self._first_ended + len(self._ended)

    def _chosen_row(self) -> FinishedRequest | None:
        index = self._cursor_index - self._first_ended
        return self._ended[index] if 0 <= index < len(self._ended) else None

    def _follow(self, before: list[str], after: list[str]) -> None:
        index = self._cursor_index
        if index < len(before):
            chosen = before[index]
            here = after.index(chosen) if chosen in after else min(index, max(0, len(after) - 1))
            self._cursor_index = here
        elif self.has_focus:
            self._cursor_index += len(after) - len(before)
        self._fit()

    def _count_today(self) -> None:
        wall = self._clock.wall()
        now = datetime.fromtimestamp(wall).astimezone()
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        self._day_end = midnight + 86400
        self.today = bisect(self._ended, -midnight, key=lambda row: -_began(row))

    def _fit(self) -> None:
        """Measure the names that the columns hold, and fit the scroll range to the rows."""
        shown = [(client_name(use.request), use.request.model) for use in self.uses[:_MEASURED]]
        shown += [(row.who or row.client, row.model) for row in self._ended[:_MEASURED]]
        self._names = (
            max((cell_len(client) for client, _ in shown), default=0),
            max((cell_len(model) for _, model in shown), default=0),
        )
        # Without rows none: another size lays the screen out once more, behind the first frame.
        size = Size(self.size.width, self._count + self._head) if self._count else Size()
        if size != self.virtual_size:
            self.virtual_size = size
        self._draw()

    def _forget_styles(self) -> None:
        self._styles.clear()
        self._draw()

    def _draw(self) -> None:
        """Draw the lines in sight; only those that have changed are painted."""
        if not self.display or self.size.width < 10 or not self._count:
            self._lines.show([])
            return
        if (fitted := (self.size.width, self._names)) != self._fitted:
            self._fitted, self._columns = fitted, fit_activity(self.size.width, *self._names)
        strips = [self._title_strip()] * self._head
        first = self.scroll_offset.y
        for index in range(first, min(self._count, first + self.size.height - self._head)):
            strips.append(self._row_strip(index))
        self._lines.show(strips)

    def _title_strip(self) -> Strip:
        text = "   "
        for title, cells in self._columns.titles():
            text += title.rjust(-cells) if cells < 0 else set_cell_size(title, cells)
        return Strip([Segment(text, self._style("bold muted"))])

    def _row_strip(self, index: int) -> Strip:
        chosen = self.has_focus and index == self._cursor_index
        mark = Segment("▌" if chosen else " ", self._style("accent", chosen=chosen))
        width = self.size.width
        if index < len(self.uses):
            row = use_row(self.uses[index], self._clock)
        elif index < self._first_ended:
            note = Segment(f"  {self.note}", self._style("", chosen=chosen))
            return self._filled([mark, note], width, chosen=chosen)
        else:
            ended = self._ended[index - self._first_ended]
            model = self.snapshot.model(ended.model) if has_failed(ended) else None
            row = finished_row(ended, status_words(ended, model.failed if model else None))
        segments = [
            Segment(text, self._style(style, chosen=chosen))
            for text, style in row_pieces(row, self._columns)
        ]
        return self._filled([mark, *segments], width, chosen=chosen)

    def _filled(self, segments: Sequence[Segment], width: int, *, chosen: bool) -> Strip:
        return Strip(segments).adjust_cell_length(width, self._style("", chosen=chosen))

    def _style(self, name: str, *, chosen: bool = False) -> Style:
        key = f"{name} on select" if chosen else name
        if key not in self._styles:
            self._styles[key] = theme_style(self.app, name, "select" if chosen else "")
        return self._styles[key]


def _began(row: FinishedRequest) -> float:
    return (row.at or 0.0) - (row.seconds or 0.0)


def use_row(use: ClientRequest, clock: Clock) -> RequestRow:
    """Return the line of a request under way."""
    request = use.request
    age = max(0.0, clock.monotonic() - request.started)
    words: tuple[str, ...] = ("running",)
    color = "transit"
    if use.waits:
        words, color = ("waits for load",), "warning"
        if use.evicts:
            evicts = ", ".join(victim.model.id for victim in use.evicts)
            words = (f"waits for load, evicts {use.mark}{evicts}", *words)
    elif request.replied is not None or request.received_bytes:
        words = ("generating",)
    return RequestRow(
        sign=("◌", "warning") if use.waits else ("►", "transit"),
        at=clock.wall() - age,
        client=client_name(request),
        model=request.model or "no model",
        took=age,
        reply=request.tokens,
        rate=request.rate,
        words=words,
        color=color,
        live=True,
        about="" if request.exact else "≈",
    )


def finished_row(request: FinishedRequest, words: tuple[str, ...]) -> RequestRow:
    """Return the line of a request that has ended; `words` say how."""
    failed = has_failed(request)
    known = bool(request.prompt or request.tokens)
    return RequestRow(
        sign=("✘", "error") if failed else ("✓", "ready"),
        at=_began(request),
        client=request.who or request.client or "–",
        model=request.model,
        took=request.seconds,
        prompt=request.prompt if known else None,
        cached=request.cached if known else None,
        reply=request.tokens or None,
        rate=request.rate if request.tokens else None,
        words=words,
        color="error" if failed else "",
    )


def row_pieces(row: RequestRow, columns: ActivityColumns) -> list[tuple[str, str]]:
    """Return the texts of a line with their styles, in the cells of the columns, without the mark."""
    bright = "foreground" if row.live else ""
    moment = datetime.fromtimestamp(row.at).astimezone().strftime("%H:%M:%S"[: columns.time])
    pieces = [
        (f"{row.sign[0]} ", row.sign[1]),
        (f"{moment} ", ""),
        (_cell(truncate(row.client, columns.client), columns.client + 1), "foreground"),
        (_cell(shorten_id(row.model, columns.model), columns.model + 1), bright),
    ]
    rate_style = "bold transit" if row.live else ""
    wide = bool(columns.status)
    known = row.prompt is not None or row.reply is not None
    about = row.about
    prompt, cached, reply = (
        "" if count is None else sign + format_tokens(count)
        for count, sign in ((row.prompt, ""), (row.cached, ""), (row.reply, about))
    )
    rate = "–" if columns.rate and known and not row.live else ""
    if row.rate is not None and columns.rate:
        rate = about + (format_rate(row.rate) if wide and not about else f"{row.rate:.0f}")
    took = ("" if row.took is None else _took(row.took, wide=wide)).rjust(columns.took), bright
    if wide:
        reply = reply or ("–" if known and not row.live else "")
        figures = (cached, columns.cached), (prompt, columns.prompt), (reply, columns.reply)
        pieces += [(text.rjust(width), bright) for text, width in figures]
        pieces += [(rate.rjust(columns.rate), rate_style), took]
        return [*pieces, (f"  {_fitting(row.words, columns.status)}", row.color)]
    if not columns.prompt:
        return [*pieces, took]
    tokens = columns.figures - columns.rate
    if known:
        shown = f"{prompt.rjust(columns.prompt)}{'→' if reply else ' '}{reply}"
        pieces += [(_cell(shown, tokens), bright), (rate.rjust(columns.rate), rate_style)]
    elif rate:
        pieces.append((_cell(_fitting(row.words, tokens), tokens), row.color))
        pieces.append((rate.rjust(columns.rate), rate_style))
    else:
        pieces.append((_cell(_fitting(row.words, columns.figures), columns.figures), row.color))
    return [*pieces, took]


def _fitting(words: Sequence[str], cells: int) -> str:
    return next((text for text in words if cell_len(text) <= cells), truncate(words[-1], cells))


def _cell(text: str, cells: int) -> str:
    return set_cell_size(text, cells)


def _took(seconds: float, *, wide: bool) -> str:
    """Return seconds in at most four cells, so that a rate stays apart: `6.4s`, `21s`, `2m05`, `12m`."""
    words = format_elapsed(seconds)
    if wide:
        return words
    large, _, small = words.partition(" ")
    short = large + (small if len(small) == 1 else small[:-1])
    return short if len(short) <= 4 else large


def unlisted_note(total: int | None, unlisted: int, *, listed: bool) -> str:
    """Say how many requests under way have no line; empty if all of them have one."""
    if listed:
        return f"and {unlisted:,} more" if unlisted > 0 else ""
    return (
        f"{count_of(total, 'request')} running; this server doesn't report which" if total else ""
    )
