"""One server: its client, its monitors, its host, and the watch over its config file."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from msgspec import Struct

from aitui.aio import cancel_and_wait
from aitui.domain.clients import LARGEST_HOSTS_FILE, ClientNames, parse_hosts
from aitui.domain.snapshot import Clock, ConnectionPhase, Server, Snapshot
from aitui.errors import AituiError
from aitui.paths import Paths
from aitui.services.hardware import HardwareMonitor
from aitui.services.monitor import Monitor
from aitui.store.load_times import FILE_NAME as LOAD_TIMES
from aitui.store.load_times import LoadTimes
from aitui.store.measurements import FILE_NAME as MEASUREMENTS
from aitui.store.measurements import Measurements

if TYPE_CHECKING:
    from aitui.llamaswap.client import LlamaSwapClient
    from aitui.services.activity_recorder import ActivityRecorder
    from aitui.services.config_watch import ConfigWatch
    from aitui.services.host_admin import HostAdmin


_HOSTS = Path("/etc/hosts")
RECORD_DELAY = 3.0
"""Seconds; after `tune_collector`, so that the record takes the memory that the start gave back."""


class Session(Struct, frozen=True):
    """A connected server. `admin` and `config_watch` are None if no host is set for it.

    `activity` returns the one recorder of the session, which is imported with the first call.
    """

    server: Server
    client: "LlamaSwapClient"
    monitor: Monitor
    clock: Clock
    hardware: HardwareMonitor
    load_times: LoadTimes
    activity: "Callable[[], ActivityRecorder]"
    admin: "HostAdmin | None" = None
    config_watch: "ConfigWatch | None" = None

    @property
    def snapshot(self) -> Snapshot:
        """Return the latest state of the server."""
        return self.monitor.snapshot

    async def run(self) -> None:
        """Keep the snapshot up to date, with memory and config file, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.monitor.run(), name="monitor")
            tasks.create_task(self.hardware.run(), name="hardware")
            if self.config_watch is not None:
                tasks.create_task(self.config_watch.run(), name="config file")
            if self.server.activity.days:
                tasks.create_task(self._record_activity(), name="record activity")

    async def _record_activity(self) -> None:
        """Record what the server does, once the table is shown: SQLite takes 15 ms to import."""
        live = ConnectionPhase.LIVE
        await self.monitor.wait_until(lambda snapshot: snapshot.connection.phase is live, None)
        await asyncio.sleep(RECORD_DELAY)
        await asyncio.to_thread(import_module, "aitui.services.activity_recorder")
        await self.activity().run()

    async def sample_memory(self) -> None:
        """Read the config file, if there is one to read, then sample server and host once."""
        if self.config_watch is not None:
            # Without the file there are no estimates; `aitui preset` says why it can't be read.
            with contextlib.suppress(AituiError):
                await self.config_watch.read()
        await self.hardware.sample_once()

    def require_host(self) -> tuple["HostAdmin", "ConfigWatch"]:
        """Return the host and its watch; raises ActionRefused if none is set."""
        if self.admin is None or self.config_watch is None:
            from aitui.services.host_admin import no_host_error

            raise no_host_error(self.server)
        return self.admin, self.config_watch


def _prepare_client(server: Server) -> ClientNames:
    """Import what the client needs, and return the names that other clients have here."""
    import_module("aitui.llamaswap.client")
    from aitui.llamaswap.urls import user_agent

    with contextlib.suppress(OSError), _HOSTS.open("rb") as file:
        lines = file.read(LARGEST_HOSTS_FILE).decode("utf-8", "replace").splitlines()
        return ClientNames(server.clients, parse_hosts(lines), user_agent())
    return ClientNames(server.clients, own_agent=user_agent())


@contextlib.asynccontextmanager
async def open_session(
    server: Server,
    paths: Paths,
    clock: Clock,
    random: Random,
    *,
    on_change: Callable[[Snapshot], None] | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> AsyncIterator[Session]:
    """Open a session with one server; nothing is connected before the first request.

    `on_change` is called with each snapshot, `on_notice` with what was found out about a change of
    the config file that was cut off, and of a proxy that reads secrets.
    """
    load_times = await LoadTimes.open(paths.state / LOAD_TIMES)
    measurements = await Measurements.open(paths.state / MEASUREMENTS)
    # httpx costs more to import than everything else here: the first frame comes before it.
    names = await asyncio.to_thread(_prepare_client, server)
    from aitui.llamaswap.client import LlamaSwapClient
    from aitui.llamaswap.urls import proxy_warning

    if on_notice is not None and (warning := proxy_warning(server)):
        on_notice(warning)
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(LlamaSwapClient(server))
        monitor = Monitor(
            client,
            identity=server.identity,
            clock=clock,
            load_times=load_times,
            random=random,
            on_change=on_change,
            names=names,
            llama_servers=server.llama_servers,
        )
        hardware = HardwareMonitor(
            client, monitor, server=server, clock=clock, measurements=measurements
        )
        admin = watch = None
        if server.ssh_host:
            # What reads and plans config files takes as long to import as httpx: only with a host.
            from aitui.services.config_watch import ConfigWatch
            from aitui.services.host_admin import open_administration
            from aitui.store.context_sizes import FILE_NAME as CONTEXT_SIZES
            from aitui.store.context_sizes import ContextSizes

            admin = await stack.enter_async_context(open_administration(server, paths, clock))
            admin.release = lambda: monitor.snapshot.release
            hardware.set_host(admin.host)
            sizes = await ContextSizes.open(paths.state / CONTEXT_SIZES)
            watch = ConfigWatch(admin, monitor, hardware, on_notice or (lambda _: None), sizes)

        @cache
        def activity() -> "ActivityRecorder":
            from aitui.services.activity_recorder import ActivityRecorder

            return ActivityRecorder(
                client,
                monitor,
                server,
                paths.data,
                clock=clock,
                names=names,
                on_warning=on_notice or (lambda _: None),
            )

        yield Session(server, client, monitor, clock, hardware, load_times, activity, admin, watch)


@contextlib.asynccontextmanager
async def run_monitor(session: Session) -> AsyncIterator[None]:
    """Keep the state of the session's models up to date while the block runs."""
    watch = asyncio.create_task(session.monitor.run(), name="monitor")
    try:
        yield
    finally:
        await cancel_and_wait(watch)
        if not watch.cancelled():
            watch.result()
