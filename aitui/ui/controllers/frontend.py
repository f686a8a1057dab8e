"""Dialogs in front of a job: its confirmation, its steps, its result."""

from collections.abc import Callable

from textual.app import App

from aitui.domain.confirmation import Ask, Confirmation
from aitui.domain.progress import Steps
from aitui.domain.snapshot import Clock, Snapshot
from aitui.errors import (
    AituiError,
    ConfigChangedMeanwhile,
    ConfigRefused,
    LoadFailed,
    ServiceFailed,
)
from aitui.services.config_change import Job, JobResult, PlanAnswer
from aitui.services.config_plan import ChangePlan, change_confirmation
from aitui.services.session import Session
from aitui.ui.keymap import remedy_text
from aitui.ui.screens.confirm import ConfirmScreen
from aitui.ui.screens.steps import StepsScreen

WIDE, TALL = 100, 34
"""Columns and rows from which a diff has room for the lines around it."""
LOG_LINES = 8
DIFF_LINES = 24

_DONE = {Job.UNDO: "Undone", Job.RELOAD: "Reloaded", Job.RESTART: "Restarted"}


class DialogFrontend:
    """Confirms in dialogs, and shows the steps of each job in one of its own."""

    def __init__(self, app: App[None], clock: Clock, session: Session, ask: Ask) -> None:
        self._app = app
        self._clock = clock
        self._session = session
        self._ask = ask
        self._screen: StepsScreen | None = None

    async def ask(self, build: Callable[[Snapshot], Confirmation]) -> bool:
        """Put a confirmation."""
        return await self._ask(build)

    async def confirm_plan(self, plan: ChangePlan) -> PlanAnswer:
        """Show the diff and what it unloads and cuts, and ask."""
        size = self._app.size
        whole = size.width >= WIDE and size.height >= TALL
        screen = ConfirmScreen(
            lambda snapshot: change_confirmation(plan, snapshot, whole_diff=whole),
            self._session.snapshot,
        )
        if await self._app.push_screen_wait(screen):
            return PlanAnswer.YES
        return PlanAnswer.ONLY_THIS_MODEL if screen.wants_other else PlanAnswer.NO

    def begin(self, title: str, model: str) -> Callable[[Steps], None]:
        """Open the dialog of a job, in place of the one before it."""
        if self._screen is not None and self._screen.is_current:
            self._screen.dismiss()
        screen = self._screen = StepsScreen(title, self._clock)
        self._app.push_screen(screen)
        loading = self._session.snapshot.model(model)
        screen.expected_load_time = None if loading is None else loading.expected_load

        def show(steps: Steps) -> None:
            screen.steps = steps

        return show

    def finish(self, result: JobResult) -> None:
        """Show the result in the dialog, or in passing if that was closed."""
        screen, lines = self._screen, result_lines(result)
        assert screen is not None, "a job ends after it began"
        screen.finish(*lines, well=result.error is None)
        if screen not in self._app.screen_stack:
            self._app.notify(
                "\n".join(lines[:3]),
                severity="information" if result.error is None else "error",
                timeout=10,
            )


def result_lines(result: JobResult) -> tuple[str, ...]:
    """Word the result of a job."""
    if result.error is not None:
        return error_lines(result.error)
    if result.job is Job.ROLLBACK and result.cause is not None:
        lines = ("The old value is back, and works.", "The new one didn't:")
        return (*lines, *error_lines(result.cause))
    if result.plan is None or result.written is None:
        return (_DONE[result.job],)
    change = result.plan.change
    words = f"{change.flag} is {change.new} now" if change.flag else "The file is changed"
    return (f"{words}. Undo is in the palette (:).", *result.written.warnings)


def error_lines(error: AituiError) -> tuple[str, ...]:
    """Word an error, with the lines that explain it."""
    log: tuple[str, ...] = ()
    if isinstance(error, LoadFailed):
        log = error.log[-LOG_LINES:]
    elif isinstance(error, ServiceFailed):
        log = error.journal[-LOG_LINES:]
    elif isinstance(error, ConfigChangedMeanwhile):
        # Their change, not ours: what stands there now and wasn't read.
        log = tuple(error.diff.splitlines()[2 : 2 + DIFF_LINES])
    place = error.location if isinstance(error, ConfigRefused) else ""
    lines = (error.what, place, error.why, *(f"| {line}" for line in log), remedy_text(error))
    return tuple(line for line in lines if line)
