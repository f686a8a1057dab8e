"""aitui as a command, pointed at the stand-in."""

from pathlib import Path

import pytest

from aitui.domain.snapshot import Server
from cli.command_line import CommandLine


@pytest.fixture
def aitui(server: Server, tmp_path: Path) -> CommandLine:
    """Runs aitui with the stand-in as its server."""
    return CommandLine.towards(server, tmp_path / "home")
