"""A model that a larger context has made slow is pointed out, with the way back."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.domain.memory.forecast import OffloadSlowdown
from ui.driven import driven
from ui.hand_made import SERVER, STILL, live, show_instead_of_servers
from ui.memory.standing import TWO_CARDS
from ui.mixture import READY

SPILL = OffloadSlowdown(READY.id, 262_144, 65_536, rate=9.1, usual=48.0)
SLOW = replace(live(READY), hardware=replace(TWO_CARDS, slowdowns=(SPILL,)))


async def test_where_the_file_can_be_changed_the_old_size_is_offered(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    show_instead_of_servers(monkeypatch, SLOW)
    server = replace(SERVER, ssh_host="local", preset_path=str(tmp_path / "config.yaml"))
    async with driven(server, tmp_path, size=(120, 36), clock=STILL) as app:
        await app.see("has become slow", "to 65,536?", "9.1 tok/s with 262,144 tokens")
        await app.answer("n")
        await app.unsee("has become slow")
        app.app.post_snapshot(app.server, replace(SLOW, version="219"))
        await app.until(lambda: app.models.snapshot.version == "219")
        assert not app.asking


async def test_elsewhere_it_is_said_with_the_command_that_goes_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    show_instead_of_servers(monkeypatch, SLOW)
    async with driven(SERVER, tmp_path, size=(120, 36), clock=STILL) as app:
        await app.told("has become slow")
        await app.told(f"/ctx {READY.id} 65536 changes it back")
