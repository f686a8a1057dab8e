"""A conversation of any length: turns that stream in, blocks to move by and to copy.

It draws the rows in sight, and of what streams in only the end.
"""

import re
import time
from collections.abc import Iterable

from rich.cells import cell_len
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from aitui.domain.snapshot import Clock
from aitui.domain.units import format_position
from aitui.format.fit import truncate
from aitui.ui.keymap import TRANSCRIPT
from aitui.ui.motions import motion_rows
from aitui.ui.terminal.screen_diff import is_terminal_ready
from aitui.ui.theme import theme_style
from aitui.ui.transcript.conversation import CompletedTurn, TranscriptDocument
from aitui.ui.transcript.layout import (
    block_contains_row,
    block_end,
    block_start,
    block_text,
    find_entry,
    next_block_start,
    selection_span,
    selection_text,
)
from aitui.ui.transcript.rows import (
    GUTTER,
    LOOKS,
    TEXT_STYLE,
    StyleCache,
    TextStyle,
    TranscriptRow,
    add_hint,
    highlight_selection,
)
from aitui.ui.transcript.search import Place, TranscriptSearch

# Measured with 10,000 tokens at 2,000/s: a whole-screen reflow for every append and generation-2
# collections over some 1,400 widgets (17-21 % of the time) make `Markdown.get_stream` 7.4 times as
# dear as rows that are painted at most 20 times a second and never for more than a quarter of the
# time; at 100,000 tokens a key waits 7 ms (p95), with `Markdown` at 20 fps 963 ms.
MAX_FPS = 20
CPU_SHARE = 4
IDLE_SLICE = 0.008
"""Seconds per slice of background work."""
SCROLLBAR_INTERVAL = 0.25
"""Seconds; the scroll bar costs a fifth of a frame, and while the end is followed it stays below."""
MARGIN = 1
MAX_TEXT = 100
"""Cells of a line; longer ones are hard to read."""
MAX_CACHED_STRIPS = 512
MARKS = frozenset({"found", "current", "hint"})
"""Parts that their background tells from the text."""


