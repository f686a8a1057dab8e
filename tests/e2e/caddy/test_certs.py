"""Certificates of `aitui certs` in a real Caddy."""

import re
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.domain.snapshot import Server
from aitui.errors import CertificateFileError, Unauthorized
from aitui.llamaswap.client import LlamaSwapClient
from aitui.services.certs.folder import CLIENT_PAIR
from aitui.services.certs.issue import client_certificate, issue
from cli.command_line import CommandLine
from e2e.caddy.openssl import Guide, Pair
from e2e.caddy.proxy import Caddy
from services.certs.conftest import authority_at, folder_at, make_certs
from stand_in import StandIn

pytestmark = pytest.mark.real_server("caddy")


@pytest.fixture
async def certs(tmp_path: Path) -> Path:
    """A directory with a CA, a proxy's certificate and two clients', the second one in `phone`."""
    folder = await make_certs(tmp_path / "certs")
    phone = client_certificate(CLIENT_PAIR, "phone", "p256", None, force=False)
    await issue(phone, authority_at(folder), folder_at(folder / "phone"))
    return folder


def client_of(caddy: Caddy, folder: Path) -> Server:
    return Server(
        caddy.url,
        identity="certs",
        ca=folder / "root-ca.pem",
        client_cert=folder / "client.pem",
        client_key=folder / "client-key.pem",
        timeout=20.0,
    )


async def test_a_revoked_client_is_locked_out_and_the_others_are_not(
    tmp_path: Path, upstream: StandIn, certs: Path
) -> None:
    aitui = CommandLine(tmp_path / "home")
    outcome = await aitui.run("certs", "revoke", "phone", "--dir", str(certs))
    assert (outcome.status, outcome.err) == (0, "")
    lines = "\n".join(re.findall(r"^    (\S.*)", outcome.out, re.MULTILINE))
    served = Pair(certs / "caddy.pem", certs / "caddy-key.pem")
    root = certs / "root-ca.pem"
    async with Caddy(tmp_path / "caddy", upstream.url, served, root, more=lines) as caddy:
        async with LlamaSwapClient(client_of(caddy, certs)) as laptop:
            assert await laptop.running() == ()
        async with LlamaSwapClient(client_of(caddy, certs / "phone")) as phone:
            with pytest.raises(Unauthorized):
                await phone.running()


async def test_a_new_ca_for_clients_locks_all_out_until_they_have_its_certificates(
    tmp_path: Path, upstream: StandIn, certs: Path
) -> None:
    aitui = CommandLine(tmp_path / "home")
    other = tmp_path / "clients"
    await aitui.run("certs", "new-ca", "--dir", str(other))
    served = Pair(certs / "caddy.pem", certs / "caddy-key.pem")
    async with Caddy(tmp_path / "caddy", upstream.url, served, other / "root-ca.pem") as caddy:
        server = client_of(caddy, certs)
        async with LlamaSwapClient(server) as laptop:
            with pytest.raises(Exception, match="did not accept the client certificate"):
                await laptop.running()
            words = ("laptop", "--force", "--dir", str(certs), "--ca-dir", str(other))
            assert (await aitui.run("certs", "client", *words)).status == 0
            assert await laptop.running() == ()


async def test_renew_is_picked_up_by_a_running_aitui(
    caddy: Caddy, guide: Guide, behind_caddy: Server, tmp_path: Path
) -> None:
    """The guide's own client certificate, which has expired."""
    expired, here = guide.client("expired-for-renew", days=-1), tmp_path / "here"
    here.mkdir()
    files = {"client.pem": expired.certificate, "client-key.pem": expired.key}
    for name, path in {**files, "root-ca.pem": guide.root}.items():
        shutil.copy(path, here / name)
    server = replace(
        behind_caddy, client_cert=here / "client.pem", client_key=here / "client-key.pem"
    )
    aitui = CommandLine(tmp_path / "home")
    async with LlamaSwapClient(server) as connection:
        with pytest.raises(CertificateFileError, match="has expired") as caught:
            await connection.running()
        assert caught.value.remedy == f"renew it: aitui certs renew --dir {here}"
        words = ("renew", "--dir", str(here), "--ca-dir", str(guide.root.parent))
        outcome = await aitui.run("certs", *words)
        assert (outcome.status, outcome.err) == (0, "")
        assert await connection.running() == ()
