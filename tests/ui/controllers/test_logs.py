"""Which log is opened, fed and saved, with a session that has no server."""

from pathlib import Path

import pytest

from aitui.domain.logs import LogLine
from aitui.domain.models import Model, ModelKind, RunState
from aitui.domain.snapshot import Snapshot
from aitui.ui.controllers.logs import LogController
from aitui.ui.screens.logs import BOTH, SERVER_LOGS, LogsScreen
from ui.controllers.alone import Bench
from ui.hand_made import live

READY = Model("ready", state=RunState.READY)
GONE = Model("gone", state=RunState.READY)
PEER = Model("far", kind=ModelKind.PEER, peer="attic")


class Logs(Bench):
    """The controller of the log view."""

    def __init__(self, snapshot: Snapshot, home: Path = Path("/nowhere")) -> None:
        super().__init__(snapshot, home=home)
        self.controller = LogController(self.context)

    @property
    def opened(self) -> list[str]:
        """The logs of the views that are open."""
        return [
            screen.log_name for screen in self.app.screen_stack if isinstance(screen, LogsScreen)
        ]


def test_the_log_of_the_selected_model_opens() -> None:
    bench = Logs(live(READY))
    bench.controller.open(READY, of_model=True)
    assert bench.opened == [READY.id]


def test_the_servers_logs_open_first_if_no_model_is_meant() -> None:
    bench = Logs(live(READY))
    bench.controller.open(READY, of_model=False)
    assert bench.opened == [BOTH]


def test_a_second_view_does_not_open_over_the_first() -> None:
    bench = Logs(live(READY))
    bench.controller.open(READY, of_model=True)
    bench.controller.open(READY, of_model=False)
    assert bench.opened == [READY.id]


@pytest.mark.parametrize(
    ("model", "words"),
    [(PEER, "It runs on attic: its log is there"), (None, "No model is selected")],
)
def test_a_model_without_a_log_here_is_refused_with_the_reason(
    model: Model | None, words: str
) -> None:
    bench = Logs(live(PEER))
    bench.controller.open(model, of_model=True)
    assert (bench.opened, bench.app.said) == ([], [words])


@pytest.mark.parametrize("name", [*SERVER_LOGS, READY.id])
def test_the_log_that_was_read_last_opens_again(name: str) -> None:
    bench = Logs(live(READY))
    bench.controller.open(READY, of_model=False)
    bench.controller.follow_log(name)
    bench.app.screen_stack.clear()
    bench.controller.open(READY, of_model=False)
    assert bench.opened == [name]
    bench.tasks.forget()


def test_the_log_of_a_model_that_has_gone_gives_way_to_the_servers() -> None:
    bench = Logs(live(READY))
    bench.controller.open(GONE, of_model=True)
    bench.controller.follow_log(GONE.id)
    bench.app.screen_stack.clear()
    bench.controller.open(READY, of_model=False)
    assert bench.opened == [BOTH]
    bench.tasks.forget()


def test_nothing_is_followed_after_the_view_was_closed() -> None:
    bench = Logs(live(READY))
    bench.controller.follow_log(BOTH)
    assert bench.tasks.waiting == {}


@pytest.mark.parametrize(("count", "noun"), [(1, "1 line "), (1200, "1,200 lines ")])
async def test_saved_lines_are_counted_and_their_file_is_named(
    tmp_path: Path, count: int, noun: str
) -> None:
    bench = Logs(live(READY), tmp_path)
    bench.controller.save(BOTH, tuple(LogLine(f"line {number}") for number in range(count)))
    await bench.tasks.run("save log")
    (said,) = bench.app.said
    assert said.startswith(f"Saved {noun}to {tmp_path}")
    file = Path(said.split(" to ", 1)[1])
    assert len(file.read_text().splitlines()) == count