class Transcript(ScrollView, can_focus=True, inherit_bindings=False):
    """Shows what is in `conversation`. `following` holds while the last row is in sight.

    Frames are left out while the terminal takes no more.
    """

    BINDINGS = TRANSCRIPT.bindings()
    DEFAULT_CSS = """
    Transcript {
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-gutter: stable;
        scrollbar-size-vertical: 1;
    }
    """

    raw: reactive[bool] = reactive(False, init=False)
    empty_text: reactive[str] = reactive("", init=False)

    class OpenRequested(Message):
        """An editor with that block was requested."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(
        self,
        clock: Clock,
        *,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self.clock = clock
        self._now = clock.monotonic
        self.conversation = TranscriptDocument(clock.monotonic)
        self._layout = self.conversation.layout
        self._palette = StyleCache(self._part_style)
        self._strips: dict[int, tuple[TranscriptRow, Strip]] = {}
        self._filtered_strips: dict[int, tuple[Strip, Strip]] = {}
        # Not Textual's `anchor()`: after a person scrolled it may not engage again.
        self.following = True
        self._seen_rows = 0
        self._cursor: int | None = None
        self._flush_scheduled = False
        self._idle_work_scheduled = False
        self._next_flush_at = 0.0
        self._next_scrollbar_at = 0.0
        self._moving = False
        self._painting = False
        self._notes = 0
        self._search = TranscriptSearch(self._layout, self.conversation.folded_reasoning)

    @property
    def allow_select(self) -> bool:
        """Allow text selection, which Textual disables for scrolling widgets."""
        return True

    @property
    def room(self) -> Size:
        """The cells without the scroll bar."""
        return self.scrollable_content_region.size

    @property
    def _text_width(self) -> int:
        return min(MAX_TEXT, self.room.width - GUTTER - MARGIN)

    @property
    def unseen(self) -> int:
        """Rows that have come below since the view left the end."""
        return 0 if self.following else max(0, self._layout.height - self._seen_rows)

    def watch_raw(self) -> None:
        self._reflow()

    def watch_empty_text(self) -> None:
        self.refresh()

    # --- what the chat calls

    def begin_turn(self, turn_id: str, role: str, model: str = "", when: str = "") -> None:
        """Add a turn at the end. `role` is user, assistant or note; `when` is a time in words."""
        self.conversation.begin(turn_id, role, model, when)
        self._show()

    def append(self, turn_id: str, text: str, kind: str = "text") -> None:
        """Add text to a turn; `kind` is text or reasoning. It is on screen some frames later.

        Raises KeyError for a turn that was never begun.
        """
        self.conversation.append(turn_id, text, reasoning=kind == "reasoning")
        self._schedule_flush()

    def add_note(self, title: str, text: str) -> None:
        """Show Markdown that belongs to no conversation, until another one is shown."""
        self._notes += 1
        turn_id = f"note {self._notes}"
        self.begin_turn(turn_id, "note", title)
        self.append(turn_id, text)
        self.finish(turn_id)
        self.action_follow()

    def set_thinking_time(self, turn_id: str, seconds: float) -> None:
        """Say how long the reasoning of a turn took that is over. Raises KeyError."""
        self.conversation.set_thinking_time(turn_id, seconds)
        self._show()

    def finish(self, turn_id: str, footer: str = "") -> None:
        """End a turn: everything of it is shown at once, and `footer` below it. Raises KeyError."""
        self.conversation.finish(turn_id, footer)
        self._next_scrollbar_at = 0.0
        self._show()
        self._schedule_idle_work()

    def replace(self, turns: Iterable[CompletedTurn]) -> None:
        """Show other turns: another branch, or another conversation. Follows their end."""
        self.conversation.replace(turns)
        self._cursor, self.following = None, True
        self._reflow()

    # --- keys

    def action_follow(self) -> None:
        self._set_following(following=True)
        self._sync_view()

    def action_move(self, amount: float, unit: str = "rows") -> None:
        rows = motion_rows(self, amount, unit)
        self.scroll_to(y=self.scroll_offset.y + rows, animate=False, force=True)

    def action_block(self, direction: int) -> None:
        """Put the cursor on the next block, or the one before; first on the last one in sight."""
        entries = self._layout.entries
        if self._cursor is None or self._cursor >= len(entries):
            bottom = self._layout.entry_at(self.scroll_offset.y + self.size.height - 1)
            found = block_start(entries, bottom)
        else:
            found = next_block_start(entries, self._cursor, direction)
        if found is not None:
            self._cursor = found
            self._scroll_block_into_view(found)
        self.refresh()

    def action_copy(self, what: str) -> None:
        if what == "conversation":
            text = self.conversation.text
        elif what == "reply":
            text = self.conversation.reply_at(self._cursor)
        else:
            text = block_text(self._layout.entries, self._cursor)
        if text:
            self.app.copy_to_clipboard(text)

    def action_open_block(self) -> None:
        text = block_text(self._layout.entries, self._cursor)
        if text:
            self.post_message(self.OpenRequested(text))

    def action_reasoning(self) -> None:
        """Unfold or fold the reasoning under the cursor, else the last one."""
        self._toggle_reasoning(self._cursor)

    def _toggle_reasoning(self, index: int | None) -> None:
        before = self._layout.height
        if self.conversation.toggle_reasoning(index):
            self.screen.clear_selection()
            self._show()
            # They are no new lines.
            self._seen_rows += self._layout.height - before

    def on_click(self, event: events.Click) -> None:
        """Unfold or fold the reasoning by its line."""
        row = self.scroll_offset.y + event.y
        index = self._layout.entry_at(row) if row < self._layout.height else None
        if self.conversation.is_fold(index):
            self._cursor = index
            self.action_reasoning()

    # --- finding

    @property
    def cursor(self) -> int:
        """The first entry in sight, at which a search begins."""
        return max(0, self._layout.entry_at(self.scroll_offset.y))

    @property
    def needle(self) -> re.Pattern[str] | None:
        """What is looked for."""
        return self._search.needle

    @property
    def match_count(self) -> int:
        return self._search.count

    def match_number(self) -> int:
        return self._search.number()

    def search(self, needle: re.Pattern[str] | None, start: int) -> None:
        """Search for a text, and go to the nearest match at `start` or after."""
        self._search.search(needle)
        if needle is None:
            self._set_following(following=self.scroll_offset.y >= self.max_scroll_y)
        else:
            self._go_to_match(self._search.first(start))
        self.refresh()

    def search_next(self, direction: int) -> None:
        """Go to the next or the previous match, around the ends; what is folded is unfolded."""
        search = self._search
        at_fold = search.current is not None and search.hidden_count(search.current[0])
        place = search.current if at_fold else search.next(direction)
        if place is not None and search.hidden_count(place[0]):
            found = search.pieces_in_fold(place[0])
            self._toggle_reasoning(self._layout.entries.index(place[0]))
            # Those that were laid out again meanwhile are found with the next key.
            laid = found[0 if direction > 0 else -1]
            place = laid, 0 if direction > 0 else len(search.matches(laid)) - 1
        self._go_to_match(place)
        self.refresh()

    def _go_to_match(self, place: Place | None) -> None:
        if place is None or place[0] not in self._layout.entries:
            return
        self._search.current = place
        index, matches = self._layout.entries.index(place[0]), self._search.matches(place[0])
        row = self._layout.top(index) + (matches[place[1]][0][0] if matches else 0)
        self._set_following(following=False)
        top, height = self.scroll_offset.y, self.size.height
        # The hints are on the first row and on the last.
        if not top < row < top + height - 1:
            self.scroll_to(y=max(0, row - height // 3), animate=False, force=True)

    def _mark_found(self, strip: Strip, number: int) -> Strip:
        """The row with what is found in it in color."""
        if self._layout.row(number) is None:
            return strip
        index, search = self._layout.entry_at(number), self._search
        laid, inside = self._layout.entries[index], number - self._layout.top(index)
        for at, match in enumerate(search.matches(laid)):
            is_current = search.current is not None and search.current == (laid, at)
            style = self._part_style("current" if is_current else "found")
            for row, start, end in match:
                if row == inside:
                    strip = highlight_selection(strip, GUTTER + start, GUTTER + end, style)
        if count := search.hidden_count(laid):
            words = f" {count:,} found "
            end = GUTTER + cell_len(laid.piece.source) + 1 + len(words)
            strip = add_hint(strip, words, self._part_style("found"), min(end, self.room.width))
        return strip

    # --- drawing

    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines to paint. What Textual does to each line is done once for each row here."""
        if self.styles.gutter.totals != (0, 0) or self.opacity < 1 or self.styles.tint.a:
            return super().render_lines(crop)
        self._painting = True
        try:
            strips = [self._render_filtered_line(y) for y in crop.line_range]
        finally:
            self._painting = False
        return [strip.crop(*crop.column_span) for strip in strips]

    def _render_filtered_line(self, y: int) -> Strip:
        """One line behind the app's filters."""
        strip = self.render_line(y)
        number = self.scroll_offset.y + y
        known, painted = self._filtered_strips.get(number, (None, strip))
        if known is not strip:
            segments, background = list(strip), self.background_colors[1]
            for line_filter in self.get_line_filters():
                segments = line_filter.apply(segments, background)
            painted = Strip(segments, strip.cell_length)
            self._filtered_strips[number] = (strip, painted)
        return painted

    def render_line(self, y: int) -> Strip:
        """One row, with the hint about what came below on the last one."""
        number = self.scroll_offset.y + y
        strip = self._render_row_strip(number)
        selection = self.text_selection
        if selection is not None:
            row = self._layout.row(number)
            span = selection_span(selection, number, row) if row is not None else None
            if span is not None:
                look = self.screen.get_component_rich_style("screen--selection")
                strip = highlight_selection(strip, *span, look)
        if self._search.needle is not None:
            strip = self._mark_found(strip, number)
            if not y:
                words = f" {format_position(self.match_number(), self.match_count)} "
                strip = add_hint(strip, words, self._part_style("hint"), self.room.width)
        if y == self.size.height - 1 and self.unseen:
            words = f" ↓ {self.unseen} new lines · {TRANSCRIPT.sign('follow')} follows "
            strip = add_hint(strip, words, self._part_style("hint"), self.room.width)
        return strip if self._painting else strip.apply_offsets(0, number)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The text between two places; rows of one wrapped line are one line again."""
        return selection_text(self._layout, selection), "\n"

    def notify_style_update(self) -> None:
        """Forget the styles of the old theme."""
        super().notify_style_update()
        self._palette.clear()
        self._forget_strips()

    def on_resize(self) -> None:
        """Break the lines again if the width has changed: those in sight now, the others soon."""
        if self._text_width != self._layout.width:
            self._reflow()
        else:
            self._sync_view()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Follow the end after a scroll to it, and stay after a scroll away from it."""
        if self._moving and self.following:
            return
        super().watch_scroll_y(old_value, new_value)
        if self._moving or round(old_value) == round(new_value):
            return
        self._set_following(following=self.scroll_offset.y >= self.max_scroll_y)
        if not self._layout.exact:
            self._sync_view()

    def _render_row_strip(self, number: int) -> Strip:
        width = self.size.width
        row = self._layout.row(number)
        if row is None:
            return self._render_blank(number, width)
        if self.has_focus and block_contains_row(self._layout, self._cursor, number):
            return self._palette.render_strip(row, width, cursor=True)
        known = self._strips.get(number)
        # Most rows of what is drawn again for a frame are what they were.
        if known is not None and known[0] == row and known[1].cell_length == width:
            return known[1]
        if len(self._strips) > MAX_CACHED_STRIPS:
            self._forget_strips()
        strip = self._palette.render_strip(row, width, cursor=False)
        self._strips[number] = (row, strip)
        return strip

    def _render_blank(self, number: int, width: int) -> Strip:
        lines = self.empty_text.split("\n") if not self._layout.entries else []
        words = truncate(lines[number], self.room.width - GUTTER) if number < len(lines) else ""
        blank = Strip.blank(width, self._palette.style(TEXT_STYLE))
        end = GUTTER + cell_len(words)
        quiet = TextStyle("quiet")
        return add_hint(blank, words, self._palette.style(quiet), end) if words else blank

    def _part_style(self, part: str) -> Style:
        look, ground = LOOKS[part]
        style = self.visual_style.rich_style + theme_style(self.app, look, ground)
        # Without colors, what is found has no other mark.
        return style + Style(reverse=True) if self.app.no_color and part in MARKS else style

    # --- keeping up

    def _schedule_flush(self) -> None:
        if not self._flush_scheduled and self.is_attached:
            self._flush_scheduled = True
            # While a frame is drawn, its end schedules the next one: a timer for a time that isn't
            # known yet would be a task that never ends.
            if self._next_flush_at != float("inf"):
                self.set_timer(max(0.001, self._next_flush_at - self._now()), self._flush)

    def _flush(self) -> None:
        """Show what came since the last frame, then leave the others at least as much time."""
        self._flush_scheduled = False
        if not is_terminal_ready(self.app):
            self._next_flush_at = self._now() + 1 / MAX_FPS
            self._schedule_flush()
            return
        began = time.thread_time()
        self._show()
        self._next_flush_at = float("inf")
        self.call_after_refresh(self._finish_frame, began)

    def _finish_frame(self, began: float) -> None:
        cost = time.thread_time() - began
        self._next_flush_at = self._now() + max(1 / MAX_FPS, (CPU_SHARE - 1) * cost)
        if self._flush_scheduled or self.conversation.has_pending:
            self._flush_scheduled = False
            self._schedule_flush()

    def _show(self) -> None:
        if not self._layout.width:
            return
        entries = self._layout.entries
        marked = None
        if self._cursor is not None and self._cursor < len(entries):
            marked = entries[self._cursor]
        self.conversation.advance()
        if marked is not None:
            self._cursor = find_entry(entries, marked, self._cursor)
        self._sync_view()
        self._search.update()
        if self.conversation.has_pending_highlight():
            self._schedule_idle_work()

    def _reflow(self) -> None:
        if not self.size.width:
            return
        anchor, inside = self._anchor()
        self.conversation.advance()
        self._next_scrollbar_at = 0.0
        self.conversation.reflow(self._text_width, raw=self.raw)
        self.screen.clear_selection()
        self._sync_view((anchor, inside))
        self._search.update()

    def _anchor(self) -> tuple[int, int]:
        """The entry at the top of the view, and how many of its rows are above."""
        top = self.scroll_offset.y
        index = max(0, self._layout.entry_at(top))
        return index, top - self._layout.top(index) if self._layout.entries else 0

    def _sync_view(self, anchor: tuple[int, int] | None = None) -> None:
        """After any change of the rows: draw those in sight, and keep the place."""
        layout, height = self._layout, self.size.height
        if not layout.exact:
            index, inside = anchor or self._anchor()
            if self.following:
                layout.draw_last(height)
            else:
                layout.draw_below(index, inside + height)
            self._resize_content(layout.top(min(index, len(layout.entries))) + inside)
            self._schedule_idle_work()
        else:
            self._resize_content(None)
        # Without the scroll bar.
        self.refresh(self.room.region)

    def _resize_content(self, top: int | None) -> None:
        size = Size(self.room.width, self._layout.height)
        self._moving = True
        try:
            # Set plainly, it would have the whole screen laid out and painted for every frame.
            self.set_reactive(Widget.virtual_size, size)
            if self.following:
                self._seen_rows = size.height
                self.scroll_to(y=self.max_scroll_y, animate=False, force=True)
            elif top is not None:
                self.scroll_to(y=top, animate=False, force=True)
            if not self.following or self._now() >= self._next_scrollbar_at:
                self._next_scrollbar_at = self._now() + SCROLLBAR_INTERVAL
                self._scroll_update(size)
                if self.show_vertical_scrollbar:
                    self.vertical_scrollbar.position = self.scroll_y
        finally:
            self._moving = False

    def _schedule_idle_work(self) -> None:
        if not self._idle_work_scheduled and self.is_attached:
            self._idle_work_scheduled = True
            self.set_timer(IDLE_SLICE * (CPU_SHARE - 1), self._run_idle_work)

    def _run_idle_work(self) -> None:
        """Draw something of what is out of sight, or color something of a long fence."""
        self._idle_work_scheduled = False
        until = self._now() + IDLE_SLICE
        anchor = self._anchor()
        if self.conversation.run_idle_work(anchor[0], lambda: self._now() >= until):
            self._next_scrollbar_at = 0.0
            self._resize_content(self._layout.top(anchor[0]) + anchor[1])
            self._search.update()
            self.refresh()
        if not self._layout.exact or self.conversation.has_pending_highlight():
            self._schedule_idle_work()

    def _forget_strips(self) -> None:
        self._strips.clear()
        self._filtered_strips.clear()

    def _set_following(self, *, following: bool) -> None:
        if following is self.following:
            return
        self.following = following
        self._seen_rows = self._layout.height
        self.refresh()

    def _scroll_block_into_view(self, index: int) -> None:
        first = self._layout.top(index)
        last = self._layout.top(block_end(self._layout.entries, index))
        top, height = self.scroll_offset.y, self.size.height
        if first < top or last - first >= height:
            self.scroll_to(y=first, animate=False, force=True)
        elif last > top + height:
            self.scroll_to(y=last - height, animate=False, force=True)
