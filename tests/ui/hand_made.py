"""Snapshots made by hand, and the app in front of them: no server, no network, a still clock."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace

from aitui.domain.logs import LineBatch, parse_log_line
from aitui.domain.models import Model
from aitui.domain.snapshot import Clock, ConnectionPhase, ConnectionStatus, Server, Snapshot
from aitui.services import session as session_module
from aitui.services.host_admin import no_host_error

NOW = 1_000_000.0
WALL = 1_788_000_000.0
STILL = Clock(lambda: NOW, lambda: WALL)
SERVER = Server("https://ai.example.org", identity="home", name="home")
LIVE = ConnectionStatus(ConnectionPhase.LIVE, last_response_at=NOW - 1, latency=0.014)


@dataclass
class StillMonitor:
    """Shows one snapshot and then waits for ever."""

    snapshot: Snapshot

    async def run(self) -> None:
        """Change nothing."""
        await asyncio.Event().wait()

    def refresh(self) -> None:
        """Nothing is new."""


class StillHardware:
    """Samples nothing."""

    def set_watched(self, *, watched: bool) -> None:
        """There is nothing to sample more often."""


class StillClient:
    """Reads logs in which nothing is written."""

    @asynccontextmanager
    async def log_lines(self, name: str) -> AsyncIterator[AsyncIterator[LineBatch]]:
        """Open a log."""
        yield self._no_lines(name)

    async def _no_lines(self, name: str) -> AsyncIterator[LineBatch]:
        await asyncio.Event().wait()
        yield LineBatch((), parse_log_line(name))


@dataclass
class StillSession:
    """A session with nobody; `admin` is what stands for a host."""

    server: Server
    monitor: StillMonitor
    admin: object = None
    config_watch: None = None
    clock: Clock = STILL
    hardware: StillHardware = field(default_factory=StillHardware)
    client: StillClient = field(default_factory=StillClient)

    def require_host(self) -> None:
        """There is none."""
        raise no_host_error(self.server)

    async def run(self) -> None:
        """Change nothing."""
        await self.monitor.run()

    @property
    def snapshot(self) -> Snapshot:
        """What was made by hand."""
        return self.monitor.snapshot


def live(*models: Model, link: ConnectionStatus = LIVE, **more: object) -> Snapshot:
    """A snapshot of a server that answers."""
    snapshot = Snapshot(link, models, version="218", events_flow=True)
    return replace(snapshot, **more)


def show_instead_of_servers(monkeypatch: pytest.MonkeyPatch, snapshot: Snapshot) -> None:
    """Let the app open this snapshot wherever it would open a server."""

    @asynccontextmanager
    async def session(
        server: Server,
        paths: object,
        clock: Clock,
        random: object,
        on_change: Callable[[Snapshot], None],
        on_notice: object = None,
    ) -> AsyncIterator[StillSession]:
        on_change(snapshot)
        yield StillSession(server, StillMonitor(snapshot))

    monkeypatch.setattr(session_module, "open_session", session)


def certificate_paths(folder: Path) -> tuple[tuple[str, Path], ...]:
    """Where certificates would be."""
    return (
        ("certificate authority", folder / "root-ca.pem"),
        ("client certificate", folder / "client.pem"),
        ("client key", folder / "client-key.pem"),
    )
