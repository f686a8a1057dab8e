"""A config file on a host, whose last change was cut off."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.domain.progress import ProgressTracker
from aitui.domain.snapshot import Clock, Server
from aitui.errors import ConfigWriteUncertain
from aitui.host.base import Host, digest_of
from aitui.host.config_file import ConfigFile
from aitui.host.service import SystemdService
from aitui.services.config_change import write_with_journal
from aitui.services.host_admin import HostAdmin
from aitui.store.journal import Journal, JournalEntry
from host.conftest import folder, host, sshd
from host.faults import Fault, FaultyHost
from host.writing import ENDED, NEW, NOON, OLD, config_on

__all__ = ["folder", "host", "sshd"]

LATER = NOON + 120.0
FLAG = JournalEntry(
    id="cut",
    at=NOON,
    server="box",
    host="",
    path="",
    before=digest_of(OLD),
    after=digest_of(NEW),
    model="one",
    flag="--ctx-size",
    old="4096",
    new="8192",
)


@pytest.fixture
def config(folder: Path) -> Path:
    """The file on the host."""
    path = folder / "config.yaml"
    path.write_bytes(OLD)
    return path


@pytest.fixture
def admin(host: Host, config: Path, tmp_path: Path) -> HostAdmin:
    """The host two minutes after noon, when the change was made."""
    return administration(host, config, tmp_path / "state" / "changes.jsonl")


def administration(
    host: Host, config: Path, journal: Path, *, at: float = LATER, read_only: bool = False
) -> HostAdmin:
    """A host at a time (Unix time), with a journal of its own."""
    server = Server("http://box", identity="box", preset_path=str(config), read_only=read_only)
    return HostAdmin(
        server,
        host,
        config_on(host, config),
        SystemdService(host, "llama-swap"),
        Journal.open(journal),
        Clock(lambda: 0.0, lambda: at),
    )


CutOff = Callable[[Fault], Awaitable[JournalEntry]]


@pytest.fixture
def cut_off(admin: HostAdmin, config: Path) -> CutOff:
    """Changes the file at noon by a process that ends when its connection is lost."""

    async def change(fault: Fault) -> JournalEntry:
        faulty = FaultyHost(admin.host, fault, await _replacing(admin.host, config))
        entry = replace(FLAG, host=admin.host.label, path=str(config))
        file = config_on(faulty, config, ENDED)
        reading = await config_on(admin.host, config).read()
        progress = ProgressTracker(admin.clock, lambda _: None, "check", "back up", "replace")
        with pytest.raises(ConfigWriteUncertain):
            await write_with_journal(
                admin, entry, progress, lambda tell: file.write(reading, NEW, on_step=tell)
            )
        return entry

    return change


async def _replacing(host: Host, config: Path) -> int:
    """The number of the call that puts the new file in its place."""
    folder = config.parent / "tried before"
    folder.mkdir()
    like = folder / config.name
    like.write_bytes(OLD)
    traced = FaultyHost(host)
    file: ConfigFile = config_on(traced, like)
    await file.write(await config_on(host, like).read(), NEW)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    return max(number for number, call in enumerate(traced.calls) if call == "rename")
