"""A cold first request, offered a preload by the doctor; the server then starts with the model."""

import json
import shlex

import pytest

from cli.command_line import CommandLine
from e2e.service.installed import CONFIG
from e2e.service.user_manager import UNIT, UserManager

pytestmark = [pytest.mark.real_server("systemd"), pytest.mark.real_server("openssh-server")]


async def test_the_doctor_offers_a_preload_that_loads_the_model_at_the_start(
    aitui: CommandLine, machine: UserManager
) -> None:
    machine.reset()
    rows = json.loads((await aitui.run("doctor", "--json")).out)
    (preload,) = (row for row in rows if row["check"] == "preload")
    assert preload["status"] == "open"
    assert "the first request waits until its model is loaded" in preload["seen"]
    command = shlex.split(preload["remedy"])[1:]

    done = await aitui.run(*command, "--yes")
    assert done.status == 0, done.err
    assert done.out == f"{command[1]} is loaded when llama-swap starts the next time\n"
    assert machine.config.read_text().startswith(CONFIG.rstrip("\n"))

    machine.systemctl("restart", UNIT)
    machine.until_it_answers()
    loaded = await aitui.run("load", command[1])  # waits for the load that is under way
    assert loaded.status == 0, loaded.err
    journal = machine.run("journalctl", "--user", "-q", "--output=cat", "-u", UNIT)
    assert "reloading model" in journal  # Preloading, preloading: by the release
    assert f"preload: at its start it loads {command[1]}" in (await aitui.run("doctor")).out
