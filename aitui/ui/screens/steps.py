"""Something that takes several steps: each ticks off with its time, or says how it failed."""

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.reactive import reactive
from textual.screen import ModalScreen

from aitui.domain.progress import Step, Steps, StepState
from aitui.domain.snapshot import Clock, Snapshot
from aitui.domain.units import format_seconds
from aitui.ui.keymap import STEPS
from aitui.ui.plain import PlainText
from aitui.ui.text import seconds_text, shorten_id

MARKS = {
    StepState.WAITING: ("○", "$foreground 65%"),
    StepState.RUNNING: ("◐", "$warning"),
    StepState.DONE: ("✔", "$success"),
    StepState.FAILED: ("✘", "$error"),
    StepState.SKIPPED: ("–", "$foreground 65%"),
}
MAX_LINE_CELLS = 600
"""Cells of a step's words, and of the outcome's lines."""


class StepsScreen(ModalScreen[None]):
    """Shows steps as they go on. Closing it stops nothing; a message tells the end then.

    `model` is the one that they load, if any.
    """

    CSS_PATH = "steps.tcss"
    BINDINGS = STEPS.bindings()

    steps: reactive[Steps] = reactive(Steps(), init=False)
    expected_load_time: reactive[float | None] = reactive(None, init=False)
    """Seconds that the step called `load` took the last times."""

    def __init__(self, title: str, clock: Clock, model: str = "") -> None:
        super().__init__()
        self._title = title
        self._clock = clock
        self._model = model
        self._outcome: tuple[str, ...] = ()
        self._has_succeeded: bool | None = None

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog"):
            yield PlainText(shorten_id(self._title, MAX_LINE_CELLS), id="title")
            with VerticalScroll(id="seen", can_focus=False):
                yield PlainText(id="steps")
                yield PlainText(id="outcome")
            yield PlainText(id="hint")

    def on_mount(self) -> None:
        if self._model:
            self.watch(self.app, "snapshot", self._read_expected_load_time)
        self._show()

    def tick(self) -> None:
        """Let ages and seconds go on."""
        self._show()

    def _read_expected_load_time(self, snapshot: Snapshot) -> None:
        model = snapshot.model(self._model)
        self.expected_load_time = None if model is None else model.expected_load

    def watch_steps(self) -> None:
        self._show()

    def finish(self, *lines: str, well: bool) -> None:
        self._outcome = tuple(shorten_id(line, MAX_LINE_CELLS) for line in lines if line)
        self._has_succeeded = well
        self._show()

    def action_scroll(self, lines: int) -> None:
        self.query_one("#seen").scroll_relative(y=lines, animate=False)

    def action_copy_report(self) -> None:
        now = self._clock.monotonic()
        lines = [_step_line(step, now, None).plain for step in self.steps.steps]
        self.app.copy_to_clipboard("\n".join([self._title, *lines, *self._outcome]))

    def _show(self) -> None:
        if not self.query("#steps"):
            # It comes a moment after the first of its steps, and goes before the last.
            return
        now = self._clock.monotonic()
        lines = [_step_line(step, now, self.expected_load_time) for step in self.steps.steps]
        self.query_one("#steps", PlainText).update(Content("\n").join(lines))
        outcome = self.query_one("#outcome", PlainText)
        outcome.display = bool(self._outcome)
        outcome.set_class(self._has_succeeded is False, "-failed")
        outcome.update(Content("\n".join(self._outcome)))
        close, copy = STEPS.sign("dismiss"), STEPS.sign("copy_report")
        words = f"{close} closes{'; it goes on' if self._has_succeeded is None else f'   {copy} copies the report'}"
        self.query_one("#hint", PlainText).update(words)


def _step_line(step: Step, now: float, expected: float | None) -> Content:
    mark, style = MARKS[step.state]
    time = ""
    if step.state in {StepState.RUNNING, StepState.DONE, StepState.FAILED}:
        time = seconds_text(step.seconds(now))
        if step.state is StepState.RUNNING and step.name == "load" and expected:
            time += f" of ≈ {format_seconds(expected)}"
    words = step.words
    if step.state is StepState.RUNNING and (left := step.limit - step.seconds(now)) > 0:
        words = f"{words}, at most {left:.0f} s more"
    quiet = step.state in {StepState.WAITING, StepState.SKIPPED}
    return Content.assemble(
        (mark, style),
        " ",
        (step.name.ljust(9), "$foreground 65%" if quiet else ""),
        (time.rjust(8), "$foreground 65%"),
        # Why a step failed stands below, whole.
        f"  {shorten_id(words, MAX_LINE_CELLS)}"
        if words and step.state is not StepState.FAILED
        else "",
    )
