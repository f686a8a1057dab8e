"""Between transcript and prompt: what the reply is at, what goes along, how full the context is."""

from collections.abc import Callable

from msgspec import Struct
from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.reactive import var
from textual.strip import Strip
from textual.widget import Widget

from aitui.domain.chat.conversation import Attachment, SamplingParameters
from aitui.domain.chat.reply import Reply, ReplyPhase
from aitui.domain.models import Model
from aitui.domain.snapshot import Clock, Snapshot
from aitui.domain.units import format_elapsed, format_rate, format_tokens
from aitui.format.fit import truncate, truncate_words
from aitui.ui.frame import Pieces, render_title
from aitui.ui.keymap import PROMPT, TRANSCRIPT
from aitui.ui.reply_text import phase_text, silence_text
from aitui.ui.theme import theme_style

WARNING_SHARE, ERROR_SHARE = 80, 95
"""Percent of the context from which the gauge changes its color."""
GAUGE_CELLS = 18
"""Fewer where the words beside it take the room."""
MAX_CHIP_ROWS = 3
MAX_NAME_CELLS = 24
MAX_SYSTEM_CELLS = 30
LEAST_HEIGHT = 14
"""Rows of the pane from which the lines below the rule have room."""
MAX_QUEUE_ROWS = 3
"""The last of them, which the key takes back first; one on a low screen."""

_PHASE_STYLES = {
    ReplyPhase.DONE: ("✓ ", "ready"),
    ReplyPhase.FAILED: ("✘ ", "error"),
    ReplyPhase.CUT: ("✘ ", "error"),
    ReplyPhase.STOPPED: ("■ ", "warning"),
    ReplyPhase.QUEUED: ("◌ ", "warning"),
}


