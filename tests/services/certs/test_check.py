"""What `certs check` finds, and that the guide's own set-up is no fault."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aitui.domain.checks import CheckResult, CheckStatus
from aitui.services.certs.check import check_folder, list_certificates
from aitui.services.certs.issue import create_authority, pack
from aitui.services.certs.revoke import revoke
from services.certs.conftest import authority_at, folder_at, no_password, run_program


async def report(
    path: Path, now: datetime | None = None, ca: Path | None = None
) -> list[CheckResult]:
    authorities, now = folder_at(ca or path), now or datetime.now(UTC)
    return [check async for check in check_folder(folder_at(path), authorities, now)]


def faults(checks: list[CheckResult]) -> dict[str, str]:
    return {one.name: one.seen for one in checks if one.status is CheckStatus.FAILED}


async def test_what_was_just_made_has_no_fault(made: Path) -> None:
    await pack(folder_at(made), "", no_password, legacy=True, force=False)
    checks = await report(made)
    assert faults(checks) == {}
    assert not any(check.remedy for check in checks)


async def test_the_guides_certificate_works_in_its_old_form(guide_files: Path) -> None:
    checks = await report(guide_files)
    assert faults(checks) == {}
    forms = {one.name: (one.seen, one.remedy) for one in checks if one.name.endswith("form")}
    seen, remedy = forms["client form"]
    assert "works, old form (X.509 v1)" in seen
    assert remedy == f"renew it in the current form: aitui certs renew client --dir {guide_files}"
    seen, remedy = forms["CA form"]
    assert "works, old form (no keyUsage)" in seen
    assert remedy.startswith("renew it in the current form: aitui certs renew ca --dir")


@pytest.mark.parametrize(("days", "remedied"), [(700, False), (796, True), (826, True)])
async def test_an_end_is_announced_30_days_before(made: Path, days: int, remedied: bool) -> None:
    checks = await report(made, datetime.now(UTC) + timedelta(days=days))
    (found,) = (one for one in checks if one.name == "server certificate")
    assert bool(found.remedy) is remedied
    assert faults(checks).keys() == ({"server certificate"} if days > 825 else set())


async def test_the_key_of_another_certificate_is_found(made: Path) -> None:
    shutil.copy(made / "caddy-key.pem", made / "client-key.pem")
    assert "is not the key of" in faults(await report(made))["client key"]


async def test_a_missing_key_is_found(made: Path) -> None:
    (made / "client-key.pem").unlink()
    assert "there is no" in faults(await report(made))["client key"]


async def test_another_ca_is_found_also_of_the_same_name(made: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    await create_authority(authority_at(other), "Test CA", "p256", None, force=False)
    found = faults(await report(made, ca=other))
    assert found.keys() == {"client issuer", "server issuer"}
    assert "a CA of the same name with another key" in found["client issuer"]


async def test_what_is_no_certificate_is_found(made: Path) -> None:
    (made / "client.pem").write_bytes(b"\x1b]0;hi\x07 nothing")
    found = faults(await report(made))
    assert "no readable certificate" in found["client certificate"]
    assert not any("\x1b" in seen for seen in found.values())


@pytest.mark.parametrize("name", ["client-key.pem", "root-ca.key", "client-legacy.p12"])
async def test_a_file_that_others_can_read_is_found(made: Path, name: str) -> None:
    await pack(folder_at(made), "", no_password, legacy=True, force=False)
    (made / name).chmod(0o644)
    (found,) = (one for one in await report(made) if one.status is CheckStatus.FAILED)
    assert (found.name, found.remedy) == ("permissions", f"chmod 600 {made / name}")
    assert found.remedy in "".join(await folder_at(made).warnings())


async def test_a_modern_p12_is_recognized(made: Path) -> None:
    await pack(folder_at(made), "secret", no_password, legacy=False, force=False)
    (found,) = (one for one in await report(made) if one.name == "p12")
    assert found.remedy == "for browsers: aitui certs p12 --legacy"


async def test_a_git_repository_around_it_is_found_unless_it_ignores_the_keys(made: Path) -> None:
    run_program("git", "init", "--quiet", folder=made.parent)
    found = faults(await report(made))
    assert found.keys() == {"git"}
    assert "root-ca.key" in found["git"]
    assert "git repository" in "".join(await folder_at(made).warnings())
    (check,) = (one for one in await report(made) if one.name == "git")
    run_program("sh", "-c", check.remedy.partition(": ")[2], folder=made)
    assert faults(await report(made)) == {}
    # What is tracked already goes with the next commit, whatever is ignored.
    run_program("git", "add", "--force", "client-key.pem", folder=made)
    assert "does not ignore client-key.pem" in faults(await report(made))["git"]


async def test_an_empty_directory_has_no_certificates(tmp_path: Path) -> None:
    assert faults(await report(tmp_path)).keys() == {"certificates"}


async def test_the_list_names_each_certificate(made: Path) -> None:
    rows = await list_certificates(folder_at(made), datetime.now(UTC))
    assert [row.name for row in rows] == ["CN=Test CA", "CN=laptop", "CN=localhost"]
    assert not any(row.is_revoked for row in rows)
    assert rows[2].hosts == ("localhost", "127.0.0.1")
    assert {(row.key, row.form) for row in rows} == {("P-256", "")}
    await revoke("laptop", folder_at(made), ())
    (made / "client.pem").unlink()
    rows = await list_certificates(folder_at(made), datetime.now(UTC))
    assert {row.name: row.is_revoked for row in rows}["CN=laptop"]
    assert rows[-1].file.startswith(f"{made}/revoked/laptop-")


async def test_the_fingerprint_is_openssls(made: Path) -> None:
    rows = await list_certificates(folder_at(made), datetime.now(UTC))
    openssl = ("openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", "client.pem")
    shown = run_program(*openssl, folder=made)
    assert rows[1].fingerprint == shown.strip().partition("=")[2].replace(":", "").lower()
