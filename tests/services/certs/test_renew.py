"""Certificates renewed: with the CA's key, and by a request where it is elsewhere."""

import re
import shutil
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from aitui.domain.certs import Purpose, hosts_of, is_issued_by, old_form, public_der
from aitui.errors import ActionRefused
from aitui.services.certs.folder import CLIENT_PAIR, GUIDE_PAIR, SERVER_PAIR, CertPair
from aitui.services.certs.issue import CertChange, client_certificate, create_authority, issue
from aitui.services.certs.renew import Renewal, pairs_to_renew, renew, renew_authority
from aitui.services.certs.revoke import revoke
from services.certs.conftest import authority_at, folder_at, no_password, run_program

CLIENT, SERVER = Renewal(CLIENT_PAIR, Purpose.CLIENT, 700), Renewal(SERVER_PAIR, Purpose.SERVER)


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


async def renewed(renewal: Renewal, folder: Path, authority: Path) -> CertChange:
    return await renew(renewal, authority_at(authority), folder_at(folder), no_password)


@pytest.mark.parametrize("renewal", [CLIENT, SERVER], ids=["client", "server"])
async def test_key_names_and_issuer_stay(made: Path, renewal: Renewal) -> None:
    path, key = made / renewal.pair.certificate, made / renewal.pair.key
    old, old_key = certificate(path), key.read_bytes()
    await renewed(renewal, made, made)
    new = certificate(path)
    assert new.serial_number != old.serial_number
    assert new.not_valid_after_utc >= old.not_valid_after_utc or renewal.days == 700
    assert (new.subject, new.issuer, hosts_of(new)) == (old.subject, old.issuer, hosts_of(old))
    assert key.read_bytes() == old_key
    assert public_der(new.public_key()) == public_der(old.public_key())


async def test_the_guides_certificate_gets_todays_form(guide_files: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(guide_files, tmp_path / "guide")
    assert old_form(certificate(folder / "client.pem")) == "X.509 v1"
    await renewed(CLIENT, folder, folder)
    new = certificate(folder / "client.pem")
    assert old_form(new) == ""
    assert is_issued_by(new, certificate(folder / "root-ca.pem"))


async def test_a_renewed_ca_locks_no_client_out(guide_files: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(guide_files, tmp_path / "guide")
    old, key = certificate(folder / "root-ca.pem"), (folder / "root-ca.key").read_bytes()
    here = tmp_path / "here"
    here.mkdir()
    shutil.copy(folder / "root-ca.pem", here)
    change = await renew_authority(authority_at(folder), (folder_at(here),), None)
    new = certificate(folder / "root-ca.pem")
    assert (new.subject, old_form(new, is_authority=True)) == (old.subject, "")
    assert certificate(here / "root-ca.pem") == new
    assert len(change.written) == 2
    assert (folder / "root-ca.key").read_bytes() == key
    run_program("openssl", "verify", "-CAfile", "root-ca.pem", "caddy.pem", folder=folder)


async def test_everything_there_is_found(made: Path) -> None:
    folder = folder_at(made)
    assert [pair for pair, _ in await pairs_to_renew(folder, "")] == [CLIENT_PAIR, SERVER_PAIR]
    (made / "client.pem").rename(made / "client.crt")
    (made / "client-key.pem").rename(made / "client.key")
    assert [pair for pair, _ in await pairs_to_renew(folder, "client")] == [GUIDE_PAIR]


async def test_what_else_is_in_the_file_stays(made: Path) -> None:
    """Its key, say, if the settings name one file for both."""
    path = made / "client.pem"
    key, extra = (made / "client-key.pem").read_bytes(), (made / "root-ca.pem").read_bytes()
    path.write_bytes(old := b"# mine\n" + path.read_bytes() + key + extra)
    path.chmod(0o600)
    (made / "client-key.pem").unlink()
    one_file = CertPair(str(path), str(path))
    await renewed(Renewal(one_file, Purpose.CLIENT), made, made)
    new = path.read_bytes()
    assert new.startswith(b"# mine\n-----BEGIN CERTIFICATE")
    assert new.endswith(key + extra)
    assert new != old
    assert path.stat().st_mode & 0o777 == 0o600
    ssl.create_default_context().load_cert_chain(path)
    again = client_certificate(one_file, "laptop", "p256", None, force=True)
    await issue(again, authority_at(made), folder_at(made))
    assert path.stat().st_mode & 0o777 == 0o600
    ssl.create_default_context().load_cert_chain(path)


async def test_a_link_stays_one(made: Path, tmp_path: Path) -> None:
    target = tmp_path / "dotfiles.pem"
    (made / "client.pem").rename(target)
    (made / "client.pem").symlink_to(target)
    before = target.read_bytes()
    await renewed(CLIENT, made, made)
    assert (made / "client.pem").is_symlink()
    assert target.read_bytes() != before


async def test_another_ca_renews_only_by_force(made: Path, tmp_path: Path) -> None:
    await create_authority(authority_at(tmp_path / "other"), "Other", "p256", None, force=False)
    before = (made / "client.pem").read_bytes()
    with pytest.raises(ActionRefused, match="was not issued by the CA"):
        await renewed(CLIENT, made, tmp_path / "other")
    assert (made / "client.pem").read_bytes() == before
    forced = Renewal(CLIENT_PAIR, Purpose.CLIENT, force=True)
    await renewed(forced, made, tmp_path / "other")
    assert (made / "client.pem").read_bytes() != before


async def test_a_revoked_certificate_is_not_renewed(made: Path) -> None:
    await revoke("laptop", folder_at(made), ())
    with pytest.raises(ActionRefused, match="is revoked"):
        await renewed(CLIENT, made, made)


@pytest.mark.parametrize("renewal", [CLIENT, SERVER], ids=["client", "server"])
async def test_without_the_cas_key_the_printed_commands_renew_it(
    made: Path, tmp_path: Path, renewal: Renewal
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("root-ca.pem", "root-ca.key"):
        shutil.copy(made / name, elsewhere)
    (made / "root-ca.key").unlink()
    path = made / renewal.pair.certificate
    old = certificate(path)
    change = await renewed(renewal, made, made)
    assert certificate(path) == old
    # scp between machines is cp here; the rest runs as it is printed.
    there, sign, here = (line.strip() for line in change.notes if line.startswith("  "))
    for command, folder in ((there, made), (sign, elsewhere), (here, made)):
        local = re.sub(r"^scp", "cp", command.replace("CA-HOST:", "~/"))
        run_program("sh", "-euc", local, folder=folder, home=tmp_path)
    new = certificate(path)
    assert new.serial_number != old.serial_number
    assert (old_form(new), hosts_of(new)) == ("", hosts_of(old))
    assert public_der(new.public_key()) == public_der(old.public_key())
    verify = ("openssl", "verify", "-x509_strict", "-CAfile", "root-ca.pem", path)
    run_program(*verify, folder=made)
