"""A stand-in without TLS, and the real program in front of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from catalogue import CATALOGUE, QUICK
from e2e.pseudo_terminal.terminal import Terminal, surroundings, terminal
from stand_in import StandIn


@pytest.fixture
async def plain() -> AsyncIterator[StandIn]:
    """A stand-in at an http URL."""
    async with StandIn(CATALOGUE) as running:
        yield running


@pytest.fixture
async def shown(plain: StandIn, tmp_path: Path) -> AsyncIterator[Terminal]:
    """The program, its table listed."""
    async with terminal(["--url", plain.url], surroundings(tmp_path)) as running:
        await running.see(" ms ", QUICK)
        yield running
