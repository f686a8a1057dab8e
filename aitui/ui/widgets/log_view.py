"""A log of any length: draws the visible rows, and follows the end or keeps its place."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache

from msgspec.structs import replace
from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from aitui.domain.ansi import AnsiColor, AnsiStyle
from aitui.domain.logs import LogFilter, LogLevel, LogLine, LogRing, PatternTooSlow
from aitui.ui.keymap import LOG_VIEW
from aitui.ui.motions import motion_rows
from aitui.ui.plain import component_classes, render_centered
from aitui.ui.widgets.log_rows import NO_WRAP, FailureLines, LogRows

SCROLL_STEP = 16
NARROWEST = 8
GUTTER = 2
MAX_MATCH_LENGTH = 200
PARTS = ("text", "debug", "warning", "error", "mark", "found", "cursor", "evidence", "more")
_BY_LEVEL = {LogLevel.DEBUG: "debug", LogLevel.WARNING: "warning", LogLevel.ERROR: "error"}


# Not Textual's `Log`: `write_line` starts a thread worker a call (50,000 lines took 412 MiB), and
# neither it nor `RichLog` filters what it has. `RichLog` can't select text either.
class LogView(ScrollView, can_focus=True, inherit_bindings=False):
    """Lines that come in by `extend`. `following` holds while the last line is in sight."""

    COMPONENT_CLASSES = component_classes("log-view", *PARTS)
    BINDINGS = LOG_VIEW.bindings()

    wraps: reactive[bool] = reactive(False, init=False)
    paused: reactive[bool] = reactive(False, init=False)
    empty_text: reactive[str] = reactive("", init=False)

    class PositionChanged(Message):
        """The view was scrolled, or the cursor moved."""

    class FilterDropped(Message):
        """New lines made the filter's pattern take too long: it is gone."""

        def __init__(self, error: PatternTooSlow) -> None:
            super().__init__()
            self.error = error

    def __init__(self, *, id: str | None = None, ring: LogRing | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.rows = LogRows(ring)
        self.following = True
        self.cursor = 0
        self.failure_lines = FailureLines()
        self._pause_row = 0
        self._moving = False

    @property
    def allow_select(self) -> bool:
        """Allow text selection, which Textual disables for scrolling widgets."""
        return True

    @property
    def cursor_line(self) -> LogLine | None:
        rows = self.rows
        return rows.line(self.cursor) if rows.first <= self.cursor < rows.end else None

    @property
    def needle(self) -> re.Pattern[str] | None:
        return self.rows.needle

    @property
    def match_count(self) -> int:
        """Return the number of shown lines that match."""
        return self.rows.match_count

    def match_number(self) -> int:
        """Return the number of the match at the cursor, from 1; 0 if there is none."""
        return self.rows.match_number(self.cursor)

    @property
    def pending_lines(self) -> int:
        """Return the number of lines since the view was paused."""
        if not self.paused or self._end_row >= self.rows.end_row:
            return 0
        return self.rows.end - self.rows.line_at_row(self._end_row)[0]

    def extend(self, lines: Iterable[LogLine], unfinished: LogLine | None = None) -> None:
        """Add lines at the end; who has scrolled away sees the same lines as before."""
        first_row, bottom = self.rows.first_row, self._is_at_bottom
        new = tuple(lines)
        try:
            self.rows.extend(new, unfinished)
        except PatternTooSlow as error:
            self.set_filter(replace(self.rows.filter, pattern=None))
            self.rows.extend(new, unfinished)
            self.post_message(self.FilterDropped(error))
        self._go_to_failure()
        self._sync_view(self.rows.first_row - first_row)
        if bottom or self.following:
            self.refresh()

    def look_for_failure(self, lines: tuple[str, ...]) -> None:
        """Mark the lines of a failed load; go to them unless the view was moved by hand."""
        at_hand = (self.following or self.failure_lines.jump_pending) and not self.paused
        self.failure_lines = FailureLines(lines, jump_pending=at_hand)
        self._go_to_failure()

    def _go_to_failure(self) -> None:
        at = self.failure_lines.locate(self.rows) if self.failure_lines.jump_pending else None
        if at is not None:
            self.go_to(at)

    def clear(self) -> None:
        """Forget all lines and follow those to come."""
        self.rows.clear()
        self.failure_lines = FailureLines()
        self.cursor, self.following, self.paused = 0, True, False
        self._sync_view()
        self.refresh()

    def set_filter(self, log_filter: LogFilter) -> None:
        """Show other lines; the cursor stays with its line where that is still shown.

        Raises PatternTooSlow where finding them takes too long; nothing changes then.
        """
        line = self.cursor_line
        self.rows.set_filter(log_filter)
        self._handle_renumbering(line)

    def search(self, needle: re.Pattern[str] | None, start: int) -> None:
        """Search for a text, and go to the nearest match at `start` or before."""
        self.rows.search(needle)
        found = self.rows.next_match(start + 1, -1)
        if found is not None:
            self.go_to(found)
        self.refresh()
        self.post_message(self.PositionChanged())

    def search_next(self, direction: int) -> None:
        """Go to the next or the previous match."""
        found = self.rows.next_match(self.cursor, direction)
        if found is not None:
            self.go_to(found)

    def go_to(self, number: int) -> None:
        """Put the cursor on a line; where that isn't in sight it comes to the middle."""
        self.following = False
        self.cursor = number
        row = self.rows.row_of(number) - self.rows.first_row
        if not self.scroll_offset.y <= row < self.scroll_offset.y + self.size.height:
            self._sync_view()
            self._scroll_to_row(row - self.size.height // 2)
        self._scroll_to_match(number)
        self.refresh()
        self.post_message(self.PositionChanged())

    def watch_wraps(self) -> None:
        self.rows.set_wrap_width(self._wrap_width)
        self._handle_renumbering(self.cursor_line)

    def watch_paused(self) -> None:
        self._pause_row = self.rows.end_row
        self._sync_view()
        self.refresh()
        self.post_message(self.PositionChanged())

    def watch_empty_text(self) -> None:
        if not self.rows.end_row:
            self.refresh()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Follow the end after a scroll to it, and stay after a scroll away from it."""
        super().watch_scroll_y(old_value, new_value)
        if self._moving or round(old_value) == round(new_value):
            return
        self.following = self._is_at_bottom
        top = self.rows.first_row + self.scroll_offset.y
        bottom = min(top + self.size.height, self._end_row) - 1
        if self.following:
            self.cursor = self._last_line
        elif top <= bottom:
            lowest = self.rows.line_at_row(bottom)[0]
            self.cursor = max(self.rows.line_at_row(top)[0], min(self.cursor, lowest))
        self.post_message(self.PositionChanged())

    def on_resize(self) -> None:
        if self.rows.set_wrap_width(self._wrap_width):
            self._handle_renumbering(self.cursor_line)
        else:
            self._sync_view()

    def on_unmount(self) -> None:
        """Drop the lines, so that leftover references to the view don't keep the log."""
        self.rows.clear()

    def render_line(self, y: int) -> Strip:
        rows, width, plain = self.rows, self._width, self._style("text")
        row = rows.first_row + self.scroll_offset.y + y
        if rows.first == rows.end:
            return render_centered(self.empty_text, y, Size(width, self.size.height), plain)
        if row >= self._end_row:
            return Strip.blank(width, plain)
        number, _ = rows.line_at_row(row)
        line, start, _ = rows.row_text(row)
        base = self._style("mark" if line.mark else _BY_LEVEL.get(line.level, "text"))
        sign, sign_style = "  ", plain
        if number == self.cursor:
            base += Style(bgcolor=self._style("cursor").bgcolor)
            sign = "▌ "
        if self.failure_lines.is_failure_line(number, line):
            sign, sign_style = "✘ ", self._style("evidence")
        ground = Style(bgcolor=base.bgcolor)
        left, room = 0 if self.wraps else self.scroll_offset.x, width - GUTTER
        whole = Strip(self._row_content(row, base, left + room).render(self.app.console))
        strip = whole.crop_extend(left, left + room, base).apply_offsets(start + left, row)
        if whole.cell_length > left + room:
            strip = Strip([*strip.crop(0, room - 1), Segment("›", self._style("more") + ground)])
        return Strip([Segment(sign, sign_style + ground), *strip], width)

    def _row_content(self, row: int, base: Style, cells: int) -> Text:
        """The text of a row: the server's colors, what was found, what is selected."""
        line, start, end = self.rows.row_text(row)
        selected = self._selected_range(self.text_selection, row, start, end)
        # Of a line that isn't wrapped no more is looked at than can be seen; some marks take no cell.
        end = min(end, start + cells * 4 + 64)
        text = Text(line.text[start:end], no_wrap=True, end="")
        text.stylize(base)  # as a span: Rich leaves the style of a text without spans out
        spans = [
            (rich_style(span.style), span.start, span.end)
            for span in line.spans
            if span.start < end and span.end > start
        ]
        if self.rows.needle is not None and not line.mark:
            found = self.rows.needle.finditer(line.text, max(0, start - MAX_MATCH_LENGTH), end)
            spans += [(self._style("found"), *match.span()) for match in found]
        if selected is not None:
            spans.append((self.screen.get_component_rich_style("screen--selection"), *selected))
        for style, first, last in spans:
            text.stylize(style, max(0, first - start), max(0, min(last, end) - start))
        return text

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The text between two places; rows of one wrapped line are one line again."""
        rows = self.rows
        first = rows.first_row if selection.start is None else selection.start.y
        last = rows.end_row - 1 if selection.end is None else selection.end.y
        text = ""
        before = -1
        for row in range(max(first, rows.first_row), min(last, rows.end_row - 1) + 1):
            number, _ = rows.line_at_row(row)
            line, start, end = rows.row_text(row)
            selected = self._selected_range(selection, row, start, end)
            text += "\n" if before not in {-1, number} else ""
            text += line.text[slice(*selected)] if selected else ""
            before = number
        return text, "\n"

    def action_move(self, amount: float, unit: str = "rows") -> None:
        """Move the cursor by lines or pages; by pages inside a line that is longer, the view."""
        rows = motion_rows(self, amount, unit)
        if unit != "pages" or self.rows.first == self.rows.end:
            self._move_cursor(self.cursor + rows)
            return
        row = self.rows.row_of(self.cursor) + rows
        number, _ = self.rows.line_at_row(max(self.rows.first_row, min(row, self._end_row - 1)))
        if number == self.cursor:
            self.failure_lines.jump_pending = False
            self.scroll_to(y=self.scroll_offset.y + rows, animate=False, immediate=True)
        else:
            self._move_cursor(number)

    def action_follow(self) -> None:
        self.following = True
        self._sync_view()
        self.refresh()
        self.post_message(self.PositionChanged())

    def action_sideways(self, direction: int) -> None:
        x = self.scroll_offset.x + direction * SCROLL_STEP
        self.scroll_to(x=max(0, x), animate=False, force=True, immediate=True)

    def _move_cursor(self, number: int) -> None:
        if self.rows.first == self.rows.end:
            return
        self.failure_lines.jump_pending = False
        self.cursor = max(self.rows.first, min(number, self._last_line))
        self.following = self.cursor == self._last_line and not self.paused
        top = self.rows.row_of(self.cursor) - self.rows.first_row
        height = self.size.height
        bottom = self.rows.row_of(self.cursor + 1) - self.rows.first_row
        if top < self.scroll_offset.y:
            self._scroll_to_row(top)
        elif bottom > self.scroll_offset.y + height:
            self._scroll_to_row(min(top, bottom - height))
        self.refresh()
        self.post_message(self.PositionChanged())

    def _sync_view(self, rows_gone: int = 0) -> None:
        """After any change of the rows: the size, the cursor, and where the view stands."""
        rows = self.rows
        if self.paused and rows_gone:
            # What was in sight may have gone: then the oldest lines that are there are shown.
            self._pause_row = max(
                self._pause_row, min(rows.first_row + self.size.height, rows.end_row)
            )
        before = self.scroll_offset.y
        width = self._width if self.wraps else max(self._width, rows.widest + GUTTER)
        with self._programmatic_scroll():
            self.virtual_size = Size(width, self._end_row - rows.first_row)
        self.cursor = max(rows.first, min(self.cursor, max(rows.first, rows.end - 1)))
        if self.following and not self.paused:
            self.cursor = self._last_line
            self._scroll_to_row(self.virtual_size.height)
        elif rows_gone:
            self._scroll_to_row(before - rows_gone)

    def _handle_renumbering(self, line: LogLine | None) -> None:
        self.screen.clear_selection()
        self.failure_lines.found_at = None
        self._pause_row = self.rows.end_row
        if line is not None:
            self.cursor = self.rows.line_number(line)
        self._sync_view()
        if not self.following:
            row = self.rows.row_of(self.cursor) - self.rows.first_row
            self._scroll_to_row(row - self.size.height // 2)
        if self.failure_lines:
            self.failure_lines.locate(self.rows)
        self.refresh()
        self.post_message(self.PositionChanged())

    def _scroll_to_match(self, number: int) -> None:
        needle = self.rows.needle
        match = needle.search(self.rows.line(number).text) if needle and not self.wraps else None
        room = self._width - GUTTER
        if match is not None and not (
            self.scroll_offset.x <= match.start() and match.end() < self.scroll_offset.x + room
        ):
            x = 0 if match.end() < room else max(0, match.start() - room // 2)
            self.scroll_to(x=x, animate=False, force=True, immediate=True)

    def _scroll_to_row(self, y: int) -> None:
        y = max(0, min(y, self.virtual_size.height - self.size.height))
        with self._programmatic_scroll():
            self.scroll_to(y=y, animate=False, force=True, immediate=True)

    @contextmanager
    def _programmatic_scroll(self) -> Iterator[None]:
        self._moving = True
        try:
            yield
        finally:
            self._moving = False

    @property
    def _end_row(self) -> int:
        return min(self._pause_row, self.rows.end_row) if self.paused else self.rows.end_row

    @property
    def _last_line(self) -> int:
        rows = self.rows
        if rows.first == rows.end:
            return rows.first
        return rows.line_at_row(max(rows.first_row, self._end_row - 1))[0]

    @property
    def _is_at_bottom(self) -> bool:
        bottom = self.scroll_offset.y + self.size.height
        return bottom >= self._end_row - self.rows.first_row

    @property
    def _width(self) -> int:
        """Cells beside the scroll bar; its column stays free also without it."""
        return self.scrollable_content_region.width

    @property
    def _wrap_width(self) -> int:
        return max(NARROWEST, self._width - GUTTER) if self.wraps else NO_WRAP

    @staticmethod
    def _selected_range(
        selection: Selection | None, row: int, start: int, end: int
    ) -> tuple[int, int] | None:
        span = None if selection is None else selection.get_span(row)
        if span is None:
            return None
        # A row begins at its own first character, also where the selection came from above.
        return max(start, span[0]), end if span[1] == -1 else min(end, max(start, span[1]))

    def _style(self, part: str) -> Style:
        return self.get_component_rich_style(f"log-view--{part}")


@lru_cache(1024)
def rich_style(style: AnsiStyle) -> Style:
    """Return the style as Rich has it; flags that are off stay open."""
    return Style(
        color=_rich_color(style.foreground),
        bgcolor=_rich_color(style.background),
        bold=style.bold or None,
        dim=style.dim or None,
        italic=style.italic or None,
        underline=style.underline or None,
        reverse=style.reverse or None,
        strike=style.strike or None,
    )


def _rich_color(color: AnsiColor | None) -> RichColor | None:
    if color is None:
        return None
    return RichColor.from_rgb(*color) if isinstance(color, tuple) else RichColor.from_ansi(color)
