"""The environment of `aitui --demo`: a server, its host, certificates, folders and visitors."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from msgspec import Struct

from aitui.demo.background import BackgroundTasks
from aitui.demo.catalogue import CATALOGUE, MODELS_WITHOUT_VISITORS
from aitui.demo.certificates import Certificates, issue_certificates
from aitui.demo.configuration import ModelConfiguration
from aitui.demo.dialect import Dialect
from aitui.demo.graphics_cards import TWO_CARDS, GraphicsCard
from aitui.demo.load_failed import UpstreamLoadFailed
from aitui.demo.model_files import write_model_files
from aitui.demo.shell_commands import ShellCommands
from aitui.demo.ssh_host import NAME as SSH_NAME
from aitui.demo.ssh_host import DemoSshServer, SshSetup
from aitui.demo.stand_in import StandIn
from aitui.demo.unit import CONFIG_PATH, HOME, UNIT_PATH, UNIT_TEXT, DemoUnit

_PAUSES = (8.0, 25.0)


class DemoEnvironment(Struct, frozen=True):
    """The server and its paths. The folders replace the XDG ones."""

    server: StandIn
    certificates: Certificates
    folder: Path
    config_file: Path
    ssh_setup: SshSetup

    @property
    def ssh_host(self) -> str:
        """The name of the machine behind the server in the SSH configuration."""
        return SSH_NAME

    @property
    def url(self) -> str:
        """The server's URL."""
        return self.server.url


@asynccontextmanager
async def demo_world(
    random: Random | None = None,
    *,
    dialect: Dialect = Dialect.V263,
    config_text: str = CATALOGUE,
    pauses: tuple[float, float] = _PAUSES,
    cards: tuple[GraphicsCard, ...] = TWO_CARDS,
) -> AsyncIterator[DemoEnvironment]:
    """Yield the environment, and remove all of it at the end.

    `random` decides on the visits; `pauses` are the seconds between two of them. `cards` are the
    graphics cards of the machine behind the server.
    """
    with tempfile.TemporaryDirectory(prefix="aitui-demo-") as temporary:
        folder = Path(temporary)
        certificates = await asyncio.to_thread(issue_certificates, folder / "certs")
        root = folder / "host"
        config_file = root / CONFIG_PATH.removeprefix("/")
        for name in ("config", "data", "state", "host"):
            (folder / name).mkdir(mode=0o700)
        unit = DemoUnit(config_file)
        server = StandIn(config_text, dialect, certificates, say=unit.write, cards=cards)
        models = server.configuration.models
        await asyncio.to_thread(_write_host_files, root, config_file, config_text, models)
        commands = ShellCommands(unit, server)
        async with server, DemoSshServer(folder, root, commands.respond) as ssh_server:
            unit.set_server(server)
            visits = BackgroundTasks()
            visits.start(
                run_visitors(
                    server, random or Random(1), pauses=pauses, left_alone=MODELS_WITHOUT_VISITORS
                ),
                name="visitors",
            )
            try:
                yield DemoEnvironment(server, certificates, folder, config_file, ssh_server.setup)
            finally:
                await visits.close()


def _write_host_files(
    root: Path, config_file: Path, config_text: str, models: Mapping[str, ModelConfiguration]
) -> None:
    """Write the files of the machine behind the server."""
    config_file.parent.mkdir(parents=True)
    config_file.write_text(config_text)
    unit_file = root / UNIT_PATH.removeprefix("/")
    unit_file.parent.mkdir(parents=True)
    unit_file.write_text(UNIT_TEXT)
    write_model_files(root, models, f"{HOME}/models")


class DemoClient(Struct, frozen=True):
    """A program on another machine."""

    user_agent: str
    remote_ip: str


VISITORS = (
    DemoClient("OpenWebUI/0.6", "192.168.2.20"),
    DemoClient("Zed/0.210", "192.168.2.31"),
)


async def run_visitors(
    server: StandIn, random: Random, *, pauses: tuple[float, float], left_alone: frozenset[str]
) -> None:
    """Chat with loaded models from time to time, as other clients would, until cancelled."""
    while True:
        await asyncio.sleep(random.uniform(*pauses))
        loaded = [
            id_
            for id_, state in server.running().items()
            if state == "ready" and id_ not in left_alone
        ]
        if not loaded:
            continue
        visitor = random.choice(VISITORS)
        try:
            async with server.busy(
                random.choice(loaded), remote_ip=visitor.remote_ip, user_agent=visitor.user_agent
            ):
                await asyncio.sleep(random.uniform(2, 6))
        except UpstreamLoadFailed:
            continue  # unloaded just now
