"""Ask before an action that affects other clients; the safe choice has the focus."""

from collections.abc import Callable

from rich.cells import cell_len
from rich.segment import Segment
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widget import Widget

from aitui.domain.confirmation import Confirmation
from aitui.domain.snapshot import Snapshot
from aitui.domain.units import count_of
from aitui.format.fit import shorten_id
from aitui.ui.diff import render_diff
from aitui.ui.keymap import CHOICE, CONFIRM
from aitui.ui.memory_preview import load_bars
from aitui.ui.plain import PlainText
from aitui.ui.text import wrap_text
from aitui.ui.theme import hue_of, theme_style
from aitui.ui.widgets.dialog import BREAKPOINTS, LOW_ROWS, WIDE_DIALOG_CELLS, Dialog
from aitui.ui.widgets.key_bar import KeyBar


class Choice(PlainText, can_focus=True):
    """A word that can be focused, clicked, and chosen with Enter; the focused one is marked."""

    BINDINGS = CHOICE.bindings()
    DEFAULT_CSS = """
    Choice {
        width: auto;
        height: 1;
        margin-right: 2;
        padding: 0 1;
        text-align: center;
        background: $select;
        color: $foreground;
        &:focus { background: $accent; color: $background; text-style: bold; }
        &:hover { text-style: underline; }
    }
    """

    def __init__(self, words: str, *, answer: bool, id: str | None = None) -> None:  # noqa: A002
        super().__init__(words, id=id)
        self._words = words
        self._value = answer

    def on_focus(self) -> None:
        """Mark the focus with a sign, since a color alone may be invisible."""
        self.update(f"▸ {self._words}")

    def on_blur(self) -> None:
        self.update(f"  {self._words}")

    def on_mount(self) -> None:
        """Take the same room with and without the mark."""
        self.update(f"  {self._words}")

    def rename(self, words: str) -> None:
        """Change the label."""
        if words != self._words:
            self._words = words
            self.update(f"{'▸' if self.has_focus else ' '} {words}")

    async def action_choose(self) -> None:
        await self.screen.run_action(f"answer({self._value})")

    on_click = action_choose


ARM_DELAY = 0.25
"""Seconds after painting during which keys are ignored: reading takes longer."""

UNREQUESTED_ARM_DELAY = 1.0
"""Seconds without a key until a question that came by itself takes one: what is typed meanwhile was
meant for what it covers."""

BAR_LABEL = 8
MAX_FACT_CELLS = 240
MAX_CHOICE_CELLS = 40
"""Cells of a fact and of a choice: a hostile id must not push the choices out of sight."""
FACT_STYLES = {"✘": "$error", "!": "$warning", "✔": "$ready"}
COSTS = ("unloads ", "cuts ", "in use by ")
"""The beginnings of facts about costs for other clients."""


