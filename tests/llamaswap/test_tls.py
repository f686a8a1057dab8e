"""Whom the client trusts, what it presents, and what it says when TLS is refused."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from aitui.domain.snapshot import Server
from aitui.errors import (
    AituiError,
    CertificateFileError,
    ConnectionLost,
    KeyPasswordNeeded,
    TlsRefused,
)
from aitui.llamaswap.client import LlamaSwapClient
from aitui.llamaswap.tls import fingerprint, tls_context
from certificates import Authority, Issued
from llamaswap.conftest import server_at, server_context
from llamaswap.raw_server import RawRequest, RawServer, json_answer

NOTHING_RUNS = json_answer({"running": []})


async def refused(server: Server) -> AituiError:
    async with LlamaSwapClient(server) as client:
        with pytest.raises(AituiError) as caught:
            await client.running()
    return caught.value


def trusting(url: str, authority: Authority, issued: Issued | None, **settings: Any) -> Server:
    if issued is not None:
        settings |= {"client_cert": issued.certificate, "client_key": issued.key}
    return server_at(url, ca=authority.root, **settings)


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def either_tls(request: pytest.FixtureRequest, mutual_tls: ssl.SSLContext) -> ssl.SSLContext:
    mutual_tls.maximum_version = request.param
    return mutual_tls


async def test_a_client_certificate_opens_the_door(
    either_tls: ssl.SSLContext, authority: Authority, client_certificate: Issued
) -> None:
    async with (
        RawServer(NOTHING_RUNS, either_tls) as there,
        LlamaSwapClient(trusting(there.url, authority, client_certificate)) as client,
    ):
        assert await client.running() == ()


async def test_a_root_without_key_usage_works_where_strict_is_the_default(
    monkeypatch: pytest.MonkeyPatch,
    mutual_tls: ssl.SSLContext,
    authority: Authority,
    client_certificate: Issued,
) -> None:
    usual = ssl.create_default_context

    def as_in_python_3_13(*arguments: str, **named: str) -> ssl.SSLContext:
        context = usual(*arguments, **named)  # type: ignore[arg-type]
        context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    monkeypatch.setattr(ssl, "create_default_context", as_in_python_3_13)
    async with (
        RawServer(NOTHING_RUNS, mutual_tls) as there,
        LlamaSwapClient(trusting(there.url, authority, client_certificate)) as client,
    ):
        assert await client.running() == ()


async def test_only_the_strict_flag_is_cleared_and_only_with_a_ca_of_its_own(
    monkeypatch: pytest.MonkeyPatch, authority: Authority
) -> None:
    usual = ssl.create_default_context

    def strict(cafile: str | None = None) -> ssl.SSLContext:
        context = usual(cafile=cafile)
        context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    ours = await tls_context(server_at("https://localhost", ca=authority.root))
    systems = await tls_context(server_at("https://localhost"))
    assert ours is not None
    assert systems is not None
    assert not ours.verify_flags & ssl.VERIFY_X509_STRICT
    assert ours.verify_flags & ssl.VERIFY_X509_PARTIAL_CHAIN
    assert systems.verify_flags & ssl.VERIFY_X509_STRICT


async def test_chain_and_host_name_are_always_verified(authority: Authority) -> None:
    context = await tls_context(server_at("https://localhost", ca=authority.root))
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


async def test_http_needs_no_context() -> None:
    assert await tls_context(server_at("http://localhost")) is None


async def test_an_intermediate_that_the_server_does_not_send_is_named(
    authority: Authority, tmp_path: Path
) -> None:
    intermediate = authority.intermediate(tmp_path / "inter", "Barn Intermediate CA")
    leaf = intermediate.issue("localhost", hosts=("localhost", "127.0.0.1"))
    async with RawServer(NOTHING_RUNS, server_context(leaf)) as there:
        error = await refused(trusting(there.url, authority, None))
        assert "CN=Barn Intermediate CA is neither sent by the server nor in" in error.why
        assert f"or append it to {authority.root}" in error.remedy
        bundle = tmp_path / "bundle.pem"
        bundle.write_bytes(authority.root.read_bytes() + intermediate.root.read_bytes())
        async with LlamaSwapClient(server_at(there.url, ca=bundle)) as client:
            assert await client.running() == ()
    leaf.certificate.write_bytes(leaf.certificate.read_bytes() + intermediate.root.read_bytes())
    async with (
        RawServer(NOTHING_RUNS, server_context(leaf)) as there,
        LlamaSwapClient(trusting(there.url, authority, None)) as client,
    ):
        assert await client.running() == ()


async def test_the_end_of_a_chain_that_is_sent_is_what_is_missing(
    authority: Authority, tmp_path: Path
) -> None:
    lower = authority.intermediate(tmp_path / "upper", "Upper CA").intermediate(
        tmp_path / "lower", "Lower CA"
    )
    leaf = lower.issue("localhost", hosts=("localhost",))
    leaf.certificate.write_bytes(leaf.certificate.read_bytes() + lower.root.read_bytes())
    async with RawServer(NOTHING_RUNS, server_context(leaf)) as there:
        error = await refused(trusting(there.url, authority, None))
    assert "CN=Upper CA is neither sent by the server" in error.why


async def test_another_authority_of_the_same_name_is_not_called_missing(
    authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    leaf = Authority(tmp_path / "other").issue("localhost", hosts=("localhost",))
    async with RawServer(NOTHING_RUNS, server_context(leaf)) as there:
        error = await refused(trusting(there.url, Authority(tmp_path), None))
    assert "neither sent" not in error.why
    assert error.remedy == "set ca to the root certificate of the server"


async def test_a_client_whose_intermediate_is_missing_says_so(
    mutual_tls: ssl.SSLContext, authority: Authority, tmp_path: Path
) -> None:
    intermediate = authority.intermediate(tmp_path / "inter", "Client Intermediate CA")
    client = intermediate.issue("client")
    async with RawServer(NOTHING_RUNS, mutual_tls) as there:
        server = trusting(there.url, authority, client)
        error = await refused(server)
        assert "append the certificate of CN=Client Intermediate CA" in error.remedy
        whole = client.certificate.read_bytes() + intermediate.root.read_bytes()
        client.certificate.write_bytes(whole)
        async with LlamaSwapClient(server) as connection:
            assert await connection.running() == ()


async def test_a_missing_client_certificate_is_said_under_tls_1_3(
    mutual_tls: ssl.SSLContext, authority: Authority
) -> None:
    async with RawServer(NOTHING_RUNS, mutual_tls) as there:
        error = await refused(trusting(there.url, authority, None))
        assert error.what.startswith(f"localhost:{there.port} ")
    assert error.what.endswith("requires a client certificate")
    assert isinstance(error, TlsRefused)


async def test_a_missing_client_certificate_is_said_under_tls_1_2(
    mutual_tls: ssl.SSLContext, authority: Authority
) -> None:
    mutual_tls.maximum_version = ssl.TLSVersion.TLSv1_2
    async with RawServer(NOTHING_RUNS, mutual_tls) as there:
        error = await refused(trusting(there.url, authority, None))
    assert isinstance(error, TlsRefused)
    assert "client certificate" in str(error)


async def hang_up(_: RawRequest, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def test_who_hangs_up_without_a_word_may_not_have_accepted_the_certificate(
    mutual_tls: ssl.SSLContext, authority: Authority, client_certificate: Issued
) -> None:
    async with RawServer(hang_up, mutual_tls) as there:
        error = await refused(trusting(there.url, authority, client_certificate))
    assert isinstance(error, TlsRefused)
    assert "hung up, maybe because it did not accept the client certificate" in error.what


async def test_a_break_after_a_good_answer_is_no_refusal(
    mutual_tls: ssl.SSLContext, authority: Authority, client_certificate: Issued
) -> None:
    async with (
        RawServer(NOTHING_RUNS, mutual_tls) as there,
        LlamaSwapClient(trusting(there.url, authority, client_certificate)) as client,
    ):
        await client.running()
        there.respond = hang_up
        await client.drop_connections()
        with pytest.raises(ConnectionLost, match="broke"):
            await client.health()


async def test_what_breaks_long_after_the_handshake_is_no_refusal(
    mutual_tls: ssl.SSLContext,
    authority: Authority,
    client_certificate: Issued,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def respond(_: RawRequest, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.2)
        writer.transport.abort()

    monkeypatch.setattr("aitui.llamaswap.transport._REFUSAL_SECONDS", 0.1)
    async with RawServer(respond, mutual_tls) as there:
        error = await refused(trusting(there.url, authority, client_certificate))
    assert isinstance(error, ConnectionLost)


async def test_a_foreign_client_certificate_is_not_accepted(
    mutual_tls: ssl.SSLContext, authority: Authority, tmp_path: Path
) -> None:
    foreign = Authority(tmp_path, "Other CA").issue("foreign")
    async with RawServer(NOTHING_RUNS, mutual_tls) as there:
        error = await refused(trusting(there.url, authority, foreign))
    assert isinstance(error, TlsRefused)
    assert "did not accept" in error.what
    assert "CN=Other CA" in error.why


async def test_an_expired_client_certificate_is_found_in_our_own_files(
    either_tls: ssl.SSLContext, authority: Authority
) -> None:
    expired = authority.issue("expired", from_days=-20, days=10)
    async with RawServer(NOTHING_RUNS, either_tls) as there:
        error = await refused(trusting(there.url, authority, expired))
    assert isinstance(error, CertificateFileError)
    assert str(expired.certificate) in error.what


async def test_a_key_of_another_certificate_never_reaches_the_network(
    mutual_tls: ssl.SSLContext, authority: Authority, client_certificate: Issued
) -> None:
    other = authority.issue("other")
    async with RawServer(NOTHING_RUNS, mutual_tls) as there:
        mixed = Issued(client_certificate.certificate, other.key)
        error = await refused(trusting(there.url, authority, mixed))
        assert there.connections == 0
    assert isinstance(error, CertificateFileError)


@pytest.mark.parametrize("password", [None, "wrong", "x" * 2000])
async def test_an_encrypted_key_never_asks_at_the_terminal(
    authority: Authority, password: str | None
) -> None:
    encrypted = authority.issue("encrypted", password="secret")
    error = await refused(
        trusting("https://localhost:1", authority, encrypted, client_key_password=password)
    )
    assert isinstance(error, KeyPasswordNeeded)


async def test_an_encrypted_key_opens_with_its_password(
    mutual_tls: ssl.SSLContext, authority: Authority
) -> None:
    encrypted = authority.issue("encrypted", password="secret")
    async with RawServer(NOTHING_RUNS, mutual_tls) as there:
        server = trusting(there.url, authority, encrypted, client_key_password="secret")
        async with LlamaSwapClient(server) as client:
            assert await client.running() == ()


async def test_a_server_of_another_authority_is_refused(
    mutual_tls: ssl.SSLContext, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "Other CA")
    async with RawServer(NOTHING_RUNS, mutual_tls) as there:
        error = await refused(trusting(there.url, other, None))
    assert isinstance(error, TlsRefused)
    assert "was not issued by an authority in" in error.what


async def test_a_server_of_another_name_is_refused(
    authority: Authority, server_certificate: Issued
) -> None:
    elsewhere = authority.issue("elsewhere", hosts=("elsewhere.example",))
    async with RawServer(NOTHING_RUNS, server_context(elsewhere)) as there:
        error = await refused(trusting(there.url, authority, None))
    assert isinstance(error, TlsRefused)
    assert "is for another name" in error.what


async def test_an_expired_server_is_refused(authority: Authority) -> None:
    old = authority.issue("old", hosts=("localhost",), from_days=-20, days=10)
    async with RawServer(NOTHING_RUNS, server_context(old)) as there:
        error = await refused(trusting(there.url, authority, None))
    assert isinstance(error, TlsRefused)
    assert "has expired" in error.what


async def test_a_port_without_tls_is_said_so(authority: Authority) -> None:
    async with RawServer(NOTHING_RUNS, greeting=b"HTTP/1.1 400 Bad RawRequest\r\n\r\n") as there:
        error = await refused(trusting(there.url.replace("http:", "https:"), authority, None))
    assert isinstance(error, TlsRefused)
    assert "does not speak TLS" in error.what


async def test_a_renewed_certificate_is_taken_without_a_restart(
    mutual_tls: ssl.SSLContext, authority: Authority, tmp_path: Path
) -> None:
    own = Authority(tmp_path)
    issued = own.issue("client")  # of an authority that the server doesn't know
    now = 0.0
    async with RawServer(NOTHING_RUNS, mutual_tls) as there:
        server = trusting(there.url, authority, issued)
        async with LlamaSwapClient(server, monotonic=lambda: now) as client:
            with pytest.raises(TlsRefused):
                await client.running()
            renewed = authority.issue("renewed")
            issued.certificate.write_bytes(renewed.certificate.read_bytes())
            issued.key.write_bytes(renewed.key.read_bytes())
            assert await client.running() == ()


async def test_new_connections_present_a_certificate_that_was_renewed_in_time(
    mutual_tls: ssl.SSLContext, authority: Authority, tmp_path: Path
) -> None:
    issued = authority.issue("soon-renewed")
    now = 0.0
    async with RawServer(NOTHING_RUNS, mutual_tls) as there:
        server = trusting(there.url, authority, issued)
        async with LlamaSwapClient(server, monotonic=lambda: now) as client:
            await client.running()
            await client.running()
            assert there.connections == 1
            renewed = authority.issue("renewed")
            issued.certificate.write_bytes(renewed.certificate.read_bytes())
            issued.key.write_bytes(renewed.key.read_bytes())
            now = 10.0
            await client.running()
            assert there.connections == 2


async def test_a_fingerprint_changes_with_the_file_and_outlives_its_absence(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    server = server_at("https://localhost", ca=path)
    absent = await fingerprint(server)
    path.write_text("a")
    first = await fingerprint(server)
    path.write_text("ab")
    assert len({absent, first, await fingerprint(server)}) == 3
