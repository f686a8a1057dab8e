"""The app in front of the stand-in."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aitui.domain.snapshot import Server
from ui.driven import Driven, driven


@pytest.fixture
async def app(server: Server, tmp_path: Path) -> AsyncIterator[Driven]:
    """The app at 80×24, connected to the stand-in, every model listed."""
    async with driven(server, tmp_path) as running:
        await running.until(lambda: running.models.snapshot.events_flow, "live")
        yield running
