"""A peer's model leads to the server that it runs on."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.demo.dialect import Dialect
from aitui.domain.models import Model, ModelKind
from aitui.domain.snapshot import Server
from catalogue import CATALOGUE
from stand_in import StandIn
from ui.driven import driven
from ui.hand_made import SERVER, STILL, live, show_instead_of_servers

PEERS = live(Model("attic/llama", kind=ModelKind.PEER, peer="attic"), Model("own"))
OF_PEER = "peer1/remote-llama"


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


@pytest.mark.parametrize("stand_in", [Dialect.V263], indirect=True)
async def test_a_peer_is_found_by_the_url_that_the_config_file_has(
    server: Server, stand_in: StandIn, tmp_path: Path
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(CATALOGUE)
    server = replace(server, ssh_host="local", preset_path=str(file))
    attic = replace(SERVER, name="Attic", identity="Attic", url="http://127.0.0.1:9/")
    async with driven(server, tmp_path, servers=(server, attic)) as app:
        await app.until(lambda: app.models.snapshot.model(OF_PEER), "the peer's model")
        watch = app.controllers.context.session.config_watch
        assert watch is not None
        await app.until(lambda: watch.last_read, "the file read")
        app.go_to(OF_PEER)
        await app.press("p")
        await app.until(lambda: app.app.server == attic, "connected to the peer")


@pytest.mark.parametrize("stand_in", [Dialect.V263], indirect=True)
async def test_a_peer_whose_url_no_server_has_is_named_with_it(
    server: Server, stand_in: StandIn, tmp_path: Path
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(CATALOGUE.replace("http://127.0.0.1:9", "http://me:secret@127.0.0.1:9"))
    server = replace(server, ssh_host="local", preset_path=str(file))
    async with driven(server, tmp_path, servers=(server,)) as app:
        await app.until(lambda: app.models.snapshot.model(OF_PEER), "the peer's model")
        watch = app.controllers.context.session.config_watch
        assert watch is not None
        await app.until(lambda: watch.last_read, "the file read")
        app.go_to(OF_PEER)
        await app.press("p")
        await app.told("no server with the URL of peer1, http://…@127.0.0.1:9: S adds it")
