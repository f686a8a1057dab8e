"""What loading and unloading say on the screen, with a session that has no server."""

import pytest
from msgspec.structs import replace

from aitui.domain.models import Model, RunState
from aitui.domain.snapshot import ConnectionPhase, ConnectionStatus, Snapshot
from aitui.errors import LoadFailed
from aitui.services.load import LoadResult
from aitui.ui.controllers import models as module
from aitui.ui.controllers.models import ModelsController
from aitui.ui.text import NOT_REACHED
from ui.controllers.alone import Bench
from ui.hand_made import live

STOPPED = Model("stopped", state=RunState.STOPPED)
READY = Model("ready", state=RunState.READY)
WAITING = Model("waiting", state=RunState.STOPPED, requested=1.0)


class Models(Bench):
    """The controller of loading and unloading."""

    def __init__(self, snapshot: Snapshot, *, answer: bool = True) -> None:
        super().__init__(snapshot, answer=answer)
        self.controller = ModelsController(self.context)


def test_a_model_that_is_loading_is_not_asked_for_again() -> None:
    bench = Models(live(WAITING))
    bench.controller.load(WAITING.id)
    assert bench.app.said == ["waiting is loading already"]
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
    bench = Models(live(STOPPED))
    bench.controller.load(STOPPED.id)
    await bench.tasks.run("load stopped")
    assert bench.app.said[0].startswith(words)
    assert bench.app.called == (["stopped is ready"] if seconds else [])


async def test_a_load_in_vain_offers_the_models_that_it_evicted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def load(*_: object, **_more: object) -> None:
        raise LoadFailed("stopped could not be loaded", evicted=(READY.id,))

    monkeypatch.setattr(module, "load_model", load)
    bench = Models(live(STOPPED, replace(READY, state=RunState.STOPPED)))
    bench.controller.load(STOPPED.id)
    await bench.tasks.run("load stopped")
    assert bench.app.called == ["stopped could not be loaded"]
    assert READY.id in str(bench.app.asked)
    assert bench.tasks.waiting.keys() == {"load ready"}
    bench.tasks.waiting.popitem()[1].close()


async def test_a_load_that_failed_without_an_eviction_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def load(*_: object, **_more: object) -> None:
        raise LoadFailed("stopped could not be loaded")

    monkeypatch.setattr(module, "load_model", load)
    bench = Models(live(STOPPED))
    bench.controller.load(STOPPED.id)
    await bench.tasks.run("load stopped")
    assert bench.tasks.errors == ["stopped could not be loaded"]
    assert bench.app.asked == []


def test_a_model_that_still_waits_is_given_up_without_the_server() -> None:
    bench = Models(live(WAITING, READY))
    bench.controller.unload_or_give_up(WAITING)
    assert bench.tasks.cancelled == ["load waiting"]
    [words] = bench.app.said
    assert words.startswith("Stopped waiting for waiting. It is perhaps still queued")


def test_a_model_that_is_there_is_unloaded() -> None:
    bench = Models(live(READY))
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
    bench = Models(live(STOPPED, link=ConnectionStatus(phase)))
    bench.controller.unload_all()
    await bench.tasks.run("unload all")
    assert bench.app.said == [words]


@pytest.mark.parametrize(("model", "is_loading"), [(WAITING, True), (STOPPED, False)])
def test_whether_a_load_is_open(model: Model, *, is_loading: bool) -> None:
    assert Models(live(model)).controller.is_loading is is_loading
