"""A CA on another machine: openssl signs there, over a real sshd, and its key stays there."""

import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from aitui.domain.certs import Purpose, common_name, hosts_of, old_form
from aitui.domain.checks import CheckStatus
from aitui.errors import ActionRefused, AituiError
from aitui.host.base import Host
from aitui.host.local import LocalHost
from aitui.host.ssh.address import SshUser
from aitui.host.ssh.host import SshHost
from aitui.services.certs.authority import AuthorityKeyMissing, HostAuthority
from aitui.services.certs.check import check_folder
from aitui.services.certs.folder import CLIENT_PAIR, GUIDE_PAIR, SERVER_PAIR, CertFolder
from aitui.services.certs.issue import (
    CertPlan,
    client_certificate,
    create_authority,
    issue,
    pack_there,
    server_certificate,
)
from aitui.services.certs.renew import Renewal, renew, renew_authority
from aitui.services.certs.revoke import revoke
from host.conftest import make_place
from host.sshd import Sshd
from services.certs.conftest import folder_at, no_password, run_program

pytestmark = pytest.mark.real_server("openssh-server")


class WatchedHost:
    """A host that keeps all that comes over from it."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.received = bytearray()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._host, name)
        if name not in {"run", "read"}:
            return found

        async def watch(*words: Any, **more: Any) -> Any:
            result = await found(*words, **more)
            self.received += result if name == "read" else result.stdout + result.stderr
            return result

        return watch


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(tmp_path_factory.mktemp("proxy")) as running:
        yield running


@pytest.fixture
async def host(proxy: Sshd, tmp_path: Path) -> AsyncIterator[WatchedHost]:
    """The proxy's machine; no private key may have come over at the end."""
    async with SshHost("box", SshUser(make_place(tmp_path / "user", proxy), {})) as over_ssh:
        watched = WatchedHost(over_ssh)
        yield watched
    assert b"PRIVATE KEY" not in watched.received


@pytest.fixture
def there(host: WatchedHost, tmp_path: Path) -> CertFolder:
    """The CA's directory over there; its name needs quotes."""
    path = str(tmp_path / "the CA's $HOME")
    return CertFolder(host, path, is_remote=True)


@pytest.fixture
async def authority(there: CertFolder) -> HostAuthority:
    made = HostAuthority(there)
    await create_authority(made, "Proxy CA", "p256", None, force=False)
    return made


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def laptop(pair: object = CLIENT_PAIR, *, force: bool = False) -> CertPlan:
    assert isinstance(pair, type(CLIENT_PAIR))
    return client_certificate(pair, "laptop", "p256", None, force=force)


@pytest.mark.usefixtures("_open_umask")
async def test_the_client_keeps_its_key_and_the_ca_keeps_its_own(
    authority: HostAuthority, tmp_path: Path
) -> None:
    here, ca = tmp_path / "here", Path(authority.folder.path)
    await issue(laptop(), authority, folder_at(here))
    assert {path.name for path in here.iterdir()} == {"client.pem", "client-key.pem", "root-ca.pem"}
    assert {path.name for path in ca.iterdir()} == {"root-ca.pem", "root-ca.key", "issued"}
    assert (ca / "root-ca.key").stat().st_mode & 0o777 == 0o600
    assert (ca / "root-ca.pem").stat().st_mode & 0o777 == 0o644
    root, client = certificate(here / "root-ca.pem"), certificate(here / "client.pem")
    assert (old_form(root, is_authority=True), old_form(client)) == ("", "")
    verify = ("openssl", "verify", "-x509_strict", "-purpose", "sslclient")
    run_program(*verify, "-CAfile", "root-ca.pem", "client.pem", folder=here)


async def test_the_proxys_key_is_made_on_the_proxy(authority: HostAuthority) -> None:
    wanted = server_certificate(("ai.example.org", "::1"), "rsa2048", None, force=False)
    await issue(wanted, authority, authority.folder)
    ca = Path(authority.folder.path)
    assert hosts_of(certificate(ca / "caddy.pem")) == ("ai.example.org", "::1")
    assert (ca / "caddy-key.pem").stat().st_mode & 0o777 == 0o600
    verify = ("openssl", "verify", "-x509_strict", "-purpose", "sslserver")
    run_program(*verify, "-CAfile", "root-ca.pem", "caddy.pem", folder=ca)
    before = (ca / "caddy-key.pem").read_bytes()
    with pytest.raises(ActionRefused, match="exists already"):
        await issue(wanted, authority, authority.folder)
    await renew(Renewal(SERVER_PAIR, Purpose.SERVER, 10), authority, authority.folder, no_password)
    assert (ca / "caddy-key.pem").read_bytes() == before
    assert hosts_of(certificate(ca / "caddy.pem")) == ("ai.example.org", "::1")
    again = server_certificate(("ai.example.org",), "p256", None, force=True)
    await issue(again, authority, authority.folder)
    assert (ca / "caddy-key.pem").read_bytes() != before
    assert not list(ca.glob(".*"))


