"""What is known of memory, beside a command that loads a model: before its question, and after it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aitui.commands.administration import HostAdmin, open_administration
from aitui.commands.ending import cancel_and_wait
from aitui.commands.preset import read_server_config
from aitui.commands.session import Ask, Session
from aitui.domain.question import Confirmation
from aitui.domain.snapshot import Snapshot
from aitui.errors import AituiError
from aitui.paths import Paths

MACHINE_SECONDS = 3.0
"""Seconds that a question waits for the machine; it may be asleep, or in another house."""
FINAL_SAMPLE_SECONDS = 3.0


class MemoryPreflight:
    """`wait` is over when the machine has answered, or was given long enough."""

    def __init__(self, looking: "asyncio.Task[None]") -> None:
        self._looking = looking

    async def wait(self) -> None:
        """Give the machine its time."""
        await asyncio.wait({self._looking}, timeout=MACHINE_SECONDS)

    def delay(self, ask: Ask) -> Ask:
        """The same question, put once it is known whether the model fits."""

        async def patient(build: Callable[[Snapshot], Confirmation]) -> bool:
            await self.wait()
            return await ask(build)

        return patient


@asynccontextmanager
async def preflight(
    session: Session, paths: Paths, admin: HostAdmin | None = None
) -> AsyncIterator[MemoryPreflight]:
    """Sample the server at once and its machine beside, and learn from what is loaded meanwhile.

    `admin` is the machine where a command has it open already. Nothing that goes wrong here ends
    the command: then less is known.
    """
    async with contextlib.AsyncExitStack() as stack:
        if admin is None and session.server.ssh_host:
            opened = open_administration(session.server, paths, session.clock)
            admin = await stack.enter_async_context(opened)
        await sample_machine(session, None)
        sampling = asyncio.create_task(session.hardware.run(), name="hardware")
        looking = asyncio.create_task(sample_machine(session, admin), name="machine")
        try:
            yield MemoryPreflight(looking)
        finally:
            await cancel_and_wait(looking, sampling)
            if not session.hardware.is_host_responding:
                session.hardware.set_host(None)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FINAL_SAMPLE_SECONDS):
                    await session.hardware.sample_once()


async def sample_machine(session: Session, admin: HostAdmin | None) -> None:
    """Ask the server, and the machine behind it once, its config file first."""
    if admin is not None:
        session.hardware.set_host(admin.host)
        # Why the file can't be read is for `preset` to say; without it there are no estimates.
        with contextlib.suppress(AituiError):
            preset = await read_server_config(admin)
            await session.monitor.update_config(preset.contexts)
            session.hardware.update_commands(preset.commands, preset.environments)
    await session.hardware.sample_once()
