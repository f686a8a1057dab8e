"""A table of which only the rows in sight are drawn, and its lines: requests, and groups of them."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct
from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from aitui.domain.activity import ActivityGroup, ActivityKind, ActivityRow, time_to_first_token
from aitui.domain.snapshot import Clock
from aitui.domain.units import format_elapsed, format_rate, format_seconds, format_tokens
from aitui.format.activity import cost, group_name
from aitui.format.fit import shorten_id, truncate
from aitui.format.requests import has_failed, status_words
from aitui.ui.drawn_lines import DrawnLines
from aitui.ui.keymap import ACTIVITY_TABLE
from aitui.ui.motions import motion_rows
from aitui.ui.plain import render_centered
from aitui.ui.theme import theme_style

Piece = tuple[str, str]
"""A text and its style, as `theme_style` takes it."""

PAGES_KEPT = 4000
"""Rows that are kept once read, so that going back reads nothing."""
_LONGEST_CLIENT, _LONGEST_MODEL, _SHORTEST_MODEL, _SHORTEST_CLIENT = 24, 48, 20, 8
_LEAST_CELLS, _SHORTEST_STATUS = 10, 20


class TableLines(Protocol):
    """What an ActivityTable shows, line by line."""

    @property
    def count(self) -> int:
        """The number of lines."""
        ...

    def fit(self, width: int) -> None:
        """Lay the columns out for that many cells."""
        ...

    def title(self) -> Sequence[Piece]:
        """Return the line above the first one."""
        ...

    def line(self, index: int) -> Sequence[Piece]:
        """Return a line."""
        ...

    def show(self, first: int, end: int) -> None:
        """Prepare for drawing these lines, and what may come into sight next."""
        ...


class ActivityTable(ScrollView, can_focus=True, inherit_bindings=False):
    """One line of `lines` a row; the cursor stays at its row."""

    BINDINGS = ACTIVITY_TABLE.bindings()

    empty_text: reactive[str] = reactive("")
    """What is shown instead of rows, if there are none."""

    class RowOpened(Message):
        """The row under the cursor was clicked once more."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes="frame")
        self._lines: TableLines | None = None
        self._drawn = DrawnLines(self, self._refit)
        self._styles: dict[str, Style] = {}
        self.cursor = 0
        """The index of the row under the cursor."""

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self._forget_styles())

    @property
    def line_cells(self) -> int:
        """The cells of a line: the last one of the table stays blank."""
        return self.size.width - 1

    def show_lines(self, lines: TableLines, *, cursor: int | None = None) -> None:
        """Show other lines, or the same ones once more; the cursor goes to that row, if given."""
        self._lines = lines
        last = max(0, lines.count - 1)
        self.cursor = min(self.cursor if cursor is None else cursor, last)
        lines.fit(self.line_cells)
        size = Size(self.size.width, lines.count + 1)
        if size != self.virtual_size:
            self.virtual_size = size
        if cursor is not None:
            self._reveal_cursor()
        self.redraw()

    def on_resize(self) -> None:
        if self._lines is not None:
            self.show_lines(self._lines, cursor=self.cursor)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self.redraw()

    def watch_has_focus(self, focused: bool) -> None:  # noqa: FBT001, ARG002
        self.redraw()

    def render_line(self, y: int) -> Strip:
        if self._lines is None or not self._lines.count:
            return render_centered(self.empty_text, y, self.size, self.visual_style.rich_style)
        return self._drawn.strip(y, self.size.width)

    def on_click(self, event: events.Click) -> None:
        row = event.y - 1 + self.scroll_offset.y
        if self._lines is None or not 0 <= row < self._lines.count or event.y < 1:
            return
        if row == self.cursor and event.chain > 1:
            self.post_message(self.RowOpened())
        self._move_cursor(row)

    def action_move(self, amount: float, unit: str = "rows") -> None:
        self._move_cursor(self.cursor + motion_rows(self, amount, unit))

    def redraw(self) -> None:
        """Draw the lines in sight; only those that have changed are painted."""
        lines, width = self._lines, self.size.width
        if lines is None or not self.display or width < _LEAST_CELLS or not lines.count:
            self._drawn.show([])
            return
        first = self.scroll_offset.y
        end = min(lines.count, first + self.size.height - 1)
        lines.show(first, end)
        strips = [self._strip(lines.title(), chosen=False)]
        strips += [
            self._strip(lines.line(index), chosen=index == self.cursor)
            for index in range(first, end)
        ]
        self._drawn.show(strips)

    def _refit(self) -> None:
        if self._lines is not None:
            self._lines.fit(self.line_cells)
            self.redraw()

    def _move_cursor(self, index: int) -> None:
        if self._lines is not None:
            self.cursor = max(0, min(index, self._lines.count - 1))
            self._reveal_cursor()
            self.redraw()

    def _reveal_cursor(self) -> None:
        self.scroll_to_region(Region(0, self.cursor, 1, 2), animate=False, force=True)

    def _strip(self, pieces: Iterable[Piece], *, chosen: bool) -> Strip:
        mark = "accent" if self.has_focus else "muted"
        segments = [Segment("▌" if chosen else " ", self._style(mark, chosen=chosen))]
        segments += [Segment(text, self._style(name, chosen=chosen)) for text, name in pieces]
        return Strip(segments).adjust_cell_length(self.size.width, self._style("", chosen=chosen))

    def _style(self, name: str, *, chosen: bool) -> Style:
        key = f"{name} on select" if chosen else name
        if key not in self._styles:
            self._styles[key] = theme_style(self.app, name, "select" if chosen else "")
        return self._styles[key]

    def _forget_styles(self) -> None:
        self._styles.clear()
        self.redraw()


