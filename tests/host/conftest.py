"""The two kinds of host: this machine, and the same one over a real sshd."""

import getpass
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from aitui.host.base import Host
from aitui.host.config_file import ConfigFile
from aitui.host.local import LocalHost
from aitui.host.ssh.address import SshConfigPaths, SshUser
from aitui.host.ssh.host import SshHost
from host.sshd import Sshd
from host.writing import OLD, config_on


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A real sshd for the tests that only log in; treat it as read-only."""
    with Sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def place(sshd: Sshd, tmp_path: Path) -> SshConfigPaths:
    """A user's set-up of its own, in which the sshd is called `box`."""
    return make_place(tmp_path / "user", sshd)


def make_place(home: Path, sshd: Sshd, more: str = "") -> SshConfigPaths:
    """A home with an SSH config for an sshd; `more` are lines for its Host block."""
    folder = home / ".ssh"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "config").write_text(
        f"Host box\n  HostName 127.0.0.1\n  Port {sshd.port}\n  User {getpass.getuser()}\n"
        f"  IdentityFile {sshd.key}\n{more}"
    )
    (folder / "known_hosts").write_text(f"{sshd.known_line}\n")
    return SshConfigPaths(home, folder / "config", agent="", system=None)


@pytest.fixture
async def box(place: SshConfigPaths) -> AsyncIterator[SshHost]:
    """This machine over SSH."""
    async with SshHost("box", SshUser(place, {})) as host:
        yield host


@pytest.fixture(
    params=["local", pytest.param("ssh", marks=pytest.mark.real_server("openssh-server"))]
)
async def host(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Host]:
    """This machine, directly and over SSH."""
    if request.param == "ssh":
        sshd: Sshd = request.getfixturevalue("sshd")
        async with SshHost("box", SshUser(make_place(tmp_path / "user", sshd), {})) as over_ssh:
            yield over_ssh
    else:
        home = tmp_path / "home"
        home.mkdir()
        async with LocalHost(home) as local:
            yield local


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder on the host."""
    made = tmp_path / "there"
    made.mkdir()
    return made


@pytest.fixture
def path(folder: Path) -> Path:
    """A config file with the old text."""
    made = folder / "config.yaml"
    made.write_bytes(OLD)
    made.chmod(0o640)
    return made


@pytest.fixture
def file(host: Host, path: Path) -> ConfigFile:
    """The same, as aitui has it."""
    return config_on(host, path)
