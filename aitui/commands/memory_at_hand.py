"""What is known of memory, beside a command that loads a model: before its question, and after it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aitui.commands.administration import Administration, open_administration
from aitui.commands.ending import end
from aitui.commands.preset import read_preset
from aitui.commands.session import Ask, Session
from aitui.domain.question import Question
from aitui.domain.snapshot import Snapshot
from aitui.errors import AituiError
from aitui.paths import Paths

PATIENCE = 3.0
"""Seconds that a question waits for the machine; it may be asleep, or in another house."""
LAST_LOOK = 3.0


class MemoryAtHand:
    """`wait` is over when the machine has answered, or was given long enough."""

    def __init__(self, looking: "asyncio.Task[None]") -> None:
        self._looking = looking

    async def wait(self) -> None:
        """Give the machine its time."""
        await asyncio.wait({self._looking}, timeout=PATIENCE)

    def before(self, ask: Ask) -> Ask:
        """The same question, put once it is known whether the model fits."""

        async def patient(build: Callable[[Snapshot], Question]) -> bool:
            await self.wait()
            return await ask(build)

        return patient


@asynccontextmanager
async def memory_at_hand(
    session: Session, paths: Paths, admin: Administration | None = None
) -> AsyncIterator[MemoryAtHand]:
    """Sample the server at once and its machine beside, and learn from what is loaded meanwhile.

    `admin` is the machine where a command has it open already. Nothing that goes wrong here ends
    the command: then less is known.
    """
    async with contextlib.AsyncExitStack() as stack:
        if admin is None and session.server.ssh_host:
            opened = open_administration(session.server, paths, session.clock)
            admin = await stack.enter_async_context(opened)
        await look_at_machine(session, None)
        sampling = asyncio.create_task(session.hardware.run(), name="hardware")
        looking = asyncio.create_task(look_at_machine(session, admin), name="machine")
        try:
            yield MemoryAtHand(looking)
        finally:
            await end(looking, sampling)
            if not session.hardware.machine_answers:
                session.hardware.host_found(None)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_LOOK):
                    await session.hardware.look()


async def look_at_machine(session: Session, admin: Administration | None) -> None:
    """Ask the server, and the machine behind it once, its config file first."""
    if admin is not None:
        session.hardware.host_found(admin.host)
        # Why the file can't be read is for `preset` to say; without it there are no estimates.
        with contextlib.suppress(AituiError):
            preset = await read_preset(admin)
            await session.monitor.config_read(preset.contexts)
            session.hardware.commands_read(preset.commands, preset.environments)
    await session.hardware.look()
