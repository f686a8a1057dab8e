"""Where nothing names a server: what answers on this machine is listed, and nothing connects by itself."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509 import load_pem_x509_certificate
from textual.widgets import Input

from aitui.demo.certificates import Certificates
from aitui.domain.snapshot import Server
from aitui.paths import Paths
from aitui.settings import DEFAULT_URL, SettingsFlags, read_settings
from aitui.ui.app import AituiApp
from aitui.ui.context import AppContext
from aitui.ui.screens.first_run import FirstRunScreen, ServerRow
from aitui.ui.screens.new_server import NewServerScreen
from catalogue import CATALOGUE, QUICK
from llamaswap.raw_server import RawServer, always, answer
from stand_in import StandIn
from ui.driven import REAL_CLOCK, Driven


@asynccontextmanager
async def first_start(
    home: Path, ports: tuple[int, ...], size: tuple[int, int] = (80, 24)
) -> AsyncIterator[Driven]:
    """The app of a user with that home, whose machine's usual ports are these."""

    @asynccontextmanager
    async def demo() -> AsyncIterator[tuple[Server, Paths]]:
        async with StandIn('models: {demo-1b: {cmd: "llama-server --port ${PORT}"}}') as world:
            yield Server(world.url, identity="demo", name="demo"), Paths.below(home / "demo")

    paths = Paths.below(home)
    context = AppContext(
        settings=read_settings(SettingsFlags(), {}, paths.config, home),
        paths=paths,
        home=home,
        clock=REAL_CLOCK,
        random=Random(1),
        demo_world=demo,
        usual_ports=ports,
    )
    app = AituiApp(context)
    app.animation_level = "none"
    async with app.run_test(size=size, notifications=True) as pilot:
        yield Driven(app, pilot)


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def selected(app: Driven) -> str:
    """The address of the row that is selected."""
    return app.app.focused.address if isinstance(app.app.focused, ServerRow) else ""


def config_of(home: Path) -> str:
    return (home / "config/config.toml").read_text()


@pytest.fixture
async def plain() -> AsyncIterator[StandIn]:
    """A llama-swap of this machine, without TLS."""
    async with StandIn(CATALOGUE) as running:
        yield running


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (120, 36)])
async def test_it_lists_what_answers_and_selects_the_first_llama_swap(
    plain: StandIn, tmp_path: Path, unused_tcp_port: int, size: tuple[int, int]
) -> None:
    async with RawServer(always(answer("<html>Welcome</html>", 404, "text/html"))) as other:
        ports = unused_tcp_port, port_of(other.url), port_of(plain.url)
        async with first_start(tmp_path, ports, size) as app:
            await app.see("aitui ○ no server yet", "● ", "! ", "✘ ")
            await app.until(lambda: selected(app) == f"http://localhost:{ports[2]}", "selected")
            assert "connection refused"[:8] in app.line_of(f"localhost:{ports[0]}")
            assert "another"[:5] in app.line_of(f"localhost:{ports[1]}")
            assert "llama-swap"[:8] in app.line_of(f"localhost:{ports[2]}")
            await app.told(f"llama-swap answers on http://localhost:{ports[2]}")
        assert [request.target for request in other.requests] == ["/running"]
    assert plain.requests[0].path == "/running"
    assert {one.path for one in plain.requests} == {"/running", "/v1/models", "/api/version"}
    assert not (tmp_path / "config").exists()


async def test_enter_saves_the_server_and_connects(plain: StandIn, tmp_path: Path) -> None:
    async with first_start(tmp_path, (port_of(plain.url),)) as app:
        await app.see("llama-swap", "14 models")
        await app.press("enter")
        await app.see("local ●", QUICK)
    assert config_of(tmp_path) == (
        f'default = "local"\n\n[servers.local]\nurl = "http://localhost:{port_of(plain.url)}"\n'
    )
    assert (tmp_path / "config/config.toml").stat().st_mode & 0o777 == 0o600
    settings = read_settings(SettingsFlags(), {}, tmp_path / "config", tmp_path)
    assert (settings.server.name, settings.has_server) == ("local", True)


async def test_a_click_on_a_server_connects(plain: StandIn, tmp_path: Path) -> None:
    async with first_start(tmp_path, (port_of(plain.url),)) as app:
        await app.see("14 models")
        await app.click("14 models")
        await app.see("local ●", QUICK)


