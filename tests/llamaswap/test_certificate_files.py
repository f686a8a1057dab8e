"""Our own certificate files: which one is wrong, why, and the command that mends it."""

import shlex
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from aitui.domain.checks import CheckStatus
from aitui.domain.snapshot import Server
from aitui.errors import CertificateFileError, KeyPasswordNeeded, TlsRefused
from aitui.llamaswap.certificate_checks import certificate_checks
from aitui.llamaswap.certificates import client_certificate_error, find_file_error
from aitui.llamaswap.tls import key_warnings, tls_context
from certificates import Authority, Issued
from llamaswap.conftest import server_at


@pytest.fixture
def folder(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def using(authority: Authority, issued: Issued, **settings: Any) -> Server:
    return server_at(
        "https://localhost",
        ca=authority.root,
        client_cert=issued.certificate,
        client_key=issued.key,
        **settings,
    )


def wrong(server: Server) -> CertificateFileError:
    found = find_file_error(server)
    assert found is not None
    return found


def test_good_files_are_good(folder: Authority) -> None:
    assert find_file_error(using(folder, folder.issue("client"))) is None


def test_a_missing_file_is_named_with_its_setting(folder: Authority) -> None:
    issued = folder.issue("client")
    issued.key.unlink()
    error = wrong(using(folder, issued))
    assert str(issued.key) in error.what
    assert "does not exist" in error.what
    assert "client_key" in error.remedy


def test_an_unreadable_file_comes_with_its_chmod(
    folder: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued = folder.issue("client")
    whole_open = Path.open

    def refuse(path: Path, mode: str = "r") -> object:
        if path == issued.key:
            raise PermissionError(13, "Permission denied")
        return whole_open(path, mode)

    monkeypatch.setattr(Path, "open", refuse)
    assert f"chmod u+r {issued.key}" in wrong(using(folder, issued)).remedy


def test_a_folder_is_no_certificate_file(folder: Authority, tmp_path: Path) -> None:
    server = server_at("https://localhost", ca=tmp_path)
    assert "not a regular file" in wrong(server).what


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"", "a.pem", "empty"),
        (b"hello", "a.pem", "-----BEGIN"),
        (b"\x30\x82\x01", "a.der", "DER"),
        (b"\x30\x82\x01", "a.p12", "PKCS#12"),
    ],
)
def test_a_file_that_is_not_pem_is_told_by_its_kind(
    tmp_path: Path, content: bytes, name: str, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    error = wrong(server_at("https://localhost", ca=path))
    assert "is not PEM" in error.what
    assert words in error.why


def test_an_expired_certificate_comes_with_its_date_and_the_command(folder: Authority) -> None:
    issued = folder.issue("client", from_days=-20, days=10)
    error = wrong(using(folder, issued))
    day = datetime.now(UTC) - timedelta(days=10)
    assert "has expired" in error.what
    assert f"{day:%Y-%m-%d}" in error.why
    assert "aitui certs renew" in error.remedy


def test_a_certificate_of_the_future_points_to_the_clock(folder: Authority) -> None:
    error = wrong(using(folder, folder.issue("client", from_days=10)))
    assert "not valid yet" in error.what
    assert "timedatectl" in error.remedy


def test_an_expired_authority_in_a_bundle_is_no_fault(folder: Authority) -> None:
    issued = folder.issue("client")
    old = folder.issue("old", from_days=-20, days=10)
    folder.root.write_bytes(old.certificate.read_bytes() + folder.root.read_bytes())
    assert find_file_error(using(folder, issued)) is None


def test_a_key_of_another_certificate_is_named(folder: Authority) -> None:
    client, other = folder.issue("client"), folder.issue("other")
    error = wrong(using(folder, Issued(client.certificate, other.key)))
    assert str(other.key) in error.what
    assert "does not belong to" in error.what


def test_a_certificate_in_the_place_of_the_key_is_noticed(folder: Authority) -> None:
    client = folder.issue("client")
    error = wrong(using(folder, Issued(client.certificate, client.certificate)))
    assert "holds a certificate, not a private key" in error.what


def test_certificate_and_key_that_are_exchanged_are_noticed(folder: Authority) -> None:
    client = folder.issue("client")
    error = wrong(using(folder, Issued(client.key, client.certificate)))
    assert (
        error.what == f"The client certificate {client.key} holds a private key, not a certificate"
    )
    assert "they may be swapped" in error.remedy


@pytest.mark.parametrize(
    ("label", "held"),
    [
        ("CERTIFICATE REQUEST", "a certificate request"),
        ("PUBLIC KEY", "a public key"),
        ("X509 CRL", "a revocation list"),
        ("OPENSSH PRIVATE KEY", "a private key"),
        ("PGP MESSAGE", "pgp message"),
    ],
)
@pytest.mark.parametrize("setting", ["client_cert", "ca"])
def test_what_a_file_holds_in_the_place_of_a_certificate_is_named(
    folder: Authority, label: str, held: str, setting: str
) -> None:
    client = folder.issue("client")
    path = client.certificate if setting == "client_cert" else folder.root
    path.write_text(f"-----BEGIN {label}-----\nMII=\n-----END {label}-----\n")
    error = wrong(using(folder, client))
    assert f"{path} holds {held}, not a certificate" in error.what
    assert f"set {setting} to" in error.remedy


def test_a_certificate_that_is_cut_off_is_damaged_in_plain_words(folder: Authority) -> None:
    client = folder.issue("client")
    client.certificate.write_bytes(client.certificate.read_bytes()[:200])
    error = wrong(using(folder, client))
    assert error.why == "the data between BEGIN and END is incomplete or damaged"


OLD = {
    "traditional DES": ("DES-CBC", ("ec", "-des")),
    "MD5 and DES": ("DES", ("pkcs8", "-topk8", "-v1", "PBE-MD5-DES")),
    "SHA1 and DES": ("DES", ("pkcs8", "-topk8", "-v1", "PBE-SHA1-DES")),
    "SHA1 and RC2": ("RC2", ("pkcs8", "-topk8", "-v1", "PBE-SHA1-RC2-40")),
    "SHA1 and RC4": ("RC4", ("pkcs8", "-topk8", "-v1", "PBE-SHA1-RC4-128")),
    "PBES2 and DES": ("DES", ("pkcs8", "-topk8", "-v2", "des")),
    "PBES2 and RC2": ("RC2", ("pkcs8", "-topk8", "-v2", "rc2")),
}
TODAYS = {
    "traditional AES": ("ec", "-aes256"),
    "traditional 3DES": ("ec", "-des3"),
    "SHA1 and 3DES": ("pkcs8", "-topk8", "-v1", "PBE-SHA1-3DES"),
    "PBES2 and AES": ("pkcs8", "-topk8", "-v2", "aes256"),
    "PBES2 and 3DES": ("pkcs8", "-topk8", "-v2", "des3"),
}
LEGACY = ("-provider", "legacy", "-provider", "default")


def openssl(*words: str | Path) -> None:
    done = subprocess.run(["openssl", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def encrypted(client: Issued, *how: str) -> Issued:
    key = client.key.with_name("my key.pem")
    openssl(how[0], *LEGACY, *how[1:], "-in", client.key, "-out", key, "-passout", "pass:owl")
    key.chmod(0o600)
    return Issued(client.certificate, key)


@pytest.mark.real_server("openssl")
@pytest.mark.parametrize(("cipher", "how"), OLD.values(), ids=OLD)
async def test_a_key_with_an_old_cipher_is_named_and_the_remedy_mends_it(
    folder: Authority, cipher: str, how: tuple[str, ...]
) -> None:
    client = encrypted(folder.issue("client"), *how)
    server = using(folder, client, client_key_password="owl")
    with pytest.raises(CertificateFileError) as caught:
        await tls_context(server)
    assert caught.value.what == f"The client key '{client.key}' is encrypted with {cipher}"
    assert not isinstance(caught.value, KeyPasswordNeeded)
    checks = {check.name: check for check in certificate_checks(server, time.time())}
    assert checks["client key belongs"].status is CheckStatus.FAILED
    command = shlex.split(caught.value.remedy.partition(": ")[2])
    openssl(*command[1:], "-passin", "pass:owl", "-passout", "pass:owl")
    mended = Issued(client.certificate, Path(command[-1]))
    await tls_context(using(folder, mended, client_key_password="owl"))


@pytest.mark.real_server("openssl")
@pytest.mark.parametrize("how", TODAYS.values(), ids=TODAYS)
async def test_a_key_with_a_cipher_of_today_is_read(
    folder: Authority, how: tuple[str, ...]
) -> None:
    client = encrypted(folder.issue("client"), *how)
    assert await tls_context(using(folder, client, client_key_password="owl")) is not None
    with pytest.raises(KeyPasswordNeeded, match="is encrypted"):
        await tls_context(using(folder, client, client_key_password="wrong"))


@pytest.mark.real_server("openssl")
async def test_the_remedy_for_a_forgotten_password_can_be_pasted(folder: Authority) -> None:
    client = encrypted(folder.issue("client"), *TODAYS["PBES2 and AES"])
    with pytest.raises(KeyPasswordNeeded) as caught:
        await tls_context(using(folder, client))
    command = shlex.split(caught.value.remedy.partition("copy: ")[2])
    openssl(*command[1:], "-passin", "pass:owl")
    await tls_context(using(folder, Issued(client.certificate, Path(command[-1]))))


@pytest.mark.real_server("openssl")
@pytest.mark.parametrize("form", ["DER", "PKCS#12", "PKCS#12 without its suffix"])
async def test_the_remedies_for_other_formats_can_be_pasted(folder: Authority, form: str) -> None:
    client = folder.issue("client")
    if form == "DER":
        key, certificate = (
            client.key.with_name("my key.der"),
            client.certificate.with_suffix(".der"),
        )
        openssl("pkey", "-in", client.key, "-outform", "der", "-out", key)
        openssl("x509", "-in", client.certificate, "-outform", "der", "-out", certificate)
        words: tuple[str, ...] = ()
    else:
        key = client.key.with_name("my client" + (".p12" if form == "PKCS#12" else ""))
        certificate, words = key, ("-passin", "pass:owl")
        pair = ("-in", client.certificate, "-inkey", client.key)
        openssl("pkcs12", "-export", *pair, "-passout", "pass:owl", "-out", key)
    server = using(folder, Issued(certificate, key), client_key_password="owl")
    for encrypted_now, setting in ((("-passout", "pass:owl"), "client_key"), ((), "client_cert")):
        probe = (
            server if setting == "client_cert" else replace(server, client_cert=client.certificate)
        )
        error = wrong(probe)
        assert form.partition(" ")[0] in error.why
        command = shlex.split(error.remedy.partition(": ")[2])
        more = (*words, *encrypted_now) if words else ()
        openssl(*command[1:], *more)
        server = replace(server, **{setting: Path(command[-1])})
    assert find_file_error(server) is None
    assert await tls_context(server) is not None


def test_key_and_certificate_may_share_a_file(folder: Authority) -> None:
    client = folder.issue("client")
    client.certificate.write_bytes(client.key.read_bytes() + client.certificate.read_bytes())
    server = server_at("https://localhost", client_cert=client.certificate)
    assert find_file_error(server) is None


@pytest.mark.parametrize(("password", "why"), [(None, "no password"), ("no", "wrong")])
def test_an_encrypted_key_wants_its_password(
    folder: Authority, password: str | None, why: str
) -> None:
    issued = folder.issue("client", password="secret")
    error = wrong(using(folder, issued, client_key_password=password))
    assert isinstance(error, KeyPasswordNeeded)
    assert why in error.why


def test_an_encrypted_key_with_its_password_is_good(folder: Authority) -> None:
    issued = folder.issue("client", password="secret")
    assert find_file_error(using(folder, issued, client_key_password="secret")) is None


def test_a_refusal_is_explained_by_our_own_files_first(folder: Authority) -> None:
    expired = folder.issue("client", from_days=-20, days=10)
    assert isinstance(client_certificate_error(using(folder, expired)), CertificateFileError)


def test_a_refusal_without_a_client_certificate_says_so() -> None:
    error = client_certificate_error(server_at("https://localhost:8443"))
    assert "localhost:8443 requires a client certificate" in error.what


def test_a_refusal_of_good_files_names_their_issuer(folder: Authority, tmp_path: Path) -> None:
    foreign = Authority(tmp_path, "Other CA").issue("foreign")
    error = client_certificate_error(using(folder, foreign), "bad certificate")
    assert type(error) is TlsRefused
    assert "did not accept" in error.what
    assert "bad certificate" in error.why
    assert "CN=Other CA" in error.why
    assert "not by the authority in" in error.why


def test_a_key_that_others_can_read_is_a_warning(folder: Authority) -> None:
    issued = folder.issue("client")
    issued.key.chmod(0o644)
    (warning,) = key_warnings(using(folder, issued))
    assert f"chmod 600 {issued.key}" in warning
    assert "0644" in warning


def test_a_key_that_only_we_can_read_is_none(folder: Authority) -> None:
    assert key_warnings(using(folder, folder.issue("client"))) == ()
