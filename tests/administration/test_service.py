"""Reload and restart from the keys: asked first, watched to the end, explained where they fail."""

import asyncio
from pathlib import Path

import pytest

from administration.answering import running_commands
from administration.conftest import Administered
from commands.command_line import CommandLine
from service.user_manager import CONFIG, UNIT_TEXT, UserManager
from ui.driven import driven

pytestmark = [
    pytest.mark.real_server("systemd"),
    pytest.mark.real_server("openssh-server"),
]


async def test_a_newer_file_is_pointed_out_and_reloaded_with_one_key(
    over_ssh: Administered, systemd: UserManager, tmp_path: Path
) -> None:
    await asyncio.sleep(2.1)  # later than the start by what systemd and file systems round away
    systemd.write_config(CONFIG.replace("65536", "98304"))
    async with driven(over_ssh.server, tmp_path / "aitui", size=(120, 36)) as app:
        await app.see("the server has read it before", "H reload")
        await app.press("H")
        await app.answer("y")
        await app.see("✔ reload", "✔ answer")
        await app.press("escape")
        await app.unsee("the server has read it before")


async def test_restart_names_whose_model_goes_and_waits_until_it_answers(
    over_ssh: Administered, systemd: UserManager, tmp_path: Path
) -> None:
    before = systemd.systemctl("show", "-p", "MainPID", "--value", "llama-swap.service")
    async with driven(over_ssh.server, tmp_path / "aitui") as app:
        await app.see("small")
        app.go_to("small")
        await app.press("l")
        await app.until_ready("small")
        await app.press("R")
        await app.armed()
        await app.see("Restart llama-swap.service?", "unloads small", "No request runs there.")
        await app.press("y")
        await app.see("✔ restart", "✔ answer")
    after = systemd.systemctl("show", "-p", "MainPID", "--value", "llama-swap.service")
    assert before != after
    assert not await running_commands(over_ssh.server.url)


async def test_a_unit_that_does_not_come_up_is_explained_with_its_journal(
    over_ssh: Administered, systemd: UserManager, tmp_path: Path
) -> None:
    systemd.write_config("models: [nonsense\n")
    async with driven(over_ssh.server, tmp_path / "aitui", size=(120, 36)) as app:
        await app.see("small")
        await app.press("R")
        await app.answer("y")
        await app.see("✘", "yaml")


async def test_a_user_in_a_user_unit_is_recognised(
    over_ssh: Administered, systemd: UserManager
) -> None:
    systemd.write_unit(UNIT_TEXT.replace("[Service]", "[Service]\nUser=ai-server\nGroup=ai-server"))
    shell = CommandLine.towards(over_ssh.server, over_ssh.home)
    shell.environment["AI_SERVER_SSH_HOST"] = "box"
    outcome = await shell.run("restart", "--yes")
    assert outcome.status == 1
    assert "User=" in outcome.err
