"""Where the default server's certificate files are missing, aitui connects to nobody."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.demo.certificates import Certificates
from aitui.domain.snapshot import Server
from aitui.paths import Paths
from aitui.settings import missing_certificates
from aitui.ui.screens.setup import SetupScreen
from catalogue import QUICK
from stand_in import StandIn
from ui.driven import Driven, driven


@pytest.fixture
def default_server(server: Server, tmp_path: Path) -> Server:
    """The stand-in in the role of the default server, its certificate files not there yet."""
    folder = tmp_path / "certs"
    folder.mkdir()
    return replace(
        server,
        is_default=True,
        ca=folder / "root-ca.pem",
        client_cert=folder / "client.pem",
        client_key=folder / "client-key.pem",
    )


@pytest.fixture
async def setup(default_server: Server, stand_in: StandIn, tmp_path: Path) -> AsyncIterator[Driven]:
    """The app on its first start, with a stand-in as its demo."""

    @asynccontextmanager
    async def demo() -> AsyncIterator[tuple[Server, Paths]]:
        async with StandIn("models: {demo-1b: {cmd: 'llama-server --port ${PORT}'}}") as world:
            yield Server(world.url, identity="demo", name="demo"), Paths.below(tmp_path / "demo")

    missing = missing_certificates(default_server)
    async with driven(
        default_server, tmp_path, missing=missing, demo_world=demo, size=(100, 40)
    ) as app:
        yield app


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every address that a socket was to be connected to, and every name looked up."""
    tried: list[object] = []

    def note(*wanted: object, **_: object) -> None:
        tried.append(wanted)
        raise OSError

    monkeypatch.setattr(socket.socket, "connect", note, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", note)
    return tried


async def test_it_names_each_file_and_connects_to_nobody(
    connections: list[object], setup: Driven, stand_in: StandIn, default_server: Server
) -> None:
    await setup.see("aitui has not connected to anything yet", "✘ missing")
    shown = "".join(setup.text.split())
    for _, path in default_server.certificate_files:
        assert str(path)[-30:] in shown
    assert "scp PROXY:CERTS/client.crt" in setup.text
    await setup.press("f5", "question_mark", "escape", "r", "j")
    await setup.told("Still missing")
    assert connections == []
    assert stand_in.requests == []


async def test_d_opens_the_demo(setup: Driven) -> None:
    await setup.press("d")
    await setup.see("demo ●", "demo-1b")


async def test_a_click_on_the_demos_key_opens_it(setup: Driven) -> None:
    await setup.click("d open the demo")
    await setup.see("demo ●", "demo-1b")


async def test_o_goes_to_another_server(setup: Driven) -> None:
    async with StandIn("models: {elsewhere-1b: {cmd: 'llama-server --port ${PORT}'}}") as other:
        await setup.press("o", "tab", *other.url, "enter")
        await setup.see(" ms ", "elsewhere-1b")


async def test_esc_in_the_list_of_servers_comes_back_here(setup: Driven) -> None:
    await setup.press("o", "escape")
    await setup.until(lambda: isinstance(setup.app.screen, SetupScreen), "back")


async def test_f5_sees_one_file_come_and_connects_once_all_are_there(
    setup: Driven, default_server: Server, certificates: Certificates
) -> None:
    ca, cert, key = (path for _, path in default_server.certificate_files)
    ca.write_bytes(certificates.root_ca.read_bytes())
    await setup.press("f5")
    await setup.see("✔ there", "✘ missing")
    cert.write_bytes(certificates.client_cert.read_bytes())
    key.touch(mode=0o600)
    key.write_bytes(certificates.client_key.read_bytes())
    await setup.press("f5")
    await setup.see(" ms ", QUICK)


async def test_choosing_the_default_server_without_its_files_leads_here(
    default_server: Server, tmp_path: Path, stand_in: StandIn
) -> None:
    async with StandIn("models: {elsewhere-1b: {cmd: 'llama-server --port ${PORT}'}}") as other:
        first = Server(other.url, identity="other", name="other")
        async with driven(first, tmp_path, servers=(first, default_server)) as app:
            await app.see("elsewhere-1b")
            await app.press("S", "down", "enter")
            await app.until(lambda: isinstance(app.app.screen, SetupScreen), "setup")
    assert stand_in.requests == []


async def test_q_quits(setup: Driven) -> None:
    await setup.press("q")
    await setup.until(lambda: not setup.app.is_running, "ended")