class ChatStatus(Widget):
    """The rule above the prompt, with the state of the reply in it."""

    reply: var[Reply | None] = var(None)
    snapshot: var[Snapshot] = var(Snapshot())
    """Has the model of the reply; the clock draws its load once a second."""
    trouble: var[str] = var("")
    """The reason why the reply failed."""
    is_saved: var[bool] = var(True)
    """Whether the history takes the conversation; while it doesn't, the rule ends with that."""

    def __init__(
        self,
        clock: Clock,
        *,
        is_following: Callable[[], bool] = lambda: True,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self._clock = clock
        self._is_following = is_following
        self._last_line: tuple[Pieces, Pieces] = ("", "")

    def render_line(self, y: int) -> Strip:  # noqa: ARG002 - there is one line
        self._last_line = words, right = self._line()
        line = self.visual_style.rich_style + theme_style(self.app, "frame")
        width = self.size.width
        title = render_title(self.app, ("", words, right), width - 2, line, focused=False)
        return Strip([Segment("─", line), *title, Segment("─", line)]).adjust_cell_length(width)

    def _line(self) -> tuple[Pieces, Pieces]:
        reply = self.reply
        unsaved: Pieces = "" if self.is_saved else (("not saved", "warning"),)
        if reply is None:
            return "", unsaved
        now = self._clock.monotonic()
        silence = silence_text(reply, self.snapshot, now)
        words = silence or phase_text(reply, self.snapshot.model(reply.model), now)
        sign, style = _PHASE_STYLES.get(reply.phase, ("► ", "transit"))
        if silence:
            sign, style = "◌ ", "warning"
        if reply.phase is ReplyPhase.FAILED and self.trouble:
            return ((f"{sign}{words}: {self.trouble}", style),), unsaved
        pieces = [(f"{sign}{words}", style)]
        if reply.phase.is_final:
            # The figures stand below the reply.
            return tuple(pieces), unsaved
        rates, more = reply.rates, []
        if rates.tokens:
            more.append(f"{rates.tokens:,} tokens")
            more.append(format_elapsed(max(0.0, now - reply.asked)))
        if rates.per_second and not silence:
            pieces += [(f" {format_rate(rates.per_second)}", "bold foreground"), (" tok/s", "")]
        if more:
            pieces.append((" · " + " · ".join(more), ""))
        follows = "↓ following" if self._is_following() else f"{TRANSCRIPT.sign('follow')} follows"
        return tuple(pieces), unsaved or (follows if rates.tokens else "")

    def tick(self) -> None:
        """Let seconds go on while nothing comes."""
        if self._line() != self._last_line:
            self.refresh()

    watch_reply = watch_trouble = watch_is_saved = tick


class SentFacts(Struct, frozen=True):
    """What goes along with the next prompt, and `used` tokens of the context before it."""

    system: str = ""
    sampling: SamplingParameters = SamplingParameters()
    images: tuple[Attachment, ...] = ()
    model: Model | None = None
    used: int | None = None
    generated: int = 0
    """Of `used`, the tokens of the last reply."""
    context_size: int | None = None
    larger_fits: int = 0
    """A context size that fits, offered when this one is nearly full; 0 for none."""


class _Piece(Struct, frozen=True):
    """A text in a style; `chip` has a ground of its own.

    `image` is the place of one in it, `queued` that of a prompt.
    """

    text: str
    style: str = ""
    chip: bool = False
    image: int = -1
    queued: int = -1


class SentLines(Widget):
    """What is queued, what goes along with the next prompt, and how full the context is.

    A click takes a queued prompt back, and removes an image.
    """

    facts: var[SentFacts] = var(SentFacts())
    queued: var[tuple[str, ...]] = var(())
    """Prompts that wait for the end of the reply, the next one first."""
    room: var[int] = var(LEAST_HEIGHT)
    """Rows of the pane; below `LEAST_HEIGHT` only images and the last queued prompt are shown."""

    beside: var[bool] = var(False)
    """Whether a rail beside the chat shows everything but the queue."""

    class Detached(Message):
        """An image was clicked on; `index` is its place."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    class TakenBack(Message):
        """A queued prompt was clicked on; `index` is its place."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.display = False
        self._rows: list[list[_Piece]] = []

    def watch_facts(self) -> None:
        self._update_rows()

    watch_room = watch_queued = watch_beside = on_resize = watch_facts

    def render_line(self, y: int) -> Strip:
        plain = self.visual_style.rich_style
        if y >= len(self._rows):
            rule = plain + theme_style(self.app, "frame")
            return Strip([Segment("─" * self.size.width, rule)])
        segments = [Segment(" ", plain)]
        for piece in self._rows[y]:
            style = plain + theme_style(self.app, piece.style, "select" if piece.chip else "")
            segments.append(Segment(piece.text, style))
        return Strip(segments).adjust_cell_length(self.size.width, plain)

    def on_click(self, event: events.Click) -> None:
        at = 1
        for piece in self._rows[event.y] if event.y < len(self._rows) else ():
            width = cell_len(piece.text)
            if at <= event.x < at + width and max(piece.image, piece.queued) >= 0:
                taken, detached = self.TakenBack(piece.queued), self.Detached(piece.image)
                self.post_message(taken if piece.queued >= 0 else detached)
                return
            at += width

    def _update_rows(self) -> None:
        rows = self._queue_rows()
        if not self.beside:
            rows += self._chip_rows()
            if self.room >= LEAST_HEIGHT and (gauge := self._gauge()):
                rows.append(gauge)
        self.display = bool(rows)
        self.styles.height = len(rows) + (self.room >= LEAST_HEIGHT)
        if rows != self._rows:
            self._rows = rows
            self.refresh()

    def _queue_rows(self) -> list[list[_Piece]]:
        count = len(self.queued)
        label = f"{count} queued " if count > 1 else "queued "
        sign = f" {PROMPT.sign('earlier')} "
        room = max(1, self.size.width - 3 - len(label) - len(sign))
        first = max(0, count - (MAX_QUEUE_ROWS if self.room >= LEAST_HEIGHT else 1))
        return [
            [
                _Piece(label if at == first else " " * len(label), "warning"),
                _Piece(f" {truncate(self.queued[at], room)}", "foreground", chip=True, queued=at),
                _Piece(sign, "accent", chip=True, queued=at),
            ]
            for at in range(first, count)
        ]

    def _chip_rows(self) -> list[list[_Piece]]:
        facts = self.facts
        chips: list[list[_Piece]] = []
        is_high = self.room >= LEAST_HEIGHT
        if is_high and facts.system.strip():
            words = truncate_words(" ".join(facts.system.split()), MAX_SYSTEM_CELLS)
            chips.append([_Piece(f" {words} ", "foreground", chip=True)])
        for name, value in facts.sampling.values if is_high else ():
            text = f" {name} {truncate(value, MAX_NAME_CELLS)} "
            chips.append([_Piece(text, "foreground", chip=True)])
        for place, image in enumerate(facts.images):
            label = _Piece(
                f" ▣ {truncate(image.name, MAX_NAME_CELLS)} ", "foreground", chip=True, image=place
            )
            chips.append([label, _Piece("× ", "error", chip=True, image=place)])
        words, style = limit_words(facts)
        if words:
            chips.append([_Piece(words, style)])
        return _wrap_chips(chips, self.size.width - 2)

    def _gauge(self) -> list[_Piece]:
        used, size = self.facts.used, self.facts.context_size
        if used is None:
            return []
        if not size:
            return [_Piece("context "), _Piece(format_tokens(used), "foreground")]
        share, style = context_share(self.facts)
        label = _Piece("context ")
        values = [
            _Piece(f" {share} %", f"bold {style or 'foreground'}"),
            _Piece(f" {format_tokens(used)} of {format_tokens(size)}"),
        ]
        if style and self.facts.larger_fits:
            command = f"/ctx {format_tokens(self.facts.larger_fits)}"
            values += [_Piece(" · "), _Piece(command, "accent"), _Piece(" fits")]
        written = sum(cell_len(piece.text) for piece in (label, *values))
        cells = max(0, min(GAUGE_CELLS, self.size.width - 1 - written))
        filled = min(cells, used * cells // size)
        bar = _Piece("━" * filled, style or "ready"), _Piece("─" * (cells - filled), "faint")
        return [label, *bar, *values]


def context_share(facts: SentFacts) -> tuple[int, str]:
    """Return the percent of the context that is used, and its style near the limit."""
    share = (facts.used or 0) * 100 // (facts.context_size or 1) if facts.context_size else 0
    return share, "error" if share >= ERROR_SHARE else "warning" if share >= WARNING_SHARE else ""


def limit_words(facts: SentFacts) -> tuple[str, str]:
    """Return what the model can't do, as its command says, or whether it sees images, and a style."""
    if facts.model is None:
        return "", ""
    command = facts.model.command_line
    if command.is_embedding_model:
        return "embedding model: can't chat", "warning"
    if command.is_reranker:
        return "reranker: can't chat", "warning"
    sees = command.can_see_images
    if sees is None or not any(file.is_image for file in facts.images):
        return "", ""
    return ("the model sees images", "") if sees else ("can't see images", "warning")


def _wrap_chips(chips: list[list[_Piece]], width: int) -> list[list[_Piece]]:
    """Rows of chips behind a label; what has no room in the last row is counted."""
    rows: list[list[_Piece]] = []
    used = 0
    for number, chip in enumerate(chips):
        cells = sum(cell_len(piece.text) for piece in chip) + 2
        if not rows or (used + cells > width and used > 5):
            if len(rows) == MAX_CHIP_ROWS:
                rows[-1].append(_Piece(f"+{len(chips) - number}"))
                break
            rows.append([_Piece("     " if rows else "with ")])
            used = 5
        rows[-1] += [*chip, _Piece("  ")]
        used += cells
    return rows
