"""Each thing that can be wrong with our own certificate files, provoked on real ones."""

import os
from pathlib import Path
from time import monotonic, time

import pytest
from msgspec.structs import replace

from aitui.demo.certificates import Certificates
from aitui.domain.checks import CheckStatus, exit_code
from aitui.domain.snapshot import Clock, Server
from certificates import (
    encrypt_client_key,
    make_certificates,
    make_expired_client,
    make_foreign_certificates,
)
from services.doctor.examined import examined, nowhere

DAY = 24 * 3600.0


@pytest.fixture
def files(tmp_path: Path) -> Certificates:
    """Files of one test, to be spoilt."""
    return make_certificates(tmp_path / "certs")


@pytest.fixture
def settings(files: Certificates) -> Server:
    return nowhere(ca=files.root_ca, client_cert=files.client_cert, client_key=files.client_key)


async def test_good_files_pass_and_are_described(settings: Server, files: Certificates) -> None:
    report = await examined(settings)
    assert report.failed == ["TCP"]
    assert f"{files.root_ca}: C=DE,O=Example,CN=Example Root CA" in (
        report["certificate authority"].seen
    )
    assert report["client certificate"].seen.endswith("CN=Example Client")
    assert "the authority in" in report["client certificate issuer"].seen
    assert "mode 0600" in report["client key permissions"].seen
    assert "is the key of the certificate" in report["client key belongs"].seen


@pytest.mark.parametrize(
    ("which", "check"),
    [
        ("root_ca", "certificate authority"),
        ("client_cert", "client certificate"),
        ("client_key", "client key"),
    ],
)
async def test_a_missing_file_is_named(
    settings: Server, files: Certificates, which: str, check: str
) -> None:
    path = getattr(files, which)
    path.unlink()
    report = await examined(settings)
    assert report.failed[0] == check
    assert f"{path} does not exist" in report[check].seen
    assert "copy it there" in report[check].remedy
    assert exit_code(report.checks) == 4


async def test_one_missing_file_keeps_no_other_from_being_checked(
    settings: Server, files: Certificates
) -> None:
    files.client_cert.unlink()
    report = await examined(settings)
    assert report.status("certificate authority") is CheckStatus.PASSED
    assert report.status("client key permissions") is CheckStatus.PASSED
    assert report.status("client key belongs") is CheckStatus.OPEN


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_an_unreadable_file_is_told_with_chmod(settings: Server, files: Certificates) -> None:
    files.client_cert.chmod(0)
    report = await examined(settings)
    assert f"chmod u+r {files.client_cert}" in report["client certificate"].remedy


async def test_a_folder_in_the_place_of_a_file_is_told(settings: Server, tmp_path: Path) -> None:
    report = await examined(replace(settings, client_cert=tmp_path))
    assert "is not a regular file" in report["client certificate"].seen


async def test_a_key_that_others_can_read_is_told_with_chmod(
    settings: Server, files: Certificates
) -> None:
    files.client_key.chmod(0o644)
    report = await examined(settings)
    assert report.failed[0] == "client key permissions"
    assert "mode 0644" in report["client key permissions"].seen
    assert report["client key permissions"].remedy == f"chmod 600 {files.client_key}"


async def test_a_file_that_is_no_pem_is_told(settings: Server, files: Certificates) -> None:
    files.client_cert.write_bytes(b"\x30\x82\x01\x0a")
    report = await examined(settings)
    assert "is not PEM: it is DER" in report["client certificate"].seen
    assert "openssl x509 -inform der" in report["client certificate"].remedy


async def test_a_key_of_another_certificate_is_told(settings: Server, files: Certificates) -> None:
    report = await examined(replace(settings, client_key=files.server_key))
    assert report.failed[0] == "client key belongs"
    assert "does not belong to" in report["client key belongs"].seen
    assert "openssl req -new" in report["client key belongs"].remedy


async def test_an_encrypted_key_without_its_password_is_told(
    settings: Server, files: Certificates
) -> None:
    encrypted = encrypt_client_key(files, "secret")
    report = await examined(replace(settings, client_key=encrypted))
    assert "is encrypted: no password is set" in report["client key belongs"].seen
    opened = replace(settings, client_key=encrypted, client_key_password="secret")
    assert (await examined(opened)).status("client key belongs") is CheckStatus.PASSED


async def test_an_expired_certificate_is_told_with_its_date(
    settings: Server, files: Certificates
) -> None:
    certificate, key = make_expired_client(files)
    report = await examined(replace(settings, client_cert=certificate, client_key=key))
    assert report.failed[0] == "client certificate dates"
    assert "has expired: it was valid until" in report["client certificate dates"].seen
    assert "aitui certs renew" in report["client certificate dates"].remedy


async def test_a_certificate_of_the_future_points_at_the_clock(settings: Server) -> None:
    report = await examined(settings, clock=Clock(monotonic, lambda: time() - 3 * DAY))
    assert "is not valid yet" in report["certificate authority"].seen
    assert "timedatectl" in report["certificate authority"].remedy


async def test_the_last_thirty_days_are_told_in_time(settings: Server) -> None:
    soon = Clock(monotonic, lambda: time() + 3630 * DAY)
    check = (await examined(settings, clock=soon))["client certificate dates"]
    assert settings.client_cert is not None
    folder = settings.client_cert.parent
    assert check.status is CheckStatus.PASSED
    assert "19 days left" in check.seen or "20 days left" in check.seen
    assert f"renew it: aitui certs renew --dir {folder}" in check.remedy
    assert "used without a restart" in check.remedy


async def test_a_foreign_issuer_is_told_and_not_judged(settings: Server, tmp_path: Path) -> None:
    foreign = make_foreign_certificates(tmp_path / "foreign")
    report = await examined(
        replace(settings, client_cert=foreign.client_cert, client_key=foreign.client_key)
    )
    check = report["client certificate issuer"]
    assert check.status is CheckStatus.OPEN
    assert "CN=Foreign Root CA, an authority other than the one in" in check.seen
    assert check.remedy.startswith("openssl verify -CAfile")


async def test_an_issuer_of_the_same_name_with_another_key_is_told(
    settings: Server, tmp_path: Path
) -> None:
    anew = make_certificates(tmp_path / "made-anew")
    report = await examined(
        replace(settings, client_cert=anew.client_cert, client_key=anew.client_key)
    )
    assert "of the same name as" in report["client certificate issuer"].seen


async def test_a_server_without_files_has_nothing_to_check() -> None:
    report = await examined(nowhere())
    assert report.status("certificate authority") is CheckStatus.OPEN
    assert report.status("client certificate") is CheckStatus.OPEN
    assert "client key belongs" not in report