async def test_the_guides_files_for_a_browser_are_made_and_renewed_there(
    authority: HostAuthority, tmp_path: Path
) -> None:
    ca = Path(authority.folder.path)
    await issue(laptop(GUIDE_PAIR), authority, authority.folder)
    await pack_there(authority.folder)
    for name in ("client.key", "client-legacy.p12"):
        assert (ca / name).stat().st_mode & 0o777 == 0o600
    info = ("openssl", "pkcs12", "-in", "client-legacy.p12", "-passin", "pass:", "-nodes")
    packed = run_program(*info, folder=ca)
    # The guide copies its files to the client under other names.
    here = tmp_path / "here"
    here.mkdir()
    for name, onto in (("client.crt", "client.pem"), ("client.key", "client-key.pem")):
        (here / onto).write_bytes((ca / name).read_bytes())
    change = await renew(
        Renewal(CLIENT_PAIR, Purpose.CLIENT), authority, folder_at(here), no_password
    )
    assert len(change.written) == 3
    assert (ca / "client.crt").read_bytes() == (here / "client.pem").read_bytes()
    assert run_program(*info, folder=ca) != packed


async def test_a_ca_is_never_replaced(authority: HostAuthority) -> None:
    ca = Path(authority.folder.path)
    old = (ca / "root-ca.key").read_bytes()
    with pytest.raises(ActionRefused, match="already has a CA"):
        await create_authority(authority, "Other", "p256", None, force=False)
    with pytest.raises(AituiError, match="openssl failed"):
        await authority.create("Other", "p256", 10)
    assert (ca / "root-ca.key").read_bytes() == old
    change = await create_authority(authority, "Other", "p256", None, force=True)
    assert "locked out" in " ".join(change.notes)
    assert [path.read_bytes() for path in ca.glob("root-ca-2*.key")] == [old]


async def test_a_ca_is_renewed_there_with_its_key(authority: HostAuthority, tmp_path: Path) -> None:
    here, ca = tmp_path / "here", Path(authority.folder.path)
    await issue(laptop(), authority, folder_at(here))
    old, key = certificate(ca / "root-ca.pem"), (ca / "root-ca.key").read_bytes()
    change = await renew_authority(authority, (folder_at(here),), 5000)
    new = certificate(ca / "root-ca.pem")
    assert new.not_valid_after_utc > old.not_valid_after_utc
    assert (old_form(new, is_authority=True), len(change.written)) == ("", 2)
    assert (ca / "root-ca.key").read_bytes() == key
    verify = ("openssl", "verify", "-x509_strict", "-CAfile", "root-ca.pem", "client.pem")
    run_program(*verify, folder=here)


async def test_a_client_is_revoked_there(authority: HostAuthority, tmp_path: Path) -> None:
    await issue(laptop(), authority, folder_at(tmp_path / "here"))
    revocation = await revoke("laptop", authority.folder, ())
    assert len(revocation.fingerprints) == 1
    assert [path.parent.name for path in Path(authority.folder.path).glob("*/*.pem")] == ["revoked"]


async def test_its_files_are_checked_there(authority: HostAuthority) -> None:
    await issue(laptop(GUIDE_PAIR), authority, authority.folder)
    Path(authority.folder.path, "client.key").chmod(0o640)
    folder = authority.folder
    checks = [check async for check in check_folder(folder, folder, datetime.now(UTC))]
    failed = [check.seen for check in checks if check.status is CheckStatus.FAILED]
    assert failed == [f"others can read {folder.show_path('client.key')} (mode 0640)"]
    assert {"CA key", "client key", "client issuer"} <= {
        check.name for check in checks if check.status is CheckStatus.PASSED
    }


async def test_a_proxy_without_its_cas_key_gets_a_request(authority: HostAuthority) -> None:
    wanted = server_certificate(("ai.example.org",), "p256", None, force=False)
    await issue(wanted, authority, authority.folder)
    ca = Path(authority.folder.path)
    (ca / "root-ca.key").unlink()
    renewal = Renewal(SERVER_PAIR, Purpose.SERVER)
    change = await renew(renewal, authority, authority.folder, no_password)
    assert any("subjectAltName=DNS:ai.example.org" in line for line in change.notes)
    run_program("openssl", "req", "-verify", "-noout", "-in", "caddy.csr", folder=ca)


async def test_a_machine_without_openssl_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "mkdir", "mktemp", "rm"):
        (programs / name).symlink_to(shutil.which(name) or "")
    monkeypatch.setenv("PATH", str(programs))
    folder = CertFolder(LocalHost(tmp_path), str(tmp_path / "ca"), is_remote=True)
    with pytest.raises(AituiError) as caught:
        await create_authority(HostAuthority(folder), "x", "p256", None, force=False)
    assert caught.value.remedy == "install openssl there"
    assert not list((tmp_path / "ca").iterdir())


async def test_no_ca_there_says_so(there: CertFolder, tmp_path: Path) -> None:
    with pytest.raises(AuthorityKeyMissing, match="There is no CA in box:"):
        await issue(laptop(), HostAuthority(there), folder_at(tmp_path / "here"))


@pytest.mark.parametrize("name", ["a/b+c=d, e\\f $HOME `id` 'x' \"y\" Käthe 猫", "#1"])
async def test_openssl_takes_any_name(tmp_path: Path, name: str) -> None:
    folder = CertFolder(LocalHost(tmp_path), str(tmp_path / "ca"), is_remote=True)
    await create_authority(HostAuthority(folder), name, "p256", None, force=False)
    assert common_name(certificate(tmp_path / "ca" / "root-ca.pem")) == name
