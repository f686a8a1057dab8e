"""What somebody does with the server's machine while a fault is in place, and what is there then."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from textual.screen import Screen

from aitui.demo.dialect import Dialect
from aitui.demo.shell_commands import ShellCommands
from aitui.demo.ssh_host import NAME
from aitui.demo.unit import CONFIG_PATH, UNIT_PATH, UNIT_TEXT, DemoUnit
from aitui.domain.snapshot import ConnectionPhase, Server
from aitui.ui.screens.config import ConfigScreen
from aitui.ui.screens.doctor import DoctorScreen
from aitui.ui.screens.steps import StepsScreen
from faults.host_faults import FOREIGN
from faults.host_gateway import HostGateway
from stand_in import StandIn
from ui.driven import Driven, driven

CONFIG = """\
models:
  small:
    cmd: /opt/llama.cpp/llama-server --port ${PORT} --ctx-size 4096 --tokens-per-second 1000 --chunks 20
"""
CHANGED = CONFIG.replace("4096", "8192")


@asynccontextmanager
async def machine(folder: Path) -> AsyncIterator[tuple[Server, HostGateway, StandIn]]:
    """A server whose machine is reached over SSH."""
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
        yield server, gateway, stand_in


@dataclass(frozen=True)
class HostWorld:
    """The app, the machine behind its server, and the server."""

    app: Driven
    host: HostGateway
    stand_in: StandIn

    @property
    def file(self) -> str:
        """The config file, empty if it is gone."""
        return self.host.file.read_text() if self.host.file.exists() else ""

    @property
    def litter(self) -> list[str]:
        """The files beside it that are no backups."""
        names = (path.name for path in self.host.file.parent.iterdir())
        return [name for name in names if ".tmp" in name or "lock" in name]

    async def until_live(self) -> None:
        """Wait until the app is connected."""
        models = self.app.models
        await self.app.until(
            lambda: (
                models.snapshot.connection.phase is ConnectionPhase.LIVE
                and models.snapshot.events_flow
            ),
            "live",
        )

    async def leave(self) -> None:
        """Close what is open, up to the models."""
        app = self.app
        while app.app.screen is not app.models:
            screen: Screen[object] = app.app.screen
            await app.press("escape")
            await app.until(lambda: app.app.screen is not screen, "closed")  # noqa: B023

    async def change(self, size: int) -> None:
        """Change the context size, up to the answer."""
        app = self.app
        app.go_to("small")
        await app.press("c")
        await app.press(*str(size), "enter")

    async def changed(self, size: int) -> None:
        """Change the context size, and see that it is in force."""
        await self.change(size)
        await self.app.answer("y")
        await self.app.see("✓ verify")
        await self.leave()


@asynccontextmanager
async def host_world(folder: Path) -> AsyncIterator[HostWorld]:
    """The app in front of a server whose machine is reached over SSH."""
    async with (
        machine(folder) as (server, gateway, stand_in),
        driven(server, folder / "aitui", size=(120, 36)) as app,
    ):
        world = HostWorld(app, gateway, stand_in)
        await world.until_live()
        yield world
        assert app.app._exception is None


class HostOperation(ABC):
    """One thing that aitui does at a machine. `step` is the call that breaks, as a pattern."""

    name: str
    step: str
    lasts = 75.0
    """Seconds after which something that doesn't answer was given up."""
    recovers = 65.0
    """Seconds after which a view has tried again by itself."""

    async def prepare(self, world: HostWorld) -> None:  # noqa: B027 - most have nothing to prepare
        """Bring the app to the place where it is done."""

    @abstractmethod
    async def act(self, world: HostWorld) -> None:
        """Do it while the fault is in place; return once it met the fault."""

    @abstractmethod
    async def recover(self, world: HostWorld) -> None:
        """See that it works again, and that nothing was lost."""

    async def _meet(self, world: HostWorld) -> None:
        await world.app.until(lambda: world.host.broken, f"{self.name} asked")


class Read(HostOperation):
    """Open the view of the config file."""

    name, step = "read", r"read \S+/config.yaml$"

    async def act(self, world: HostWorld) -> None:
        await world.app.press("5")
        await self._meet(world)

    async def recover(self, world: HostWorld) -> None:
        if not world.file:
            world.host.file.write_text(CONFIG)
            await asyncio.sleep(self.recovers)
        if world.app.text.count("SSH keys") + world.app.text.count("host key"):
            await world.app.press("f5")  # each attempt may count against a limit there
        await world.app.see("--ctx-size 4096" if world.file == CONFIG else "models: {}")
        assert isinstance(world.app.app.screen, ConfigScreen)


