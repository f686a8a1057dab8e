"""The keys that work where one is, and what the signs in the table mean."""

from collections.abc import Iterable
from dataclasses import replace  # noqa: TID251 - Textual's bindings are dataclasses
from typing import Any

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Input, TextArea

from aitui.ui.keymap import HELP, HELP_TEXT
from aitui.ui.motions import motion_rows
from aitui.ui.plain import PlainText, plain

KEY_WIDTH = 16

_SIGNS = (
    ("○", "not loaded"),
    ("◔", "asked for, waits for running requests"),
    ("◐", "loading: seconds so far, and expected ones where it was loaded before"),
    ("●", "ready"),
    ("◑", "stopping"),
    ("✘", "the last load failed; the pane says why"),
    ("◇", "runs elsewhere: a peer's model, or a selector"),
    ("≈", "inferred or guessed, since the server doesn't tell"),
    ("?", "after a context size: assumed, not reported by the server"),
)


_TEXTUAL_BINDINGS = {"app.focus_next": "next pane", "app.focus_previous": "previous pane"}
"""Its words for what it brings along, in ours; they come last."""


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
        self, keys: Iterable[tuple[str, str, str]], title: str = "", *, signs: bool = True
    ) -> None:
        super().__init__()
        self._keys = tuple((key, words) for key, words, _ in keys)
        self._title = title or "Keys that work here"
        self._signs = signs

    def compose(self) -> ComposeResult:
        lines = [_help_line(key, words) for key, words in self._keys]
        if self._signs:
            lines += [Content(""), Content.styled("Signs in the table", "bold"), Content("")]
            lines += [_help_line(sign, words) for sign, words in _SIGNS]
        with HelpText(id="dialog"):
            yield PlainText(Content("\n").join(lines))

    def on_mount(self) -> None:
        dialog = self.query_one("#dialog")
        dialog.border_title = plain(self._title)
        dialog.border_subtitle = plain(f"{HELP.sign('dismiss')} closes")
        dialog.focus()


_PUNCTUATION_KEYS = frozenset({"slash", "colon", "question_mark"})
_TEXT_FIELD_BINDINGS = frozenset(
    binding.description
    for field in (Input, TextArea)
    for binding in field.BINDINGS
    if isinstance(binding, Binding)
)
"""The many keys of every text field to move, select and delete, which help leaves out."""


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
        if not binding.description or binding.action == "screen.copy_text":
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
        key = screen.app.get_key_display(binding)
        if key not in keys:
            keys.append(key)
    return [(" ".join(keys), words, action) for action, (keys, words) in found.items()]


def _help_line(key: str, words: str) -> Content:
    return Content.assemble((key.ljust(KEY_WIDTH), "bold $accent"), " ", words)
