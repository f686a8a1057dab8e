"""Each way in which Caddy refuses, and what is said of it: the own files are looked at first."""

import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.domain.snapshot import Server
from aitui.errors import (
    AituiError,
    CertificateFileError,
    NotSupported,
    ProxyError,
    TlsRefused,
    Unreachable,
)
from aitui.llamaswap.client import LlamaSwapClient
from e2e.caddy.openssl import Guide, Pair
from e2e.caddy.proxy import Caddy
from stand_in import StandIn

pytestmark = pytest.mark.real_server("caddy")


async def trouble(server: Server) -> AituiError:
    """What the client says of a server that it doesn't get through to."""
    async with LlamaSwapClient(server) as client:
        with pytest.raises(AituiError) as caught:
            await client.running()
    return caught.value


def presenting(server: Server, pair: Pair) -> Server:
    return replace(server, client_cert=pair.certificate, client_key=pair.key)


async def test_no_certificate_is_one_that_is_wanted(behind_caddy: Server) -> None:
    error = await trouble(replace(behind_caddy, client_cert=None, client_key=None))
    assert isinstance(error, TlsRefused)
    assert "requires a client certificate" in error.what
    assert error.remedy == "set client_cert and client_key"


async def test_a_foreign_certificate_is_not_accepted_and_its_issuer_is_named(
    behind_caddy: Server, foreign: Guide
) -> None:
    error = await trouble(presenting(behind_caddy, foreign.client()))
    assert isinstance(error, TlsRefused)
    assert "did not accept the client certificate" in error.what
    assert "CN=Foreign Root CA" in error.why
    assert "not by the authority in" in error.why


async def test_a_good_file_that_the_proxy_refuses_is_not_accepted(
    tmp_path: Path, upstream: StandIn, guide: Guide, foreign: Guide, served: Pair, client: Pair
) -> None:
    async with Caddy(tmp_path / "trusts-others", upstream.url, served, foreign.root) as caddy:
        server = Server(
            caddy.url,
            identity="trusts-others",
            ca=guide.root,
            client_cert=client.certificate,
            client_key=client.key,
        )
        error = await trouble(server)
    assert isinstance(error, TlsRefused)
    assert not isinstance(error, CertificateFileError)
    assert "did not accept the client certificate" in error.what
    assert "openssl verify" in error.remedy


async def test_an_expired_certificate_is_found_in_our_own_file(
    behind_caddy: Server, guide: Guide
) -> None:
    expired = guide.client("expired", days=-1)
    error = await trouble(presenting(behind_caddy, expired))
    assert isinstance(error, CertificateFileError)
    assert f"{expired.certificate} has expired" in error.what
    assert "aitui certs renew" in error.remedy


async def test_the_key_of_another_certificate_is_found_in_our_own_files(
    behind_caddy: Server, client: Pair, guide: Guide
) -> None:
    mixed = Pair(client.certificate, guide.client("other").key)
    error = await trouble(presenting(behind_caddy, mixed))
    assert isinstance(error, CertificateFileError)
    assert "does not belong to" in error.what


async def test_a_ca_that_didnt_issue_the_servers_certificate_is_named(
    behind_caddy: Server, foreign: Guide
) -> None:
    error = await trouble(replace(behind_caddy, ca=foreign.root))
    assert isinstance(error, TlsRefused)
    assert f"was not issued by an authority in {foreign.root}" in error.what


async def test_a_certificate_for_another_name_is_told(
    tmp_path: Path, upstream: StandIn, guide: Guide, behind_caddy: Server
) -> None:
    misnamed = guide.server("DNS:elsewhere.example", name="elsewhere")
    async with Caddy(tmp_path / "misnamed", upstream.url, misnamed, guide.root) as caddy:
        error = await trouble(replace(behind_caddy, url=caddy.url))
    assert isinstance(error, TlsRefused)
    assert "is for another name" in error.what


async def test_a_name_for_which_the_proxy_has_no_certificate_is_told(
    tmp_path: Path, upstream: StandIn, guide: Guide, behind_caddy: Server
) -> None:
    named = guide.server("DNS:localhost", name="one-name")
    async with Caddy(tmp_path / "one-name", upstream.url, named, guide.root) as caddy:
        error = await trouble(replace(behind_caddy, url=caddy.url_by_address))
    assert isinstance(error, TlsRefused)
    assert "has no certificate for the name 127.0.0.1" in error.what


async def test_a_host_name_that_only_the_certificate_holds_is_told(
    caddy: Caddy, behind_caddy: Server
) -> None:
    error = await trouble(replace(behind_caddy, url=caddy.url_by_address))
    assert isinstance(error, NotSupported)
    assert error.status == 421
    assert "doesn't serve the name 127.0.0.1 over this certificate" in error.what


async def test_a_stopped_llama_swap_is_not_a_stopped_proxy(
    upstream: StandIn, behind_caddy: Server
) -> None:
    await upstream.stop()
    error = await trouble(behind_caddy)
    assert isinstance(error, ProxyError)
    assert error.status == 502
    assert "but llama-swap behind it does not respond" in error.what


async def test_a_stopped_proxy_refuses_connections(
    tmp_path: Path, upstream: StandIn, guide: Guide, served: Pair, behind_caddy: Server
) -> None:
    async with Caddy(tmp_path / "gone", upstream.url, served, guide.root) as gone:
        url = gone.url
    error = await trouble(replace(behind_caddy, url=url))
    assert isinstance(error, Unreachable)
    assert "refuses connections" in error.what


async def test_a_renewed_certificate_is_taken_up_without_a_restart(
    tmp_path: Path, behind_caddy: Server, guide: Guide, client: Pair
) -> None:
    expired = guide.client("to-be-renewed", days=-1)
    certificate, key = tmp_path / "client.pem", tmp_path / "client-key.pem"
    shutil.copy(expired.certificate, certificate)
    shutil.copy(expired.key, key)
    async with LlamaSwapClient(presenting(behind_caddy, Pair(certificate, key))) as connection:
        with pytest.raises(CertificateFileError, match="has expired"):
            await connection.running()
        shutil.copy(client.certificate, certificate)
        shutil.copy(client.key, key)
        assert await connection.running() == ()


async def test_a_stream_that_is_open_outlives_the_renewal(
    tmp_path: Path, upstream: StandIn, behind_caddy: Server, guide: Guide, client: Pair
) -> None:
    certificate, key = tmp_path / "client.pem", tmp_path / "client-key.pem"
    shutil.copy(client.certificate, certificate)
    shutil.copy(client.key, key)
    renewed, now = guide.client("renewed"), 0.0
    server = presenting(behind_caddy, Pair(certificate, key))
    async with (
        LlamaSwapClient(server, monotonic=lambda: now) as connection,
        connection.log("upstream", history=False) as pieces,
    ):
        await connection.running()
        shutil.copy(renewed.certificate, certificate)
        shutil.copy(renewed.key, key)
        now = 60.0
        await connection.running()
        upstream.write_log("still here\n", source="upstream")
        assert await anext(pieces) == "still here\n"
