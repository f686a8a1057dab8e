"""Show the steps of a job, each with its time or its error."""

from collections.abc import Iterator

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.reactive import reactive
from textual.screen import ModalScreen

from aitui.domain.progress import Step, Steps, StepState
from aitui.domain.snapshot import Clock, Snapshot
from aitui.domain.units import format_elapsed
from aitui.format.fit import shorten_id
from aitui.ui.keymap import STEPS
from aitui.ui.plain import PlainText
from aitui.ui.screens.confirm import Choice
from aitui.ui.widgets.dialog import BREAKPOINTS, Dialog
from aitui.ui.widgets.key_bar import KeyBar

MARKS = {
    StepState.WAITING: ("○", "$muted"),
    StepState.RUNNING: ("◑", "$transit"),
    StepState.DONE: ("✓", "$ready"),
    StepState.FAILED: ("✘", "$error"),
    StepState.SKIPPED: ("–", "$muted"),
}
MAX_LINE_CELLS = 600
"""Cells of a step's words, and of the outcome's lines."""
GAUGE_CELLS = 24


class StepsScreen(ModalScreen[None]):
    """Shows steps as they go on. Closing it stops nothing; a message reports the end then.

    `model` is the one that they load, if any; `on_failure` says what happens if one of them fails.
    `of_context` is set for a change of the context size, where all dialogs look like one.
    """

    CSS_PATH = ["dialog.tcss", "steps.tcss"]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = BREAKPOINTS
    BINDINGS = STEPS.bindings()

    steps: reactive[Steps] = reactive(Steps(), init=False)
    expected_load_time: reactive[float | None] = reactive(None, init=False)
    """Seconds that the step called `load` took the last times."""

    def __init__(
        self,
        title: str,
        clock: Clock,
        model: str = "",
        *,
        on_failure: str = "",
        of_context: bool = False,
    ) -> None:
        super().__init__()
        self._title = title
        self._clock = clock
        self._model = model
        self._on_failure = on_failure
        self._of_context = of_context
        self._progress: tuple[float | None, str] = None, ""
        self._outcome: tuple[str, ...] = ()
        self._has_succeeded: bool | None = None

    def compose(self) -> ComposeResult:
        with Dialog():
            with VerticalScroll(id="seen", classes="text", can_focus=False):
                yield PlainText(id="title")
                yield PlainText(id="steps")
                yield PlainText(id="outcome")
            with Horizontal(classes="choices"):
                yield Choice("", answer=False, id="close")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        if self._model:
            self.watch(self.app, "snapshot", self._read_load)
        self.query_one(Choice).focus()
        self._show()

    def on_resize(self) -> None:
        dialog, heading = self.query_one(Dialog), self.query_one("#title", PlainText)
        if self._of_context:
            heading.display = False
            dialog.show_stage("apply", self._model)
        else:
            dialog.show_title(shorten_id(self._title, MAX_LINE_CELLS), heading)

    def tick(self) -> None:
        """Update ages and seconds."""
        if self._has_succeeded is None:
            self._show()

    def _read_load(self, snapshot: Snapshot) -> None:
        model = snapshot.model(self._model)
        self.expected_load_time = None if model is None else model.expected_load
        progress = (None, "") if model is None else (model.progress, model.progress_note)
        if progress != self._progress:
            self._progress = progress
            self._show()

    def watch_steps(self) -> None:
        self._show()

    def watch_expected_load_time(self) -> None:
        self._show()

    def finish(self, *lines: str, well: bool) -> None:
        self._outcome = tuple(shorten_id(line, MAX_LINE_CELLS) for line in lines if line)
        self._has_succeeded = well
        self._show()
        for outcome in self.query("#outcome"):  # none before it opens and after it was closed
            self.call_after_refresh(outcome.scroll_visible, animate=False)

    async def action_answer(self, answer: bool) -> None:  # noqa: ARG002, FBT001
        if self.is_current:
            self.dismiss()

    def action_scroll(self, lines: int) -> None:
        self.query_one("#seen").scroll_relative(y=lines, animate=False)

    def action_copy_report(self) -> None:
        now = self._clock.monotonic()
        lines = [_step_line(step, now).plain.rstrip() for step in self.steps.steps]
        self.app.copy_to_clipboard("\n".join([self._title, *lines, *self._outcome]))

    def _show(self) -> None:
        if not self.query("#steps"):
            # It comes a moment after the first of its steps, and goes before the last.
            return
        now = self._clock.monotonic()
        lines = [_step_line(step, now, self._load_words(step, now)) for step in self.steps.steps]
        self.query_one("#steps", PlainText).update(Content("\n").join(lines))
        outcome = self.query_one("#outcome", PlainText)
        outcome.update(Content("\n").join(self._last_lines(now)))
        ended = self._has_succeeded is not None
        words = "Close" if ended else "Hide, continue in background"
        self.query_one(Choice).rename(f"{STEPS.sign('dismiss')} {words}")
        self.query_one(KeyBar).hints = (
            STEPS.hint("dismiss", "close" if ended else "hide"),
            STEPS.hint("copy_report"),
        )

    def _last_lines(self, now: float) -> Iterator[Content]:
        """Yield what stands below the steps: how long they take, then how they ended."""
        if self._has_succeeded is not None:
            first, rest = ("bold $ready", "") if self._has_succeeded else ("bold $error", "$error")
            for number, line in enumerate(self._outcome):
                log = line.startswith("| ")
                yield Content.styled(line, "$muted" if log else rest if number else first)
            return
        started = [step for step in self.steps.steps if step.began]
        if started:
            elapsed = max(0.0, now - started[0].began)
            about = self._expected_time()
            words = f" of about {format_elapsed(about)}" if about else ""
            time = (format_elapsed(elapsed), "bold")
            yield Content.assemble(("elapsed ", "$muted"), time, (words, "$muted"))
        if note := self._progress[1]:
            yield Content.styled(f"log       {shorten_id(note, MAX_LINE_CELLS)}", "$muted")
        if self._on_failure:
            yield Content("")
            yield Content.styled(self._on_failure, "$muted")

    def _expected_time(self) -> float | None:
        """Return how long all of it takes, if the load takes as long as the last times."""
        expected = self.expected_load_time
        if expected is None or not any(step.name == "load" for step in self.steps.steps):
            return None
        others = (step.seconds(0.0) for step in self.steps.steps if step.name != "load")
        return expected + sum(others)

    def _load_words(self, step: Step, now: float) -> Content | None:
        """Draw how far the load is, as the server reports it, else by the time that it takes."""
        if step.name != "load" or step.state is not StepState.RUNNING:
            return None
        elapsed, expected = step.seconds(now), self.expected_load_time
        reported = self._progress[0]
        if reported is None and not expected:
            return None
        from aitui.ui.plots import Band, gauge
        from aitui.ui.theme import theme_color

        share = min(1.0, elapsed / expected if reported is None and expected else reported or 0.0)
        band = Band(share, theme_color(self.app, "transit"))
        drawn = gauge((band,), 1.0, GAUGE_CELLS, theme_color(self.app, "faint"))
        parts = [(part.text, "$faint" if part.text[0] == "─" else "$transit") for part in drawn]
        if reported is not None:
            parts.append((f" {reported * 100:.0f} %", "bold $transit"))
        if expected:
            left = expected - elapsed
            words = f"{format_elapsed(left)} left" if left > 0 else "longer than usual"
            parts.append((f" {words}", "$muted"))
        return Content.assemble(*parts)


def _step_line(step: Step, now: float, drawn: Content | None = None) -> Content:
    mark, style = MARKS[step.state]
    running = step.state is StepState.RUNNING
    time = ""
    if running or step.state in {StepState.DONE, StepState.FAILED}:
        time = format_elapsed(step.seconds(now))
    words = step.words
    if running and (left := step.limit - step.seconds(now)) > 0:
        words = f"{words}, at most {left:.0f} s more"
    if step.state is StepState.FAILED:
        words = ""  # why it failed stands below, whole
    quiet = step.state in {StepState.WAITING, StepState.SKIPPED}
    name = "$muted" if quiet else "bold" if running else ""
    return Content.assemble(
        (mark, style),
        " ",
        (step.name.ljust(9), name),
        (time.rjust(7), "$muted"),
        "   ",
        drawn or (shorten_id(words, MAX_LINE_CELLS), "$muted" if quiet else ""),
    )
