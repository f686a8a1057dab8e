"""Earlier conversations: find one by its title or its words, rename or delete it, go on with it."""

import re
from collections.abc import Mapping, Sequence
from typing import Protocol

from rich.cells import cell_len, set_cell_size
from textual import events, on
from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from aitui.domain.chat.conversation import ListedConversation, Role
from aitui.domain.units import format_age, format_tokens
from aitui.format.fit import shorten_id, truncate
from aitui.services.history import (
    SORTS,
    match_conversations,
    sort_conversations,
)
from aitui.ui.frame import set_frame_title
from aitui.ui.keymap import CONVERSATIONS, HISTORY, Hint
from aitui.ui.motions import motion_rows
from aitui.ui.plain import PlainText, plain
from aitui.ui.widgets.dialog import BREAKPOINTS, Dialog
from aitui.ui.widgets.key_bar import KeyBar

DIALOG_CELLS = 104
PREVIEW_FROM_ROWS = 30
MOST_LISTED = 200
"""Conversations that are listed; the title counts all of them."""
_LEAST_TITLE_CELLS, _WHOLE_TITLE_CELLS = 24, 44
_LEAST_MODEL_CELLS, _MOST_MODEL_CELLS = 16, 34
_GAP = 2
_CELLS = {"turns": 5, "tokens": 7, "age": 6}
_EMPHASIS = re.compile(r"\*\*|^#+ ", re.MULTILINE)
"""The marks of Markdown that a preview leaves out."""
_PLACEHOLDER = "words from a title, a model or a message"


class ConversationSource(Protocol):
    """The actions of the list; results arrive through `show_all`, `show_found` and `show_preview`."""

    def search(self, words: str) -> None:
        """Find the conversations in which these words were said."""
        ...

    def preview(self, conversation: ListedConversation) -> None:
        """Read the last prompt and the last reply."""
        ...

    def rename(self, conversation: ListedConversation, title: str) -> None:
        """Set the title; "" removes it."""
        ...

    def delete(self, conversation: ListedConversation) -> None:
        """Delete the conversation after a confirmation."""
        ...


class ConversationList(OptionList):
    """The list of conversations that match."""

    BINDINGS = CONVERSATIONS.bindings()

    class ListResized(Message):
        """The list has another size, for the first time as well."""

    def on_resize(self) -> None:
        self.post_message(self.ListResized())

    def action_move(self, amount: float, unit: str = "rows") -> None:
        lines = max(1, self.virtual_size.height) / max(1, self.option_count)
        rows = motion_rows(self, amount, unit)
        if unit == "pages":
            rows = round(rows / lines)
        at = self.highlighted or 0
        self.highlighted = max(0, min(at + rows, self.option_count - 1))


