"""Each operation with each fault of a server, a proxy or a network."""

import asyncio
import re
from pathlib import Path

import pytest

from aitui.demo.dialect import Dialect
from aitui.domain.snapshot import Server
from catalogue import CATALOGUE
from faults.cells import HTTP_FAULTS, IMPOSSIBLE, expected
from faults.gateway import Gateway
from faults.operations import OPERATIONS, Operation, World
from stand_in import StandIn
from ui.driven import driven

INTERNAL = re.compile(r"Traceback|\w+Error\b|\w+Exception\b|object at 0x|<class|\bNone\b|bytearray")
"""What only a programmer would understand."""
LASTS = 70.0
RECOVERS = 65.0
"""Seconds after which a view has tried again by itself: what isn't supported is asked once a minute."""
CELLS = [
    pytest.param(
        operation,
        fault,
        id=f"{operation.name}-{fault}",
        # Each fault with one operation, and each operation with several, is a part of every run.
        marks=() if (row + column) % len(OPERATIONS) == 0 else pytest.mark.faults,
    )
    for row, operation in enumerate(OPERATIONS)
    for column, fault in enumerate(HTTP_FAULTS)
    if (operation.name, fault) not in IMPOSSIBLE
]


@pytest.mark.parametrize(("operation", "fault"), CELLS)
async def test_the_app_says_it_and_recovers(
    operation: Operation, fault: str, tmp_path: Path
) -> None:
    async with (
        StandIn(CATALOGUE, Dialect.V263) as stand_in,
        Gateway(int(stand_in.url.rpartition(":")[2])) as gateway,
    ):
        server = Server(url=gateway.url, identity="box", name="box", timeout=10.0)
        async with driven(server, tmp_path, size=(120, 36)) as app:
            world = World(app, gateway, stand_in)
            await world.until_live()
            await operation.prepare(world)
            app.forget()
            gateway.break_requests(operation.requests, HTTP_FAULTS[fault][0])
            await operation.act(world)
            await asyncio.sleep(LASTS)
            texts = (*app.said, app.text)
            for text in texts:
                assert not INTERNAL.search(text), text
                assert not set(text) & {"\x1b", "\x07", "\u202e"}, text
            says = expected(operation.name, fault)
            shown = " ".join("\n".join(texts).split())
            assert re.search(says, shown), f"never said: {says}\n" + "\n".join(texts)
            await gateway.heal()
            await asyncio.sleep(RECOVERS)
            await operation.recover(world)
            assert app.app._exception is None
