"""The requests under way: clients, their models, what waits, and what that will evict."""

from collections.abc import Iterator

from rich.segment import Segment
from textual import events
from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from aitui.domain.clients import client_name
from aitui.domain.eviction import ClientRequest
from aitui.domain.snapshot import Clock
from aitui.domain.units import format_seconds
from aitui.ui.keymap import REQUESTS
from aitui.ui.motions import motion_rows
from aitui.ui.plain import component_classes, render_centered
from aitui.ui.text import LineItem, fit_items, shorten_id, total_width


class RequestList(ScrollView, can_focus=True, inherit_bindings=False):
    """One line a request; the cursor stays with its request."""

    COMPONENT_CLASSES = component_classes("request-list", "using", "waiting", "cursor")
    BINDINGS = REQUESTS.bindings()

    uses: reactive[tuple[ClientRequest, ...]] = reactive((), init=False)
    more: reactive[int] = reactive(0, init=False)
    empty_text: reactive[str] = reactive("No active requests", init=False)

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes="frame")
        self._clock = clock
        self._cursor_index = 0

    @property
    def selected_use(self) -> ClientRequest | None:
        return self.uses[self._cursor_index] if self._cursor_index < len(self.uses) else None

    def tick(self) -> None:
        """Let ages go on between two snapshots."""
        if self.uses:
            self.refresh()

    def watch_uses(
        self, before: tuple[ClientRequest, ...], after: tuple[ClientRequest, ...]
    ) -> None:
        """Keep the cursor with its request."""
        chosen = before[self._cursor_index].request.id if self._cursor_index < len(before) else ""
        places = [index for index, use in enumerate(after) if use.request.id == chosen]
        self._cursor_index = (
            places[0] if places else min(self._cursor_index, max(0, len(after) - 1))
        )
        self.watch_more()

    def watch_more(self) -> None:
        """Give the number of further requests a line of its own."""
        self.virtual_size = Size(self.size.width, len(self.uses) + bool(self.more))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width, index = self.size.width, y + self.scroll_offset.y
        if not self.uses:
            return render_centered(self.empty_text, y, self.size, self.rich_style)
        if index >= len(self.uses):
            text = f" and {self.more:,} more" if self.more and index == len(self.uses) else ""
            return Strip([Segment(text, self.rich_style)]).adjust_cell_length(
                width, self.rich_style
            )
        use = self.uses[index]
        chosen = index == self._cursor_index and self.has_focus
        style = self.rich_style
        word = self.get_component_rich_style(
            "request-list--waiting" if use.waits else "request-list--using"
        )
        if chosen:
            ground = self.get_component_rich_style("request-list--cursor").bgcolor
            style, word = (one.from_color(one.color, ground) for one in (style, word))
        text = use_line(use, self._clock.monotonic(), width - 2)
        mark = "▌" if chosen else " "
        line = [Segment(mark, style), Segment(text[:WORD_WIDTH], word)]
        line.append(Segment(text[WORD_WIDTH:], style))
        return Strip(line).adjust_cell_length(width, style)

    def on_click(self, event: events.Click) -> None:
        self._move_cursor(event.y + self.scroll_offset.y)

    def action_move(self, amount: float, unit: str = "rows") -> None:
        self._move_cursor(self._cursor_index + motion_rows(self, amount, unit))

    def _move_cursor(self, index: int) -> None:
        self._cursor_index = max(0, min(index, len(self.uses) - 1))
        self.scroll_to_region(Region(0, self._cursor_index, 1, 1), animate=False)
        self.refresh()


WORD_WIDTH = 8
_WHOLE, _LONGEST, _SHORTEST = 1000, 48, 16
"""Cells of a model's name: where a line has no room it loses its middle, before an item goes."""
_GAP = 2


def use_line(use: ClientRequest, now: float, width: int) -> str:
    """One request in so many cells: who, what for, how much came, how long it has been under way.

    Names get shorter first, then whole items go, the least needed first: no number is ever cut.
    """
    word = f"{'waiting' if use.waits else 'using':<{WORD_WIDTH}} "
    room = width - len(word)
    items: tuple[LineItem, ...] = ()
    for who, longest in _shortening_steps(client_name(use.request)):
        items = _use_items(use, now, who, longest)
        if total_width(items, _GAP) <= room:
            break
    return word + (" " * _GAP).join(item.text for item in fit_items(items, room, _GAP))


def _shortening_steps(who: str) -> Iterator[tuple[str, int]]:
    """The client and the longest name of a model: whole, then shorter until both are short."""
    parts = who.split(" · ")
    short = parts[0] if parts[-1] == "aitui" else parts[-1]
    yield who, _WHOLE
    for client in (who, shorten_id(short, _SHORTEST)):
        yield from ((client, longest) for longest in range(_LONGEST, _SHORTEST - 1, -1))


def _use_items(use: ClientRequest, now: float, who: str, longest: int) -> tuple[LineItem, ...]:
    request = use.request
    client, name = LineItem(who, 9), shorten_id(request.model or "no model", longest)
    age = LineItem(format_seconds(max(0.0, now - request.started)), 6)
    if not use.waits:
        came = LineItem(_size_text(request.received_bytes) if request.received_bytes else "", 5)
        return tuple(item for item in (client, LineItem(f"at {name}", 8), came, age) if item.text)
    if not use.evicts:
        return client, LineItem(f"wants {name}", 8), age
    first, *others = (shorten_id(victim.model.id, longest) for victim in use.evicts)
    evicts = ", ".join((first, *others))
    if others and longest != _WHOLE:
        evicts = f"{first} and {len(others)} more"
    return client, LineItem(f"wants {name}", 8), LineItem(f"evicts {use.mark}{evicts}", 7), age


def _size_text(count: int) -> str:
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:.1f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"
