"""A peer's model leads to the server that it runs on."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.domain.models import Model, ModelKind
from ui.driven import driven
from ui.hand_made import SERVER, STILL, live, show_instead_of_servers

PEERS = live(Model("attic/llama", kind=ModelKind.PEER, peer="attic"), Model("own"))


async def test_a_peer_that_is_a_known_server_opens_with_one_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    show_instead_of_servers(monkeypatch, PEERS)
    attic = replace(SERVER, name="Attic", identity="Attic", url="https://attic.example.org")
    async with driven(SERVER, tmp_path, clock=STILL, servers=(SERVER, attic)) as app:
        await app.see("14 ms", "own")
        app.go_to("own")
        await app.press("p")
        await app.told("This model is not a peer's")
        app.go_to("attic/llama")
        await app.see("p peer's server")
        await app.press("p")
        await app.until(lambda: app.app.server == attic, "connected to the peer")


async def test_a_peer_without_a_server_of_its_name_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    show_instead_of_servers(monkeypatch, PEERS)
    async with driven(SERVER, tmp_path, clock=STILL) as app:
        await app.see("14 ms", "own")
        app.go_to("attic/llama")
        await app.press("p")
        await app.told("config.toml has no server named attic")
