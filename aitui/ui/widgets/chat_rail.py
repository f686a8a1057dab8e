"""Beside a zoomed chat: the conversations, what is sent with every prompt, and the context by part."""

from collections.abc import Callable

from msgspec import Struct
from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.reactive import reactive, var
from textual.strip import Strip
from textual.widget import Widget

from aitui.domain.chat.conversation import ListedConversation
from aitui.domain.snapshot import Clock
from aitui.domain.units import format_age, format_tokens
from aitui.format.fit import truncate
from aitui.ui.frame import set_frame_title
from aitui.ui.keymap import APP
from aitui.ui.plots import Band, bar
from aitui.ui.text import wrap_text
from aitui.ui.theme import theme_color, theme_style
from aitui.ui.widgets.chat_status import SentFacts, context_share, limit_words

_LABEL_CELLS, _MAX_LABEL_CELLS = 8, 16
_AGE_CELLS, _TOKENS_CELLS = 7, 6
_MAX_SYSTEM_ROWS = 3
_MAX_LISTED = 60
"""Conversations that a rail can show; the title counts all of them."""


class _RailRow(Struct, frozen=True):
    """Texts with their styles; `parts` are those of a bar, each with its color and label.

    `target` is what a click on the row acts on.
    """

    pieces: tuple[tuple[str, str], ...] = ()
    parts: tuple[tuple[int, str, str], ...] = ()
    target: str = ""
    chosen: bool = False


class RailPane(Widget):
    """A frame with rows; `act` is called with the target of a row that is clicked on."""

    rows: reactive[tuple[_RailRow, ...]] = reactive(())

    def __init__(self, act: Callable[[str], None] = lambda _: None, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id, classes="frame")
        self._act = act

    def render_line(self, y: int) -> Strip:
        width, plain = self.size.width, self.visual_style.rich_style
        if y >= len(self.rows):
            return Strip.blank(width, plain)
        row = self.rows[y]
        if row.parts:
            *parts, (_, color, _) = row.parts
            bands = [Band(size, theme_color(self.app, hue), (label,)) for size, hue, label in parts]
            free = Band(0, theme_color(self.app, color))
            total = sum(size for size, _, _ in row.parts)
            return bar(bands, total, width, free=free, colorless=self.app.no_color)
        ground = "select" if row.chosen else ""
        base = plain + theme_style(self.app, "foreground", ground)
        segments = [
            Segment(text, plain + theme_style(self.app, style, ground))
            for text, style in row.pieces
        ]
        return Strip(segments).adjust_cell_length(width, base)

    def on_click(self, event: events.Click) -> None:
        # The frame's upper line is row 0.
        at = event.y - 1
        if 0 <= at < len(self.rows) and self.rows[at].target:
            self._act(self.rows[at].target)


