"""What each screen looks like, as pictures: `pytest --snapshot-update` makes them anew."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import pytest
from msgspec.structs import replace
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Input

from aitui.domain.models import Model, RunState
from aitui.domain.snapshot import ConnectionPhase, ConnectionStatus, Server, Snapshot
from aitui.errors import Unreachable
from aitui.services.load import load_confirmation
from aitui.ui.screens.confirm import ConfirmScreen
from aitui.ui.screens.dialogs import ServerChoice, ServersScreen
from aitui.ui.screens.first_run import FirstRunScreen
from catalogue import LONG
from ui.driven import opened
from ui.hand_made import (
    NOW,
    SERVER,
    STILL,
    certificate_paths,
    live,
    show_instead_of_servers,
)
from ui.mixture import IDLE, LOADING, MIXTURE, READY, REQUESTS, context

Preparation = Callable[[Pilot[None]], Awaitable[None]]
SMALL, MIDDLE, LARGE, NARROW = (80, 24), (120, 36), (200, 50), (60, 20)
BUSY = live(*MIXTURE, requests=REQUESTS)
CONNECTING = Snapshot()
LOST = live(
    *MIXTURE,
    link=ConnectionStatus(
        ConnectionPhase.LOST,
        last_response_at=NOW - 90,
        lost_at=NOW - 75,
        error=Unreachable(
            "ai.example.org refuses connections",
            why="nothing listens on that port",
            remedy="check the port, and whether the server runs",
        ),
        attempts=4,
        retry_at=NOW + 7,
    ),
)
LONG_IDS = live(
    *(
        Model(model_id, context=context(131_072), state=state, since=NOW - 60)
        for model_id, state in (
            (LONG, RunState.READY),
            ("unsloth_Qwen3.6-235B-A22B-Instruct-2607-UD-IQ2_XXS", RunState.STOPPED),
            ("bartowski_Meta-Llama-4-Maverick-17B-128E-Instruct-GGUF_Q4_K_M", RunState.STOPPED),
            ("author/团队/非常长的模型名称用于测试列宽和截断行为-Q8_0", RunState.STOPPED),
        )
    )
)


def words_of(size: tuple[int, int]) -> str:
    """A size as people write it."""
    return f"{size[0]}x{size[1]}"


class Compare(Protocol):
    """The fixture of pytest-textual-snapshot."""

    def __call__(
        self, app: App[None], *, terminal_size: tuple[int, int], run_before: Preparation
    ) -> bool:
        """Whether the app looks as it did."""


Picture = Callable[..., bool]


@pytest.fixture
def looks_as_before(
    snap_compare: Compare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Picture:
    """Compares the app in front of a snapshot with its picture.

    All that a picture depends on is fixed: size, clock, time zone, no animation, no blinking cursor.
    """
    monkeypatch.setenv("TZ", "UTC")

    def compare(
        snapshot: Snapshot,
        size: tuple[int, int],
        *keys: str,
        prepare: Preparation | None = None,
        server: Server = SERVER,
        missing: tuple[tuple[str, Path], ...] = (),
    ) -> bool:
        async def run_before(pilot: Pilot[None]) -> None:
            await pilot.pause()
            if prepare is not None:
                await prepare(pilot)
            await pilot.press(*keys)
            for line in pilot.app.screen.query(Input):
                line.cursor_blink = False
            await pilot.pause()

        show_instead_of_servers(monkeypatch, snapshot)
        app = opened(server, tmp_path, missing=missing, clock=STILL)
        return snap_compare(app, terminal_size=size, run_before=run_before)

    return compare


@pytest.mark.parametrize("size", [SMALL, MIDDLE, LARGE, NARROW], ids=words_of)
def test_models(looks_as_before: Picture, size: tuple[int, int]) -> None:
    assert looks_as_before(BUSY, size)


def test_a_load_under_the_cursor(looks_as_before: Picture) -> None:
    assert looks_as_before(BUSY, SMALL, "j", "j")


def test_a_failed_load_under_the_cursor(looks_as_before: Picture) -> None:
    assert looks_as_before(BUSY, MIDDLE, "j", "j", "j", "j")


def test_an_empty_list(looks_as_before: Picture) -> None:
    assert looks_as_before(live(), SMALL)


def test_connecting(looks_as_before: Picture) -> None:
    assert looks_as_before(CONNECTING, SMALL)


@pytest.mark.parametrize("size", [SMALL, MIDDLE], ids=words_of)
def test_a_lost_server(looks_as_before: Picture, size: tuple[int, int]) -> None:
    assert looks_as_before(LOST, size)


def test_a_filter(looks_as_before: Picture) -> None:
    assert looks_as_before(BUSY, SMALL, "slash", *"q8")


def test_sorted_by_state(looks_as_before: Picture) -> None:
    assert looks_as_before(BUSY, SMALL, "s", "s")


def test_long_ids(looks_as_before: Picture) -> None:
    assert looks_as_before(LONG_IDS, SMALL)


def test_a_read_only_server(looks_as_before: Picture) -> None:
    server = replace(SERVER, read_only=True, color="orange")
    assert looks_as_before(BUSY, SMALL, server=server)


@pytest.mark.parametrize("size", [SMALL, NARROW], ids=words_of)
def test_a_question(looks_as_before: Picture, size: tuple[int, int]) -> None:
    snapshot = live(READY, IDLE, LOADING, requests=REQUESTS)

    async def ask(pilot: Pilot[None]) -> None:
        pilot.app.push_screen(
            ConfirmScreen(lambda known: load_confirmation(IDLE.id, known), snapshot)
        )
        await pilot.pause()

    assert looks_as_before(snapshot, size, prepare=ask)


@pytest.mark.parametrize("size", [SMALL, MIDDLE], ids=words_of)
def test_help(looks_as_before: Picture, size: tuple[int, int]) -> None:
    assert looks_as_before(BUSY, size, "question_mark")


@pytest.mark.parametrize("size", [MIDDLE, SMALL, (40, 10)], ids=words_of)
def test_first_run(looks_as_before: Picture, size: tuple[int, int]) -> None:
    async def show(pilot: Pilot[None]) -> None:
        config = "~/.config/aitui/config.toml"
        pilot.app.push_screen(FirstRunScreen((SERVER,), STILL, config, (9,)))
        while "refused" not in str(pilot.app.screen._compositor.render_strips()):
            await pilot.pause(0.05)

    assert looks_as_before(CONNECTING, size, prepare=show)


def test_setup(looks_as_before: Picture) -> None:
    files = certificate_paths(Path("/home/me/.pi/agent/certs"))
    server = replace(
        SERVER, is_default=True, ca=files[0][1], client_cert=files[1][1], client_key=files[2][1]
    )
    assert looks_as_before(CONNECTING, SMALL, server=server, missing=files[1:])


def test_servers(looks_as_before: Picture) -> None:
    servers = (
        SERVER,
        Server("http://localhost:8080", identity="desk", name="desk"),
        Server(
            "https://cellar.example.org:8443/llama",
            identity="cellar",
            name="cellar",
            read_only=True,
        ),
    )

    async def choose(pilot: Pilot[None]) -> None:
        pilot.app.push_screen(ServersScreen(servers, ServerChoice(SERVER)))
        await pilot.pause()

    assert looks_as_before(BUSY, SMALL, prepare=choose)


def test_a_toast(looks_as_before: Picture) -> None:
    async def tell(pilot: Pilot[None]) -> None:
        pilot.app.notify(
            "out of memory: 48211.00 MiB did not fit on device 0\nits log tells more",
            title="too-big-405b-Q8_0 could not be loaded",
            severity="error",
            timeout=600,
            markup=False,
        )
        await pilot.pause()

    assert looks_as_before(BUSY, SMALL, prepare=tell)