class TableField(Struct, frozen=True):
    """A column: its title, the field that it sorts by, its cells with a blank, and how it is read.

    `right` columns hold figures, of which a status takes the place.
    """

    title: str
    sort: str
    cells: int
    right: bool = True


_TOOK = TableField("TOOK", "seconds", 8)
_FIGURES = (
    TableField("CACHED", "cached", 8),
    TableField("PROMPT", "prompt", 8),
    TableField("REPLY", "tokens", 7),
    TableField("DRAFT", "drafted", 7),
    TableField("FIRST", "first_token", 8),
    TableField("PP/S", "prompt_rate", 7),
    TableField("TOK/S", "rate", 7),
)
_PATH = TableField("PATH", "path", 22, right=False)
_FIRST_TO_LEAVE = ("DRAFT", "FIRST", "PATH", "CACHED", "PP/S", "PROMPT", "REPLY", "TOK/S")


def fit_columns(width: int, client: int, model: int, time: int) -> tuple[TableField, ...]:
    """Return the columns for that many cells; the others are the cells of the longest texts."""
    client = max(_SHORTEST_CLIENT, min(client, _LONGEST_CLIENT))
    model = max(_SHORTEST_MODEL, min(model, _LONGEST_MODEL))
    # Mark and sign before, the hue before the model, and one blank behind everything.
    fixed = 3 + time + 1 + 1 + 1
    names = client + model + 2
    optional = [_PATH, *_FIGURES]
    leaving = iter(_FIRST_TO_LEAVE)
    while fixed + names + sum(one.cells for one in optional) + _TOOK.cells > width:
        title = next(leaving, "")
        # What narrows the names to three quarters stays: figures are worth more than their ends.
        if not title:
            break
        if title not in {"DRAFT", "FIRST", "PATH"} and (
            fixed + names * 3 // 4 + sum(one.cells for one in optional) + _TOOK.cells <= width
        ):
            break
        optional = [one for one in optional if one.title != title]
    room = width - fixed - 2 - sum(one.cells for one in optional) - _TOOK.cells
    shown = max(6, min(client, max(room - model, room * 2 // 5)))
    left = room - shown - model
    if left >= _SHORTEST_STATUS:
        room -= left
        optional = [*optional, _TOOK, TableField("STATUS", "status", left, right=False)]
    else:
        optional.append(_TOOK)
    return (
        TableField("TIME", "at", time + 1, right=False),
        TableField("CLIENT", "who", shown + 1, right=False),
        TableField("MODEL", "model", max(2, room - shown) + 2, right=False),
        *optional,
    )


class RequestLines:
    """The lines of requests: those under way, then the rows of the record by their numbers.

    `read` is called with the numbers that are needed and not known yet; `add` takes their rows.
    """

    def __init__(
        self, clock: Clock, hue: Callable[[str], str], read: Callable[[Sequence[int]], None]
    ) -> None:
        self._clock = clock
        self._hue = hue
        self._read = read
        self._rows: dict[int, ActivityRow] = {}
        self._asked: set[int] = set()
        self._stale: set[int] = set()
        self._longest = (0, 0)
        self._width = 0
        self.columns: tuple[TableField, ...] = ()
        self.live: tuple[ActivityRow, ...] = ()
        self.numbers: Sequence[int] = ()
        self.sort, self.descending = "at", True
        self.slow: float | None = None
        """Seconds from which a request took longer than nearly all others."""
        self.all_of_today = True
        """Whether no row is older than this day: then its time has seconds, else a date."""

    @property
    def count(self) -> int:
        """The number of lines."""
        return len(self.live) + len(self.numbers)

    def row(self, index: int) -> ActivityRow | None:
        """Return the row of a line, None if it was not read yet."""
        if index < len(self.live):
            return self.live[index]
        index -= len(self.live)
        return self._rows.get(self.numbers[index]) if index < len(self.numbers) else None

    def index_of(self, row: ActivityRow) -> int | None:
        """Return the line of a row, None if it has none."""
        if not row.number:
            return self.live.index(row) if row in self.live else None
        try:
            return len(self.live) + self.numbers.index(row.number)
        except ValueError:
            return None

    def select(self, numbers: Sequence[int]) -> None:
        """Show other rows of the record; those in sight are read again: more is known of some by now."""
        self.numbers = numbers
        self._asked.clear()
        self._stale = set(self._rows)

    def add(self, rows: Iterable[ActivityRow]) -> None:
        """Take rows that were read."""
        for row in rows:
            self._rows[row.number] = row
            self._stale.discard(row.number)
        for number in list(self._rows)[: max(0, len(self._rows) - PAGES_KEPT)]:
            del self._rows[number]
        self.fit(self._width)

    def show(self, first: int, end: int) -> None:
        """Ask for the rows in sight, and those a page away from them."""
        before, page = len(self.live), max(20, end - first)
        wanted = self.numbers[max(0, first - before - page) : max(0, end - before + page)]
        missing = [
            one
            for one in wanted
            if one not in self._asked and (one in self._stale or one not in self._rows)
        ]
        if missing:
            self._asked.update(missing)
            self._read(missing)

    def fit(self, width: int) -> None:
        """Lay the columns out for that many cells: they only grow, so that scrolling moves none."""
        rows = (*self.live, *self._rows.values())
        clients = (cell_len(row.who or row.client) for row in rows)
        longest = (
            max(self._longest[0], max(clients, default=0)),
            max(self._longest[1], max((cell_len(row.model) for row in rows), default=0)),
        )
        time = (8 if width >= 100 else 5) if self.all_of_today else 11
        self._longest, self._width = longest, width
        self.columns = fit_columns(width, *longest, time)

    def title(self) -> Sequence[Piece]:
        """Return the titles of the columns, the sorted one with its arrow."""
        pieces: list[Piece] = [("  ", "")]
        for column in self.columns:
            arrow = "▾" if self.descending else "▴"
            text = column.title
            if column.sort == self.sort:
                text += f" {arrow}" if len(text) + 2 < column.cells else arrow
            if column.title == "STATUS":
                text = f"  {text}"
            shown = text.rjust(column.cells) if column.right else text.ljust(column.cells)
            pieces.append((shown[-column.cells :], "bold muted"))
        return pieces

    def line(self, index: int) -> Sequence[Piece]:
        """Return the line of a request; `…` while its row is read."""
        row = self.row(index)
        return [("  …", "")] if row is None else self._pieces(row)

    def _pieces(self, row: ActivityRow) -> list[Piece]:
        live = row.kind is not ActivityKind.REQUEST
        bright = "foreground" if live else ""
        sign, time, client, model, *figures = _sign(row), *self.columns
        form = "%m-%d %H:%M" if time.cells > 10 else "%H:%M:%S" if time.cells > 8 else "%H:%M"
        name = truncate(row.who or row.client or "–", client.cells - 1)
        pieces: list[Piece] = [
            (f"{sign[0]} ", sign[1]),
            (datetime.fromtimestamp(row.at).astimezone().strftime(form).ljust(time.cells), ""),
            (set_cell_size(name, client.cells), "foreground"),
            ("▌", self._hue(row.model)),
            (
                set_cell_size(shorten_id(row.model, model.cells - 2), model.cells - 1),
                bright,
            ),
        ]
        status = figures.pop() if figures[-1].title == "STATUS" else None
        took = figures.pop()
        if path := next((one for one in figures if one is _PATH), None):
            figures.remove(path)
            pieces.append((set_cell_size(truncate(row.path, path.cells - 1), path.cells), ""))
        words, color = _status(row), _status_color(row)
        known = bool(row.prompt or row.tokens)
        if status is not None or (known and not has_failed(row)):
            pieces += [self._figure(row, column) for column in figures]
        else:
            cells = sum(column.cells for column in figures)
            shown = next((one for one in words if cell_len(one) < cells), words[-1])
            pieces.append((set_cell_size(f" {truncate(shown, cells - 1)}", cells), color))
        pieces.append(self._figure(row, took))
        if status is not None:
            pieces.append((f"  {truncate(words[0], status.cells - 3)}", color))
        return pieces

    def _figure(self, row: ActivityRow, column: TableField) -> Piece:
        live = row.kind is not ActivityKind.REQUEST
        text = _FIGURE_TEXTS[column.title](row)
        style = "foreground" if live else ""
        if column.title == "TOK/S" and live:
            style = "bold transit"
        elif column is _TOOK and has_failed(row) and row.tokens:
            style = "error"
        elif column is _TOOK and self.slow is not None and (row.seconds or 0.0) > self.slow:
            style = "warning"
        if text and live and column.title in {"REPLY", "TOK/S"}:
            text = f"≈{text}"
        return (text or ("" if live else "–")).rjust(column.cells), style


def _tokens(count: int | None) -> str:
    return "" if count is None else format_tokens(count)


def _first_token(row: ActivityRow) -> str:
    first = time_to_first_token(row)
    return "" if first is None else f"{'' if first.exact else '≈'}{_took(first.seconds)}"


_FIGURE_TEXTS: dict[str, Callable[[ActivityRow], str]] = {
    "CACHED": lambda row: _tokens(row.cached),
    "PROMPT": lambda row: _tokens(row.prompt),
    "REPLY": lambda row: _tokens(row.tokens or None),
    "DRAFT": lambda row: _share((row.accepted or 0) / row.drafted if row.drafted else None, ""),
    "FIRST": _first_token,
    "PP/S": lambda row: f"{row.prompt_rate:,.0f}" if row.prompt_rate else "",
    "TOK/S": lambda row: "" if row.rate is None or not row.tokens else format_rate(row.rate),
    "TOOK": lambda row: "" if row.seconds is None else _took(row.seconds),
}
"""The text of a figure by the title of its column, empty for one that isn't known."""


def _took(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else format_seconds(seconds)


def _sign(row: ActivityRow) -> Piece:
    match row.kind:
        case ActivityKind.RUNNING:
            return "►", "transit"
        case ActivityKind.WAITING:
            return "◌", "warning"
    return ("✘", "error") if has_failed(row) else ("✓", "ready")


def _status_color(row: ActivityRow) -> str:
    if row.kind is not ActivityKind.REQUEST:
        return "warning" if row.kind is ActivityKind.WAITING else "transit"
    return "error" if has_failed(row) else ""


def _status(row: ActivityRow) -> tuple[str, ...]:
    if row.kind is ActivityKind.WAITING:
        return (
            (f"waits for the load, evicts {row.by}", "waits for the load", "waits")
            if row.by
            else ("waits for the load", "waits")
        )
    return ("running",) if row.kind is ActivityKind.RUNNING else status_words(row)


class GroupLines:
    """The lines of groups: by model, client, hour or day; `price` is that of a kilowatt-hour."""

    def __init__(
        self,
        by: str,
        groups: Sequence[ActivityGroup],
        hue: Callable[[str], str],
        price: float | None,
    ) -> None:
        self._by = by
        self._hue = hue
        self._price = price
        self._width = 0
        self.groups = groups

    @property
    def count(self) -> int:
        """The number of lines."""
        return len(self.groups)

    def fit(self, width: int) -> None:
        """Lay the columns out for that many cells."""
        self._width = width

    def show(self, first: int, end: int) -> None:
        """Everything is there."""

    def title(self) -> Sequence[Piece]:
        """Return the titles of the columns."""
        return [
            (f"  {self._by.upper()}".ljust(self._name_cells + 2), "bold muted"),
            *((title.rjust(cells), "bold muted") for title, cells, _ in self._columns),
        ]

    def line(self, index: int) -> Sequence[Piece]:
        """Return the line of a group."""
        group, cells = self.groups[index], self._name_cells
        name = group_name(group, self._by)
        hue = ("▌ ", self._hue(group.name)) if self._by == "model" else ("  ", "")
        return [
            hue,
            (set_cell_size(shorten_id(name, cells - 1), cells), "foreground"),
            *((text(group).rjust(width), "") for _, width, text in self._columns),
        ]

    @property
    def _columns(self) -> list[tuple[str, int, Callable[[ActivityGroup], str]]]:
        every: list[tuple[str, int, Callable[[ActivityGroup], str]]] = [
            ("REQUESTS", 10, lambda one: f"{one.sums.requests:,}"),
            ("FAILED", 8, lambda one: f"{one.sums.failed:,}" if one.sums.failed else "–"),
            ("PROMPT", 8, lambda one: format_tokens(one.sums.prompt)),
            ("CACHED", 8, lambda one: _share(one.sums.cached_share)),
            ("REPLY", 8, lambda one: format_tokens(one.sums.tokens)),
            ("DRAFT", 8, lambda one: _share(one.sums.acceptance)),
            ("PP/S", 8, lambda one: _rate(one.sums.prompt_rate, "{:,.0f}")),
            ("TOK/S", 8, lambda one: _rate(one.sums.rate, "{:.1f}")),
            ("BUSY", 9, lambda one: format_elapsed(one.sums.seconds)),
        ]
        if any(group.watt_hours is not None for group in self.groups):
            every += [
                ("≈WH", 8, lambda one: _rate(one.watt_hours, "{:,.1f}")),
                ("≈WH/1K", 9, lambda one: _rate(one.watt_hours_per_thousand, "{:.2f}")),
            ]
            every += (
                [("≈COST", 9, lambda one: _rate(cost(one, self._price), "{:,.2f}"))]
                if self._price is not None
                else []
            )
        for title in ("FAILED", "DRAFT", "≈WH/1K", "CACHED", "PP/S", "BUSY", "PROMPT", "≈WH"):
            if sum(cells for _, cells, _ in every) + 28 <= self._width:
                break
            every = [one for one in every if one[0] != title]
        return every

    @property
    def _name_cells(self) -> int:
        return max(10, self._width - 4 - sum(cells for _, cells, _ in self._columns))


def _share(share: float | None, none: str = "–") -> str:
    return none if share is None else f"{share * 100:.0f} %"


def _rate(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)
