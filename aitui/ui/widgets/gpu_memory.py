"""The memory of each card by model."""

from functools import partial

from textual.reactive import var
from textual.strip import Strip
from textual.widget import Widget

from aitui.domain.memory.usage import GpuMemoryUsage, MemoryUsage
from aitui.domain.snapshot import Snapshot
from aitui.domain.units import format_gb
from aitui.ui.drawn_lines import DrawnLines, title_strip
from aitui.ui.frame import Pieces, set_frame_title
from aitui.ui.memory_bar import (
    card_bar,
    card_name,
    machine_bar,
    percent_style,
    whole_gb,
)
from aitui.ui.theme import theme_style


class GpuMemoryPane(Widget):
    """The figures of each card, and below them a bar by models.

    Where there is no room for that the blank lines between cards go first, then the figures.
    """

    snapshot: var[Snapshot] = var(Snapshot(), init=False)

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes="frame")
        self._lines = DrawnLines(self, self._redraw)

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self._redraw())

    def watch_snapshot(self, before: Snapshot, after: Snapshot) -> None:
        if (before.hardware.usage, before.hues) != (after.hardware.usage, after.hues):
            self._redraw()

    def on_resize(self) -> None:
        self._redraw()

    def render_line(self, y: int) -> Strip:
        return self._lines.strip(y, self.size.width)

    def _redraw(self) -> None:
        usage = self.snapshot.hardware.usage
        set_frame_title(self, "GPU memory" if usage.on_cards else "Memory", "", _total(usage))
        width, height = self.size
        strips: list[Strip] = []
        if width > 0:
            count = max(len(usage.cards), 1)
            figures, gap = height >= 2 * count, height >= 3 * count - 1
            for card in usage.cards:
                strips += [Strip.blank(width)] * (gap and bool(strips))
                if figures:
                    style = partial(theme_style, self.app)
                    strips.append(title_strip(style, _name(card), _figures(card), width))
                strips.append(card_bar(self.app, self.snapshot, card, width))
            if not usage.cards and usage.machine is not None:
                strips.append(machine_bar(self.app, self.snapshot, width))
        self._lines.show(strips)


def _total(usage: MemoryUsage) -> Pieces:
    used, total, free = usage.used_bytes, usage.total_bytes, usage.free_bytes
    if used is None or not total:
        return "not reported" if usage.source else ""
    left = () if free is None else ((" · ", ""), (format_gb(free), "foreground"), (" free", ""))
    number = (format_gb(used), percent_style(100 * used / total))
    return number, (f" / {whole_gb(total)} GB", ""), *left


def _name(card: GpuMemoryUsage) -> Pieces:
    return (f"GPU {card.gpu.index} ", ""), (card_name(card.gpu), "foreground")


def _figures(card: GpuMemoryUsage) -> Pieces:
    used, total = card.gpu.used_bytes, card.gpu.total_bytes
    if used is None or not total:
        return "not reported"
    percent = 100 * used / total
    style = percent_style(percent)
    return (
        (format_gb(used), style),
        (f" / {whole_gb(total)} GB  ", ""),
        (f"{percent:.0f} %", style.removeprefix("bold ")),
    )
