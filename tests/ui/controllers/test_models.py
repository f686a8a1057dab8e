"""What loading and unloading say on the screen, with a session that has no server."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest

from aitui.domain.confirmation import Confirmation
from aitui.domain.models import Model, RunState
from aitui.domain.snapshot import ConnectionPhase, ConnectionStatus, Server, Snapshot
from aitui.errors import LoadFailed
from aitui.paths import Paths
from aitui.services.load import LoadResult
from aitui.settings import Settings
from aitui.ui.background import TaskRunner
from aitui.ui.context import AppContext, ServerContext
from aitui.ui.controllers import models as module
from aitui.ui.controllers.models import ModelsController
from aitui.ui.terminal.notifications import TerminalNotifier
from aitui.ui.text import NOT_REACHED
from ui.hand_made import SERVER, STILL, StillMonitor, StillSession, live

STOPPED = Model("stopped", state=RunState.STOPPED)
READY = Model("ready", state=RunState.READY)
WAITING = Model("waiting", state=RunState.STOPPED, requested=1.0)


@dataclass
class Screen:
    """Takes the part of the app: keeps what is said, and answers what is asked."""

    answer: bool = True
    said: list[str] = field(default_factory=list)
    asked: list[Confirmation] = field(default_factory=list)
    called: list[str] = field(default_factory=list)

    def notify(self, message: str, **_more: object) -> None:
        self.said.append(message)

    def notify_if_away(self, words: str) -> None:
        self.called.append(words)


@dataclass
class Tasks:
    """Keeps tasks until they are run, and the groups that were ended."""

    waiting: dict[str, Coroutine[Any, Any, None]] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def run_in_background(self, work: Coroutine[Any, Any, None], group: str) -> None:
        self.waiting[group] = work

    def cancel(self, group: str) -> None:
        self.cancelled.append(group)

    def notify_error(self, error: LoadFailed) -> None:
        self.errors.append(error.what)

    async def run(self, group: str) -> None:
        await self.waiting.pop(group)


class Bench:
    """A controller on its own."""

    def __init__(self, snapshot: Snapshot, *, answer: bool = True, server: Server = SERVER) -> None:
        self.screen, self.tasks = Screen(answer), Tasks()
        self.session = StillSession(server, StillMonitor(snapshot))
        settings = Settings(server, (server,))
        home = Path("/nowhere")
        app_context = AppContext(
            settings, Paths.below(home), home, STILL, Random(1), cast("Any", None)
        )
        self.controller = ModelsController(
            ServerContext(
                cast("Any", self.screen),
                app_context,
                cast("Any", self.session),
                app_context.paths,
                cast("TaskRunner", self.tasks),
                cast("TerminalNotifier", self.screen),
                self.ask,
            )
        )

    async def ask(self, build: Callable[[Snapshot], Confirmation]) -> bool:
        self.screen.asked.append(build(self.session.snapshot))
        return self.screen.answer


def test_a_model_that_is_loading_is_not_asked_for_again() -> None:
    bench = Bench(live(WAITING))
    bench.controller.load(WAITING.id)
    assert bench.screen.said == ["waiting is loading already"]
    assert bench.tasks.waiting == {}


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.0, "stopped is loaded already"), (2.0, "stopped is ready after 2")]
)
async def test_a_load_that_ended_well_says_how_long_it_took(
    monkeypatch: pytest.MonkeyPatch, seconds: float, words: str
) -> None:
    async def load(*_: object, **_more: object) -> LoadResult:
        return LoadResult(STOPPED.id, seconds)

    monkeypatch.setattr(module, "load_model", load)
    bench = Bench(live(STOPPED))
    bench.controller.load(STOPPED.id)
    await bench.tasks.run("load stopped")
    assert bench.screen.said[0].startswith(words)
    assert bench.screen.called == (["stopped is ready"] if seconds else [])


async def test_a_load_in_vain_offers_the_models_that_it_evicted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def load(*_: object, **_more: object) -> None:
        raise LoadFailed("stopped didn't come up", evicted=(READY.id,))

    monkeypatch.setattr(module, "load_model", load)
    bench = Bench(live(STOPPED, replace(READY, state=RunState.STOPPED)))
    bench.controller.load(STOPPED.id)
    await bench.tasks.run("load stopped")
    assert bench.screen.called == ["stopped didn't come up"]
    assert READY.id in str(bench.screen.asked)
    assert bench.tasks.waiting.keys() == {"load ready"}
    bench.tasks.waiting.popitem()[1].close()


async def test_a_load_that_failed_without_an_eviction_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def load(*_: object, **_more: object) -> None:
        raise LoadFailed("stopped didn't come up")

    monkeypatch.setattr(module, "load_model", load)
    bench = Bench(live(STOPPED))
    bench.controller.load(STOPPED.id)
    await bench.tasks.run("load stopped")
    assert bench.tasks.errors == ["stopped didn't come up"]
    assert bench.screen.asked == []


def test_a_model_that_still_waits_is_given_up_without_the_server() -> None:
    bench = Bench(live(WAITING))
    bench.controller.unload_or_give_up(WAITING)
    assert bench.tasks.cancelled == ["load waiting"]
    assert bench.screen.said == ["Gave up waiting for waiting"]


def test_a_model_that_is_there_is_unloaded() -> None:
    bench = Bench(live(READY))
    bench.controller.unload_or_give_up(READY)
    assert bench.tasks.cancelled == []
    bench.tasks.waiting.pop("unload ready").close()


@pytest.mark.parametrize(
    ("phase", "words"),
    [(ConnectionPhase.LIVE, "No model is loaded"), (ConnectionPhase.LOST, NOT_REACHED)],
)
async def test_without_a_model_there_is_nothing_to_unload(
    phase: ConnectionPhase, words: str
) -> None:
    bench = Bench(live(STOPPED, link=ConnectionStatus(phase)))
    bench.controller.unload_all()
    await bench.tasks.run("unload all")
    assert bench.screen.said == [words]


@pytest.mark.parametrize(("model", "is_loading"), [(WAITING, True), (STOPPED, False)])
def test_whether_a_load_is_open(model: Model, *, is_loading: bool) -> None:
    assert Bench(live(model)).controller.is_loading is is_loading
