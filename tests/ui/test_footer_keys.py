"""The keys in the footer are those of what has the focus, also while nothing comes from the server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ui.driven import Driven, driven
from ui.hand_made import SERVER, STILL, live, show_instead_of_servers
from ui.mixture import MIXTURE


@pytest.fixture
async def still(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Driven]:
    """The app on a snapshot that stays what it is."""
    show_instead_of_servers(monkeypatch, live(*MIXTURE))
    async with driven(SERVER, tmp_path, clock=STILL, size=(120, 36)) as app:
        await app.see("failed")
        yield app


async def test_the_keys_follow_the_focus_from_prompt_to_text_to_table(still: Driven) -> None:
    await still.press("enter")
    await still.see("⏎ send")
    await still.press("escape")
    await still.see("i write")
    still.table.focus()
    await still.see("⏎ chat")
