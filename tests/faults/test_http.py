"""Each operation with each fault of a server, a proxy or a network."""

import asyncio
from pathlib import Path

import pytest

from aitui.demo.dialect import Dialect
from aitui.domain.snapshot import Server
from catalogue import CATALOGUE
from faults.cells import HTTP, SLOW
from faults.gateway import Gateway
from faults.operations import Operation, World
from stand_in import StandIn
from ui.driven import driven

IS_GIVEN_UP = 70.0
"""Seconds after which an answer is given up that comes slowly or never."""
RECOVERS = 65.0
"""Seconds after which a view has tried again by itself: what isn't supported is asked once a minute."""


@pytest.mark.parametrize(("operation", "fault"), HTTP.cells)
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
            gateway.break_requests(operation.requests, HTTP.faults[fault][0])
            await operation.act(world)
            await asyncio.sleep(IS_GIVEN_UP if fault in SLOW else operation.lasts)
            HTTP.check(operation.name, fault, (*app.said, app.text))
            await gateway.heal()
            await asyncio.sleep(RECOVERS)
            await operation.recover(world)
            assert app.app._exception is None
