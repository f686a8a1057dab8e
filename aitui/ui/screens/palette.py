"""The command palette: every action with its key, its cost, and what it would do before it runs."""

import re
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct
from rich.cells import cell_len
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from aitui.domain.confirmation import Confirmation
from aitui.domain.snapshot import Snapshot
from aitui.format.fit import shorten_id
from aitui.ui.frame import set_frame_title
from aitui.ui.keymap import COMMANDS
from aitui.ui.motions import motion_rows
from aitui.ui.plain import PlainText, plain
from aitui.ui.screens.confirm import LoadBars, style_fact
from aitui.ui.widgets.dialog import BREAKPOINTS
from aitui.ui.widgets.key_bar import KeyBar

MOST_LISTED = 100
"""Matches that are listed; the title counts all of them."""
PREVIEW_FROM_ROWS, BARS_FROM_ROWS = 24, 30
_KEY_CELLS = 5
_TITLE_CELLS = 26
"""Cells of a title that are left if it has a cost."""

StyledText = tuple[str, str]


class Command(Struct, frozen=True):
    """One entry: `run` does it after the palette has closed.

    `cost` and `confirmation`, what is asked before it runs, are found out when the entry is listed or
    selected, by the snapshot of that moment. `about` says what one without a confirmation does.
    `hidden` ones are found by typing only. `preview` shows an entry that undoes itself while it is
    selected; it is called with True, and with False when another one is.
    """

    title: str
    run: Callable[[], object]
    key: str = ""
    sign: StyledText = ("", "")
    cost: Callable[[Snapshot], StyledText] | None = None
    confirmation: Callable[[Snapshot], Confirmation] | None = None
    about: str = ""
    hidden: bool = True
    preview: Callable[[bool], None] | None = None


def match_commands(commands: Iterable[Command], query: str) -> list[Command]:
    """Return the commands that have every word of the query, those at the start of words first."""
    words = query.lower().split()
    if not words:
        return [command for command in commands if not command.hidden]
    ranked = []
    for number, command in enumerate(commands):
        title = command.title.lower()
        places = [title.find(word) for word in words]
        if min(places) < 0:
            continue
        starts = sum(bool(re.search(rf"\b{re.escape(word)}", title)) for word in words)
        in_order = title.startswith(words[0])
        ranked.append(((not in_order, -starts, command.hidden, number), command))
    ranked.sort(key=lambda one: one[0])
    return [command for _, command in ranked]


class CommandList(OptionList, can_focus=False):
    """The list of matches; the focus stays in the field."""


