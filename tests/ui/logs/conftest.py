"""A log as it comes from the stand-in, and the app in front of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import settings

from aitui.domain.snapshot import Server
from stand_in import StandIn
from ui.driven import Driven, driven
from ui.logs.reading import LogReader, log_reader

# An example's time says how busy the machine is.
settings.register_profile("logs", deadline=None)
settings.load_profile("logs")


@pytest.fixture
async def reader(server: Server) -> AsyncIterator[LogReader]:
    """Follows the log of proxy and models."""
    async with log_reader(server) as reading:
        yield reading


@pytest.fixture
async def app(server: Server, tmp_path: Path) -> AsyncIterator[Driven]:
    """The app at 80×24, every model listed."""
    async with driven(server, tmp_path) as running:
        await running.until(lambda: running.models.snapshot.events_flow, "live")
        yield running


@pytest.fixture
async def logs(stand_in: StandIn, app: Driven) -> Driven:
    """The same with the log of proxy and models open, which has three shares its lines with other text."""
    stand_in.write_log("[INFO] first line\n[WARN] second line\n[ERROR] third line\n")
    await app.press("2")
    await app.see("third line", "● live")
    return app


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern takes too long after a tenth of a second, all of it at work."""
    monkeypatch.setattr("aitui.ui.widgets.log_rows.MATCH_SECONDS", 0.1)
