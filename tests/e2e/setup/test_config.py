"""From nothing to a loaded model: the config and the unit are set up over SSH, on a real systemd."""

import pytest

from cli.command_line import CommandLine
from domain.config.test_ports import GUIDE as GUIDE_CONFIG
from domain.memory.files import BIG
from e2e.pseudo_terminal.terminal import surroundings, terminal
from e2e.service.user_manager import UserManager
from host.test_unit_file import GUIDE as GUIDE_UNIT

pytestmark = [pytest.mark.real_server("systemd"), pytest.mark.real_server("openssh-server")]


@pytest.fixture(autouse=True)
def _models(machine: UserManager) -> None:
    models = machine.home / "models"
    models.mkdir(exist_ok=True)
    (models / "Llama-3.2-1B-Q8_0.gguf").write_bytes(BIG)
    (models / "notes.gguf").write_text("no model")


async def test_a_machine_with_a_model_file_serves_it(
    aitui: CommandLine, machine: UserManager
) -> None:
    named = aitui.environment
    aitui.environment = {}  # no server is named yet, only a machine
    config = await aitui.run("setup", "config", "--ssh-host", "box", "--apply", "--yes")
    aitui.environment = named
    assert (config.status, config.out) == (0, "")
    assert "skipped /mnt/home/models/notes.gguf" in config.err
    assert "--model /mnt/home/models/Llama-3.2-1B-Q8_0.gguf" in machine.config.read_text()
    unit = await aitui.run("setup", "unit", "--apply", "--yes")
    assert "is running and starts at boot" in unit.err
    machine.until_it_answers()
    loaded = await aitui.run("load", "llama-3.2-1b")
    assert (loaded.status, loaded.out.split(" after")[0]) == (0, "Llama-3.2-1B-Q8_0 is ready")
    async with terminal((), surroundings(aitui.home, **named), size=(120, 36)) as shown:
        await shown.see("● Llama-3.2-1B-Q8_0", "ready")
    again = await aitui.run("setup", "config")
    assert "needs no change" in again.err


async def test_the_guides_config_and_unit_become_running_ones(
    aitui: CommandLine, machine: UserManager
) -> None:
    machine.write_config(GUIDE_CONFIG)
    guide = GUIDE_UNIT.replace("/home/ai-server", "/mnt/home").replace("8080", str(machine.port))
    machine.write_unit(guide)
    refused = await aitui.run("setup", "unit", "--apply", "--yes")
    assert "proxy uses ${PORT} but cmd does not" in refused.err

    config = await aitui.run("setup", "config", "--apply", "--yes")
    assert (config.status, config.out) == (0, "")
    kept = machine.config.read_text().replace("      --port ${PORT}\n", "")
    assert kept.startswith(GUIDE_CONFIG)
    unit = await aitui.run("setup", "unit", "--apply", "--yes")
    assert "is running and starts at boot" in unit.err
    machine.until_it_answers()
    for model in ("MiniMax-M2.7-IQ3_XXS", "Llama-3.2-1B-Q8_0"):
        loaded = await aitui.run("load", model, "--yes")
        assert (loaded.status, loaded.out.split(" after")[0]) == (0, f"{model} is ready")


async def test_what_is_printed_makes_the_same_file(
    aitui: CommandLine, machine: UserManager
) -> None:
    printed = await aitui.run("setup", "config")
    assert not machine.config.exists()
    machine.run("sh", "-ec", printed.out)
    assert (await aitui.run("setup", "config")).err.endswith("needs no change\n")
