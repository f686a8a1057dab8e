"""Machines behind a server: this one over a real sshd, and one with a real systemd."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from aitui.domain.snapshot import Server
from aitui.host.ssh.address import SshConfigPaths
from e2e.service.user_manager import ACCOUNT, UserManager, user_manager
from host.conftest import make_place, sshd
from host.sshd import Sshd

__all__ = ["sshd"]

VALID = "models:\n  one:\n    cmd: llama-server --port ${PORT} --ctx-size 4096\n"


@pytest.fixture
def preset(tmp_path: Path) -> Path:
    """A config file on this machine."""
    path = tmp_path / "there" / "config.yaml"
    path.parent.mkdir()
    path.write_text(VALID)
    return path


@pytest.fixture
def no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A login without an SSH agent."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


@pytest.fixture
def user(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_agent: None
) -> SshConfigPaths:
    """Whoever runs the check-up; the sshd is called `box` in their SSH config."""
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    return make_place(tmp_path / "user", sshd)


@pytest.fixture
def box(user: SshConfigPaths, preset: Path) -> Server:
    """A server whose machine is this one over SSH; the server itself isn't asked."""
    return Server("http://127.0.0.1:9", identity="box", ssh_host="box", preset_path=str(preset))


@pytest.fixture
def local(preset: Path) -> Server:
    """A server whose machine is this one."""
    return Server("http://127.0.0.1:9", identity="here", ssh_host="local", preset_path=str(preset))


@pytest.fixture(scope="session")
def systemd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserManager]:
    """A machine with a real systemd and a real sshd, for all tests of a worker."""
    with user_manager(tmp_path_factory.mktemp("examined") / "machine") as machine:
        yield machine


@pytest.fixture
def machine(systemd: UserManager) -> UserManager:
    """The machine with its service as it was installed."""
    systemd.reset()
    return systemd


@pytest.fixture
def served(
    machine: UserManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_agent: None
) -> Server:
    """The server of that machine, over SSH."""
    folder = tmp_path / "home" / ".ssh"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "config").write_text(
        f"Host box\n  HostName 127.0.0.1\n  Port {machine.ssh_port}\n  User {ACCOUNT}\n"
        f"  IdentityFile {machine.identity}\n"
    )
    (folder / "known_hosts").write_text(machine.known_hosts.read_text())
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return Server(machine.url, identity="box", ssh_host="box")
