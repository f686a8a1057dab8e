"""The p12 that browsers get: read by NSS, which Firefox, Chromium and Brave have, and by openssl."""

import shutil
from pathlib import Path

import pytest

from aitui.services.certs.folder import CertFolder
from aitui.services.certs.issue import pack
from services.certs.conftest import folder_at, no_password, run_program


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """An empty NSS store without a password."""
    path = tmp_path / "nss"
    path.mkdir()
    run_program("certutil", "-N", "-d", "sql:nss", "--empty-password", folder=tmp_path)
    return path


async def legacy(folder: CertFolder, password: str = "") -> Path:
    await pack(folder, password, no_password, legacy=True, force=False)
    return Path(folder.path, "client-legacy.p12")


@pytest.mark.real_server("libnss3-tools")
@pytest.mark.parametrize("password", ["", "päss word"])
async def test_nss_imports_it_with_its_ca(made: Path, store: Path, password: str) -> None:
    path = await legacy(folder_at(made), password)
    imports = ("pk12util", "-i", path, "-d", "sql:nss", "-W", password)
    run_program(*imports, folder=store.parent)
    listed = run_program("certutil", "-L", "-d", "sql:nss", folder=store.parent).splitlines()
    assert any(line.split() == ["laptop", "u,u,u"] for line in listed)
    assert any(line.startswith("Test CA ") for line in listed)
    assert "laptop" in run_program("certutil", "-K", "-d", "sql:nss", folder=store.parent)
    trust = ("certutil", "-A", "-d", "sql:nss", "-t", "CT,C,C", "-n", "root", "-i")
    run_program(*trust, made / "root-ca.pem", folder=store.parent)
    for usage, name in (("C", "laptop"), ("L", "Test CA")):
        verify = ("certutil", "-V", "-d", "sql:nss", "-u", usage, "-n", name, "-e")
        assert "is valid" in run_program(*verify, folder=store.parent)


@pytest.mark.parametrize(("is_legacy", "cipher"), [(True, "3-KeyTripleDES"), (False, "AES-256")])
@pytest.mark.parametrize("password", ["", "secret"])
async def test_openssl_reads_it(made: Path, is_legacy: bool, cipher: str, password: str) -> None:
    folder = folder_at(made)
    await pack(folder, password, no_password, legacy=is_legacy, force=False)
    name = "client-legacy.p12" if is_legacy else "client.p12"
    words = ("openssl", "pkcs12", "-in", name, "-passin", f"pass:{password}", "-nodes", "-info")
    shown = run_program("sh", "-c", 'exec "$@" 2>&1', "sh", *words, folder=made)
    assert shown.count("BEGIN CERTIFICATE") == 2
    assert "BEGIN PRIVATE KEY" in shown
    assert cipher in shown


@pytest.mark.real_server("libnss3-tools")
async def test_nss_imports_the_guides_client(
    guide_files: Path, tmp_path: Path, store: Path
) -> None:
    path = await legacy(folder_at(shutil.copytree(guide_files, tmp_path / "guide")))
    run_program("pk12util", "-i", path, "-d", "sql:nss", "-W", "", folder=store.parent)
    assert "Example Client" in run_program("certutil", "-K", "-d", "sql:nss", folder=store.parent)
