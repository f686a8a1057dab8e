"""What the watch of the config file hands to the monitors, and when it reads again."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import cast

import pytest
from msgspec.structs import replace

from aitui.domain.config.swap_rules import SwapRules
from aitui.domain.snapshot import Snapshot
from aitui.errors import HostLoginRefused, HostUnreachable
from aitui.host.config_file import FileSnapshot
from aitui.services import config_watch
from aitui.services.config_watch import ConfigWatch, ServerConfig
from aitui.services.hardware import HardwareMonitor
from aitui.services.host_admin import HostAdmin
from aitui.services.monitor import Monitor
from watched import eventually

RULES = cast("SwapRules", object())
CONFIG = ServerConfig(
    "box:config.yaml",
    cast("FileSnapshot", None),
    "",
    (),
    (),
    contexts={"small": 4096},
    listed={"small": ("s",)},
    commands={"small": "llama-server -c 4096"},
    in_force=True,
    swap_rules=RULES,
)


@dataclass
class FakeMonitor:
    """Keeps what it is handed in a snapshot."""

    snapshot: Snapshot = field(default_factory=Snapshot)
    contexts: Mapping[str, int] = field(default_factory=dict)
    blocks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def update_config(
        self,
        contexts: Mapping[str, int],
        swap_rules: SwapRules | None = None,
        note: str = "",
        doubt: str = "",
        blocks: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    ) -> None:
        """Take over the file."""
        self.contexts, self.blocks = contexts, blocks
        read = replace(self.snapshot, swap_rules=swap_rules)
        await self._publish(replace(read, config_note=note, config_doubt=doubt))

    async def forget_config(self) -> None:
        """Forget its rules, as after a restart of the server."""
        await self._publish(replace(self.snapshot, swap_rules=None, config_note=""))

    async def wait_until(self, condition: Callable[[Snapshot], bool], _limit: float | None) -> None:
        """Wait for a snapshot."""
        async with self.changed:
            await self.changed.wait_for(lambda: condition(self.snapshot))

    async def _publish(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        async with self.changed:
            self.changed.notify_all()


@dataclass
class FakeHardware:
    """Keeps the commands."""

    commands: Mapping[str, str] = field(default_factory=dict)

    def update_commands(self, commands: Mapping[str, str], _environments: object) -> None:
        """Take over the file."""
        self.commands = commands


@dataclass
class Host:
    """A host whose file and journal are what the test says."""

    config: ServerConfig = CONFIG
    error: Exception | None = None
    sentences: tuple[str, ...] = ()
    reads: int = 0
    notices: list[str] = field(default_factory=list)
    monitor: FakeMonitor = field(default_factory=FakeMonitor)
    hardware: FakeHardware = field(default_factory=FakeHardware)

    async def read(self, _admin: HostAdmin, _snapshot: Snapshot) -> ServerConfig:
        """Read the file."""
        self.reads += 1
        if self.error is not None:
            raise self.error
        return self.config

    async def recover(self, _admin: HostAdmin) -> tuple[str, ...]:
        """Settle changes that were cut off."""
        return self.sentences

    @property
    def watch(self) -> ConfigWatch:
        """A watch over it."""
        return ConfigWatch(
            cast("HostAdmin", None),
            cast("Monitor", self.monitor),
            cast("HardwareMonitor", self.hardware),
            self.notices.append,
        )

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[ConfigWatch]:
        """A watch that runs."""
        watch = self.watch
        task = asyncio.create_task(watch.run())
        try:
            yield watch
        finally:
            task.cancel()
            await asyncio.wait({task})


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host with a config file."""
    host = Host()
    monkeypatch.setattr(config_watch, "read_server_config", host.read)
    monkeypatch.setattr(config_watch, "recover_changes", host.recover)
    return host


async def test_what_the_file_says_reaches_both_monitors(host: Host) -> None:
    host.config = replace(CONFIG, newer="the file is newer")
    assert await host.watch.read() is host.config
    assert (host.monitor.contexts, host.monitor.blocks) == ({"small": 4096}, {})
    assert host.monitor.snapshot.swap_rules is RULES
    assert host.monitor.snapshot.config_note == "the file is newer"
    assert host.hardware.commands == {"small": "llama-server -c 4096"}


async def test_rules_of_a_file_that_the_server_may_not_run_are_not_passed_on(host: Host) -> None:
    host.config = replace(CONFIG, in_force=False)
    await host.watch.read()
    assert host.monitor.blocks == {"small": ("s",)}
    assert host.monitor.snapshot.swap_rules is None


async def test_the_result_of_a_change_that_was_cut_off_is_reported_once(host: Host) -> None:
    host.sentences = ("It was cut off.",)
    async with host.watched() as watch:
        await eventually(lambda: host.notices)
        await watch.recover()
        host.sentences = ("It was cut off.", "So was this.")
        await watch.recover()
    assert host.notices == ["It was cut off.", "So was this."]


async def test_rules_that_are_lost_are_read_again(host: Host) -> None:
    async with host.watched():
        await eventually(lambda: host.monitor.snapshot.swap_rules is RULES)
        await host.monitor.forget_config()
        await eventually(lambda: host.reads == 2)
        await eventually(lambda: host.monitor.snapshot.swap_rules is RULES)


async def test_a_file_that_cannot_be_read_is_forgotten_and_read_later(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with host.watched() as watch:
        await eventually(lambda: host.monitor.snapshot.swap_rules is RULES)
        monkeypatch.setattr(config_watch, "CHECK_INTERVAL", 0.01)
        host.error = HostUnreachable("gone")
        watch.check_now()
        await eventually(lambda: host.monitor.snapshot.swap_rules is None)
        host.error = None
        await eventually(lambda: host.monitor.snapshot.swap_rules is RULES)


async def test_a_host_that_refuses_is_not_tried_again_by_itself(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_watch, "CHECK_INTERVAL", 0.0)
    host.error = HostLoginRefused("no")
    async with host.watched() as watch:
        await eventually(lambda: host.reads == 1)
        for _ in range(20):
            await asyncio.sleep(0)
        assert host.reads == 1
        watch.check_now()
        await eventually(lambda: host.reads == 2)
