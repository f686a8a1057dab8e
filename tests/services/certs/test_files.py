"""What is written: private keys for their owner alone, and nothing over something else."""

import os
from pathlib import Path

import pytest

from aitui.errors import ActionRefused, AituiError, HostFileError
from aitui.services.certs.folder import CLIENT_PAIR, GUIDE_PAIR, NewFile
from aitui.services.certs.issue import (
    client_certificate,
    create_authority,
    issue,
    pack,
    server_certificate,
)
from services.certs.conftest import authority_at, folder_at, no_password, run_program


def modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir() if path.is_file()}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.usefixtures("_open_umask")
async def test_keys_are_private_under_any_umask(tmp_path: Path) -> None:
    path = tmp_path / "new" / "certs"
    authority = authority_at(path)
    await create_authority(authority, "Test CA", "p256", None, force=False)
    proxy = server_certificate(("localhost",), "p256", None, force=False)
    laptop = client_certificate(CLIENT_PAIR, "laptop", "p256", None, force=False)
    for wanted in (proxy, laptop):
        await issue(wanted, authority, folder_at(path))
    await pack(folder_at(path), "", no_password, legacy=True, force=False)
    assert modes(path) == {
        "root-ca.key": 0o600,
        "root-ca.pem": 0o644,
        "caddy-key.pem": 0o600,
        "caddy.pem": 0o644,
        "client-key.pem": 0o600,
        "client.pem": 0o644,
        "client-legacy.p12": 0o600,
    }
    assert {path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777} == {0o700}


@pytest.mark.usefixtures("_open_umask")
async def test_a_key_is_never_open_not_even_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, usual = [], os.open

    def watch(path: str, flags: int, mode: int = 0o777, **more: int) -> int:
        if flags & os.O_CREAT:
            opened.append((mode, bool(flags & os.O_EXCL)))
        return usual(path, flags, mode, **more)

    monkeypatch.setattr(os, "open", watch)
    await folder_at(tmp_path).write([NewFile("client-key.pem", b"key", 0o600)])
    assert opened == [(0o600, True)]


async def test_nothing_is_overwritten(made: Path) -> None:
    before = contents(made)
    authority, folder = authority_at(made), folder_at(made)
    with pytest.raises(ActionRefused, match="already has a CA"):
        await create_authority(authority, "Other", "p256", None, force=False)
    proxy = server_certificate(("localhost",), "p256", None, force=False)
    laptop = client_certificate(CLIENT_PAIR, "laptop", "p256", None, force=False)
    for wanted in (proxy, laptop):
        with pytest.raises(ActionRefused, match="exists already"):
            await issue(wanted, authority, folder)
    assert contents(made) == before


@pytest.mark.parametrize("kept", ["root-ca.key", "root-ca.pem"])
async def test_half_a_ca_is_not_overwritten_either(tmp_path: Path, kept: str) -> None:
    (tmp_path / kept).write_text("half")
    with pytest.raises(ActionRefused):
        await create_authority(authority_at(tmp_path), "x", "p256", None, force=False)
    assert contents(tmp_path) == {kept: b"half"}


async def test_a_dangling_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "client-key.pem").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ActionRefused):
        await folder_at(tmp_path).write([NewFile("client-key.pem", b"key")])
    assert not (tmp_path / "elsewhere").exists()


async def test_what_cant_be_written_whole_leaves_nothing(tmp_path: Path) -> None:
    files = [NewFile("client-key.pem", b"key"), NewFile("missing/client.pem", b"certificate")]
    with pytest.raises(HostFileError):
        await folder_at(tmp_path).write(files)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "client-key.pem").write_bytes(b"old")
    with pytest.raises(HostFileError):
        await folder_at(tmp_path).write(files, replace=True)
    assert contents(tmp_path) == {"client-key.pem": b"old"}


async def test_force_makes_another_client_and_never_another_ca(made: Path) -> None:
    before = contents(made)
    laptop = client_certificate(CLIENT_PAIR, "laptop", "p256", None, force=True)
    await issue(laptop, authority_at(made), folder_at(made))
    changed = {name for name, old in before.items() if contents(made)[name] != old}
    assert changed == {"client.pem", "client-key.pem"}
    change = await create_authority(authority_at(made), "Other", "p256", None, force=True)
    assert any("Every client is locked out" in note for note in change.notes)
    aside = {path.suffix: path.read_bytes() for path in made.glob("root-ca-2*")}
    assert aside == {".pem": before["root-ca.pem"], ".key": before["root-ca.key"]}
    assert contents(made)["root-ca.key"] != before["root-ca.key"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_a_replaced_key_still_belongs_to_caddys_user(made: Path) -> None:
    os.chown(made / "caddy-key.pem", 65534, 65534)
    proxy = server_certificate(("localhost",), "p256", None, force=True)
    await issue(proxy, authority_at(made), folder_at(made))
    status = (made / "caddy-key.pem").stat()
    assert (status.st_uid, status.st_mode & 0o777) == (65534, 0o600)


async def test_the_guides_names_are_read_and_written_where_they_are(
    made: Path, tmp_path: Path
) -> None:
    proxy = tmp_path / "proxy"
    proxy.mkdir()
    (made / "client.pem").rename(proxy / GUIDE_PAIR.certificate)
    (made / "client-key.pem").rename(proxy / GUIDE_PAIR.key)
    folder = folder_at(proxy)
    assert await folder.client_pair() == GUIDE_PAIR
    await pack(folder, "", no_password, legacy=True, force=False)
    assert (proxy / "client-legacy.p12").stat().st_mode & 0o777 == 0o600
    laptop = client_certificate(await folder.client_pair(), "laptop", "p256", None, force=True)
    before = contents(proxy)
    await issue(laptop, authority_at(made), folder)
    assert contents(proxy).keys() - before.keys() == {"root-ca.pem"}
    assert contents(proxy)["client.key"] != before["client.key"]


async def test_a_client_alone_gets_the_ca_and_not_its_key(made: Path, tmp_path: Path) -> None:
    laptop = client_certificate(CLIENT_PAIR, "phone", "p256", None, force=False)
    await issue(laptop, authority_at(made), folder_at(tmp_path / "phone"))
    assert modes(tmp_path / "phone").keys() == {"root-ca.pem", "client.pem", "client-key.pem"}


async def test_an_encrypted_ca_key_asks_for_its_password(made: Path, tmp_path: Path) -> None:
    key = made / "root-ca.key"
    locks = ("openssl", "pkey", "-in", key, "-aes256", "-passout", "pass:secret", "-out", "locked")
    run_program(*locks, folder=made)
    (made / "locked").rename(key)
    asked = []

    async def answer(path: str) -> str:
        asked.append(path)
        return "secret" if len(asked) > 1 else "wrong"

    authority = authority_at(made)
    authority._ask = answer
    laptop = client_certificate(CLIENT_PAIR, "phone", "p256", None, force=False)
    with pytest.raises(AituiError, match="can't be read") as refused:
        await issue(laptop, authority, folder_at(tmp_path / "phone"))
    assert refused.value.why == "the password is wrong"
    await issue(laptop, authority, folder_at(tmp_path / "phone"))
    assert asked == [str(key)] * 2


async def test_a_key_that_cannot_sign_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "client-key.pem"
    run_program("openssl", "genpkey", "-algorithm", "X25519", "-out", key, folder=tmp_path)
    with pytest.raises(AituiError, match="can't be used"):
        await folder_at(tmp_path).private_key(key.name)
