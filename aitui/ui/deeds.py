"""Deeds that run beside the screen, and what is said where one fails."""

import weakref
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from textual import on
from textual.notifications import SeverityLevel
from textual.worker import Worker, WorkerState

from aitui.errors import AituiError
from aitui.ui.context import AppContext
from aitui.ui.crash import write_crash_report
from aitui.ui.terminal.screen_diff import ScreenDiffApp
from aitui.ui.text import error_text, shorten_id

LONGEST_TITLE, LONGEST_WORDS = 120, 400
"""Cells of what is said in passing: it must not cover the screen."""


class BackgroundTaskApp(ScreenDiffApp):
    """Runs them; what goes wrong is told, never thrown at the screen."""

    def __init__(self, opening: AppContext) -> None:
        super().__init__()
        self._app_context = opening

    def run_in_background(
        self, deed: Coroutine[Any, Any, None], group: str, *, exclusive: bool = True
    ) -> None:
        """Run something; where it is exclusive it ends an older deed of its group."""
        work: Callable[[], Coroutine[None, None, None]] = partial(self.report_errors, deed)
        worker: Worker[None] = self.run_worker(
            work, name=group, group=group, exclusive=exclusive, exit_on_error=False
        )
        # Python complains, on the terminal, of a deed that ended before it had begun.
        weakref.finalize(worker, deed.close)

    async def report_errors(self, deed: Coroutine[Any, Any, None]) -> None:
        try:
            await deed
        except AituiError as error:
            self._notify_error(error)

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,  # noqa: ARG002 - as Textual calls it
    ) -> None:
        """Say something in passing, in a few lines however long it is.

        Never as markup, which Textual makes of it where nothing else is asked for.
        """
        super().notify(
            shorten_id(message, LONGEST_WORDS),
            title=shorten_id(title, LONGEST_TITLE),
            severity=severity,
            timeout=timeout,
            markup=False,
        )

    def _notify_error(self, error: AituiError) -> None:
        self.notify(error_text(error), title=error.what, severity="error", timeout=12, markup=False)

    @on(Worker.StateChanged)
    def _report_worker_failure(self, message: Worker.StateChanged) -> None:
        error = message.worker.error
        if message.state is WorkerState.ERROR and error is not None:
            words = write_crash_report(error, self._app_context.paths.state)
            self.notify(words, title="A fault of aitui itself", severity="error", markup=False)
