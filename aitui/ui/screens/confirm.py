"""Asks before something that others would notice; opens on its safe choice."""

from collections.abc import Callable, Mapping, Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen

from aitui.domain.confirmation import Confirmation
from aitui.domain.snapshot import Snapshot
from aitui.ui.keymap import CHOICE, CONFIRM
from aitui.ui.plain import PlainText
from aitui.ui.text import shorten_id


class Choice(PlainText, can_focus=True):
    """A word that can be focused, clicked, and chosen with Enter; the focused one is marked."""

    BINDINGS = CHOICE.bindings()
    DEFAULT_CSS = """
    Choice {
        width: auto;
        height: 1;
        margin-right: 2;
        padding: 0 1;
        background: $panel;
        color: $foreground;
        &:focus { background: $primary; color: $text; text-style: bold; }
        &:hover { text-style: underline; }
    }
    """

    def __init__(self, words: str, *, answer: bool, id: str | None = None) -> None:  # noqa: A002
        super().__init__(words, id=id)
        self._words = words
        self._value = answer

    def on_focus(self) -> None:
        """Mark the focus by a sign, since a colour alone may not show."""
        self.update(f"▸ {self._words}")

    def on_blur(self) -> None:
        self.update(f"  {self._words}")

    def on_mount(self) -> None:
        """Take the same room with and without the mark."""
        self.update(f"  {self._words}")

    async def action_choose(self) -> None:
        await self.screen.run_action(f"answer({self._value})")

    on_click = action_choose


ARM_DELAY = 0.25
"""Seconds after painting before a key counts: reading takes longer than that."""

UNREQUESTED_ARM_DELAY = 1.0
"""Seconds without a key until a question that came by itself takes one: what is typed meanwhile was
meant for what it covers."""

MAX_FACT_CELLS = 240
MAX_CHOICE_CELLS = 40
"""Cells of a fact and of a choice: a hostile id must not push the choices out of sight."""
FACT_STYLES = {"✘": "$error", "!": "$warning"}
DIFF_STYLES = {"-": "$error", "+": "$success", "@": "$foreground 65%"}


class ConfirmScreen(ModalScreen[bool]):
    """A question with its facts, rebuilt from each snapshot.

    Keys typed before it was painted are ignored. When the facts change while it is open it goes
    back to its safe choice and arms itself again: a yes is never for facts that were not seen. One that
    came unprompted takes no key, not even a no, while typing goes on.
    """

    CSS_PATH = "confirm.tcss"
    BINDINGS = CONFIRM.bindings()

    def __init__(self, build: Callable[[Snapshot], Confirmation], snapshot: Snapshot) -> None:
        super().__init__()
        self._build = build
        self._confirmation = build(snapshot)
        title = shorten_id(self._confirmation.title, MAX_FACT_CELLS)
        self._title = PlainText(title, id="title")
        self._difference = PlainText(id="difference")
        self._facts = PlainText(id="facts")
        self._ignored = PlainText(
            "! The facts changed: read them, then press y again.", id="ignored"
        )
        no, yes = self._confirmation.no, self._confirmation.yes
        self._no = Choice(f"n {shorten_id(no, MAX_CHOICE_CELLS)}", answer=False, id="no")
        self._yes = Choice(f"y {shorten_id(yes, MAX_CHOICE_CELLS)}", answer=True, id="yes")
        self._armed = self._has_changed = False
        self._arm_count = 0
        self.wants_other = False
        """Whether it ended with what the question offered beside yes and no."""

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield self._title
            with VerticalScroll(id="seen", can_focus=False):
                yield self._difference
                yield self._facts
            yield self._ignored
            with Horizontal(id="choices"):
                yield self._no
                yield self._yes
                if self._confirmation.other:
                    yield PlainText(f"o {self._confirmation.other}", id="other")

    def on_mount(self) -> None:
        self._show()
        self.watch(self.app, "snapshot", self._compare_facts)

    def _compare_facts(self, snapshot: Snapshot) -> None:
        question = self._build(snapshot)
        if question != self._confirmation:
            self._confirmation = question
            self._has_changed = True
            self._show()

    def action_answer(self, answer: bool) -> None:  # noqa: FBT001
        """Close with that answer; No counts at once, Yes only from an armed dialog."""
        if self.is_current and (self._armed or not (answer or self._confirmation.unprompted)):
            self._armed = False
            self.dismiss(answer)
        elif self.is_current and self._has_changed:
            self._ignored.display = True

    def on_key(self) -> None:
        if self._confirmation.unprompted and not self._armed:
            self._schedule_arming()

    def action_want_other(self) -> None:
        if self.is_current and self._armed and self._confirmation.other:
            self.wants_other = True
            self.action_answer(answer=False)

    def action_other_choice(self) -> None:
        self.focus_next(Choice)

    def _show(self) -> None:
        self._armed = self._ignored.display = False
        facts = self._confirmation.facts or ("No other client is affected.",)
        self._title.update(shorten_id(self._confirmation.title, MAX_FACT_CELLS))
        self._facts.update(_style_lines(facts, FACT_STYLES))
        self._difference.display = bool(self._confirmation.diff)
        self._difference.update(_style_lines(self._confirmation.diff, DIFF_STYLES))
        self._no.focus()
        self.call_after_refresh(self._schedule_arming)

    def _schedule_arming(self) -> None:
        self._arm_count += 1
        turn = self._arm_count
        seconds = UNREQUESTED_ARM_DELAY if self._confirmation.unprompted else ARM_DELAY
        self.set_timer(seconds, lambda: self._arm(turn))

    def _arm(self, turn: int) -> None:
        if turn == self._arm_count:
            self._armed = True


def _style_lines(lines: Sequence[str], styles: Mapping[str, str]) -> Content:
    """Join lines, each in the style of its first character."""
    return Content("\n").join(
        Content.styled(shorten_id(line, MAX_FACT_CELLS), styles.get(line[:1], "")) for line in lines
    )
