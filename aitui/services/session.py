"""One server, opened: its client, its monitor, and what both need."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from aitui.aio import cancel_and_wait
from aitui.domain.confirmation import Confirmation
from aitui.domain.snapshot import Clock, Server, Snapshot
from aitui.services.hardware import HardwareMonitor
from aitui.services.host_admin import refuse_if_read_only
from aitui.services.monitor import Monitor
from aitui.store.load_times import LoadTimes
from aitui.store.measurements import Measurements

if TYPE_CHECKING:
    from aitui.llamaswap.client import LlamaSwapClient


Ask = Callable[[Callable[[Snapshot], Confirmation]], Awaitable[bool]]
"""Puts a question to whoever sits there. It is made anew from each snapshot that arrives while it
is open, so that nobody says yes to facts that have changed."""


@dataclass(frozen=True, slots=True)
class Session:
    """What a command works with."""

    server: Server
    client: "LlamaSwapClient"
    monitor: Monitor
    clock: Clock
    hardware: HardwareMonitor

    @property
    def snapshot(self) -> Snapshot:
        """The latest state of the server."""
        return self.monitor.snapshot

    async def run(self) -> None:
        """Keep the snapshot true, memory included, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.monitor.run(), name="monitor")
            tasks.create_task(self.hardware.run(), name="hardware")

    def refuse_if_read_only(self, deed: str) -> None:
        """Raise Refused where this server's settings forbid to change anything."""
        refuse_if_read_only(self.server, deed)


@contextlib.asynccontextmanager
async def open_session(
    server: Server,
    load_times: LoadTimes,
    clock: Clock,
    random: Random,
    on_change: Callable[[Snapshot], None] | None = None,
    *,
    measurements: Measurements,
) -> AsyncIterator[Session]:
    """A session with one server; nothing is sent before something is asked of it."""
    # httpx costs more to import than everything else here: the first frame comes before it.
    client_class = await asyncio.to_thread(_import_client)
    async with client_class(server) as client:

        def told(snapshot: Snapshot) -> None:
            hardware.update_snapshot(snapshot)
            if on_change is not None:
                on_change(snapshot)

        monitor = Monitor(
            client,
            identity=server.identity,
            clock=clock,
            load_times=load_times,
            random=random,
            on_change=told,
        )
        hardware = HardwareMonitor(
            client,
            identity=server.identity,
            clock=clock,
            measurements=measurements,
            on_change=monitor.update_hardware,
        )
        yield Session(server, client, monitor, clock, hardware)


@contextlib.asynccontextmanager
async def run_monitor(session: Session) -> AsyncIterator[None]:
    """Keep the session's snapshot true for as long as the block runs."""
    watch = asyncio.create_task(session.monitor.run(), name="monitor")
    try:
        yield
    finally:
        await cancel_and_wait(watch)
        if not watch.cancelled():
            watch.result()


def _import_client() -> "type[LlamaSwapClient]":
    from aitui.llamaswap.client import LlamaSwapClient

    return LlamaSwapClient
