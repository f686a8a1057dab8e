"""What the screen says of certificates: which file, which check, the date, and what mends it."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.domain.snapshot import Server
from e2e.caddy.openssl import Guide, Pair
from e2e.caddy.proxy import Caddy
from stand_in import StandIn
from ui.driven import driven

pytestmark = pytest.mark.real_server("caddy")
WIDE = (240, 30)
"""Paths of tests are long."""


async def says(server: Server, folder: Path, *words: str) -> None:
    """Open the app; wait until the screen says all of it, and which key tries again."""
    async with driven(server, folder / "aitui", size=WIDE) as app:
        await app.see(*words, "F5 retry now")


def presenting(server: Server, pair: Pair) -> Server:
    return replace(server, client_cert=pair.certificate, client_key=pair.key)


async def test_a_missing_file(behind_caddy: Server, tmp_path: Path) -> None:
    gone = tmp_path / "gone.pem"
    words = (f"The client certificate {gone} does not exist", "copy it there, or set client_cert")
    await says(replace(behind_caddy, client_cert=gone), tmp_path, *words)


async def test_a_file_that_cant_be_read(behind_caddy: Server, tmp_path: Path) -> None:
    folder = tmp_path / "key.pem"
    folder.mkdir()
    await says(replace(behind_caddy, client_key=folder), tmp_path, f"{folder}", "F5 retry now")


async def test_an_expired_certificate(behind_caddy: Server, guide: Guide, tmp_path: Path) -> None:
    expired = guide.client("expired-on-screen", days=-1)
    words = (f"{expired.certificate} has expired", "it was valid until 20", "aitui certs renew")
    await says(presenting(behind_caddy, expired), tmp_path, *words)


async def test_the_key_of_another_certificate(
    behind_caddy: Server, client: Pair, guide: Guide, tmp_path: Path
) -> None:
    other = guide.client("other-on-screen")
    words = (f"{other.key} does not belong to {client.certificate}", "set the matching key")
    await says(replace(behind_caddy, client_key=other.key), tmp_path, *words)


async def test_the_wrong_authority(behind_caddy: Server, foreign: Guide, tmp_path: Path) -> None:
    words = (f"was not issued by an authority in {foreign.root}", "set ca to the root certificate")
    await says(replace(behind_caddy, ca=foreign.root), tmp_path, *words)


async def test_the_wrong_host_name(
    tmp_path: Path, upstream: StandIn, guide: Guide, behind_caddy: Server
) -> None:
    misnamed = guide.server("DNS:elsewhere.example", name="elsewhere-on-screen")
    async with Caddy(tmp_path / "misnamed", upstream.url, misnamed, guide.root) as caddy:
        words = ("is for another name", "use a host name listed in the certificate")
        await says(replace(behind_caddy, url=caddy.url), tmp_path, *words)


async def test_a_key_that_others_can_read_is_a_warning_while_all_works(
    behind_caddy: Server, guide: Guide, tmp_path: Path
) -> None:
    open_to_all = guide.client("open-to-all")
    open_to_all.key.chmod(0o644)
    async with driven(presenting(behind_caddy, open_to_all), tmp_path, size=WIDE) as app:
        await app.see(" ms ", f"! Others can read the key {open_to_all.key} (mode 0644)")
        await app.see(f"chmod 600 {open_to_all.key}")


async def test_a_certificate_that_is_wanted_and_not_set(
    behind_caddy: Server, tmp_path: Path
) -> None:
    words = ("requires a client certificate", "set client_cert and client_key")
    await says(replace(behind_caddy, client_cert=None, client_key=None), tmp_path, *words)


async def test_a_certificate_that_is_not_accepted_after_a_good_handshake(
    behind_caddy: Server, foreign: Guide, tmp_path: Path
) -> None:
    refused = foreign.client("refused-on-screen")
    words = ("did not accept the client certificate", "CN=Foreign Root CA", "openssl verify")
    await says(presenting(behind_caddy, refused), tmp_path, *words)


async def test_the_last_thirty_days_are_counted_and_how_to_renew_is_told(
    behind_caddy: Server, guide: Guide, tmp_path: Path
) -> None:
    ending = guide.client("ending", days=20)
    async with driven(presenting(behind_caddy, ending), tmp_path, size=WIDE) as app:
        await app.see(" ms ", "! cert 19 days")
        await app.told("A renewed file is used without a restart")
        await app.press("D")
        await app.see("renew it: aitui certs renew")


async def test_a_proxy_without_its_llama_swap(
    behind_caddy: Server, upstream: StandIn, tmp_path: Path
) -> None:
    await upstream.stop()
    words = (
        "answers 502 Bad Gateway, but llama-swap behind it does not",
        "check and restart llama-swap",
    )
    await says(behind_caddy, tmp_path, *words)
