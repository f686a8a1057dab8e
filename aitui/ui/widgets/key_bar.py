"""The last line: the keys that work now."""

from rich.segment import Segment
from textual import events
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from aitui.ui.plain import component_classes
from aitui.ui.text import LineItem, fit_items, total_width


class KeyBar(Widget):
    """Keys with their words; whole items go where there is no room; a click is a key press.

    Of several values that a key goes through, `[the present one]` is in brackets and drawn as a chip.
    """

    COMPONENT_CLASSES = component_classes("key-bar", "key", "words", "chosen")

    hints: reactive[tuple[tuple[str, str, str], ...]] = reactive(())
    """Key, words and action of each hint, the most needed first; the last stays at the right."""

    def render_line(self, y: int) -> Strip:
        """The line, the last hint at its right end."""
        width, plain = self.size.width, self.rich_style
        if y or not self.hints:
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

    async def on_click(self, event: events.Click) -> None:
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