class Connect(Read):
    """Open that view when nothing is connected."""

    name, step = "connect", "connect$"

    async def prepare(self, world: HostWorld) -> None:
        await world.host.drop()


@dataclass(frozen=True)
class Write(HostOperation):
    """Change a context size."""

    name: str
    step: str
    recovers: float = HostOperation.recovers

    async def act(self, world: HostWorld) -> None:
        await world.change(8192)
        await world.app.until(lambda: world.app.is_armed or world.host.broken, "armed or broken")
        if not world.host.broken:
            await world.app.answer("y")
        await self._meet(world)

    async def recover(self, world: HostWorld) -> None:
        app = world.app
        assert world.file in {CONFIG, CHANGED, FOREIGN, ""}, world.file
        if world.file in {FOREIGN, ""}:
            world.host.file.write_text(CONFIG)
        if app.asking:
            await app.answer("n")
        await world.leave()
        await world.changed(16384)
        assert world.file == CONFIG.replace("4096", "16384")
        assert not world.litter, world.litter


class Undo(HostOperation):
    """Take a change back."""

    name, step = "undo", r"rename \S+\.tmp \S+/config.yaml$"

    async def prepare(self, world: HostWorld) -> None:
        await world.changed(8192)

    async def act(self, world: HostWorld) -> None:
        world.app.app.action_undo_change()
        await world.app.answer("y")
        await self._meet(world)

    async def recover(self, world: HostWorld) -> None:
        app = world.app
        assert world.file in {CONFIG, CHANGED, FOREIGN, ""}, world.file
        await world.leave()
        if world.file in {FOREIGN, ""}:
            world.host.file.write_text(CHANGED)
        if world.file == CHANGED:
            app.app.action_undo_change()
            await app.answer("y")
            await app.see("✓ verify")
        assert world.file == CONFIG
        assert not world.litter


@dataclass(frozen=True)
class Service(HostOperation):
    """Reload the server, or restart its unit."""

    name: str
    step: str
    key: str
    lasts = 140.0

    async def act(self, world: HostWorld) -> None:
        await world.app.press(self.key)
        await world.app.answer("y")
        await self._meet(world)

    async def recover(self, world: HostWorld) -> None:
        if world.app.asking:
            await world.app.answer("n")
        await world.leave()
        if world.file in {FOREIGN, ""}:
            world.host.file.write_text(CONFIG)
        if world.stand_in.swap is None:
            await world.app.press("R")
            await world.app.answer("y")
            await world.app.see("✓ answer")
            await world.leave()
        await world.app.press(self.key)
        await world.app.answer("y")
        await world.app.see("✓ answer")
        assert isinstance(world.app.app.screen, StepsScreen)
        assert world.file == CONFIG


class Hardware(HostOperation):
    """Read the samples of the hardware."""

    name, step, recovers = "hardware", "run (?s:.*)nvidia-smi", 125.0

    async def act(self, world: HostWorld) -> None:
        await world.app.press("4")
        await self._meet(world)

    async def recover(self, world: HostWorld) -> None:
        await world.app.see("GPU 0")


class Doctor(HostOperation):
    """Have everything checked."""

    name, step = "doctor", "run .*systemctl"

    async def act(self, world: HostWorld) -> None:
        await world.app.press("D")
        await self._meet(world)

    async def recover(self, world: HostWorld) -> None:
        await world.app.press("r")
        await world.app.see("llama-swap.service")
        assert isinstance(world.app.app.screen, DoctorScreen)


HOST_OPERATIONS: tuple[HostOperation, ...] = (
    Connect(),
    Read(),
    # A lock that names no holder is taken over after two minutes.
    Write("lock", r"create \S+-lock$", recovers=125.0),
    Write("back up", r"write \S+\.backup\.tmp$"),
    Write("write", r"write \S+\.tmp$"),
    Write("replace", r"rename \S+\.tmp \S+/config.yaml$"),
    Undo(),
    Service("reload", "run (?s:.*)kill -s HUP", "H"),
    Service("restart", "run .*systemctl .*restart", "R"),
    Hardware(),
    Doctor(),
)
