"""Logins and servers of other kinds: encrypted keys, agents, servers that lack something."""

import base64
import socket
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import asyncssh
import pytest

from aitui.errors import (
    FilePermissionDenied,
    HostError,
    HostFileError,
    HostLoginRefused,
    HostTimedOut,
    SshKeyPassphraseNeeded,
)
from aitui.host.sampler import read_host_info
from aitui.host.ssh.address import SshConfigPaths, SshUser
from aitui.host.ssh.host import SshHost
from aitui.host.ssh.route import resolve_route
from host.conftest import make_place
from host.reaching import add_to_config, host_of, is_there
from host.sshd import Sshd
from host.writing import NEW, OLD, config_on, names_in

pytestmark = pytest.mark.real_server("openssh-server")


Variant = Callable[..., AbstractAsyncContextManager[SshHost]]


@pytest.fixture
def variant(tmp_path: Path) -> Variant:
    """Starts another sshd that is set up in another way."""

    (tmp_path / "other-sshd").mkdir()

    @asynccontextmanager
    async def start(*, sftp: str | None = None, more: str = "") -> AsyncIterator[SshHost]:
        with Sshd(tmp_path / "other-sshd", sftp=sftp, more=more) as other:
            async with host_of(make_place(tmp_path / "other-user", other)) as host:
                yield host

    return start


async def test_a_key_that_is_not_accepted(place: SshConfigPaths, tmp_path: Path) -> None:
    other = tmp_path / "other_key"
    other.touch(mode=0o600)
    other.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    place.config.write_text(place.config.read_text().partition("  IdentityFile")[0])
    add_to_config(place, f"IdentityFile {other}\n")
    async with host_of(place) as host:
        with pytest.raises(HostLoginRefused) as caught:
            await host.run(["true"])
    assert "ssh-copy-id" in caught.value.remedy
    assert not isinstance(caught.value, SshKeyPassphraseNeeded)


async def test_too_many_keys_are_told(variant: Variant, tmp_path: Path) -> None:
    async with variant(more="MaxAuthTries 1") as host:
        config = tmp_path / "other-user" / ".ssh" / "config"
        for number in range(2):
            wrong = tmp_path / f"wrong {number}"
            wrong.touch(mode=0o600)
            wrong.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
            config.write_text(f'IdentityFile "{wrong}"\n{config.read_text()}')
        with pytest.raises(HostLoginRefused, match="too many keys"):
            await host.run(["true"])


@pytest.fixture
def locked_key(place: SshConfigPaths, sshd: Sshd, tmp_path: Path) -> Path:
    """The key that logs in, encrypted, in the place of the plain one."""
    path = tmp_path / "locked_key"
    path.touch(mode=0o600)
    key = asyncssh.read_private_key(sshd.key)
    path.write_bytes(key.export_private_key(passphrase="right", rounds=16, ignore_few_rounds=True))
    place.config.write_text(place.config.read_text().replace(str(sshd.key), str(path)))
    return path


async def test_an_encrypted_key_asks_for_its_passphrase(
    place: SshConfigPaths, locked_key: Path
) -> None:
    async with host_of(place) as host:
        with pytest.raises(SshKeyPassphraseNeeded) as caught:
            await host.run(["true"])
    assert caught.value.path == str(locked_key)


async def test_an_encrypted_key_logs_in_with_its_passphrase(
    place: SshConfigPaths, locked_key: Path
) -> None:
    async with SshHost("box", SshUser(place, {str(locked_key): "right"})) as host:
        assert await is_there(host)


async def test_a_wrong_passphrase_is_told(place: SshConfigPaths, locked_key: Path) -> None:
    async with SshHost("box", SshUser(place, {str(locked_key): "wrong"})) as host:
        with pytest.raises(SshKeyPassphraseNeeded, match="passphrase is wrong"):
            await host.run(["true"])


