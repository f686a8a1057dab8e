"""The keys that work here first, then those of every other place, and what the signs mean."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace  # noqa: TID251 - Textual's bindings are dataclasses
from textwrap import wrap
from typing import Any

from msgspec import Struct
from rich.cells import cell_len
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Input, TextArea

from aitui.ui.frame import set_frame_title
from aitui.ui.keymap import (
    ACTIVITY,
    APP,
    CAPTURE,
    CHAT_PANE,
    CONFIG,
    HARDWARE,
    HELP,
    HELP_TEXT,
    LOGS,
    MODEL_TABLE,
    MODELS,
    PROMPT,
    TRANSCRIPT,
    KeyGroup,
    key_sign,
)
from aitui.ui.motions import motion_rows
from aitui.ui.plain import PlainText
from aitui.ui.widgets.key_bar import KeyBar

KEY_CELLS = 10
LEAST_COLUMN, LARGEST_COLUMN = 34, 38
"""Cells of a column with the gap to the next one."""

_FRAME_CELLS = 6
"""Cells of the dialog's border, padding and scroll bar."""

Row = tuple[str, str, str]
"""The text at the left, its description, and the style of the text at the left."""


class HelpGroup(Struct, frozen=True):
    """Rows below a title; `here` marks the place in which help was opened."""

    title: str
    rows: tuple[Row, ...]
    here: bool = False


_VIEWS = ("models", "logs", "activity", "hardware", "config")
_SERVER = (
    "reload_config",
    "restart_service",
    "switch_profile",
    "switch_server",
    "doctor",
    "refresh_server",
)
_MOVES = (
    (("move(-1)", "move(1)"), "one row"),
    (("move(-1, 'pages')", "move(1, 'pages')"), "one page"),
    (("move(-0.5, 'pages')", "move(0.5, 'pages')"), "half a page"),
    (("move(-1, 'all')", "move(1, 'all')"), "first, last"),
)


class _Place(Struct, frozen=True):
    """Keys of one place; it is the present one if an action of `marks` is bound."""

    title: str
    groups: tuple[KeyGroup, ...]
    marks: frozenset[str]


_PLACES = (
    _Place("Chat", (PROMPT, TRANSCRIPT, CHAT_PANE), frozenset({"send", "block(1)"})),
    _Place("Models", (MODELS,), frozenset({"load"})),
    _Place("Logs", (LOGS,), frozenset({"other_log(1)"})),
    _Place("Activity", (ACTIVITY,), frozenset({"residency"})),
    _Place("Request", (CAPTURE,), frozenset({"next_form(1)"})),
    _Place("Hardware", (HARDWARE,), frozenset({"next_span"})),
    _Place("Config", (CONFIG,), frozenset({"remove"})),
)

_SIGNS = HelpGroup(
    "Model states",
    (
        ("●", "ready", "$ready"),
        ("◔ ◑ ◕", "loading, by quarter", "$transit"),
        ("✘", "failed or crashed", "$error"),
        ("○", "not loaded", ""),
        ("◇", "served by a peer, or a selector", ""),
    ),
)
_SIGNS_OF_REQUESTS = HelpGroup(
    "Request states",
    (
        ("►", "running", "$transit"),
        ("◌", "waiting for a load", "$warning"),
        ("✓", "finished", "$ready"),
        ("✘", "failed or cut off", "$error"),
    ),
)
_VALUES = HelpGroup(
    "Values",
    (
        ("≈", "estimated", ""),
        ("?", "not reported by the server", ""),
        ("–", "none", ""),
        ("k", "1k = 1,024 tokens", ""),
        ("82 %", "close to a limit", "$warning"),
        ("96 %", "at the limit", "$error"),
    ),
)

_TEXTUAL_BINDINGS = {"app.focus_next": "next pane", "app.focus_previous": "previous pane"}
"""Our words for the bindings that Textual adds; they come last."""
_UNUSED_BINDINGS = {"screen.copy_text", "page_left", "page_right"}
"""Bindings of Textual's that have nothing to act on here: nothing scrolls sideways by pages."""


class HelpText(VerticalScroll):
    """Scrolls by the keys that move elsewhere."""

    BINDINGS = HELP_TEXT.bindings()

    def action_move(self, amount: float, unit: str = "rows") -> None:
        self.scroll_relative(y=motion_rows(self, amount, unit), animate=False)


