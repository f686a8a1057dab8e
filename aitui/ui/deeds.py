"""Deeds that run beside the screen, and what is said where one fails."""

import weakref
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from textual import on
from textual.notifications import SeverityLevel
from textual.worker import Worker, WorkerState

from aitui.errors import AituiError
from aitui.ui.crash import crash_report
from aitui.ui.frames import FramesApp
from aitui.ui.model_id import shortened_id
from aitui.ui.opening import Opening
from aitui.ui.words import said

LONGEST_TITLE, LONGEST_WORDS = 120, 400
"""Cells of what is said in passing: it must not cover the screen."""


class DeedsApp(FramesApp):
    """Runs them; what goes wrong is told, never thrown at the screen."""

    def __init__(self, opening: Opening) -> None:
        super().__init__()
        self._opening = opening

    def _beside(
        self, deed: Coroutine[Any, Any, None], group: str, *, exclusive: bool = True
    ) -> None:
        """Run something; where it is exclusive it ends an older deed of its group."""
        work: Callable[[], Coroutine[None, None, None]] = partial(self._told, deed)
        worker: Worker[None] = self.run_worker(
            work, name=group, group=group, exclusive=exclusive, exit_on_error=False
        )
        # Python complains, on the terminal, of a deed that ended before it had begun.
        weakref.finalize(worker, deed.close)

    async def _told(self, deed: Coroutine[Any, Any, None]) -> None:
        try:
            await deed
        except AituiError as error:
            self._say(error)

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
            shortened_id(message, LONGEST_WORDS),
            title=shortened_id(title, LONGEST_TITLE),
            severity=severity,
            timeout=timeout,
            markup=False,
        )

    def _say(self, error: AituiError) -> None:
        self.notify(said(error), title=error.what, severity="error", timeout=12, markup=False)

    @on(Worker.StateChanged)
    def _worker_failed(self, message: Worker.StateChanged) -> None:
        error = message.worker.error
        if message.state is WorkerState.ERROR and error is not None:
            words = crash_report(error, self._opening.paths.state)
            self.notify(words, title="A fault of aitui itself", severity="error", markup=False)
