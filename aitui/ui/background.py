"""Run tasks in the background and show their errors."""

import traceback
import weakref
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from textual.app import App
from textual.worker import Worker, WorkerState

from aitui.errors import AituiError
from aitui.store.files import make_private_directory
from aitui.ui.text import error_text

CRASH_LOG = "crash.log"


class TaskRunner:
    """Runs them as workers of the app; what goes wrong is shown, never raised into the screen.

    `state` is the directory of crash reports.
    """

    def __init__(self, app: App[None], state: Path) -> None:
        self._app = app
        self._state = state

    def run_in_background(
        self, work: Coroutine[Any, Any, object], group: str, *, exclusive: bool = True
    ) -> None:
        """Run something; an exclusive task ends an older one of its group.

        A worker because it may ask: Textual's `push_screen_wait` works in nothing else. Always in a
        named group: without one, an exclusive worker ends every other one of the app.
        """
        started: Callable[[], Coroutine[None, None, None]] = partial(self.report_errors, work)
        worker: Worker[None] = self._app.run_worker(
            started, name=group, group=group, exclusive=exclusive, exit_on_error=False
        )
        # Python complains, on the terminal, of a coroutine that ended before it had begun.
        weakref.finalize(worker, work.close)

    def cancel(self, group: str) -> None:
        self._app.workers.cancel_group(self._app, group)

    async def report_errors(self, work: Coroutine[Any, Any, object]) -> None:
        """Run a coroutine and show its error."""
        try:
            await work
        except AituiError as error:
            self.notify_error(error)

    def notify_error(self, error: AituiError) -> None:
        self._app.notify(error_text(error), title=error.what, severity="error", timeout=12)

    def report_failure(self, worker: Worker[Any], state: WorkerState) -> None:
        """Show that a task failed through a fault of aitui itself, and where the details are."""
        if state is WorkerState.ERROR and worker.error is not None:
            words = write_crash_report(worker.error, self._state)
            self._app.notify(words, title="This is a fault in aitui", severity="error")


def write_crash_report(error: BaseException, state: Path) -> str:
    """Write down what happened and return where; never raises.

    Blocks on the disk, for which there is no better moment: nothing may run any more.
    """
    details = "".join(traceback.format_exception(error))
    path = state / CRASH_LOG
    try:
        make_private_directory(state)
        path.touch(mode=0o600)
        path.write_text(details, encoding="utf-8")
    except OSError as failure:
        return f"{type(error).__name__}; the details could not be written to {path}: {failure}"
    return f"{type(error).__name__}; the details are in {path}"