class PaletteScreen(ModalScreen[Command | None]):
    """Ends with the command to run, None for none."""

    CSS_PATH = "palette.tcss"
    VERTICAL_BREAKPOINTS = BREAKPOINTS
    BINDINGS = COMMANDS.bindings()

    def __init__(
        self, commands: Sequence[Command], snapshot: Callable[[], Snapshot], query: str = ""
    ) -> None:
        super().__init__(name="palette")
        self._query = query
        self._commands = tuple(commands)
        self._snapshot = snapshot
        self._listed: list[Command] = []
        self._previewed: Command | None = None

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield Input(
                self._query,
                placeholder="an action, a model, a conversation, a server, a theme",
                id="entry",
            )
            yield CommandList(id="list")
            with Vertical(id="preview"):
                yield LoadBars(id="bars")
                yield PlainText(id="effects")
        hints = (COMMANDS.hint(action) for action in ("run", "move(-1)", "complete", "dismiss"))
        yield KeyBar(*hints, id="keys")

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    def on_unmount(self) -> None:
        self._set_preview(None)

    def on_resize(self, event: events.Resize) -> None:
        self.query_one("#preview").display = event.size.height >= PREVIEW_FROM_ROWS
        self.set_class(event.size.height >= BARS_FROM_ROWS, "-bars")
        self._list()

    def add_commands(self, commands: Sequence[Command]) -> None:
        """Add commands that took longer to find."""
        self._commands += tuple(commands)
        # Read before the palette is there, they are listed with its first size.
        if self.is_mounted:
            self._list()

    def action_move(self, amount: float, unit: str = "rows") -> None:
        listed = self.query_one(CommandList)
        at = (listed.highlighted or 0) + motion_rows(listed, amount, unit)
        if self._listed:
            listed.highlighted = max(0, min(at, len(self._listed) - 1))

    def action_complete(self) -> None:
        """Put the selected title into the field."""
        if (command := self._selected()) is not None:
            entry = self.query_one(Input)
            entry.value, entry.cursor_position = command.title, len(command.title)

    @on(Input.Changed)
    def _list(self) -> None:
        query = self.query_one(Input).value
        found = match_commands(self._commands, query)
        self._listed = found[:MOST_LISTED]
        listed, snapshot = self.query_one(CommandList), self._snapshot()
        width = listed.scrollable_content_region.width or min(86, self.size.width - 4) - 8
        listed.clear_options()
        listed.add_options(
            Option(Content.assemble(*_pieces(command, query, width, snapshot)))
            for command in self._listed
        )
        if not self._listed:
            listed.add_option(Option(Content.styled("nothing matches", "$muted"), disabled=True))
            # Nothing is highlighted, so no event takes the last one's preview away.
            self._show_effects()
        else:
            listed.highlighted = 0
        words = (
            f"{len(found):,} of {len(self._commands):,} match" if query.strip() else "type to find"
        )
        right = "actions · models · conversations · servers · themes"
        set_frame_title(self.query_one("#dialog"), "Commands", words, right)

    @on(OptionList.OptionHighlighted)
    def _show_effects(self) -> None:
        command, snapshot = self._selected(), self._snapshot()
        self._set_preview(command)
        lines: list[Content] = []
        build = None if command is None else command.confirmation
        asked = None if build is None else build(snapshot)
        self.query_one("#preview").border_title = plain(f" {command.title} " if command else "")
        if command is not None and command.about:
            lines.append(Content(command.about))
        if asked is not None:
            lines += (
                Content.styled(line, "$warning") for cost in asked.costs for line in cost.lines
            )
            lines += map(style_fact, asked.facts)
            if asked.needed:
                lines.append(Content.styled("aitui asks before it does this.", "$muted"))
        has_bars = self.size.height >= BARS_FROM_ROWS
        self.query_one(LoadBars).show(snapshot, asked if has_bars else None)
        self.query_one("#effects", PlainText).update(Content("\n").join(lines))

    @on(Input.Submitted)
    def _run_selected(self) -> None:
        if (command := self._selected()) is not None:
            self._previewed = None  # what is shown stays
            self.dismiss(command)

    @on(OptionList.OptionSelected)
    def _run_clicked(self) -> None:
        self._run_selected()

    def _selected(self) -> Command | None:
        at = self.query_one(CommandList).highlighted
        return self._listed[at] if at is not None and at < len(self._listed) else None

    def _set_preview(self, command: Command | None) -> None:
        before, self._previewed = self._previewed, command
        if before is not command:
            if before is not None and before.preview is not None:
                before.preview(False)
            if command is not None and command.preview is not None:
                command.preview(True)


def _pieces(
    command: Command, query: str, width: int, snapshot: Snapshot
) -> Sequence[Content | StyledText]:
    """Return an entry in one row: its sign, its title with what matched, its cost and its key."""
    cost, style = ("", "") if command.cost is None else command.cost(snapshot)
    room = width - 2 - _KEY_CELLS
    # The title comes first: what the action costs is asked before it runs, too.
    while cost and cell_len(cost) + 2 > room - min(cell_len(command.title), _TITLE_CELLS):
        cost = cost.rpartition(" · ")[0]
    room -= cell_len(cost) + 2
    title = shorten_id(command.title, room)
    drawn = Content(title)
    for word in query.lower().split():
        at = title.lower().find(word)
        if at >= 0:
            drawn = drawn.stylize("bold $accent", at, at + len(word))
    blanks = " " * max(2, room - cell_len(title) + 2)
    key = f"{command.key:>{_KEY_CELLS}}"
    sign, sign_style = command.sign
    return (
        (f"{sign:<2}", sign_style),
        drawn,
        (blanks, ""),
        (cost, style or "$muted"),
        (key, "bold $accent"),
    )