def make_security_key(path: Path, kind: bytes, *, encrypted: bool = False) -> None:
    """A key file as ssh-keygen leaves it for a FIDO device (OpenSSH's PROTOCOL.key, PROTOCOL.u2f)."""

    def string(content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + content

    curve = string(b"nistp256") if b"ecdsa" in kind else b""
    point = asyncssh.generate_private_key(
        "ecdsa-sha2-nistp256" if curve else "ssh-ed25519"
    ).public_data
    # The last field of a plain key of that kind is the point.
    size = 65 if curve else 32
    public = string(kind) + curve + string(point[-size:]) + string(b"ssh:")
    private = bytes(8) + public + b"\x01" + string(bytes(64)) + string(b"") + string(b"stick")
    private += bytes(range(1, 1 + -len(private) % 8))
    options = string(bytes(16)) + struct.pack(">I", 16)
    head = (
        (string(b"aes256-ctr"), string(b"bcrypt"), string(options))
        if encrypted
        else ((string(b"none"),) * 2 + (string(b""),))
    )
    blob = b"".join((b"openssh-key-v1\0", *head, struct.pack(">I", 1), string(public)))
    text = base64.encodebytes(blob + string(private)).decode()
    path.touch(mode=0o600)
    path.write_text(
        f"-----BEGIN OPENSSH PRIVATE KEY-----\n{text}-----END OPENSSH PRIVATE KEY-----\n"
    )
    Path(f"{path}.pub").write_text(f"{kind.decode()} {base64.b64encode(public).decode()} stick\n")


@pytest.mark.parametrize(
    "kind", [b"sk-ssh-ed25519@openssh.com", b"sk-ecdsa-sha2-nistp256@openssh.com"]
)
@pytest.mark.parametrize("variant_of_file", ["plain", "encrypted", "without .pub"])
async def test_a_security_key_is_named_with_the_agent_as_the_way(
    place: SshConfigPaths, tmp_path: Path, kind: bytes, variant_of_file: str
) -> None:
    path = tmp_path / "my stick"
    make_security_key(path, kind, encrypted=variant_of_file == "encrypted")
    if variant_of_file == "without .pub":
        Path(f"{path}.pub").unlink()
    place.config.write_text(place.config.read_text().partition("  IdentityFile")[0])
    add_to_config(place, f'IdentityFile "{path}"\n')
    async with host_of(place) as host:
        with pytest.raises(HostLoginRefused, match="my stick is on a security key") as caught:
            await host.run(["true"])
    assert caught.value.remedy == f"eval $(ssh-agent) && ssh-add '{path}'"
    assert "0 keys of files" in caught.value.why
    assert not isinstance(caught.value, SshKeyPassphraseNeeded)


@pytest.mark.parametrize("name", ["id_ed25519_sk", "id_ecdsa_sk"])
async def test_the_usual_files_of_security_keys_are_looked_at(
    place: SshConfigPaths, agent: Path, name: str
) -> None:
    path = place.home / ".ssh" / name
    make_security_key(path, b"sk-ssh-ed25519@openssh.com")
    place.config.write_text(place.config.read_text().partition("  IdentityFile")[0])
    with_agent = SshConfigPaths(place.home, place.config, str(agent), None)
    async with host_of(with_agent) as host:
        with pytest.raises(HostLoginRefused, match=name) as caught:
            await host.run(["true"])
    assert caught.value.remedy == f"ssh-add {path}"
    route = await resolve_route("box", with_agent)
    assert (route.keys, route.hardware) == ((), (str(path),))


async def test_another_key_logs_in_beside_a_security_key(
    place: SshConfigPaths, tmp_path: Path
) -> None:
    make_security_key(tmp_path / "stick", b"sk-ssh-ed25519@openssh.com")
    add_to_config(place, f"IdentityFile {tmp_path}/stick\n")
    async with host_of(place) as host:
        assert await is_there(host)


@pytest.mark.parametrize(
    ("address", "remedy"),
    [("box", "ssh-copy-id box"), ("fox@box", "ssh-copy-id fox@box")],
)
async def test_the_remedy_for_an_unknown_key_can_be_pasted(
    place: SshConfigPaths, tmp_path: Path, address: str, remedy: str
) -> None:
    place.config.write_text(place.config.read_text().partition("  IdentityFile")[0])
    async with host_of(place, address) as host:
        with pytest.raises(HostLoginRefused) as caught:
            await host.run(["true"])
    assert caught.value.remedy == f"ssh-keygen -t ed25519 && {remedy}"
    strange = asyncssh.generate_private_key("ssh-ed25519").export_private_key()
    (place.home / ".ssh" / "id_ed25519").write_bytes(strange)
    async with host_of(place, address) as host:
        with pytest.raises(HostLoginRefused) as caught:
            await host.run(["true"])
    assert caught.value.remedy == remedy


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Path]:
    """A real agent without keys."""
    path = tmp_path / "agent"
    with subprocess.Popen(
        ["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            # The path is there before the agent listens.
            while not _accepts(path):
                assert process.poll() is None
                time.sleep(0.01)
            yield path
        finally:
            process.terminate()


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as attempt:
        return attempt.connect_ex(str(path)) == 0


@pytest.mark.parametrize("identities_only", [False, True])
async def test_a_key_of_the_agent_logs_in(
    place: SshConfigPaths, sshd: Sshd, locked_key: Path, agent: Path, identities_only: bool
) -> None:
    key = asyncssh.read_private_key(sshd.key)
    async with asyncssh.connect_agent(str(agent)) as connected:
        await connected.add_keys([key])
    if identities_only:
        add_to_config(place, "IdentitiesOnly yes\n")
        Path(f"{locked_key}.pub").write_bytes(key.export_public_key())
    with_agent = SshConfigPaths(place.home, place.config, str(agent), None)
    async with host_of(with_agent) as host:
        assert await is_there(host)


async def test_a_server_without_sftp_still_runs_commands(variant: Variant, folder: Path) -> None:
    async with variant(sftp="") as host:
        with pytest.raises(HostError, match="has no SFTP"):
            await host.list(str(folder))
        assert await is_there(host)


@pytest.mark.parametrize("missing", ["posix-rename", "fsync"])
async def test_a_server_that_cannot_replace_a_file_is_refused(
    variant: Variant, folder: Path, missing: str
) -> None:
    path = folder / "config.yaml"
    path.write_bytes(OLD)
    async with variant(sftp=f"Subsystem sftp internal-sftp -P {missing}") as host:
        file = config_on(host, path)
        reading = await file.read()
        with pytest.raises(HostFileError) as caught:
            await file.write(reading, NEW)
    assert "internal-sftp" in caught.value.remedy
    assert path.read_bytes() == OLD
    assert names_in(folder) == {"config.yaml"}


async def test_a_server_that_only_reads_is_told(variant: Variant, folder: Path) -> None:
    path = folder / "config.yaml"
    path.write_bytes(OLD)
    async with variant(sftp="Subsystem sftp internal-sftp -R") as host:
        file = config_on(host, path)
        with pytest.raises(FilePermissionDenied, match="locking the file"):
            await file.write(await file.read(), NEW)
    assert path.read_bytes() == OLD


LINEWISE_SHELL = r"""#!/bin/sh
case "$SSH_ORIGINAL_COMMAND" in
*[\"\$\`]*) echo "Illegal variable name."; exit 1 ;;
esac
[ "$(printf %s "$SSH_ORIGINAL_COMMAND" | wc -l)" = 0 ] || { echo "Unmatched quote."; exit 1; }
eval "$SSH_ORIGINAL_COMMAND"
"""
"""As tcsh and fish: each line is a command, also within quotes, and `$$` or `"$@"` are errors."""


async def test_a_login_shell_that_is_no_posix_shell(variant: Variant, tmp_path: Path) -> None:
    shell = tmp_path / "tcsh"
    shell.write_text(LINEWISE_SHELL)
    shell.chmod(0o755)
    async with variant(more=f"ForceCommand {shell}") as host:
        words = ["a\nb", "it's", '"$HOME"', "é`id`", "-n", "a!b"]
        finished = await host.run(["printf", "%s|", *words])
        assert finished.stdout.decode() == "|".join((*words, ""))
        assert (await host.run(["cat"])).stdout == b""
        assert (await host.run(["no-such-program"])).status == 127
        assert (await read_host_info(host, 0.0)).kernel
        with pytest.raises(HostTimedOut):
            await host.run(["sleep", "600"], seconds=0.5)


@pytest.mark.parametrize(
    "noise", ['echo "Welcome!"', 'printf "no line end"', "head -c 200000 /dev/zero"]
)
async def test_what_the_start_of_a_shell_writes_is_no_output(variant: Variant, noise: str) -> None:
    noisy = f"ForceCommand sh -c '{noise}; eval \"$SSH_ORIGINAL_COMMAND\"'"
    async with variant(more=noisy) as host:
        assert (await host.run(["echo", "there"])).stdout == b"there\n"
