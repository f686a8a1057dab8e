"""`aitui setup idle` over SSH: what unloads models there is found, and an idle timeout offered."""

import pytest

from cli.command_line import CommandLine
from e2e.service.installed import CONFIG
from e2e.service.user_manager import UserManager

pytestmark = [pytest.mark.real_server("systemd"), pytest.mark.real_server("openssh-server")]

CURL = "curl -fsS -X POST http://127.0.0.1:8080/api/models/unload"


async def test_a_timer_and_its_script_are_found_and_named(
    aitui: CommandLine, machine: UserManager
) -> None:
    machine.write_config(CONFIG.replace("globalTTL: 1800\n", ""))
    machine.write_program("bin/unload.sh", f"#!/bin/sh\n{CURL}\n")
    machine.write_unit("[Service]\nExecStart=%h/bin/unload.sh --now\n", "tidy.service")
    machine.write_unit("[Service]\n# api/models/unload\nExecStart=/bin/true\n", "other.service")
    found = await aitui.run("setup", "idle")
    unit = "/mnt/home/.config/systemd/user/tidy.service"
    assert f"job: {unit} unloads models, by /mnt/home/bin/unload.sh: ExecStart=" in found.err
    assert "systemctl --user disable --now tidy.timer" in found.err
    assert "other.service" not in found.err
    assert "+globalTTL: 1800" in found.err

    done = await aitui.run("setup", "idle", "--ttl", "900", "--apply", "--yes")
    assert done.status == 0
    assert machine.config.read_text() == CONFIG.replace("globalTTL: 1800", "globalTTL: 900")
    again = await aitui.run("setup", "idle", "--ttl", "900")
    assert "globalTTL is already 900" in again.err
