"""The real program in a real pseudo-terminal, in front of a server that is full of hostile texts."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aitui.demo.dialect import Dialect
from e2e.hostile.payloads import catalogue
from e2e.pseudo_terminal.terminal import Terminal, surroundings, terminal
from stand_in import StandIn


@pytest.fixture
async def hostile() -> AsyncIterator[StandIn]:
    """The server."""
    async with StandIn(catalogue(), Dialect.HEAD) as running:
        yield running


@pytest.fixture
async def shown(hostile: StandIn, tmp_path: Path) -> AsyncIterator[Terminal]:
    """The program, its table listed."""
    arguments = ["--url", hostile.url]
    async with terminal(arguments, surroundings(tmp_path), size=(120, 36)) as running:
        await running.see(" ms ", "fails")
        yield running
