"""Directories with certificates: an empty one, and one with a CA, a proxy and a client."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aitui.errors import AituiError
from aitui.host.local import LocalHost
from aitui.services.certs.authority import LocalAuthority
from aitui.services.certs.folder import CLIENT_PAIR, CertFolder
from aitui.services.certs.issue import (
    client_certificate,
    create_authority,
    issue,
    server_certificate,
)
from e2e.caddy.openssl import Guide


async def no_password(path: str) -> str:
    """Nothing here is encrypted."""
    raise AituiError(f"asked for the password of {path}")


def folder_at(path: Path) -> CertFolder:
    """A directory of this machine."""
    return CertFolder(LocalHost(Path("/")), str(path), is_remote=False)


def authority_at(path: Path) -> LocalAuthority:
    return LocalAuthority(folder_at(path), no_password)


def run_program(*words: str | Path, folder: Path, home: Path | None = None) -> str:
    """Run a program to its good end, and return its output."""
    done = subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, "HOME": str(home or folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{words}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def _open_umask() -> Iterator[None]:
    """A login that lets every user read and write what it makes."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
async def made(tmp_path: Path) -> Path:
    """A directory as new-ca, server and client leave it."""
    return await make_certs(tmp_path / "certs")


async def make_certs(path: Path) -> Path:
    """Make a CA with a proxy's and a client's certificate, and return their directory."""
    authority = authority_at(path)
    await create_authority(authority, "Test CA", "p256", None, force=False)
    proxy = server_certificate(("localhost", "127.0.0.1"), "p256", None, force=False)
    laptop = client_certificate(CLIENT_PAIR, "laptop", "p256", None, force=False)
    for wanted in (proxy, laptop):
        await issue(wanted, authority, folder_at(path))
    return path


@pytest.fixture(scope="session")
def guide_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with what the guide's openssl commands make; treat it as read-only."""
    path = tmp_path_factory.mktemp("guide")
    guide = Guide(path)
    guide.client()
    guide.server("DNS:localhost")
    return path