class HistoryScreen(ModalScreen[str | None]):
    """Ends with the id of a conversation, None for none. `now` is Unix time."""

    CSS_PATH = ["dialog.tcss", "history.tcss"]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = BREAKPOINTS
    BINDINGS = HISTORY.bindings()

    def __init__(self, words: str, source: ConversationSource, now: float) -> None:
        super().__init__()
        self._source = source
        self._now = now
        self._entry = Input(words, placeholder=_PLACEHOLDER, id="entry", select_on_focus=False)
        self._titles = PlainText(id="columns")
        self._list = ConversationList(id="list")
        self._preview = PlainText(id="preview")
        self._title_entry = Input(id="rename", select_on_focus=False)
        self._key_bar = KeyBar(id="keys")
        self._dialog = Dialog(DIALOG_CELLS)
        self._all: tuple[ListedConversation, ...] | None = None
        self._listed: tuple[ListedConversation, ...] = ()
        self._listed_words: str | None = None
        """The words that the list is for, None while what has them is on its way."""
        self._found: Mapping[str, str] = {}
        self._sort, self._reverse = next(iter(SORTS)), False
        self._renamed: ListedConversation | None = None
        self._opens_first = False

    def compose(self) -> ComposeResult:
        with self._dialog:
            yield from (self._entry, self._titles, self._list, self._preview, self._title_entry)
        yield self._key_bar

    def on_mount(self) -> None:
        self._title_entry.display = False
        self._entry.focus()
        self._show_title(0)
        if self._entry.value:
            self._source.search(self._entry.value)

    def on_resize(self, event: events.Resize) -> None:
        self._preview.display = event.size.height >= PREVIEW_FROM_ROWS
        self._end_rename()

    @on(ConversationList.ListResized)
    def _handle_list_size(self) -> None:
        # Not after the screen's own resize: under load the list may have no size by then.
        self._show()

    # --- what comes from the history

    def show_all(self, conversations: tuple[ListedConversation, ...]) -> None:
        """List the conversations, those with the words of the field."""
        self._all = conversations
        if not self._entry.value.strip():
            self._listed_words = self._entry.value
        self._show()

    def show_found(self, words: str, found: Mapping[str, str]) -> None:
        """List the conversations with these words, unless the field has changed."""
        if words == self._entry.value:
            self._listed_words, self._found = words, found
            self._show()

    def show_preview(self, conversation_id: str, texts: Sequence[tuple[Role, str]]) -> None:
        """Show the end of a conversation if it is still the selected one."""
        selected = self._selected
        if selected is None or selected.id != conversation_id:
            return
        width = max(20, self._preview.size.width - 4)
        lines: list[Content] = []
        for role, text in texts:
            who, style = ("You", "$accent") if role is Role.USER else (selected.model, "")
            words = _EMPHASIS.sub("", text)
            lines += [Content.styled(who, f"bold {style}"), *Content(words).wrap(width)[:3]]
        self._preview.update(Content("\n").join(lines))

    # --- keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Enable the letter keys only in the list."""
        if action in {"search", "rename", "sort", "reverse", "delete"}:
            return self.focused is self._list
        return super().check_action(action, parameters)

    def action_back(self) -> None:
        """Leave the title that is being written, then the words, then the list."""
        if self._renamed is not None:
            self._end_rename()
        elif self._entry.value:
            self._entry.value = ""
        else:
            self.dismiss(None)

    def action_search(self) -> None:
        self.set_focus(self._entry)

    def action_to_list(self) -> None:
        """Go on below the selected one, from the field."""
        # Of what was found for other words nothing must be chosen: what has these is on its way.
        if self.focused is self._entry:
            self.set_focus(self._list)
            if self._is_current:
                self._list.action_move(1)

    def action_sort(self) -> None:
        names = [name for name in SORTS if name in self._columns()]
        at = names.index(self._sort) if self._sort in names else -1
        self._sort, self._reverse = names[(at + 1) % len(names)], False
        self._show()

    def action_reverse(self) -> None:
        self._reverse = not self._reverse
        self._show()

    def action_delete(self) -> None:
        if (selected := self._selected) is not None:
            self._source.delete(selected)

    def action_rename(self) -> None:
        """Write another title in the place of the old one."""
        at, selected = self._list.highlighted, self._selected
        if at is None or selected is None:
            return
        self._renamed = selected
        lines = [1 + bool(self._excerpt(one)) for one in self._listed[:at]]
        listed = self._list.region
        inside = listed.offset - self._dialog.content_region.offset
        y = inside.y + sum(lines) - self._list.scroll_offset.y
        entry = self._title_entry
        entry.styles.offset = (inside.x, max(inside.y, y))
        entry.styles.width = listed.width
        entry.value, entry.cursor_position = selected.heading, len(selected.heading)
        entry.display = True
        self.set_focus(entry)
        self._show_keys()

    def _end_rename(self) -> None:
        if self._renamed is not None:
            self._renamed = None
            self._title_entry.display = False
            self.set_focus(self._list)
            self._show_keys()

    @on(Input.Submitted, "#rename")
    def _handle_title(self, message: Input.Submitted) -> None:
        renamed = self._renamed
        self._end_rename()
        if renamed is not None and message.value.strip() != renamed.heading:
            self._source.rename(renamed, " ".join(message.value.split()))

    @on(Input.Changed, "#entry")
    def _handle_words(self, message: Input.Changed) -> None:
        self._opens_first = False
        self._listed_words = None
        if message.value.strip():
            self._source.search(message.value)
        else:
            self.show_found(message.value, {})

    @on(Input.Submitted, "#entry")
    def _open_first(self) -> None:
        """Open the selected one, or the first that has these words once it is found."""
        self._opens_first = not self._is_current
        if self._is_current and (selected := self._selected) is not None:
            self._open(selected)

    @on(OptionList.OptionSelected)
    def _handle_option(self) -> None:
        if self._is_current and (selected := self._selected) is not None:
            self._open(selected)

    @on(OptionList.OptionHighlighted)
    def _handle_highlight(self) -> None:
        selected = self._selected
        if selected is not None and self._preview.display:
            self._source.preview(selected)

    def on_descendant_focus(self) -> None:
        self._show_keys()

    def _open(self, conversation: ListedConversation) -> None:
        if self.is_current:
            self.dismiss(conversation.id)

    # --- drawing

    @property
    def _is_current(self) -> bool:
        """Whether the list is that of the words in the field."""
        return self._all is not None and self._listed_words == self._entry.value

    @property
    def _selected(self) -> ListedConversation | None:
        at = self._list.highlighted
        return self._listed[at] if at is not None and at < len(self._listed) else None

    def _show(self) -> None:
        if self._all is None or not self._is_current or not self._list.size.width:
            return
        words, before = self._entry.value, self._selected
        found = match_conversations(self._all, words, self._found)
        self._listed = sort_conversations(found, self._sort, reverse=self._reverse)[:MOST_LISTED]
        self._show_title(len(found))
        columns = self._columns()
        self._show_columns(columns)
        self._list.clear_options()
        if not self._listed:
            self._preview.update("")
            self._list.add_option(Option(plain(self._empty_text(words)), disabled=True))
        else:
            self._list.add_options(self._row(one, columns) for one in self._listed)
            ids = [one.id for one in self._listed]
            kept = before is not None and self.focused is not self._entry and before.id in ids
            at = ids.index(before.id) if kept and before is not None else 0
            self._list.highlighted = at
        self._show_keys()
        if self._opens_first and self._listed:
            self._open(self._listed[0])

    def _empty_text(self, words: str) -> str:
        if self._all:
            back = HISTORY.sign("back")
            return f"No conversation contains “{words[:80].strip()}”\n{back} clears the search"
        return "No conversations yet\nA chat is listed here after its first prompt"

    def _show_title(self, found: int) -> None:
        every = len(self._all or ())
        words = f"{found:,} of {every:,}" if self._entry.value.strip() else f"{every:,}"
        set_frame_title(self._dialog, "Conversations", words if self._all is not None else "")

    def _show_keys(self) -> None:
        self._key_bar.hints = tuple(self.keys())

    def keys(self) -> list[Hint]:
        """Key, words and action of what works now, the most needed first."""
        back = HISTORY.hint("back")
        if self._renamed is not None:
            return [HISTORY.hint("select", "rename"), HISTORY.hint("back", "cancel")]
        if self.focused is self._entry:
            words = "clear" if self._entry.value else ""
            return [HISTORY.hint("select"), HISTORY.hint("to_list"), HISTORY.hint("back", words)]
        actions = ("select", "search", "rename", "delete", "sort", "reverse")
        return [*(HISTORY.hint(action) for action in actions), back]

    def _columns(self) -> dict[str, int]:
        """The cells of each column; those that are needed least leave first."""
        room = self._list.scrollable_content_region.width - 1
        widest = max((cell_len(one.model) for one in self._all or ()), default=0)
        model = min(_MOST_MODEL_CELLS, max(len("MODEL") + 1, widest))
        title = max((cell_len(one.heading) for one in self._all or ()), default=0)
        title = max(_LEAST_TITLE_CELLS, min(_WHOLE_TITLE_CELLS, title))
        cells = {"title": title, "model": min(_LEAST_MODEL_CELLS, model), **_CELLS}
        free = room
        for leaves in ("", "turns", "model", "tokens"):
            cells.pop(leaves, None)
            if leaves:
                cells["title"] = _LEAST_TITLE_CELLS
            free = room - sum(cells.values()) - _GAP * (len(cells) - 1)
            if free >= 0:
                break
        if "model" in cells:
            wider = min(model - cells["model"], max(0, free))
            cells["model"] += wider
            free -= wider
        cells["title"] = max(1, cells["title"] + free)
        return cells

    def _show_columns(self, columns: Mapping[str, int]) -> None:
        arrow = "▾" if SORTS[self._sort][1] is not self._reverse else "▴"
        texts = {name: f"{name.upper()}{arrow if name == self._sort else ''}" for name in columns}
        self._titles.update(Content.styled(_format_row(texts, columns), "bold $muted"))

    def _row(self, one: ListedConversation, columns: Mapping[str, int]) -> Option:
        title = set_cell_size(truncate(one.heading, columns["title"]), columns["title"])
        texts = {
            "title": "",
            "model": shorten_id(one.model, columns.get("model", 0)),
            "turns": f"{one.turns:,}",
            "tokens": "–" if one.tokens is None else format_tokens(one.tokens),
            "age": format_age(self._now - one.changed),
        }
        rest = _format_row(texts, columns)[columns["title"] :]
        parts: list[str | Content | tuple[str, str]] = [self._mark(title), (rest, "$muted")]
        if excerpt := self._excerpt(one):
            width = self._list.scrollable_content_region.width - 3
            parts += ("\n  ", self._mark(truncate(excerpt, width), "$muted"))
        return Option(Content.assemble(*parts))

    def _excerpt(self, one: ListedConversation) -> str:
        return self._found.get(one.id, "") if self._entry.value.strip() else ""

    def _mark(self, text: str, style: str = "") -> Content:
        """The text with the words that are looked for in color."""
        drawn, lower = Content.styled(text, style), text.lower()
        for word in self._entry.value.lower().split():
            at = lower.find(word)
            if at >= 0 and len(lower) == len(text):
                drawn = drawn.stylize("bold $accent", at, at + len(word))
        return drawn


def _format_row(texts: Mapping[str, str], columns: Mapping[str, int]) -> str:
    """The cells of one row, numbers at the right of their columns."""
    parts = []
    for name, width in columns.items():
        text = truncate(texts[name], width)
        blanks = " " * (width - cell_len(text))
        parts.append(blanks + text if name in _CELLS else text + blanks)
    return (" " * _GAP).join(parts)
