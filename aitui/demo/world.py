"""The environment of `aitui --demo`: a server, its host, certificates, folders and visitors."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import msgspec
from msgspec import Struct

from aitui.demo.background import BackgroundTasks
from aitui.demo.catalogue import CATALOGUE, CODER, GEMMA, GPT_OSS
from aitui.demo.certificates import Certificates, issue_certificates
from aitui.demo.configuration import ModelConfiguration, parse_configuration
from aitui.demo.conversations import write_conversations
from aitui.demo.dialect import Dialect
from aitui.demo.fake_flags import read_flags
from aitui.demo.graphics_cards import DEMO_CARDS, GraphicsCard
from aitui.demo.model_files import write_model_files
from aitui.demo.past_hour import restore
from aitui.demo.shell_commands import ShellCommands
from aitui.demo.ssh_host import NAME as SSH_NAME
from aitui.demo.ssh_host import DemoSshServer, SshSetup
from aitui.demo.stand_in import StandIn
from aitui.demo.unit import CONFIG_PATH, UNIT_PATH, UNIT_TEXT, DemoUnit
from aitui.demo.visitors import Visitors
from aitui.store.history import FILE_NAME

IDENTITY = "demo"
"""What the server is called, and what is remembered of it is stored under."""
_NEVER_LOADED = (GEMMA,)
_HEAD_STARTS = {CODER: 20.5, GPT_OSS: 2.5}
"""Seconds of their first loads that are over already: half of the one, which is at 62 % when the first
screen is complete, and nearly all until the other fails.
"""


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
    seed: int = 1,
    *,
    dialect: Dialect = Dialect.V263,
    config_text: str = CATALOGUE,
    cards: tuple[GraphicsCard, ...] = DEMO_CARDS,
    wall: Callable[[], float] = time.time,
) -> AsyncIterator[DemoEnvironment]:
    """Yield the environment, and remove all of it at the end.

    With the catalogue it has a past hour and clients, the same ones for the same `seed`; with
    another config nothing happens by itself. `cards` are the graphics cards of the machine behind
    the server, `wall` is its clock (Unix time).
    """
    with tempfile.TemporaryDirectory(prefix="aitui-demo-") as temporary:
        folder = Path(temporary)
        certificates = await asyncio.to_thread(issue_certificates, folder / "certs")
        root = folder / "host"
        config_file = root / CONFIG_PATH.removeprefix("/")
        for name in ("config", "data", "state", "host"):
            (folder / name).mkdir(mode=0o700)
        if config_text == CATALOGUE:
            await asyncio.to_thread(_write_load_times, folder / "state" / "load-times.json")
        unit = DemoUnit(config_file, wall)
        server = StandIn(config_text, dialect, certificates, say=unit.write, cards=cards, wall=wall)
        models = server.configuration.models
        await asyncio.to_thread(_write_host_files, root, config_file, config_text, models)
        commands = ShellCommands(unit, server)
        async with DemoSshServer(folder, root, commands.respond) as ssh_server, server:
            unit.set_server(server)
            visits = BackgroundTasks()
            if config_text == CATALOGUE and server.swap is not None:
                restore(server.swap, Random(seed))
                for model, seconds in _HEAD_STARTS.items():
                    server.swap.processes[model].head_start = seconds
                file = folder / "data" / FILE_NAME
                visits.start(write_conversations(file, IDENTITY, wall()), name="conversations")
                for script in Visitors(server, Random(seed)).scripts():
                    visits.start(script, name="visitor")
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
    write_model_files(root, models)


def _write_load_times(file: Path) -> None:
    """Write how long the last loads took, as an aitui that was there would have."""
    random = Random(1)
    times: dict[str, list[tuple[int, float]]] = {}
    for model in parse_configuration(CATALOGUE).models.values():
        flags = read_flags(model)
        seconds = flags.start_delay + flags.load_delay
        each = (round(seconds * random.uniform(0.96, 1.06), 1) for _ in range(5))
        times[model.id] = [
            (flags.context_size, took) for took in each if model.id not in _NEVER_LOADED
        ]
    file.write_bytes(msgspec.json.encode({"version": 2, "servers": {IDENTITY: times}}))
