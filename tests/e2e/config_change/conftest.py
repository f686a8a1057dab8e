"""Servers whose machine can be administered: over SSH with systemd, and on this machine."""

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import llama_swap_program
from aitui.demo.dialect import Dialect
from aitui.domain.snapshot import Server
from e2e.config_change.answering import until_it_answers
from e2e.service.user_manager import ACCOUNT, CONFIG, UserManager, free_port


@dataclass(frozen=True)
class Administered:
    """A server, the config file of its machine, and a home whose user may go there."""

    server: Server
    config: Path
    home: Path


@pytest.fixture
def over_ssh(systemd: UserManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Administered:
    """A server behind SSH that does not watch its file."""
    systemd.reset()
    home = tmp_path / "home"
    folder = home / ".ssh"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "config").write_text(
        f"Host box\n  HostName 127.0.0.1\n  Port {systemd.ssh_port}\n  User {ACCOUNT}\n"
        f"  IdentityFile {systemd.identity}\n  IdentityAgent none\n"
    )
    (folder / "known_hosts").write_text(systemd.known_hosts.read_text())
    monkeypatch.setenv("HOME", str(home))
    server = Server(url=systemd.url, identity="box", name="box", ssh_host="box", timeout=20.0)
    return Administered(server, systemd.config, home)


@pytest.fixture
async def on_this_machine(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Administered]:
    """A server on this machine that watches its file, and is no unit of systemd's.

    It is v218 unless parametrized.
    """
    dialect = getattr(request, "param", Dialect.V218)
    home = tmp_path / "home"
    config = home / ".config" / "llama-swap" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(CONFIG)
    monkeypatch.setenv("HOME", str(home))
    port = free_port()
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, llama_swap_program.__file__),
        *(
            "-dialect",
            dialect.value,
            "-listen",
            f"127.0.0.1:{port}",
            "-config",
            str(config),
            "-watch-config",
        ),
        stdout=asyncio.subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        await until_it_answers(url)
        server = Server(url=url, identity="here", name="here", ssh_host="local", timeout=20.0)
        yield Administered(server, config, home)
    finally:
        program.terminate()
        await program.wait()


@pytest.fixture(
    params=[
        "on_this_machine",
        pytest.param(
            "over_ssh",
            marks=[
                pytest.mark.real_server("systemd"),
                pytest.mark.real_server("openssh-server"),
            ],
        ),
    ]
)
def administered(request: pytest.FixtureRequest) -> Administered:
    """Each of the two."""
    found: Administered = request.getfixturevalue(request.param)
    return found
