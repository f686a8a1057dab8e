"""Each operation at the server's machine with each fault of that machine, over SSH."""

import asyncio
from pathlib import Path

import pytest

from aitui.demo.unit import CONFIG_PATH
from faults.host_cells import HOST, SLOW
from faults.host_operations import HostOperation, host_world


@pytest.mark.parametrize(("operation", "fault"), HOST.cells)
async def test_the_app_says_it_and_recovers(
    operation: HostOperation, fault: str, tmp_path: Path
) -> None:
    async with host_world(tmp_path) as world:
        app = world.app
        await app.until(lambda: f"read {CONFIG_PATH}" in world.host.asked, "the file read")
        await operation.prepare(world)
        app.forget()
        world.host.break_steps(operation.step, HOST.faults[fault][0])
        await operation.act(world)
        await asyncio.sleep(operation.lasts if fault in SLOW else 20.0)
        HOST.check(operation.name, fault, (*app.said, app.text))
        world.host.heal()
        await asyncio.sleep(operation.recovers)
        world.host.age_locks(operation.recovers)
        await operation.recover(world)
