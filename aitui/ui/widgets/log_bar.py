"""The line above a log: which one it is, and what is to be seen of it."""

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from aitui.ui.model_id import shorten_id
from aitui.ui.packing import LineItem, fit_items, total_width

MAX_ID_CELLS = 28


class LogBar(Widget):
    """Names of logs at the left, the chosen one marked; at the right what goes on."""

    COMPONENT_CLASSES = {  # noqa: RUF012
        "log-bar--name",
        "log-bar--chosen",
        "log-bar--good",
        "log-bar--waiting",
        "log-bar--lost",
        "log-bar--quiet",
    }

    names: reactive[tuple[tuple[str, str], ...]] = reactive(())
    """Each log's name for the server, and the word for it."""
    chosen: reactive[str] = reactive("")
    status_items: reactive[tuple[LineItem, ...]] = reactive(())

    class NameClicked(Message):
        """Somebody clicked on the name of a log."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def render_line(self, y: int) -> Strip:
        """Names, room, facts; facts go first where there is none."""
        width, plain = self.size.width, self.rich_style
        if y:
            return Strip.blank(width, plain)
        names, facts = self._fitting_items(width)
        segments = [Segment(" ", plain)]
        for name in names:
            segments += (Segment(name.text, self._style(name.style)), Segment("  ", plain))
        room = width - 2 - total_width(names) - 2 * bool(names) - total_width(facts)
        segments.append(Segment(" " * max(0, room), plain))
        for index, fact in enumerate(facts):
            segments.append(Segment("  " * bool(index), plain))
            segments.append(Segment(fact.text, self._style(fact.style)))
        return Strip(segments).adjust_cell_length(width, plain)

    def on_click(self, event: events.Click) -> None:
        """Tell which name was clicked."""
        at = 1
        for name in self._fitting_items(self.size.width)[0]:
            end = at + total_width((name,))
            if at <= event.x < end:
                self.post_message(self.NameClicked(name.action))
            at = end + 2

    def _fitting_items(self, width: int) -> tuple[tuple[LineItem, ...], tuple[LineItem, ...]]:
        names = tuple(
            LineItem(
                ("▸" if name == self.chosen else " ") + shorten_id(words, MAX_ID_CELLS),
                100 if name == self.chosen else 5,
                "chosen" if name == self.chosen else "name",
                action=name,
            )
            for name, words in self.names
        )
        kept = fit_items((*names, *self.status_items), width - 2)
        return (
            tuple(name for name in names if name in kept),
            tuple(fact for fact in self.status_items if fact in kept),
        )

    def _style(self, part: str) -> Style:
        return self.get_component_rich_style(f"log-bar--{part}") if part else self.rich_style