async def test_nothing_there_says_so_and_selects_another_address(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    async with first_start(tmp_path, (unused_tcp_port,)) as app:
        await app.told("No llama-swap answers on this machine's usual ports")
        await app.until(lambda: selected(app) == "another address", "selected")
        await app.press("up", "enter")
        await app.told(f"No llama-swap answers on http://localhost:{unused_tcp_port}: r asks again")
        async with StandIn(CATALOGUE, listen=("127.0.0.1", unused_tcp_port)):
            await app.press("r")
            await app.see("● http://localhost", "14 models")
            assert isinstance(app.app.screen, FirstRunScreen)


async def test_d_opens_the_demo(tmp_path: Path, unused_tcp_port: int) -> None:
    async with first_start(tmp_path, (unused_tcp_port,)) as app:
        await app.press("d")
        await app.see("demo ●", "demo-1b")
    assert not (tmp_path / "config").exists()


async def test_a_typed_address_needs_no_scheme(plain: StandIn, tmp_path: Path) -> None:
    async with first_start(tmp_path, ()) as app:
        await app.press("a", *f"localhost:{port_of(plain.url)}", "tab")
        await app.see("✔ /v1/models", "14 models")
        await app.press("ctrl+s")
        await app.see("local ●", QUICK)
    assert f'url = "http://localhost:{port_of(plain.url)}"' in config_of(tmp_path)


async def enter(app: Driven, *texts: str) -> None:
    """Fill in the fields of the new server one after the other."""
    await app.press("a")
    await app.until(lambda: isinstance(app.app.screen, NewServerScreen), "asked")
    for text in texts:
        field = app.app.focused
        assert isinstance(field, Input)
        field.value = text
        await app.settle()
        await app.press("enter")


async def test_a_server_behind_client_certificates(
    stand_in: StandIn, certificates: Certificates, tmp_path: Path
) -> None:
    folder = tmp_path / "my certs"
    folder.mkdir()
    for name, path in (
        ("root-ca.pem", certificates.root_ca),
        ("client.pem", certificates.client_cert),
        ("client-key.pem", certificates.client_key),
    ):
        (folder / name).touch(0o600)
        (folder / name).write_bytes(path.read_bytes())
    async with first_start(tmp_path, (), (120, 36)) as app:
        await enter(app, stand_in.url)
        await app.see("✘ TLS", "certificates")
        field = app.app.focused
        assert isinstance(field, Input)
        field.value = str(folder)
        await app.see("root-ca.pem, client.pem, client-key.pem")
        await app.press("enter")
        await app.see("✔ /v1/models", "14 models")
        await app.press("enter")
        await app.see("[servers.local] in ~/config/config.toml")
        await app.press("enter")
        await app.see("local ●", QUICK)
    assert 'certs_dir = "~/my certs"\n' in config_of(tmp_path)


async def test_a_p12_is_unpacked_after_its_password(
    stand_in: StandIn, certificates: Certificates, tmp_path: Path
) -> None:
    key = load_pem_private_key(certificates.client_key.read_bytes(), None)
    whole = pkcs12.serialize_key_and_certificates(
        b"client",
        key,  # type: ignore[arg-type]
        load_pem_x509_certificate(certificates.client_cert.read_bytes()),
        [load_pem_x509_certificate(certificates.root_ca.read_bytes())],
        BestAvailableEncryption(b"open sesame"),
    )
    (tmp_path / "me.p12").write_bytes(whole)
    async with first_start(tmp_path, (), (120, 36)) as app:
        await enter(app, stand_in.url, "~/me.p12", "wrong")
        await app.press("up")
        await app.see("The password is wrong")
        field = app.app.focused
        assert isinstance(field, Input)
        field.value = "open sesame"
        await app.see("opens the file")
        await app.press("enter")
        await app.see("✔ /v1/models", "14 models")
        await app.press("ctrl+s")
        await app.see("local ●", QUICK)
    folder = tmp_path / f"config/certs/127.0.0.1-{port_of(stand_in.url)}"
    assert f'certs_dir = "~/{folder.relative_to(tmp_path)}"' in config_of(tmp_path)
    assert "sesame" not in config_of(tmp_path)
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == dict.fromkeys(
        ("root-ca.pem", "client.pem", "client-key.pem"), 0o600
    )


async def test_esc_and_back_keeps_what_was_typed(tmp_path: Path) -> None:
    async with first_start(tmp_path, ()) as app:
        await enter(app, "localhost:1", "~/certs")
        await app.press(*"lab", "escape")
        await app.until(lambda: isinstance(app.app.screen, FirstRunScreen), "back")
        await app.press("a")
        await app.see("localhost:1", "~/certs", "lab")


async def test_a_check_that_ends_after_its_screen_changes_nothing(tmp_path: Path) -> None:
    async with first_start(tmp_path, ()) as app:
        await enter(app, "localhost:1")
        screen = app.app.screen
        assert isinstance(screen, NewServerScreen)
        await app.press("escape")
        await app.until(lambda: isinstance(app.app.screen, FirstRunScreen), "back")
        await screen._describe_field("url")


async def test_another_server_can_be_added_later(plain: StandIn, tmp_path: Path) -> None:
    async with first_start(tmp_path, (port_of(plain.url),)) as app:
        await app.see("14 models")
        await app.press("enter")
        await app.see("local ●", QUICK)
        await app.press("colon", *"add a server")
        await app.press("enter")
        await app.until(lambda: isinstance(app.app.screen, NewServerScreen), "asked")
        await app.press(*"lab.example.org", "escape")
        await app.press("colon", *"add a server", "enter")
        await app.see("lab.example.org")
    assert "lab" not in config_of(tmp_path)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (("htp://x",), "http:// or https:// in front"),
        (("https://x", "/nowhere"), "does not exist"),
        (("https://x", "", "a:b@c"), "a password can't be stored here"),
        (("https://x", "", "", "a/b"), "can't be the name of a server"),
    ],
)
async def test_a_field_says_what_is_wrong_as_it_is_typed(
    tmp_path: Path, texts: tuple[str, ...], words: str
) -> None:
    async with first_start(tmp_path, ()) as app:
        *before, last = texts
        await enter(app, *before)
        await app.press(*last)
        await app.until(lambda: words in " ".join(app.text.replace("│", "").split()), words)
        assert "✘" in app.text


