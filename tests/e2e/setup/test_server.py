"""`aitui setup server` over SSH."""

import pytest

from cli.command_line import CommandLine
from domain.memory.files import BIG
from e2e.service.user_manager import UserManager

pytestmark = [pytest.mark.real_server("systemd"), pytest.mark.real_server("openssh-server")]


async def test_what_is_there_is_found_and_what_is_not_is_printed(
    aitui: CommandLine, machine: UserManager
) -> None:
    models = machine.home / "models"
    models.mkdir(exist_ok=True)
    (models / "small.gguf").write_bytes(BIG)
    found = await aitui.run("setup", "server")
    assert "✔ llama-swap: /mnt/home/bin/llama-swap, version: stand-in" in found.err
    assert "✔ models: 1 GGUF file in /mnt/home/models" in found.err
    assert "✘ llama-server: not found" in found.err
    assert found.out.startswith("# on box\n# llama-server")
    assert "llama-swap_" not in found.out
    assert found.status == 1
