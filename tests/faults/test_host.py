"""Each operation at the server's machine with each fault of that machine, over SSH."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from aitui.demo.dialect import Dialect
from aitui.demo.shell_commands import ShellCommands
from aitui.demo.ssh_host import NAME
from aitui.demo.unit import CONFIG_PATH, UNIT_PATH, UNIT_TEXT, DemoUnit
from aitui.domain.snapshot import Server
from faults.host_cells import HOST, SLOW
from faults.host_gateway import HostGateway
from faults.host_operations import CONFIG, HostOperation, HostWorld
from stand_in import StandIn
from ui.driven import driven


@asynccontextmanager
async def host_world(folder: Path) -> AsyncIterator[HostWorld]:
    """The app in front of a server whose machine is reached over SSH."""
    root = folder / "host"
    file = root / CONFIG_PATH.removeprefix("/")
    for path, text in ((file, CONFIG), (root / UNIT_PATH.removeprefix("/"), UNIT_TEXT)):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    unit = DemoUnit(file)
    stand_in = StandIn(CONFIG, Dialect.V263, say=unit.write)
    gateway = HostGateway(folder, root, ShellCommands(unit, stand_in).respond, file)
    async with gateway, stand_in:
        unit.set_server(stand_in)
        home = gateway.setup.home
        server = Server(url=stand_in.url, identity="box", name="box", ssh_host=NAME, ssh_home=home)
        async with driven(server, folder / "aitui", size=(120, 36)) as app:
            world = HostWorld(app, gateway, stand_in)
            await world.until_live()
            yield world
            assert app.app._exception is None


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
