"""The client certificate's last days, in the header and where they come from."""

import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.demo.certificates import Certificates
from aitui.domain.snapshot import Server
from aitui.llamaswap.client import LlamaSwapClient
from aitui.services import monitor as certificate_watch
from aitui.ui.widgets.server_header import certificate_item
from catalogue import CATALOGUE
from certificates import Authority, Issued
from stand_in import StandIn
from ui.driven import Driven, driven

DAY = 24 * 3600.0
NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("left", "words", "style"),
    [
        (31.1 * DAY, "", ""),
        (30.9 * DAY, "! cert 30 days", "warning"),
        (7.5 * DAY, "! cert 7 days", "warning"),
        (6.9 * DAY, "! cert 6 days", "bold error"),
        (1.5 * DAY, "! cert 1 day", "bold error"),
        (0.5 * DAY, "! cert expires today", "bold error"),
        (-1.0, "✘ certificate expired", "bold error"),
    ],
)
def test_the_last_thirty_days_are_said(left: float, words: str, style: str) -> None:
    item = certificate_item(NOW + left, NOW)
    assert (item.text, item.style) == (words, style)


def test_what_isnt_known_is_not_said() -> None:
    assert certificate_item(None, NOW).text == ""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def own_files(tmp_path: Path) -> Issued:
    """Where the client has its certificate, whichever it is at the moment."""
    folder = tmp_path / "own"
    folder.mkdir()
    return Issued(folder / "client.pem", folder / "client-key.pem")


def put(issued: Issued, own_files: Issued) -> None:
    shutil.copy(issued.certificate, own_files.certificate)
    shutil.copy(issued.key, own_files.key)


def settings(own_files: Issued, authority: Authority, url: str = "https://127.0.0.1:9") -> Server:
    return Server(
        url,
        identity="home",
        name="home",
        ca=authority.root,
        client_cert=own_files.certificate,
        client_key=own_files.key,
    )


async def test_a_renewed_file_moves_the_end(authority: Authority, own_files: Issued) -> None:
    put(authority.issue("first", days=10), own_files)
    async with LlamaSwapClient(settings(own_files, authority)) as client:
        first = await client.certificate_expiry()
        put(authority.issue("second", days=300), own_files)
        second = await client.certificate_expiry()
    assert first is not None
    assert second is not None
    assert second - first == pytest.approx(290 * DAY, abs=60)


async def test_a_file_that_cant_be_read_has_no_end(authority: Authority, own_files: Issued) -> None:
    own_files.certificate.write_text("nonsense")
    async with LlamaSwapClient(settings(own_files, authority)) as client:
        assert await client.certificate_expiry() is None


async def test_without_tls_there_is_no_end(authority: Authority, own_files: Issued) -> None:
    put(authority.issue("first", days=10), own_files)
    server = replace(settings(own_files, authority), url="http://127.0.0.1:9")
    async with LlamaSwapClient(server) as client:
        assert await client.certificate_expiry() is None


@pytest.fixture
def soon_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate_watch, "FIRST_CHECK_DELAY", 0.0)
    monkeypatch.setattr(certificate_watch, "CHECK_INTERVAL", 0.05)


def words(app: Driven) -> str:
    """What is on the screen, however its lines break."""
    return " ".join(app.text.replace("│", " ").split())


async def test_the_header_counts_the_days_until_the_file_is_renewed(
    soon_looked_at: None, authority: Authority, own_files: Issued, tmp_path: Path
) -> None:
    put(authority.issue("short", days=12), own_files)
    served = authority.issue("server", hosts=("127.0.0.1",))
    certificates = Certificates(
        authority.root,
        served.certificate,
        served.key,
        own_files.certificate,
        own_files.key,
    )
    async with (
        StandIn(CATALOGUE, certificates=certificates) as there,
        driven(settings(own_files, authority, there.url), tmp_path / "home", size=(120, 36)) as app,
    ):
        await app.see(" ms ", "! cert 11 days")
        await app.told("Renew it: aitui certs renew. It is valid until")
        await app.press("D")
        await app.see("Checked")
        while "client certificate dates" not in app.text:
            await app.press("j")
        await app.until(lambda: "renew it: aitui certs renew" in words(app), "how")
        await app.press("escape")
        put(authority.issue("renewed", days=300), own_files)
        await app.unsee("! cert")
        await app.see(" ms ")


async def test_the_header_says_that_it_has_expired(
    soon_looked_at: None, authority: Authority, own_files: Issued, tmp_path: Path
) -> None:
    put(authority.issue("old", from_days=-20, days=10), own_files)
    own = settings(own_files, authority)
    async with driven(own, tmp_path / "home", size=(120, 36)) as app:
        await app.see("✘ certificate expired")
