"""aitui on one machine, and on another one, behind a real sshd, the systemd of a login."""

import shutil
from pathlib import Path

import pytest

from cli.command_line import CommandLine
from e2e.service.user_manager import ACCOUNT, UNIT, UserManager


@pytest.fixture
def machine(systemd: UserManager) -> UserManager:
    """The machine with llama-swap installed, and without unit and config file."""
    systemd.run("sh", "-c", f"systemctl --user disable --now {UNIT}; true")
    for folder in (systemd.unit_file.parent, systemd.config.parent):
        for path in folder.iterdir():
            if not path.is_dir():
                path.unlink()
    systemd.systemctl("daemon-reload")
    systemd.systemctl("reset-failed")
    for name in ("models", "programs"):
        shutil.rmtree(systemd.home / name, ignore_errors=True)
    return systemd


@pytest.fixture
def aitui(machine: UserManager, tmp_path: Path) -> CommandLine:
    """aitui with that machine as the host of its server."""
    folder = tmp_path / "home" / ".ssh"
    folder.mkdir(parents=True)
    (folder / "config").write_text(
        f"Host box\n  HostName 127.0.0.1\n  Port {machine.ssh_port}\n  User {ACCOUNT}\n"
        f"  IdentityFile {machine.identity}\n  IdentityAgent none\n"
        f"  UserKnownHostsFile {machine.known_hosts}\n"
    )
    return CommandLine(folder.parent, {"AI_SERVER_URL": machine.url, "AI_SERVER_SSH_HOST": "box"})