class ChatRail(Vertical):
    """Shows what it is given; `detach` removes an image by its place."""

    facts: var[SentFacts] = var(SentFacts(), init=False)
    conversations: var[tuple[ListedConversation, ...]] = var((), init=False)
    open_id: var[str] = var("", init=False)
    """The conversation that is shown."""

    class ConversationChosen(Message):
        """A conversation was clicked on."""

        def __init__(self, conversation_id: str) -> None:
            super().__init__()
            self.conversation_id = conversation_id

    def __init__(self, clock: Clock, detach: Callable[[int], None], *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self._clock = clock
        self._list = RailPane(self._choose, id="rail-conversations")
        self._sent = RailPane(lambda target: detach(int(target)), id="rail-sent")
        self._usage = RailPane(id="rail-context")

    def _choose(self, conversation_id: str) -> None:
        self.post_message(self.ConversationChosen(conversation_id))

    def compose(self) -> ComposeResult:
        yield from (self._list, self._sent, self._usage)

    def on_resize(self) -> None:
        self.watch_facts()
        self.watch_conversations()

    def watch_conversations(self) -> None:
        width = self.size.width - 4
        if width <= 0:
            return
        count, key = len(self.conversations), APP.hint("conversations", typing=True)[0]
        all_of_them = ((f"{key} ", "bold accent"), ("all", ""))
        set_frame_title(self._list, "Conversations", f"{count:,}" if count else "", all_of_them)
        now = self._clock.wall()
        self._list.rows = tuple(
            self._conversation_row(one, now, width) for one in self.conversations[:_MAX_LISTED]
        )

    watch_open_id = watch_conversations

    def tick(self) -> None:
        """Update the ages."""
        if self.display:
            self.watch_conversations()

    def _conversation_row(self, one: ListedConversation, now: float, width: int) -> _RailRow:
        heading = truncate(one.heading, max(1, width - _AGE_CELLS - _TOKENS_CELLS))
        tokens = "" if one.tokens is None else format_tokens(one.tokens)
        chosen = one.id == self.open_id
        return _RailRow(
            (
                (
                    set_cell_size(heading, width - _AGE_CELLS - _TOKENS_CELLS),
                    "bold foreground" if chosen else "foreground",
                ),
                (format_age(now - one.changed).rjust(_AGE_CELLS), "muted"),
                (tokens.rjust(_TOKENS_CELLS), "muted"),
            ),
            target="" if chosen else one.id,
            chosen=chosen,
        )

    def watch_facts(self) -> None:
        width = self.size.width - 4
        if width <= 0:
            return
        set_frame_title(self._sent, "Sent with every prompt")
        self._show(self._sent, _sent_rows(self.facts, width))
        share, style = context_share(self.facts)
        used, size = self.facts.used, self.facts.context_size
        right = [(format_tokens(used), f"bold {style or 'foreground'}")] if used is not None else []
        if used is not None and size:
            right += [(f" / {format_tokens(size)} · ", ""), (f"{share} %", f"bold {style}")]
        set_frame_title(self._usage, "Context", "", right)
        self._show(self._usage, _context_rows(self.facts, width))

    def _show(self, pane: RailPane, rows: tuple[_RailRow, ...]) -> None:
        pane.rows = rows
        pane.display = bool(rows)
        if pane.styles.height is None or pane.styles.height.value != len(rows) + 2:
            pane.styles.height = len(rows) + 2


def _sent_rows(facts: SentFacts, width: int) -> tuple[_RailRow, ...]:
    names = [name for name, _ in facts.sampling.values]
    column = max(_LABEL_CELLS, min(_MAX_LABEL_CELLS, max(map(cell_len, names), default=0) + 1))
    room = max(1, width - column)

    def row(label: str, text: str, style: str = "foreground", target: str = "") -> _RailRow:
        end = ((" ×", "error"),) if target else ()
        shown = truncate(text, room - 2 * bool(target))
        name = set_cell_size(truncate(label, column - 1), column)
        return _RailRow(((name, "muted"), (shown, style), *end), target=target)

    system = wrap_text(" ".join(facts.system.split()), room)
    if len(system) > _MAX_SYSTEM_ROWS:
        system = [*system[: _MAX_SYSTEM_ROWS - 1], f"{system[_MAX_SYSTEM_ROWS - 1]} …"]
    rows = [row("" if at else "system", line) for at, line in enumerate(system) if line]
    rows += [row(name, value) for name, value in facts.sampling.values]
    rows += [
        row("" if at else "files", f"▣ {image.name}", target=str(at))
        for at, image in enumerate(facts.images)
    ]
    words, style = limit_words(facts)
    if words:
        rows.append(_RailRow(((truncate(words, width), style),)))
    return tuple(rows) or (_RailRow((("nothing but the prompt", "muted"),)),)


def _context_rows(facts: SentFacts, width: int) -> tuple[_RailRow, ...]:
    """The parts that the server counts: what was read, what the last reply took, what is left."""
    used, size, generated = facts.used, facts.context_size, facts.generated
    if used is None:
        return (_RailRow((("not known before the first reply", "muted"),)),)
    read = max(0, used - generated)
    _, style = context_share(facts)
    parts = [(read, style or "ready", "conversation"), (generated, "accent", "last reply")]
    rows = []
    if size:
        parts.append((max(0, size - used), "faint", "free"))
        rows.append(_RailRow(parts=tuple(parts)))
    for tokens, color, name in parts:
        value = format_tokens(tokens)
        rows.append(
            _RailRow(
                (
                    ("█ ", color),
                    (name, "muted"),
                    (value.rjust(width - 2 - cell_len(name)), "foreground"),
                )
            )
        )
    if facts.larger_fits:
        command = f"/ctx {format_tokens(facts.larger_fits)}"
        rows.append(_RailRow(((command, "accent"), (" fits", ""))))
    return tuple(rows)
