"""The first word with a host: what a person has to say before it is spoken with."""

import shutil
import subprocess
from pathlib import Path

import asyncssh
import pytest
from msgspec.structs import replace

from aitui.domain.snapshot import Snapshot
from aitui.services import config_watch
from aitui.services.config_watch import ServerConfig, read_server_config
from aitui.services.host_admin import HostAdmin
from cli.command_line import CommandLine
from e2e.config_change.conftest import Administered
from e2e.service.user_manager import CONFIG
from ui.driven import driven

pytestmark = [
    pytest.mark.real_server("systemd"),
    pytest.mark.real_server("openssh-server"),
]


@pytest.fixture
def unknown(over_ssh: Administered) -> Administered:
    """A host whose key is in no known_hosts file."""
    (over_ssh.home / ".ssh" / "known_hosts").unlink()
    return over_ssh


@pytest.fixture
def encrypted(over_ssh: Administered) -> Administered:
    """A user whose only key has the passphrase `open sesame`."""
    config = over_ssh.home / ".ssh" / "config"
    key = over_ssh.home / ".ssh" / "id_encrypted"
    identity = next(
        line.split()[1] for line in config.read_text().splitlines() if "IdentityFile" in line
    )
    shutil.copy(identity, key)
    key.chmod(0o600)
    subprocess.run(
        ["ssh-keygen", "-q", "-p", "-P", "", "-N", "open sesame", "-f", str(key)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    config.write_text(config.read_text().replace(identity, str(key)))
    return over_ssh


async def test_an_unknown_host_key_is_asked_about_and_remembered(
    unknown: Administered, tmp_path: Path
) -> None:
    async with driven(unknown.server, tmp_path / "aitui") as app:
        await app.see("small")
        app.go_to("small")
        await app.press("5")
        await app.see("Trust box?", "SHA256:", "ssh-ed25519")
        await app.answer("y")
        await app.see("--ctx-size 65536")
    known = (unknown.home / ".ssh" / "known_hosts").read_text()
    assert "ssh-ed25519" in known
    assert (unknown.home / ".ssh" / "known_hosts").stat().st_mode & 0o077 == 0


async def test_no_trusts_nobody_and_says_why_nothing_is_shown(
    unknown: Administered, tmp_path: Path
) -> None:
    async with driven(unknown.server, tmp_path / "aitui") as app:
        await app.see("small")
        await app.press("5")
        await app.answer("n")
        await app.see("Not read. F5 tries again", "SHA256:")
    assert not (unknown.home / ".ssh" / "known_hosts").exists()


async def test_a_changed_host_key_is_refused_without_a_question(
    over_ssh: Administered, tmp_path: Path
) -> None:
    known = over_ssh.home / ".ssh" / "known_hosts"
    place = known.read_text().split()[0]
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    known.write_text(f"{place} {other}")
    async with driven(over_ssh.server, tmp_path / "aitui", size=(120, 36)) as app:
        await app.see("small")
        await app.press("5")
        await app.see("Not read. F5 tries again", "has CHANGED", "ssh-keygen -R")
        assert not app.asking


async def test_the_passphrase_of_an_encrypted_key_is_asked_once(
    encrypted: Administered, tmp_path: Path
) -> None:
    async with driven(encrypted.server, tmp_path / "aitui") as app:
        await app.see("small")
        await app.press("5")
        await app.see("Password of the private key", "id_encrypted")
        await app.press(*"open", "space", *"sesame", "enter")
        await app.see("--ctx-size 65536")
        await app.press("escape")
        await app.see("l load")
        await app.press("5")
        await app.see("--ctx-size 65536")


async def test_the_table_works_while_the_host_is_away(
    over_ssh: Administered, tmp_path: Path
) -> None:
    config = over_ssh.home / ".ssh" / "config"
    config.write_text(config.read_text().replace("  Port ", "  Port 1\n  #Port "))
    async with driven(over_ssh.server, tmp_path / "aitui") as app:
        await app.see("small")
        app.go_to("small")
        await app.press("R")
        await app.told("refuses")
        await app.press("l")
        await app.until_ready("small")


async def test_without_a_host_the_keys_say_how_to_name_one(
    on_this_machine: Administered, tmp_path: Path
) -> None:
    server = replace(on_this_machine.server, ssh_host="")
    async with driven(server, tmp_path / "aitui", size=(120, 36)) as app:
        await app.see("small")
        for key in ("c", "R", "H", "5"):
            await app.press(key)
            await app.told("AI_SERVER_SSH_HOST")
            app.forget()


@pytest.mark.parametrize(
    "command",
    [
        ("ctx", "small", "131072"),
        ("undo",),
        ("reload",),
        ("restart",),
        ("flag", "small", "temp", "1"),
    ],
)
async def test_read_only_refuses_before_anything_is_sent(
    on_this_machine: Administered, command: tuple[str, ...]
) -> None:
    shell = CommandLine.towards(on_this_machine.server, on_this_machine.home)
    shell.environment["AI_SERVER_SSH_HOST"] = "nobody@127.0.0.1:1"
    outcome = await shell.run("--read-only", *command, "--yes")
    assert (outcome.status, "read-only" in outcome.err) == (6, True), outcome
    assert on_this_machine.config.read_text() == CONFIG


async def test_a_host_that_refuses_is_not_asked_again_and_again(
    unknown: Administered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_watch, "CHECK_INTERVAL", 0.05)
    asked: list[float] = []

    async def counted(admin: HostAdmin, snapshot: Snapshot) -> ServerConfig:
        asked.append(admin.clock.monotonic())
        return await read_server_config(admin, snapshot)

    monkeypatch.setattr(config_watch, "read_server_config", counted)
    async with driven(unknown.server, tmp_path / "aitui") as app:
        await app.see("small")
        await app.until(lambda: asked)
        await app.press("5")
        await app.armed()
        assert len(asked) == 1
        await app.answer("y")
        await app.see("--ctx-size 65536")
        await app.until(lambda: len(asked) > 2, "looked at again")
