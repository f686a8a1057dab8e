"""The table of models, and the merge before it, where one row differs, many times over."""

import asyncio
import time

from msgspec.structs import replace
from textual.app import App, ComposeResult
from textual.reactive import var

from aitui.domain.models import ListedModel, Model, RunningModel, RunState
from aitui.domain.snapshot import Clock, Snapshot
from aitui.services.state import ServerState
from aitui.ui.widgets.model_table import ModelTable
from bench.measured import Measured

UPDATES = 100


class Table(App[None]):
    """A screen with the table."""

    CSS = "ModelTable { height: 1fr; }"
    snapshot: var[Snapshot] = var(Snapshot())

    def __init__(self, count: int) -> None:
        super().__init__()
        self._rows = tuple(Model(f"model-{n:04}-Q8_0") for n in range(count))
        self.measured = Measured()

    def compose(self) -> ComposeResult:
        """The table alone."""
        yield ModelTable(Clock(time.monotonic, time.time))

    def on_mount(self) -> None:
        """Begin when the first frame is there."""
        self.set_timer(0.5, lambda: self.run_worker(self._measure()))

    async def _measure(self) -> None:
        table = self.query_one(ModelTable)
        table.models = self._rows
        await asyncio.sleep(0.2)
        cpu = time.process_time()
        for number in range(UPDATES):
            rows = list(table.models)
            at = number % 20
            state = RunState.READY if rows[at].state is not RunState.READY else RunState.STOPPED
            rows[at] = replace(rows[at], state=state)
            painted = asyncio.Event()
            table.models = tuple(rows)
            table.call_after_refresh(painted.set)
            await painted.wait()
        self.measured.cpu = time.process_time() - cpu
        self.measured.updates = UPDATES
        self.exit()


def table_run(count: int) -> Measured:
    """Update a table of so many rows."""
    app = Table(count)
    app.run()
    return app.measured


def merging_run(count: int) -> Measured:
    """Take in answers of `/running` that differ in one of so many models."""
    known = ServerState(Clock(time.monotonic, time.time))
    known.update_models(tuple(ListedModel(f"model-{number:06}-Q8_0") for number in range(count)))
    known.merge()
    measured = Measured(updates=UPDATES)
    cpu = time.process_time()
    for number in range(UPDATES):
        model = f"model-{number % 20:06}-Q8_0"
        known.update_running((RunningModel(model, RunState.READY, "llama-server --ctx-size 4096"),))
    measured.cpu = time.process_time() - cpu
    return measured
