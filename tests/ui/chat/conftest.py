"""A stand-in whose models answer in known ways, and the app that chats with them."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from textual._wait import wait_for_idle

from aitui.demo.certificates import Certificates
from aitui.demo.dialect import Dialect
from aitui.domain.snapshot import Server
from stand_in import StandIn
from ui.chat.pane import CONFIG, Pane, chatting


@pytest.fixture(autouse=True)
def _no_wait_for_idleness(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that streams is never idle: Textual would wait a second for every key."""
    briefly = partial(wait_for_idle, max_sleep=0.1)
    for module in ("textual.app", "textual.pilot"):
        monkeypatch.setattr(f"{module}.wait_for_idle", briefly)


@pytest.fixture
async def stand_in(
    request: pytest.FixtureRequest, certificates: Certificates
) -> AsyncIterator[StandIn]:
    """A running stand-in, v218 unless parametrized."""
    dialect = getattr(request, "param", Dialect.V218)
    async with StandIn(CONFIG, dialect, certificates) as running:
        yield running


@pytest.fixture
async def pane(stand_in: StandIn, server: Server, tmp_path: Path) -> AsyncIterator[Pane]:
    """The app at 80×24 with an empty conversation with the fast model."""
    async with chatting(stand_in, server, tmp_path) as opened:
        yield opened
