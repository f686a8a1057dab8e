"""The sign by which a reload is known: llama-swap ends every event stream and unloads all models."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from aitui.commands.ending import cancel_and_wait
from aitui.errors import AituiError, NotSupported

if TYPE_CHECKING:
    from aitui.swap.client import LlamaSwapClient

CONNECT_SECONDS = 5.0
POLL_INTERVAL = 0.3


class ReloadDetector:
    """Watches from before the reload on, since the sign may be over in a moment."""

    def __init__(self, ended: "asyncio.Task[None]") -> None:
        self._ended = ended

    async def wait(self, seconds: float) -> bool:
        """Whether the server has reloaded since the watch began, or does so in that time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.shield(self._ended)
        return self._ended.done()


@asynccontextmanager
async def detect_reload(client: "LlamaSwapClient") -> AsyncIterator[ReloadDetector]:
    """Watch for a reload while the block runs; raises what keeps the server from being watched."""
    listening = asyncio.Event()
    ended = asyncio.create_task(_wait_for_stream_end(client, listening), name="watch for a reload")
    waiting = asyncio.create_task(listening.wait())
    try:
        await asyncio.wait({ended, waiting}, timeout=CONNECT_SECONDS,
                           return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
        if ended.done():
            ended.result()
        yield ReloadDetector(ended)
    finally:
        await cancel_and_wait(waiting, ended)


async def _wait_for_stream_end(client: "LlamaSwapClient", listening: asyncio.Event) -> None:
    try:
        async with client.events() as events:
            listening.set()
            with suppress(AituiError):
                # A reload ends it like a server that goes away does; both have read the file.
                async for _ in events:
                    pass
    except NotSupported:
        await _wait_until_empty(client, listening)


async def _wait_until_empty(client: "LlamaSwapClient", listening: asyncio.Event) -> None:
    """Without an event stream: everything that ran has gone, or nothing ran."""
    before = {model.id for model in await client.running()}
    listening.set()
    while True:
        await asyncio.sleep(POLL_INTERVAL)
        if not before & {model.id for model in await client.running()}:
            return
