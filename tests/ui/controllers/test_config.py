"""What stands before a change of the config file, with a session that has no host."""

import pytest
from msgspec.structs import replace
from textual.widgets import Input

from aitui.domain.memory.forecast import OffloadSlowdown
from aitui.domain.models import Model, ModelKind, RunState
from aitui.domain.snapshot import Server, Snapshot
from aitui.errors import ActionRefused
from aitui.ui.controllers.config import ConfigController
from aitui.ui.screens.config import ConfigScreen
from ui.controllers.alone import Bench
from ui.hand_made import SERVER, live

READY = Model("ready", state=RunState.READY)
WITH_HOST = replace(SERVER, ssh_host="home")
READ_ONLY = replace(WITH_HOST, read_only=True)
SLOW = OffloadSlowdown(READY.id, 65536, 8192, 12.0, 40.0)


class Config(Bench):
    """The controller of the config file."""

    def __init__(
        self, snapshot: Snapshot, *, server: Server = WITH_HOST, answer: bool = True
    ) -> None:
        admin = object() if server.ssh_host else None
        super().__init__(snapshot, server=server, admin=admin, answer=answer)
        self.controller = ConfigController(self.context)


def test_view_5_opens_once() -> None:
    bench = Config(live(READY))
    bench.controller.show(READY)
    bench.controller.show(READY)
    (screen,) = bench.app.screen_stack
    assert isinstance(screen, ConfigScreen)


def test_view_5_without_a_host_says_what_names_one() -> None:
    bench = Config(live(READY), server=SERVER)
    bench.controller.show(READY)
    assert bench.app.screen_stack == []
    assert "AI_SERVER_SSH_HOST" in bench.app.said[0]


@pytest.mark.parametrize("server", [SERVER, READ_ONLY])
async def test_a_change_that_is_refused_is_refused_before_a_size_is_typed(server: Server) -> None:
    bench = Config(live(READY), server=server)
    bench.controller.ask_for_context_size(READY.id)
    with pytest.raises(ActionRefused):
        await bench.tasks.run("change")
    assert bench.app.screen_stack == []


@pytest.mark.parametrize("kind", [ModelKind.PEER, ModelKind.SELECTOR])
@pytest.mark.parametrize("size", [None, 65536])
def test_a_model_that_runs_elsewhere_is_refused_at_once(kind: ModelKind, size: int | None) -> None:
    bench = Config(live(Model("away", kind=kind, peer="attic", targets=("ready",))))
    if size is None:
        bench.controller.ask_for_context_size("away")
    else:
        bench.controller.change_context_size("away", size)
    assert (bench.app.screen_stack, bench.tasks.waiting) == ([], {})
    assert ("attic" if kind is ModelKind.PEER else "ready") in bench.app.said[0]


async def test_a_model_that_became_slow_is_offered_its_old_context() -> None:
    bench = Config(live(READY), answer=False)
    bench.controller.report_slowdowns(_slow())
    await bench.tasks.run("slow")
    assert "8k" in str(bench.app.asked) or "8,192" in str(bench.app.asked)


async def test_a_slow_model_is_reported_once() -> None:
    bench = Config(live(READY), answer=False)
    bench.controller.report_slowdowns(_slow())
    await bench.tasks.run("slow")
    bench.controller.report_slowdowns(_slow())
    assert bench.tasks.waiting == {}


@pytest.mark.parametrize("server", [SERVER, READ_ONLY])
async def test_where_nothing_can_be_changed_it_is_only_said(server: Server) -> None:
    bench = Config(live(READY), server=server)
    bench.controller.report_slowdowns(_slow())
    await bench.tasks.run("slow")
    assert bench.app.asked == []
    assert "/ctx ready 8192" in bench.app.said[0]


async def test_a_question_never_takes_the_letters_of_what_is_typed() -> None:
    bench = Config(live(READY))
    bench.app.focused = Input()
    bench.controller.report_slowdowns(_slow())
    await bench.tasks.run("slow")
    assert (bench.app.asked, len(bench.app.said)) == ([], 1)


def _slow() -> Snapshot:
    snapshot = live(READY)
    return replace(snapshot, hardware=replace(snapshot.hardware, slowdowns=(SLOW,)))
