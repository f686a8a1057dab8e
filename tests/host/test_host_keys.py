"""Host keys: unknown, changed and revoked ones are told apart, and none goes unchecked."""

import base64
import hmac
import os
import stat
from hashlib import sha1
from pathlib import Path

import asyncssh
import pytest

from aitui.errors import HostError, HostKeyRefused
from aitui.host.ssh.address import SshConfigPaths, SshUser
from aitui.host.ssh.host import SshHost
from host.conftest import make_place
from host.sshd import Sshd

pytestmark = pytest.mark.real_server("openssh-server")


def public_line(key: asyncssh.SSHKey) -> str:
    return key.export_public_key().decode().strip()


def other_key(algorithm: str = "ssh-ed25519") -> str:
    return public_line(asyncssh.generate_private_key(algorithm))


def known_hosts(place: SshConfigPaths) -> Path:
    return place.home / ".ssh" / "known_hosts"


async def refusal(place: SshConfigPaths) -> HostKeyRefused:
    async with SshHost("box", SshUser(place, {})) as host:
        with pytest.raises(HostKeyRefused) as caught:
            await host.run(["true"])
    return caught.value


async def is_accepted(place: SshConfigPaths) -> bool:
    async with SshHost("box", SshUser(place, {})) as host:
        return (await host.run(["true"])).status == 0


async def test_a_known_key_is_accepted(place: SshConfigPaths) -> None:
    assert await is_accepted(place)


async def test_an_unknown_key_is_refused_with_its_fingerprint(
    place: SshConfigPaths, sshd: Sshd
) -> None:
    known_hosts(place).unlink()
    refused = await refusal(place)
    assert refused.fingerprint == sshd.host_key.get_fingerprint()
    assert refused.algorithm == "ssh-ed25519"
    assert refused.line == " ".join(sshd.known_line.split()[:3])
    assert "not known yet" in refused.what


async def test_nobody_logs_in_where_the_key_is_unknown(place: SshConfigPaths, sshd: Sshd) -> None:
    known_hosts(place).unlink()
    before = sshd.log.count("Accepted publickey")
    await refusal(place)
    assert sshd.log.count("Accepted publickey") == before


async def test_an_unknown_key_that_is_remembered_is_known_from_then_on(
    place: SshConfigPaths,
) -> None:
    known_hosts(place).unlink()
    async with SshHost("box", SshUser(place, {})) as host:
        with pytest.raises(HostKeyRefused) as caught:
            await host.run(["true"])
        await host.remember_host_key(caught.value.line)
        assert (await host.run(["true"])).status == 0
    assert await is_accepted(place)


