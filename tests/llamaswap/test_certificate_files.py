"""Our own certificate files: which one is wrong, why, and the command that mends it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aitui.domain.snapshot import Server
from aitui.errors import CertificateFileError, KeyPasswordNeeded, TlsRefused
from aitui.llamaswap.certificates import (
    client_certificate_error,
    find_file_error,
    key_warnings,
)
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
    assert "openssl x509 -req" in error.remedy


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
    assert "holds no private key" in error.what


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
    assert "localhost:8443 wants a client certificate" in error.what


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
