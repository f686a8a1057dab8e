"""Certificates that strict verifiers accept, for whatever names there are."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from aitui.domain.certs import (
    KEY_TYPES,
    Purpose,
    Terms,
    certificate_pem,
    check_common_name,
    common_name,
    host_name,
    host_text,
    hosts_of,
    key_pem,
    new_authority,
    new_key,
    new_request,
    old_form,
    openssl_extensions,
    server_subject,
    sign,
    subject,
)
from aitui.errors import SettingsError

NOW = datetime.now(UTC).replace(microsecond=0)
HOSTS = ("localhost", "*.example.org", "127.0.0.1", "::1")
CLIENT = Terms(Purpose.CLIENT, (), 365)
CA_KEY = new_key("p256")
CA = new_authority(subject("Test CA"), CA_KEY, NOW, 3650)
QUICK_KEY = new_key("p256")


@pytest.fixture(scope="module", params=["p256", "p384", "rsa2048"])
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, a proxy and a client on keys of one kind."""
    folder = tmp_path_factory.mktemp(request.param)
    ca_key = new_key(request.param)
    ca = new_authority(subject("Test CA"), ca_key, NOW, 3650)
    (folder / "root-ca.pem").write_bytes(certificate_pem(ca))
    for name, purpose in (("caddy", Purpose.SERVER), ("client", Purpose.CLIENT)):
        key = new_key(request.param)
        terms = Terms(purpose, HOSTS if purpose is Purpose.SERVER else (), 365)
        certificate = sign(new_request(subject(name), key), terms, ca, ca_key, NOW)
        (folder / f"{name}.pem").write_bytes(certificate_pem(certificate))
        (folder / f"{name}-key.pem").write_bytes(key_pem(key))
    return folder


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("caddy", ["-purpose", "sslserver", "-verify_hostname", "a.example.org"]),
        ("caddy", ["-purpose", "sslserver", "-verify_ip", "::1"]),
        ("client", ["-purpose", "sslclient"]),
    ],
)
def test_openssl_verifies_it_strictly(files: Path, name: str, options: list[str]) -> None:
    words = ["openssl", "verify", "-x509_strict", *options, "-CAfile", "root-ca.pem", f"{name}.pem"]
    done = subprocess.run(words, cwd=files, capture_output=True, text=True, check=False)
    assert done.stdout == f"{name}.pem: OK\n", done.stderr


def test_a_clients_certificate_is_none_for_a_server(files: Path) -> None:
    words = ("openssl", "verify", "-purpose", "sslserver", "-CAfile", "root-ca.pem", "client.pem")
    done = subprocess.run(words, cwd=files, capture_output=True, text=True, check=False)
    assert "unsuitable certificate purpose" in done.stderr


async def test_python_verifies_both_sides_strictly(files: Path) -> None:
    async with tls_server(files) as port:
        context = strict(ssl.PROTOCOL_TLS_CLIENT, files)
        context.load_cert_chain(files / "client.pem", files / "client-key.pem")
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="localhost"
        )
        assert await reader.read() == b"CN=client"
        writer.close()


def strict(protocol: "ssl._SSLMethod", files: Path) -> ssl.SSLContext:
    """A context that verifies as Python 3.13 does by default."""
    context = ssl.SSLContext(protocol)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(files / "root-ca.pem")
    return context


@asynccontextmanager
async def tls_server(files: Path) -> AsyncIterator[int]:
    """A server that wants a client certificate, and writes its subject."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        found = x509.load_der_x509_certificate(peer)
        writer.write(found.subject.rfc4514_string().encode())
        await writer.drain()
        writer.close()

    context = strict(ssl.PROTOCOL_TLS_SERVER, files)
    context.load_cert_chain(files / "caddy.pem", files / "caddy-key.pem")
    async with await asyncio.start_server(greet, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


def test_every_kind_of_key_can_be_asked_for() -> None:
    from aitui.cli import args

    assert args.KEY_TYPES == KEY_TYPES


def test_a_certificate_ends_with_its_ca() -> None:
    short = new_authority(subject("Short"), CA_KEY, NOW, 30)
    issued = sign(new_request(subject("x"), QUICK_KEY), CLIENT, short, CA_KEY, NOW)
    assert issued.not_valid_after_utc == NOW + timedelta(days=30)


def test_what_is_made_is_of_todays_form() -> None:
    issued = sign(new_request(subject("x"), QUICK_KEY), CLIENT, CA, CA_KEY, NOW)
    assert (old_form(CA, is_authority=True), old_form(issued)) == ("", "")


def test_a_long_host_name_leaves_the_subject_to_a_shorter_one() -> None:
    assert server_subject((f"{'a' * 63}.{'b' * 63}.org", "ai.example.org")) == "ai.example.org"


@given(st.text(st.characters(), max_size=80))
def test_any_name_is_refused_or_kept_whole(name: str) -> None:
    try:
        kept = check_common_name(name)
    except SettingsError:
        return
    issued = sign(new_request(subject(kept), QUICK_KEY), CLIENT, CA, CA_KEY, NOW)
    reread = x509.load_pem_x509_certificate(certificate_pem(issued))
    assert common_name(reread) == kept == name.strip()


_LIKELY = st.one_of(
    st.text("ab.-*_:/[]%,\n 019xé", max_size=20),
    st.from_regex(r"(\*\.)?[a-z0-9-]{1,5}(\.[a-zA-Z0-9-]{1,5}){0,3}\.?", fullmatch=True),
    st.ip_addresses().map(str),
)


@given(_LIKELY)
def test_any_host_is_refused_or_named_by_the_certificate(host: str) -> None:
    try:
        name = host_name(host)
    except SettingsError:
        return
    terms = Terms(Purpose.SERVER, (host,), 30)
    issued = sign(new_request(subject("x"), QUICK_KEY), terms, CA, CA_KEY, NOW)
    assert hosts_of(issued) == (host_text(name),)
    # A file of openssl's: one name must not add an extension or another name.
    last = openssl_extensions(terms, QUICK_KEY.public_key())[-1]
    assert last in {f"subjectAltName={kind}:{host_text(name)}" for kind in ("DNS", "IP")}
    assert not set(host_text(name)) & set(",\n\\$ ")


@pytest.mark.parametrize(
    "host",
    ["https://ai.example.org", "ai.example.org:443", "*", "a.*.org", "300.1.1.1", "fe80::1%eth0"],
)
def test_what_is_no_host_is_refused(host: str) -> None:
    for text in (host, f"{host} {host}"):
        with pytest.raises(SettingsError):
            host_name(text)


@pytest.mark.parametrize("host", ["AI.Example.Org.", "192.168.2.2", "[::1]", "*.lan", "localhost"])
def test_names_and_addresses_are_taken(host: str) -> None:
    assert host_text(host_name(host)) in {
        "ai.example.org",
        "192.168.2.2",
        "::1",
        "*.lan",
        "localhost",
    }
