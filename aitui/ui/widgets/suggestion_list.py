"""The list above the prompt of what a command that is being typed may become."""

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from aitui.domain.slash import SLASH_COMMANDS, Suggestion
from aitui.format.fit import truncate
from aitui.ui.frame import set_frame_title
from aitui.ui.keymap import PROMPT
from aitui.ui.theme import theme_style

MOST_ROWS = 12
WIDEST_LABEL = 42
FRAME_ROWS = 2


class SuggestionList(Widget):
    """Shows suggestions, one of them selected; it never has the focus, the prompt moves it."""

    suggestions: reactive[tuple[Suggestion, ...]] = reactive((), init=False)
    selected: reactive[int] = reactive(0, init=False)
    room: reactive[int] = reactive(MOST_ROWS, init=False)
    """Rows that it may take, its frame included."""

    class Chosen(Message):
        """A suggestion was clicked on."""

        def __init__(self, suggestion: Suggestion) -> None:
            super().__init__()
            self.suggestion = suggestion

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.typed = ""
        """The text that the suggestions complete."""
        self.display = False
        self._first = 0
        self._help_column = 0
        """The cell at which the texts begin that say what each one does."""

    @property
    def suggestion(self) -> Suggestion | None:
        """The selected one, None while nothing is listed."""
        return self.suggestions[self.selected] if self.display and self.suggestions else None

    def is_complete(self, text: str) -> bool:
        """Whether a text is one of the suggestions already, or those are for another text."""
        texts = [one.text.rstrip() for one in self.suggestions]
        return text.rstrip() in texts or text != self.typed

    def watch_suggestions(self) -> None:
        self.set_reactive(SuggestionList.selected, 0)
        self._first = 0
        labels = (f"{one.label} {one.arguments}".rstrip() for one in self.suggestions)
        self._help_column = 4 + max(map(cell_len, labels), default=0)
        self._fit()

    def watch_room(self) -> None:
        self._fit()

    def watch_selected(self) -> None:
        rows = self._rows
        self._first = max(min(self._first, self.selected), self.selected - rows + 1)
        self.refresh()

    def move(self, rows: int) -> None:
        """Select another one; behind the last one comes the first."""
        self.selected = (self.selected + rows) % max(1, len(self.suggestions))

    def render_line(self, y: int) -> Strip:
        at, width = self._first + y, self.size.width
        plain = self.visual_style.rich_style
        if at >= len(self.suggestions):
            return Strip.blank(width, plain)
        one, chosen = self.suggestions[at], at == self.selected
        ground = "select" if chosen else ""
        style = theme_style(self.app, "foreground", ground)
        quiet = theme_style(self.app, "muted", ground)
        if not chosen:
            style, quiet = plain + style, plain + quiet
        elif self.app.no_color:
            style, quiet = style + Style(reverse=True), quiet + Style(reverse=True)
        label = truncate(one.label, width - 4)
        mark = Segment("▌" if chosen else " ", style + theme_style(self.app, "accent", ground))
        segments = [mark, Segment(" ", style), *self._label_segments(label, one.matched, style)]
        if one.arguments:
            segments.append(Segment(f" {one.arguments}", quiet))
        used = sum(segment.cell_length for segment in segments)
        column = max(used + 2, min(WIDEST_LABEL, self._help_column))
        words = truncate(one.help, max(0, width - column - 1))
        segments.append(Segment(" " * (column - used), style))
        segments.append(Segment(words, style if chosen else quiet))
        return Strip(segments).adjust_cell_length(width, style)

    def on_click(self, event: events.Click) -> None:
        # The frame's upper line is row 0.
        at = self._first + event.y - 1
        if 0 <= event.y - 1 < self._rows and at < len(self.suggestions):
            self.post_message(self.Chosen(self.suggestions[at]))

    def _label_segments(self, label: str, matched: tuple[int, ...], style: Style) -> list[Segment]:
        """The label; what was typed has the color of the focus."""
        bold = style + Style(bold=True)
        found = bold + Style(color=theme_style(self.app, "accent").color)
        start, end = (matched[0], matched[-1] + 1) if matched else (0, 0)
        slash = int(label.startswith("/") and start == 1)
        parts = (
            (label[: start - slash], bold),
            (label[start - slash : end], found),
            (label[end:], bold),
        )
        return [Segment(text, look) for text, look in parts if text]

    @property
    def _rows(self) -> int:
        return max(1, min(MOST_ROWS, self.room - FRAME_ROWS, len(self.suggestions)))

    def _fit(self) -> None:
        self.display = bool(self.suggestions) and self.room > FRAME_ROWS
        if not self.display:
            return
        self.styles.height = self._rows + FRAME_ROWS
        count = len(self.suggestions)
        is_command = self.suggestions[0].label.startswith("/")
        words = f"{count} of {len(SLASH_COMMANDS)}" if is_command else f"{count}"
        up, down, insert, close = map(
            PROMPT.sign, ("earlier", "later", "complete", "screen.read_chat")
        )
        actions = {f"{up} {down}": " select  ", insert: " insert  ", close: " close"}
        keys = [
            piece for sign, does in actions.items() for piece in ((sign, "bold accent"), (does, ""))
        ]
        set_frame_title(self, "Commands" if is_command else "Values", words, keys)
        self.watch_selected()