class ConfirmScreen(ModalScreen[bool]):
    """A question with its facts, rebuilt from each snapshot.

    Keys typed before it was painted are ignored. When the facts change while it is open it goes
    back to its safe choice and arms itself again: a yes is never for facts that were not seen. One that
    came unprompted takes no key, not even a no, while typing goes on. `of_context` is set for a change
    of the context size, where all dialogs look like one.
    """

    CSS_PATH = ["dialog.tcss", "confirm.tcss"]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = BREAKPOINTS
    BINDINGS = CONFIRM.bindings()

    def __init__(
        self,
        build: Callable[[Snapshot], Confirmation],
        snapshot: Snapshot,
        *,
        of_context: bool = False,
    ) -> None:
        super().__init__()
        self._build = build
        self._of_context = of_context
        self._snapshot = snapshot
        self._confirmation = build(snapshot)
        self._dialog = Dialog(WIDE_DIALOG_CELLS) if self._confirmation.loads else Dialog()
        self._title = PlainText(id="title")
        self._bars = LoadBars(id="bars")
        self._difference = PlainText(id="difference")
        self._facts = PlainText(id="facts")
        self._ignored = PlainText(id="ignored")
        no, yes = self._confirmation.no, self._confirmation.yes
        self._no = Choice(_choice_text("answer(False)", no), answer=False, id="no")
        self._yes = Choice(_choice_text("answer(True)", yes), answer=True, id="yes")
        words = {"answer(False)": no.lower(), "answer(True)": yes.lower(), "cancel": "cancel"}
        if no.lower() == words["cancel"]:
            del words["answer(False)"]
        self._keys = KeyBar(*(CONFIRM.hint(*key) for key in words.items()), id="keys")
        self._armed = self._has_changed = False
        self._arm_count = 0
        self.is_cancelled = False
        self.wants_other = False
        """Whether it ended with what the question offered beside yes and no."""

    def compose(self) -> ComposeResult:
        with self._dialog:
            with VerticalScroll(id="seen", classes="text", can_focus=False):
                yield self._title
                yield self._bars
                yield self._difference
                yield self._facts
            yield self._ignored
            with Horizontal(id="choices", classes="choices"):
                yield self._no
                yield self._yes
                if self._confirmation.other:
                    yield PlainText(
                        _choice_text("want_other", self._confirmation.other), id="other"
                    )
        yield self._keys

    def on_mount(self) -> None:
        self._ignored.display = False
        self._show()
        self.watch(self.app, "snapshot", self._compare_facts)

    def on_resize(self) -> None:
        self._show_title()
        self._show_facts()

    def _compare_facts(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        question = self._build(snapshot)
        if question != self._confirmation:
            self._confirmation = question
            self._has_changed = True
            self._show()
        self._bars.show(snapshot, self._confirmation)

    def action_answer(self, answer: bool) -> None:  # noqa: FBT001
        """Close with that answer; No counts at once, Yes only from an armed dialog."""
        if self.is_current and (self._armed or not (answer or self._confirmation.unprompted)):
            self._armed = False
            self.dismiss(answer)
        elif self.is_current and (self._has_changed or self._confirmation.unprompted):
            yes = CONFIRM.sign("answer(True)")
            changed = f"! Something changed: read this again, then press {yes} again."
            waits = "! This question came up by itself: wait a second, then answer."
            self._ignored.update(waits if self._confirmation.unprompted else changed)
            self._ignored.display = True

    def action_cancel(self) -> None:
        """Close with No, and without going back to what the question came from."""
        self.is_cancelled = True
        self.action_answer(answer=False)

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
        self._armed = False
        self._show_title()
        self._show_facts()
        self._difference.display = bool(self._confirmation.diff)
        self._no.focus()
        self.call_after_refresh(self._schedule_arming)

    def _show_facts(self) -> None:
        """Write what becomes of each model, with what that costs, then everything else."""
        facts, costs = self._confirmation.facts, self._confirmation.costs
        # Without the frame, its padding, a scrollbar and a blank before it.
        room = self._dialog.cells - (6 if self.size.height < LOW_ROWS else 8)
        self._difference.update(render_diff(self._confirmation.diff, room))
        lines: list[Content] = []
        for cost in costs:
            hue = hue_of(self._snapshot, cost.model)
            name = shorten_id(cost.model, max(8, room - cell_len(cost.outcome) - 2))
            gap = " " * max(1, room - 1 - cell_len(name) - cell_len(cost.outcome))
            edge = ("▌", f"${hue}")
            lines.append(Content.assemble(edge, (name, "bold"), gap, cost.outcome))
            parts = (part for line in cost.costs for part in wrap_text(line, room - 2))
            lines += (style_fact(f"  {part}", "$warning") for part in parts)
        if costs and facts:
            lines.append(Content(""))
        lines += map(style_fact, facts)
        if not lines:
            lines.append(Content("No other client is affected."))
        self._facts.update(Content("\n").join(lines))

    def _show_title(self) -> None:
        count = len(self._confirmation.costs)
        title = shorten_id(self._confirmation.title, MAX_FACT_CELLS)
        counts = count and not title.startswith("Unload")  # that title counts them itself
        cost = (f"unloads {count_of(count, 'model')}" if counts else "", "warning")
        self._dialog.show_title(title, self._title, cost)
        if self._of_context:
            self._dialog.show_stage("review")
            self._title.display = True

    def _schedule_arming(self) -> None:
        self._arm_count += 1
        turn = self._arm_count
        seconds = UNREQUESTED_ARM_DELAY if self._confirmation.unprompted else ARM_DELAY
        self.set_timer(seconds, lambda: self._arm(turn))

    def _arm(self, turn: int) -> None:
        if turn == self._arm_count:
            self._armed = True


def _choice_text(action: str, words: str) -> str:
    return f"{CONFIRM.sign(action)} {shorten_id(words, MAX_CHOICE_CELLS)}"


def style_fact(fact: str, style: str = "") -> Content:
    """Style a fact by its sign, or as a cost."""
    style = style or FACT_STYLES.get(fact[:1], "$warning" if fact.startswith(COSTS) else "")
    return Content.styled(shorten_id(fact, MAX_FACT_CELLS), style)


class LoadBars(Widget):
    """The memory now and after a load, if both are known."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._shown: tuple[Snapshot, Confirmation] | None = None
        self._strips: list[Strip] = []

    def show(self, snapshot: Snapshot, confirmation: Confirmation | None) -> None:
        """Draw the memory of a snapshot, at the same place as that of the one before."""
        self._shown = None if confirmation is None else (snapshot, confirmation)
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        return len(self._strips)

    def render_line(self, y: int) -> Strip:
        blank = Strip.blank(self.size.width, self.visual_style.rich_style)
        if y >= len(self._strips) or not self._strips[y]:
            return blank
        return self._strips[y].apply_style(self.visual_style.rich_style)

    def _draw(self) -> None:
        bars = None
        wanted = self._shown is not None and bool(self._shown[1].loads)
        if self._shown is not None and wanted and self.size.width > BAR_LABEL:
            snapshot, confirmation = self._shown
            width = self.size.width - BAR_LABEL
            evicted = [cost.model for cost in confirmation.costs]
            bars = load_bars(self.app, snapshot, confirmation.loads, evicted, width)
        count = len(self._strips)
        self._strips = []
        if bars is not None:
            style = theme_style(self.app, "")
            for label, bar in zip(("now", "after"), bars, strict=True):
                named = Strip([Segment(label.ljust(BAR_LABEL), style)])
                self._strips += [Strip.blank(0)] * bool(self._strips)
                self._strips.append(Strip.join([named, bar]))
        # Without a width yet it can't be drawn; shown for nothing, its margin would move what follows.
        self.display = bars is not None or (wanted and self.size.width == 0)
        self.refresh(layout=len(self._strips) != count)
