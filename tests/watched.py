"""A session with the stand-in whose monitor runs, and everything that it publishes."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from aitui.domain.confirmation import Confirmation
from aitui.domain.models import Model, RunState
from aitui.domain.snapshot import Clock, ConnectionPhase, Server, Snapshot
from aitui.paths import Paths
from aitui.services.session import Session, open_session, run_monitor
from aitui.store.load_times import LoadTimes
from stand_in import StandIn

PATIENCE = 30.0


@dataclass
class Watched:
    """A session, and the snapshots that were published."""

    session: Session
    published: list[Snapshot] = field(default_factory=list)

    @property
    def load_times(self) -> LoadTimes:
        return self.session.load_times

    @property
    def snapshot(self) -> Snapshot:
        return self.session.snapshot

    async def until(
        self, condition: Callable[[Snapshot], bool], limit: float = PATIENCE
    ) -> Snapshot:
        return await self.session.monitor.wait_until(condition, limit)

    async def until_state(self, model_id: str, state: RunState) -> Model:
        snapshot = await self.until(lambda now: _state(now, model_id) is state)
        model = snapshot.model(model_id)
        assert model is not None
        return model

    async def until_timed_out(self, model_id: str) -> Model:
        def has_timed_out(now: Snapshot) -> bool:
            model = now.model(model_id)
            return model is not None and model.timed_out is not None

        model = (await self.until(has_timed_out)).model(model_id)
        assert model is not None
        return model

    async def until_live(self) -> Snapshot:
        return await self.until(lambda now: now.connection.phase is ConnectionPhase.LIVE)

    async def until_lost(self) -> Snapshot:
        return await self.until(lambda now: now.connection.phase is ConnectionPhase.LOST)

    async def until_quiet(self) -> None:
        """Wait until nothing was published for a second."""
        published = -1
        while published != len(self.published):
            published = len(self.published)
            await asyncio.sleep(1)

    async def until_events_flow(self) -> Snapshot:
        return await self.until(lambda now: now.events_flow and now.requests.total is not None)


@asynccontextmanager
async def watched(
    server: Server, folder: Path, *, clock: Clock | None = None, live: bool = True
) -> AsyncIterator[Watched]:
    """Open a session and keep its snapshot true; wait for the first answer where `live`."""
    published: list[Snapshot] = []
    async with (
        open_session(
            server,
            Paths(folder, folder, folder, folder),
            clock or Clock(time.monotonic, time.time),
            Random(1),
            on_change=published.append,
        ) as session,
        run_monitor(session),
    ):
        watch = Watched(session, published)
        if live:
            await watch.until_live()
        yield watch


class Answers:
    """Whoever sits there: says yes or no, and remembers what was asked."""

    def __init__(self, answer: bool, snapshot: Callable[[], Snapshot]) -> None:
        self.questions: list[Confirmation] = []
        self._answer = answer
        self._snapshot = snapshot

    async def __call__(self, build: Callable[[Snapshot], Confirmation]) -> bool:
        self.questions.append(build(self._snapshot()))
        return self._answer


def yes(watch: Watched) -> Answers:
    """Somebody who says yes to everything."""
    return Answers(True, lambda: watch.snapshot)


def no(watch: Watched) -> Answers:
    """Somebody who says no to everything."""
    return Answers(False, lambda: watch.snapshot)


async def nobody(_: Callable[[Snapshot], Confirmation]) -> bool:
    """Fails the test where something is asked."""
    raise AssertionError("nothing was to be asked")


async def eventually(condition: Callable[[], object], limit: float = PATIENCE) -> None:
    """Wait until a condition outside of any snapshot holds."""
    async with asyncio.timeout(limit):
        while not condition():
            await asyncio.sleep(0.01)


def asked_for(stand_in: StandIn, prefix: str) -> list[str]:
    """The paths of the requests so far that begin so, in their order."""
    return [request.path for request in stand_in.requests if request.path.startswith(prefix)]


@asynccontextmanager
async def beside(*works: Awaitable[object]) -> AsyncIterator[list["asyncio.Task[object]"]]:
    """Let something happen beside the test, ended with it."""

    async def run(work: Awaitable[object]) -> object:
        return await work

    tasks = [asyncio.create_task(run(work)) for work in works]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _state(snapshot: Snapshot, model_id: str) -> RunState | None:
    model = snapshot.model(model_id)
    return None if model is None else model.state
