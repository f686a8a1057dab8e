"""A watched session whose memory is sampled as well."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aitui.domain.memory.hardware_state import HardwareState
from aitui.domain.snapshot import Clock, Server, Snapshot
from aitui.services.session import Session
from watched import Watched, beside, watched

GIB = 1 << 30


@asynccontextmanager
async def fed(
    server: Server, folder: Path, *, clock: Clock | None = None
) -> AsyncIterator[Watched]:
    """A session, its events flowing, its hardware sampled."""
    async with watched(server, folder, clock=clock) as watch:
        await watch.until_events_flow()
        async with beside(watch.session.hardware.run()):
            yield watch


async def until_memory(watch: Watched, condition: Callable[[HardwareState], object]) -> Snapshot:
    """Wait until what is known of memory fulfils a condition."""
    return await watch.until(lambda snapshot: bool(condition(snapshot.hardware)))


def used(session: Session) -> int | None:
    """Bytes on all cards."""
    return session.snapshot.hardware.usage.used_bytes
