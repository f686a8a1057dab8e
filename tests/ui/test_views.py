"""From view to view, and back to the models."""

from pathlib import Path

import pytest

from aitui.domain.snapshot import ConnectionPhase, ConnectionStatus
from aitui.errors import Unreachable
from ui.driven import Driven, driven
from ui.hand_made import NOW, SERVER, STILL, live, show_instead_of_servers


@pytest.mark.parametrize("views", ["42", "24", "2", "4"])
async def test_1_goes_to_the_models_from_wherever(app: Driven, views: str) -> None:
    await app.press(*views, "1")
    await app.until(lambda: app.app.screen is app.models, "the models")


async def test_esc_goes_back_one_view(app: Driven) -> None:
    await app.press("2")
    below = app.app.screen
    await app.press("4", "escape")
    await app.until(lambda: app.app.screen is below, "the logs")


async def test_another_view_knows_since_when_the_server_is_not_reached(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    link = ConnectionStatus(
        ConnectionPhase.LOST, error=Unreachable("nobody is there"), opened_at=NOW - 75
    )
    show_instead_of_servers(monkeypatch, live(link=link))
    async with driven(SERVER, tmp_path, clock=STILL) as app:
        await app.press("4")
        await app.until(lambda: app.app.screen is not app.models, "another view")
        await app.see("not reached for 1m 15s")
