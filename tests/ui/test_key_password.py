"""An encrypted private key: its password is asked for once, on screen."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.demo.certificates import Certificates
from aitui.domain.snapshot import Server
from aitui.ui.screens.dialogs import KeyPasswordScreen
from catalogue import QUICK
from certificates import encrypt_client_key
from stand_in import StandIn
from ui.driven import Driven, driven

PASSWORD = "correct horse"


@pytest.fixture
async def locked(
    server: Server, certificates: Certificates, tmp_path: Path
) -> AsyncIterator[Driven]:
    """The app whose client key is encrypted, asking."""
    key = encrypt_client_key(certificates, PASSWORD)
    async with driven(replace(server, client_key=key), tmp_path) as app:
        await app.see("Password of the private key")
        yield app


async def test_the_right_password_connects(locked: Driven) -> None:
    for character in PASSWORD:
        await locked.press("space" if character == " " else character)
    await locked.press("enter")
    await locked.see(" ms ", QUICK)


async def test_the_password_is_never_shown(locked: Driven) -> None:
    await locked.press(*"correct")
    assert "correct" not in locked.text
    assert "•••••••" in locked.text


async def test_a_wrong_password_is_asked_for_again(locked: Driven) -> None:
    await locked.press(*"wrong", "enter")
    await locked.until(
        lambda: isinstance(locked.app.screen, KeyPasswordScreen) and "•" not in locked.text,
        "asked again",
    )
    await locked.see("wrong")


async def test_esc_leaves_it_alone_until_one_refreshes(locked: Driven, stand_in: StandIn) -> None:
    await locked.press("escape")
    await locked.unsee("Password of the private key")
    attempts = locked.models.snapshot.connection.attempts
    await locked.until(lambda: locked.models.snapshot.connection.attempts > attempts + 1, "retried")
    assert not isinstance(locked.app.screen, KeyPasswordScreen)
    assert "is encrypted" in " ".join(locked.text.split()), locked.strips[-6:]
    await locked.press("f5")
    await locked.see("Password of the private key")
    assert stand_in.requests == []
