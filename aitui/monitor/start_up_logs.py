"""What the logs of running models said of memory when they started, read once a start."""

import asyncio
import contextlib
from typing import TYPE_CHECKING

from aitui.domain.memory.start_up import StartupLogReader, StartupMemory
from aitui.domain.model import Model, RunState
from aitui.errors import AituiError

if TYPE_CHECKING:
    from aitui.swap.client import LlamaSwapClient

QUIET_SECONDS = 0.5
PATIENT_QUIET_SECONDS = 2.0
"""Of a line that brings little at a time, a log is read once more before nothing is believed of it."""
FIRST_LINE_SECONDS = 10.0
"""A server may send nothing at all of a model that has said nothing."""
LOG_SECONDS = 15.0
LONGEST_LINE = 4000


class StartupLogs:
    """Keeps what was read for as long as the model stays the same process."""

    def __init__(self, client: "LlamaSwapClient") -> None:
        self._client = client
        self._read: dict[str, tuple[float, StartupMemory | None]] = {}

    @property
    def starts(self) -> dict[str, StartupMemory]:
        """The memory of each start that told of it."""
        return {name: start for name, (_, start) in self._read.items() if start is not None}

    def unread(self, models: tuple[Model, ...]) -> tuple[Model, ...]:
        """The ready models whose log nobody has looked at; what is of others is forgotten."""
        ready = {model.id: model for model in models if model.state is RunState.READY}
        self._read = {
            name: read
            for name, read in self._read.items()
            if name in ready and ready[name].since == read[0]
        }
        return tuple(model for name, model in ready.items() if name not in self._read)

    async def read(self, model: Model) -> None:
        """Read the history of its log; this loads nothing."""
        start = None
        # A log that can't be read tells nothing; the view of logs says why.
        with contextlib.suppress(AituiError):
            start = await self._read_last_start(model.id, QUIET_SECONDS)
            start = start or await self._read_last_start(model.id, PATIENT_QUIET_SECONDS)
        self._read[model.id] = model.since, start

    async def _read_last_start(self, name: str, quiet: float) -> StartupMemory | None:
        """The stream goes on for ever after its history, so it is read until it falls silent."""
        reader, rest = StartupLogReader(), ""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(TimeoutError):
            async with (
                asyncio.timeout(FIRST_LINE_SECONDS) as limit,
                self._client.log(name, history=True) as chunks,
            ):
                deadline = loop.time() + LOG_SECONDS
                limit.reschedule(loop.time() + FIRST_LINE_SECONDS)
                async for chunk in chunks:
                    *whole, rest = (rest + chunk).split("\n")
                    rest = rest[-LONGEST_LINE:]
                    reader.feed_all(whole)
                    limit.reschedule(min(deadline, loop.time() + quiet))
        return reader.memory