async def test_known_hosts_is_made_for_the_user_alone(
    place: SshConfigPaths, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "new" / "known"
    place.config.write_text(f"UserKnownHostsFile {elsewhere}\n{place.config.read_text()}")
    async with SshHost("box", SshUser(place, {})) as host:
        with pytest.raises(HostKeyRefused) as caught:
            await host.run(["true"])
        await host.remember_host_key(caught.value.line)
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o600
    assert stat.S_IMODE(elsewhere.parent.stat().st_mode) == 0o700
    assert elsewhere.read_text() == f"{caught.value.line}\n"


async def test_remembering_keeps_the_lines_that_are_there(place: SshConfigPaths) -> None:
    known_hosts(place).write_text("# mine\nelsewhere " + other_key())  # no newline at its end
    async with SshHost("box", SshUser(place, {})) as host:
        with pytest.raises(HostKeyRefused) as caught:
            await host.run(["true"])
        await host.remember_host_key(caught.value.line)
    lines = known_hosts(place).read_text().splitlines()
    assert (len(lines), lines[0], lines[2]) == (3, "# mine", caught.value.line)


async def test_only_a_key_that_was_asked_about_is_remembered(place: SshConfigPaths) -> None:
    async with SshHost("box", SshUser(place, {})) as host:
        with pytest.raises(HostError):
            await host.remember_host_key(f"box {other_key()}")


@pytest.mark.parametrize("algorithm", ["ssh-ed25519", "ecdsa-sha2-nistp256"])
async def test_a_changed_key_is_refused_and_not_to_be_remembered(
    place: SshConfigPaths, sshd: Sshd, algorithm: str
) -> None:
    known_hosts(place).write_text(f"[127.0.0.1]:{sshd.port} {other_key(algorithm)}\n")
    refused = await refusal(place)
    assert refused.line == ""
    assert "CHANGED" in refused.what
    assert refused.fingerprint == sshd.host_key.get_fingerprint()
    assert f"ssh-keygen -R '[127.0.0.1]:{sshd.port}'" in refused.remedy


async def test_a_revoked_key_is_refused(place: SshConfigPaths, sshd: Sshd) -> None:
    known = known_hosts(place)
    known.write_text(f"{known.read_text()}@revoked * {public_line(sshd.host_key)}\n")
    refused = await refusal(place)
    assert refused.line == ""
    assert "revoked" in str(refused)


async def test_a_hashed_name_is_known(place: SshConfigPaths, sshd: Sshd) -> None:
    name = f"[127.0.0.1]:{sshd.port}"
    salt = b"0123456789abcdefghij"
    digest = hmac.new(salt, name.encode(), sha1).digest()
    hashed = f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"
    known_hosts(place).write_text(f"{hashed} {public_line(sshd.host_key)}\n")
    assert await is_accepted(place)


async def test_a_changed_key_is_seen_behind_a_hashed_name(
    place: SshConfigPaths, sshd: Sshd
) -> None:
    salt = b"0123456789abcdefghij"
    digest = hmac.new(salt, f"[127.0.0.1]:{sshd.port}".encode(), sha1).digest()
    hashed = f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"
    known_hosts(place).write_text(f"{hashed} {other_key()}\n")
    assert "CHANGED" in (await refusal(place)).what


async def test_the_same_key_without_the_port_is_known(place: SshConfigPaths, sshd: Sshd) -> None:
    known_hosts(place).write_text(f"127.0.0.1 {public_line(sshd.host_key)}\n")
    assert await is_accepted(place)


async def test_another_key_without_the_port_is_another_server(place: SshConfigPaths) -> None:
    known_hosts(place).write_text(f"127.0.0.1 {other_key()}\n")
    assert "not known yet" in (await refusal(place)).what


async def test_an_alias_for_keys_is_looked_up(place: SshConfigPaths, sshd: Sshd) -> None:
    place.config.write_text(f"HostKeyAlias the-box\n{place.config.read_text()}")
    known_hosts(place).write_text(f"the-box {public_line(sshd.host_key)}\n")
    assert await is_accepted(place)


async def test_a_line_that_can_not_be_read_hides_no_other(place: SshConfigPaths) -> None:
    known = known_hosts(place)
    known.write_text(f"garbage\n@wrong x y\n|1|no base64 z\n{known.read_text()}")
    assert await is_accepted(place)


@pytest.mark.parametrize("where", ["none", "/dev/null"])
async def test_without_a_file_every_key_is_asked_about(place: SshConfigPaths, where: str) -> None:
    place.config.write_text(f"UserKnownHostsFile {where}\n{place.config.read_text()}")
    async with SshHost("box", SshUser(place, {})) as host:
        with pytest.raises(HostKeyRefused) as caught:
            await host.run(["true"])
        await host.remember_host_key(caught.value.line)
        assert (await host.run(["true"])).status == 0
    assert "not known yet" in (await refusal(place)).what


async def test_a_config_that_checks_nothing_is_not_believed(place: SshConfigPaths) -> None:
    place.config.write_text(f"StrictHostKeyChecking no\n{place.config.read_text()}")
    known_hosts(place).unlink()
    assert "not known yet" in (await refusal(place)).what


@pytest.fixture
def authority() -> asyncssh.SSHKey:
    """Signs host keys."""
    return asyncssh.generate_private_key("ssh-ed25519")


async def test_a_fifo_in_place_of_known_hosts_is_named(place: SshConfigPaths) -> None:
    known_hosts(place).unlink()
    os.mkfifo(known_hosts(place))
    assert "it is a FIFO, not a file" in (await refusal(place)).why


async def test_a_key_that_a_known_authority_has_signed_is_accepted(
    tmp_path: Path, authority: asyncssh.SSHKey
) -> None:
    (tmp_path / "signed").mkdir()
    with Sshd(tmp_path / "signed", authority=authority) as signed:
        place = make_place(tmp_path / "signed-user", signed)
        name = f"[127.0.0.1]:{signed.port}"
        known_hosts(place).write_text(f"@cert-authority {name} {public_line(authority)}\n")
        assert await is_accepted(place)


async def test_a_signed_key_is_known_by_itself_as_well(
    tmp_path: Path, authority: asyncssh.SSHKey
) -> None:
    (tmp_path / "signed").mkdir()
    with Sshd(tmp_path / "signed", authority=authority) as signed:
        assert await is_accepted(make_place(tmp_path / "signed-user", signed))


async def test_a_key_that_another_authority_has_signed_is_refused(
    tmp_path: Path, authority: asyncssh.SSHKey
) -> None:
    (tmp_path / "signed").mkdir()
    with Sshd(tmp_path / "signed", authority=authority) as signed:
        place = make_place(tmp_path / "signed-user", signed)
        known_hosts(place).write_text(f"@cert-authority * {other_key()}\n")
        refused = await refusal(place)
    assert refused.line == ""
