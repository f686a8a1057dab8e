"""The line between transcript and prompt: what the answer is at, how fast, how full."""

from rich.style import Style
from textual.reactive import reactive, var
from textual.strip import Strip
from textual.widget import Widget

from aitui.domain.chat.reply import Reply, ReplyPhase
from aitui.domain.models import Model
from aitui.domain.snapshot import Clock, Snapshot
from aitui.domain.units import format_rate, format_tokens
from aitui.ui.plain import component_classes
from aitui.ui.reply_text import phase_text, silence_text
from aitui.ui.text import LineItem, fit_items, render_items, truncate

BARS = "▁▂▃▄▅▆▇█"
MAX_BARS = 12


def sparkline(series: tuple[float, ...]) -> str:
    """The latest rates as bars, the highest of them full."""
    shown = series[-MAX_BARS:]
    top = max(shown, default=0.0)
    if top <= 0:
        return ""
    return "".join(BARS[min(7, int(value / top * 7.999))] for value in shown)


class ChatStatus(Widget):
    """One line that drops whole items where there is no room."""

    COMPONENT_CLASSES = component_classes("chat-status", "phase", "quiet", "failed")

    reply: reactive[Reply | None] = reactive(None)
    context_size: reactive[int | None] = reactive(None)
    model: var[Model | None] = var(None)
    """The one that loads; the clock draws its load once a second."""
    snapshot: var[Snapshot] = var(Snapshot())
    trouble: reactive[str] = reactive("")
    """Why the answer that is shown has failed."""

    def __init__(self, clock: Clock, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._clock = clock
        self._last_items: tuple[LineItem, ...] = ()

    def render_line(self, y: int) -> Strip:  # noqa: ARG002 - there is one line
        self._last_items = self._items()
        kept = fit_items(self._last_items, self.size.width - 2)
        gauge = max(1, len(kept) - 1)
        return render_items(
            kept[:gauge], kept[gauge:], self.size.width, self._item_style, self.rich_style
        )

    def _item_style(self, name: str) -> Style:
        return self.get_component_rich_style(f"chat-status--{name}")

    def _items(self) -> tuple[LineItem, ...]:
        answer = self.reply
        if answer is None:
            return ()
        now = self._clock.monotonic()
        silence = silence_text(answer, self.snapshot, now)
        words = silence or phase_text(answer, self.model, now)
        if answer.phase is ReplyPhase.FAILED and self.trouble:
            return (
                LineItem(truncate(f"{words}: {self.trouble}", self.size.width - 2), 9, "failed"),
            )
        rates = answer.rates
        items = [LineItem(words, 9, "phase")]
        if rates.per_second and not silence:
            items.append(LineItem(f"{format_rate(rates.per_second)} tok/s", 8, "phase"))
            items.append(LineItem(sparkline(rates.series), 3, "phase"))
        if rates.tokens:
            items.append(LineItem(f"{rates.tokens:,} tok", 4, "quiet"))
        if rates.first_token is not None:
            items.append(LineItem(f"first {rates.first_token:.2f} s", 5, "quiet"))
        items.append(LineItem(self._context_gauge(answer), 6, "quiet"))
        return tuple(item for item in items if item.text)

    def _context_gauge(self, answer: Reply) -> str:
        used, size = answer.context_used, self.context_size
        if used is None:
            return ""
        if not size:
            return f"ctx {format_tokens(used)}"
        return f"ctx {format_tokens(used)}/{format_tokens(size)} {used * 100 // size} %"

    def tick(self) -> None:
        """Let seconds go on while nothing comes."""
        if self._items() != self._last_items:
            self.refresh()

    watch_reply = watch_trouble = tick