class HelpScreen(ModalScreen[None]):
    """Made of the bindings themselves, so that it can't be out of date."""

    CSS_PATH = "help.tcss"
    BINDINGS = HELP.bindings()

    def __init__(
        self,
        groups: Iterable[HelpGroup],
        title: str = "",
        versions: str = "",
        column_cells: int = LARGEST_COLUMN,
    ) -> None:
        super().__init__()
        self._column_cells = column_cells
        self._groups = tuple(group for group in groups if group.rows)
        self._title = title or "Help"
        self._versions = versions

    def compose(self) -> ComposeResult:
        with HelpText(id="dialog"):
            find = Input(placeholder="a key, or words of what it does", id="find")
            find.display = False
            yield find
            with Horizontal():
                yield from (PlainText() for _ in range(3))
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        dialog = self.query_one("#dialog")
        set_frame_title(dialog, self._title, right=self._versions)
        dialog.focus()
        self._show_keys()

    def on_resize(self, event: events.Resize) -> None:
        """Use as many columns as there is room for, each about as long as the others."""
        # Another size of the terminal: the height that the search has fixed may not fit into it.
        self.query_one("#dialog").styles.height = None
        self._show_groups(event.size.width)

    def action_find(self) -> None:
        dialog, find = self.query_one("#dialog"), self.query_one(Input)
        # What was found is shorter; a dialog doesn't resize while it is open.
        dialog.styles.height = dialog.outer_size.height
        find.display = True
        self.set_focus(find)
        self._show_keys()

    def action_back(self) -> None:
        """Leave the search, else the help."""
        find = self.query_one(Input)
        if not find.display:
            self.dismiss()
            return
        find.value = ""
        find.display = False
        self.set_focus(self.query_one("#dialog"))
        self._show_keys()

    @on(Input.Changed)
    def _find(self) -> None:
        self._show_groups(self.size.width)

    @on(Input.Submitted)
    def _end_typing(self) -> None:
        self.set_focus(self.query_one("#dialog"))

    def _show_keys(self) -> None:
        if self.query_one(Input).display:
            hints = [HELP.hint("focused.submit"), HELP.hint("back", "show all")]
        else:
            hints = [HELP.hint("find"), HELP_TEXT.hint("move(1)", "scroll"), HELP.hint("back")]
        self.query_one(KeyBar).hints = tuple(hints)

    def _show_groups(self, width: int) -> None:
        room = width - _FRAME_CELLS
        count = max(1, min(3, room // LEAST_COLUMN, len(self._groups)))
        cells = max(LEAST_COLUMN, min(self._column_cells, room // count))
        columns = _balance(find_groups(self._groups, self.query_one(Input).value), count)
        for number, column in enumerate(self.query(PlainText)):
            column.display = number < count
            if column.display:
                column.update(Content("\n").join(_render_groups(columns[number], cells - 3)))
        if not columns[0]:
            self.query(PlainText).first().update(Content.styled("nothing matches", "$muted"))
        self.query_one("#dialog").styles.width = count * cells + _FRAME_CELLS


def find_groups(groups: Sequence[HelpGroup], typed: str) -> list[HelpGroup]:
    """Return the groups with the rows of the key that was typed, else those with it in their words."""
    typed = typed.strip()

    def filtered(matches: Callable[[Row], bool]) -> list[HelpGroup]:
        found = [HelpGroup(one.title, tuple(filter(matches, one.rows)), one.here) for one in groups]
        return [group for group in found if group.rows]

    by_key = filtered(lambda row: typed in row[0].split())
    return by_key or filtered(lambda row: typed.casefold() in row[1].casefold())


def _balance(groups: Sequence[HelpGroup], count: int) -> list[list[HelpGroup]]:
    """Distribute groups over columns in their order, so that the longest column is as short as it can be."""
    heights = [len(group.rows) + 2 for group in groups]
    limit = max([-(-sum(heights) // count), *heights])
    while True:
        columns: list[list[HelpGroup]] = [[]]
        room = limit
        for group, height in zip(groups, heights, strict=True):
            if height > room:
                columns.append([])
                room = limit
            columns[-1].append(group)
            room -= height
        if len(columns) <= count:
            return columns + [[] for _ in range(count - len(columns))]
        limit += 1


def _render_groups(groups: Sequence[HelpGroup], width: int) -> Iterator[Content]:
    for number, group in enumerate(groups):
        if number:
            yield Content("")
        if group.here:
            chip = Content.styled(f" {group.title} ", "bold $background on $accent")
            yield Content.assemble(chip, ("  you are here", "$muted"))
        else:
            rule = "─" * max(0, width - cell_len(group.title) - 1)
            yield Content.assemble((group.title, "bold"), " ", (rule, "$frame"))
        widest = max(KEY_CELLS, *(cell_len(sign) for sign, _, _ in group.rows))
        # Keys end at their words; commands, which are read from their beginning, begin in one column.
        cells = widest if width > LARGEST_COLUMN else 0
        for sign, words, style in group.rows:
            yield from _render_row(sign, words, style or "bold $accent", width, cells)


def _render_row(sign: str, words: str, style: str, width: int, cells: int) -> Iterator[Content]:
    at = max(KEY_CELLS, cell_len(sign), cells)
    first, *others = wrap(words, max(8, width - at - 2)) or [""]
    blanks = " " * (at - cell_len(sign))
    before, after = ("", blanks) if cells else (blanks, "")
    yield Content.assemble(before, (sign, style), after, "  ", first)
    yield from (Content(" " * (at + 2) + line) for line in others)


_PUNCTUATION_KEYS = frozenset({"slash", "colon", "question_mark"})
_TEXT_FIELD_BINDINGS = frozenset(
    binding.description
    for field in (Input, TextArea)
    for binding in field.BINDINGS
    if isinstance(binding, Binding)
)
"""The many keys of every text field to move, select and delete, which help leaves out."""


def help_groups(screen: Screen[Any]) -> list[HelpGroup]:
    """Return the keys that work on a screen, then the others by their place, then the signs."""
    keys = active_keys(screen)
    bound = {active.binding.action for active in screen.active_bindings.values()}
    place = next((one for one in _PLACES if one.marks & bound), None)
    # Its own, and those of the app that are listed with it.
    of_app = {action for key in place.groups for action in _actions(key)} if place else set()
    here = [
        key
        for key in keys
        if (not key[2].startswith("app.") or key[2] in of_app) and "move(" not in key[2]
    ]
    return [
        HelpGroup(
            place.title if place else "Keys",
            tuple((sign, words, "") for sign, words, _ in here),
            here=True,
        ),
        HelpGroup("Move", _move_rows()),
        *(HelpGroup(one.title, _rows(*one.groups)) for one in _PLACES if one is not place),
        HelpGroup("Views", _rows_of(APP, _VIEWS)),
        HelpGroup("Server", _rows_of(APP, _SERVER)),
        HelpGroup("aitui", _other_rows(APP, {*_VIEWS, *_SERVER})),
        _SIGNS,
        _SIGNS_OF_REQUESTS,
        _VALUES,
    ]


def _actions(group: KeyGroup) -> set[str]:
    return {key.action for key in group.keys}


def _rows(*groups: KeyGroup) -> tuple[Row, ...]:
    return tuple(
        (" ".join(key.signs[:2]), key.words, "")
        for group in groups
        for key in group.keys
        if key.listed and key.bound
    )


def _rows_of(group: KeyGroup, actions: Sequence[str]) -> tuple[Row, ...]:
    by_action = {key.action: key for key in group.keys if key.listed}
    return tuple(
        (" ".join(by_action[action].signs[:2]), by_action[action].words, "")
        for action in actions
        if action in by_action
    )


def _other_rows(group: KeyGroup, without: set[str]) -> tuple[Row, ...]:
    return tuple(
        (" ".join(key.signs[:2]), key.words, "")
        for key in group.keys
        if key.action not in without and key.manual
    )


def _move_rows() -> tuple[Row, ...]:
    by_action = {key.action: key for key in MODEL_TABLE.keys}
    rows = []
    for actions, words in _MOVES:
        signs = zip(*(by_action[action].signs for action in actions), strict=True)
        signs_text = "  ".join(" ".join(pair) for pair in signs)
        rows.append(
            (
                signs_text if len(signs_text) <= KEY_CELLS else signs_text.partition("  ")[0],
                words,
                "",
            )
        )
    return (
        *rows,
        ("Tab", _TEXTUAL_BINDINGS["app.focus_next"], ""),
        ("click", "works everywhere", ""),
    )


def active_keys(screen: Screen[Any]) -> list[tuple[str, str, str]]:
    """Keys, words and action of everything that works on a screen, its own first."""
    found: dict[str, tuple[list[str], str]] = {}
    writing = screen.focused if isinstance(screen.focused, Input | TextArea) else None
    owners = (writing, screen, screen.app)
    bindings = sorted(
        screen.active_bindings.values(),
        key=lambda active: (
            active.binding.action in _TEXTUAL_BINDINGS,
            owners.index(active.node) if active.node in owners else len(owners),
        ),
    )
    for active in bindings:
        binding, of_app = active.binding, active.node is screen.app
        if not binding.description or binding.action in _UNUSED_BINDINGS:
            continue
        if writing is not None:
            is_letter = len(binding.key) == 1 or binding.key in _PUNCTUATION_KEYS
            if is_letter or binding.description in _TEXT_FIELD_BINDINGS:
                continue
            if of_app:
                # Of several keys the one that is shown may be a letter here.
                binding = replace(binding, key_display=None)
        owner = "app." if of_app and "." not in binding.action else ""
        words = _TEXTUAL_BINDINGS.get(binding.action, binding.description)
        keys, _ = found.setdefault(owner + binding.action, ([], words[:1].lower() + words[1:]))
        key = binding.key_display or key_sign(binding.key)
        if key not in keys:
            keys.append(key)
    return [(" ".join(keys), words, action) for action, (keys, words) in found.items()]
