"""The last two lines: what was said last, and the keys that work now."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.screen import Screen
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from aitui.ui.frame import Pieces, render_title, set_frame_title
from aitui.ui.keymap import APP
from aitui.ui.plain import component_classes
from aitui.ui.terminal.notifications import Notice
from aitui.ui.text import LineItem, fit_items, total_width
from aitui.ui.theme import theme_style

MESSAGE_LINES = 25
"""Lines of a terminal from which the last message has one of them for itself."""


def footer_rows(height: int) -> int:
    """Return the rows that keys and message take of a terminal of that height."""
    return 1 + (height >= MESSAGE_LINES)


@runtime_checkable
class HasMessageFrame(Protocol):
    """A screen with a frame that can hold the last message in its lower edge."""

    def show_message(self, line: Pieces) -> bool:
        """Write it there, or nothing if it is empty; return whether there is such a frame now."""
        ...


class KeyBar(Widget):
    """Keys with their words; whole items go where there is no room; a click is a key press.

    Of several values that a key goes through, `[the present one]` is in brackets and drawn as a chip.
    The line above them is that of the last message. In a terminal that is too low for it the screen
    may have another place (`HasMessageFrame`); else it is for some seconds in the place of the keys.
    """

    COMPONENT_CLASSES = component_classes("key-bar", "key", "words", "chosen")

    hints: reactive[tuple[tuple[str, str, str], ...]] = reactive(())
    """Key, words and action of each hint, the most needed first; the last stays at the right."""

    def __init__(self, *hints: tuple[str, str, str], id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.set_reactive(KeyBar.hints, hints)
        self._notices: Sequence[Notice] = ()
        self._flash: Timer | None = None

    def on_mount(self) -> None:
        self.watch(self.app, "notices", self._show_notices)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        return footer_rows(viewport.height)

    def on_resize(self) -> None:
        """The frames around may have another size, too, and the line may have come or gone."""
        self._show_notices(self._notices, self._notices)

    def _show_notices(self, old: Sequence[Notice], new: Sequence[Notice]) -> None:
        self._notices = new
        in_line = self.size.height > 1
        screen, framed = self.screen, False
        if isinstance(screen, HasMessageFrame):
            framed = screen.show_message(new[-1].line if new and not in_line else ())
        if in_line:
            self.refresh(Region(0, 0, self.size.width, 1))
        elif not framed and new and new != old and not self._has_line_behind:
            if self._flash is not None:
                self._flash.stop()
            self._flash = self.set_timer(new[-1].seconds, self._end_flash)
            self.refresh()

    @property
    def _has_line_behind(self) -> bool:
        """Whether this is in a dialog, and the view behind it shows the message above these keys."""
        return self.screen.is_modal and footer_rows(self.app.size.height) > 1

    def _end_flash(self) -> None:
        self._flash = None
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """The message, then the keys, the last one at the right end."""
        width, plain = self.size.width, self.visual_style.rich_style
        in_line = self.size.height > 1
        if in_line and not y:
            return self._render_message(plain + theme_style(self.app, "muted", "background"))
        if self._flash is not None and not in_line:
            return self._render_message(plain)
        if y > 1 or not self.hints:
            return Strip.blank(width, plain)
        key_style = self.get_component_rich_style("key-bar--key")
        words_style = self.get_component_rich_style("key-bar--words")
        chip_style = self.get_component_rich_style("key-bar--chosen")
        segments: list[Segment] = []
        at = 0
        for start, item in self._position_items(width):
            key, words = item.text.split(" ", 1)
            segments.append(Segment(" " * (start - at), plain))
            segments.append(Segment(key, key_style))
            before, _, rest = words.partition("[")
            chosen, _, after = rest.partition("]")
            segments.append(Segment(f" {before}", words_style))
            if chosen:
                segments += Segment(f" {chosen} ", chip_style), Segment(after, words_style)
            at = start + total_width((item,))
        return Strip(segments).adjust_cell_length(width, plain)

    def _render_message(self, line: Style) -> Strip:
        width = self.size.width
        if not self._notices:
            return Strip.blank(width, line)
        key, words, _ = APP.hint("messages")
        line_cells = sum(cell_len(text) for text, _ in self._notices[-1].line)
        if line_cells + len(key) + len(words) + 5 > width:
            words = "whole message"
        hint = ((key, "bold accent"), (f" {words}", "muted"))
        right = hint if self.size.height > 1 and not self.screen.is_modal else ()
        parts = ("", self._notices[-1].line, right)
        return Strip(render_title(self.app, parts, width, line, focused=False, fill=" "))

    async def on_click(self, event: events.Click) -> None:
        if event.y < self.size.height - 1:
            if self.screen.is_current and not self.screen.is_modal:
                await self.screen.run_action(APP.hint("messages")[2])
            return
        for start, item in self._position_items(self.size.width):
            if start <= event.x < start + total_width((item,)) and self.screen.is_current:
                await self.screen.run_action(item.action)

    def _position_items(self, width: int) -> list[tuple[int, LineItem]]:
        count = len(self.hints)
        items = [
            LineItem(
                f"{key} {words}", count + 1 if index == count - 1 else count - index, "", action
            )
            for index, (key, words, action) in enumerate(self.hints)
        ]
        kept = fit_items(items, width - 2)
        placed: list[tuple[int, LineItem]] = []
        at = 1
        for item in kept:
            if item is items[-1]:
                at = max(at, width - 1 - total_width((item,)))
            placed.append((at, item))
            at += total_width((item,)) + 2
        return placed


def show_in_dialog(screen: Screen[Any], notice: Notice) -> None:
    """Write what was said into the lower border of a dialog that has no line for it."""
    if screen.is_modal and not screen.query(KeyBar):
        for dialog in screen.query("#dialog"):
            set_frame_title(dialog, "", notice.line, bottom=True)
