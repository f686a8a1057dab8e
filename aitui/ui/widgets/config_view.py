"""A config file, line by line: colors, a cursor, the block in focus, and marks where it is wrong."""

import re
from collections.abc import Mapping, Sequence

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from aitui.domain.config.lint import Diagnostic
from aitui.ui.keymap import CONFIG_VIEW
from aitui.ui.motions import motion_rows
from aitui.ui.theme import theme_style
from aitui.ui.transcript.rows import Run

SCROLL_STEP = 16
_INKS = {
    "code-keyword": "accent",
    "code-function": "transit",
    "code-string": "ready",
    "code-number": "warning",
    "code-comment": "muted",
    "code-deleted": "error",
}
"""The colors of the parts of the text; the others have that of all text."""


# Not a `TextArea` with a language: tree-sitter 0.26, which its colors need, crashes in `json`.
class ConfigView(ScrollView, can_focus=True, inherit_bindings=False):
    """Shows a config file; lines are counted from 1."""

    BINDINGS = CONFIG_VIEW.bindings()

    cursor: reactive[int] = reactive(1, init=False)
    block: reactive[tuple[int, int]] = reactive((0, -1), init=False)
    """First and last line of the model in focus; none where the first is the greater one."""
    needle: reactive[re.Pattern[str] | None] = reactive(None, init=False)
    empty_text: reactive[str] = reactive("", init=False)

    class CursorMoved(Message):
        """The cursor stands on another line."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._lines: Sequence[Sequence[Run]] = ()
        self._problems: Mapping[int, Diagnostic] = {}
        self.matches: Sequence[int] = ()
        """The lines that have what is searched for."""

    @property
    def line(self) -> str:
        return self.line_text(self.cursor) if 1 <= self.cursor <= len(self._lines) else ""

    def line_text(self, number: int) -> str:
        return "".join(text for text, _ in self._lines[number - 1])

    def show(self, lines: Sequence[Sequence[Run]], problems: Sequence[Diagnostic]) -> None:
        """Show another text; the cursor stays on its line as far as there is one."""
        self._lines = lines
        self._find_matches()
        wrong: dict[int, Diagnostic] = {}
        for problem in problems:
            if problem.line not in wrong or (problem.fatal and not wrong[problem.line].fatal):
                wrong[problem.line] = problem
        self._problems = wrong
        widest = max((cell_len(self.line_text(at + 1)) for at in range(len(lines))), default=0)
        self.virtual_size = Size(widest + self._gutter + 1, len(lines))
        self.go_to(self.cursor)
        self.refresh()

    def go_to(self, number: int) -> None:
        """Move the cursor to a line and scroll it into view."""
        self.cursor = max(1, min(number, len(self._lines)))
        top, height = self.scroll_offset.y, self.size.height
        row = self.cursor - 1
        if not top <= row < top + height:
            self._scroll_to_row(row - height // 3)
        self.post_message(self.CursorMoved())

    def focus_block(self, first: int, last: int) -> None:
        """Mark the lines of a model, and go to the first."""
        self.block = (first, last)
        self.cursor = max(1, first)
        self._scroll_to_row(first - 3)
        self.post_message(self.CursorMoved())

    def search(self, needle: re.Pattern[str] | None, start: int) -> None:
        """Search for a text, and go to the nearest match at `start` or after."""
        self.needle = needle
        self.cursor = start - 1 if self.matches else self.cursor
        self.search_next(1)

    def search_next(self, direction: int) -> None:
        """Go to the next or the previous match, wrapping around."""
        matches = self.matches[::direction]
        if matches:
            ahead = (at for at in matches if (at - self.cursor) * direction > 0)
            self.go_to(next(ahead, matches[0]))
        else:
            self.post_message(self.CursorMoved())

    @property
    def match_count(self) -> int:
        """Return the number of matching lines."""
        return len(self.matches)

    def match_number(self) -> int:
        """Return the number of the match at the cursor, from 1; 0 if there is none."""
        return self.matches.index(self.cursor) + 1 if self.cursor in self.matches else 0

    def watch_cursor(self) -> None:
        self.refresh()

    watch_block = watch_empty_text = watch_cursor

    def watch_needle(self) -> None:
        self._find_matches()
        self.refresh()

    def action_move(self, amount: float, unit: str = "rows") -> None:
        lines = motion_rows(self, amount, unit)
        row, top, height = self.cursor - 1 + lines, self.scroll_offset.y, self.size.height
        if row < top:
            self._scroll_to_row(row)
        elif row >= top + height:
            self._scroll_to_row(row - height + 1)
        self.go_to(self.cursor + lines)

    def action_sideways(self, direction: int) -> None:
        x = max(0, self.scroll_offset.x + direction * SCROLL_STEP)
        self.scroll_to(x=x, animate=False, force=True, immediate=True)

    def on_click(self, event: events.Click) -> None:
        self.go_to(self.scroll_offset.y + event.y + 1)

    def render_line(self, y: int) -> Strip:
        width, number = self.size.width, self.scroll_offset.y + y + 1
        plain = self.visual_style.rich_style
        if not self._lines and y == self.size.height // 2:
            words = self.empty_text.center(width)
            return Strip([Segment(words, plain + theme_style(self.app, "muted"))]).crop(0, width)
        if number > len(self._lines):
            return Strip.blank(width, plain)
        if number == self.cursor:
            plain += theme_style(self.app, "foreground", "select")
        text = Strip(self._render_text(number, plain))
        room = width - self._gutter
        x = self.scroll_offset.x
        goes_on = text.cell_length > x + room
        text = text.crop_extend(x, x + room - goes_on, plain)
        more = [Segment("›", plain + theme_style(self.app, "muted"))] if goes_on else []
        return Strip([*self._render_margin(number, plain), *text, *more], width)

    def _find_matches(self) -> None:
        needle, numbers = self.needle, range(1, len(self._lines) + 1)
        self.matches = [
            number
            for number in numbers
            if needle is not None and needle.search(self.line_text(number))
        ]

    @property
    def _gutter(self) -> int:
        return len(str(max(1, len(self._lines)))) + 3

    def _render_margin(self, number: int, plain: Style) -> list[Segment]:
        digits = str(number).rjust(self._gutter - 3)
        problem = self._problems.get(number)
        if problem is not None:
            color, sign = ("error", "✘") if problem.fatal else ("warning", "!")
        elif self.block[0] <= number <= self.block[1]:
            color, sign = "accent", "▎"
        else:
            color, sign = "muted", " "
        return [
            Segment(f"{digits} ", plain + theme_style(self.app, "muted")),
            Segment(f"{sign} ", plain + theme_style(self.app, f"bold {color}")),
        ]

    def _render_text(self, number: int, plain: Style) -> list[Segment]:
        text = Text(no_wrap=True, end="")
        for words, ink in self._lines[number - 1]:
            color = _INKS.get(ink.part, "foreground")
            text.append(words, plain + theme_style(self.app, color))
        if self.needle is not None:
            found = theme_style(self.app, "background", "warning")
            if self.app.no_color:
                found += Style(reverse=True)
            for match in self.needle.finditer(text.plain):
                text.stylize(found, *match.span())
        # An empty line renders as a segment without a style, which a filter for no colors can't take.
        return [part for part in text.render(self.app.console) if part.text]

    def _scroll_to_row(self, y: int) -> None:
        y = max(0, min(y, len(self._lines) - self.size.height))
        self.scroll_to(y=y, animate=False, force=True, immediate=True)