async def test_a_name_that_is_taken_is_refused_and_nothing_is_lost(
    plain: StandIn, tmp_path: Path
) -> None:
    (tmp_path / "config").mkdir()
    before = '# mine\n[servers.lab] # the lab\nurl = "http://lab:8080"\n'
    (tmp_path / "config/config.toml").write_text(before)
    async with first_start(tmp_path, (port_of(plain.url),)) as app:
        await app.see("lab", "http://lab:8080")
        await enter(app, plain.url, "", "lab")
        await app.see("config.toml has a server lab already")
        await app.press("ctrl+u", *"desk", "enter")
        await app.see("desk ●", QUICK)
    assert config_of(tmp_path) == (
        f'default = "desk"\n\n{before}\n[servers.desk]\nurl = "{plain.url}"\n'
    )


async def test_nothing_but_this_machine_is_asked_or_named(
    tmp_path: Path, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: set[str] = set()
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def note_connection(self: socket.socket, address: tuple[str, int]) -> None:
        wanted.add(address[0])
        connect(self, address)

    def note_name(host: str | bytes, *arguments: object, **more: object) -> object:
        wanted.add(host.decode() if isinstance(host, bytes) else host)
        return look_up(host, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", note_connection)
    monkeypatch.setattr(socket, "getaddrinfo", note_name)
    seen = ""
    async with first_start(tmp_path, (unused_tcp_port,), (120, 36)) as app:
        await app.see("connection refused")
        for keys in (["r"], ["S"], ["escape"], ["D"], ["escape"], ["colon"], ["escape"], ["a"]):
            await app.press(*keys)
            await asyncio.sleep(0.2)
            await app.settle()
            seen += app.text
        await app.press("escape", "q")
    assert "There is no server yet" in seen
    assert wanted <= {"localhost", "127.0.0.1", "::1"}
    assert wanted
    for foreign in (DEFAULT_URL.partition("://")[2], "192.168.2.3"):
        assert foreign not in seen
